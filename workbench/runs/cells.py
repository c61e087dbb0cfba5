"""A notebook's cell as a module: written beside the notebook, imported here and by every worker.

``%load_ext workbench`` brings the magic ``%%workbench_module NAME``. What the cell registers can
then be named in experiments, whose runs find it by the module's name; nothing is pickled.
"""

from __future__ import annotations

import importlib
import importlib.util
import keyword
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from workbench.errors import BadInput
from workbench.store.files import write_text

MARK: Final = "# Written by the cell %%workbench_module {name} of a notebook; edit it there."
MAGIC: Final = "workbench_module"


def module_from(source: str, name: str, *, folder: Path | None = None) -> ModuleType:
    """Write source to ``NAME.py``, import it anew, and let workers that start from now on find it.

    Args:
        source: The text of a cell.
        name: Of the module: letters, digits and ``_``.
        folder: Where the file goes; None for the current one, that of the notebook.

    Raises:
        BadInput: If the name is none, belongs to another module, or to a file that somebody wrote.
    """
    folder = (folder or Path.cwd()).resolve()
    path = folder / f"{name}.py"
    _check_name(name, path)
    mark = MARK.format(name=name)
    if path.exists() and not path.read_text("utf-8", "replace").startswith(mark):
        raise BadInput(
            f"{path} exists and was not written by this cell. Import it, or take another name."
        )
    write_text(path, f"{mark}\n\n{source.rstrip()}\n")
    # A cached file is told by seconds and size: two runs of a cell can have both alike.
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
    _let_find(folder)
    sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module(name)


def load(shell: Any) -> None:
    """Give a notebook the magic; called by ``%load_ext workbench``."""

    def magic(line: str, cell: str) -> None:
        module = module_from(cell, line.strip())
        names = {key: value for key, value in vars(module).items() if not key.startswith("_")}
        shell.push(names)

    shell.register_magic_function(magic, "cell", MAGIC)


def _check_name(name: str, path: Path) -> None:
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
        raise BadInput(
            f"Module name {name[:40]!r}: letters, digits and `_` are allowed, a letter first, as "
            f"in `%%{MAGIC} my_terms`."
        )
    found = None if name in sys.modules else importlib.util.find_spec(name)
    origin = getattr(sys.modules.get(name), "__file__", None) or getattr(found, "origin", None)
    taken = name in sys.modules or found is not None
    if taken and (origin is None or Path(origin).resolve() != path):
        raise BadInput(f"There is a module {name!r} already ({origin}). Take another name.")


def _let_find(folder: Path) -> None:
    """Here and in the processes that are started from here; after all that is installed."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if str(folder) not in known:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [*known, str(folder)]))
