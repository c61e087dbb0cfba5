"""Export of a run or a comparison: which kinds there are, and where a file may go."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.atomic import write_atomically
from workbench.errors import BadFile, RefusedCommand, UnknownName
from workbench.export.comparison import comparison_script
from workbench.export.notebook import notebook
from workbench.export.places import with_whole_paths
from workbench.export.script import script
from workbench.export.story import Story, expected, recorded, story_of
from workbench.export.weights import FILE, file_bytes, student_of
from workbench.specs.files import dump_yaml
from workbench.store.runs import RunRow
from workbench.store.store import Store


def export_run(store: Store, run: str, kind: str, path: str | Path, *, force: bool = False) -> Path:
    """Write a run as a file that stands alone; whole, or not at all.

    Args:
        store: Where the run lies; only read.
        run: Its id.
        kind: ``script``, ``notebook``, ``yaml`` or ``weights``.
        path: File to write; for weights also a folder that exists.
        force: Replace a file that is there.

    Returns:
        The file that was written.

    Raises:
        UnknownRun: If the store has no such run.
        UnknownName: For another kind.
        RefusedCommand: If the run has nothing to export yet; says what it waits for.
        NotSendable: If it trained a Python object.
        BadFile: If the file may not be written there.
    """
    if kind not in KINDS:
        raise UnknownName("kind of export", kind, KINDS)
    row = store.runs.get(run)
    target = _target(Path(path), kind, force=force)
    write_atomically(target, _WRITERS[kind](store, row, target))
    return target


def export_comparison(
    store: Store, found: Mapping[str, Any], path: str | Path, *, force: bool = False
) -> Path:
    """Write a comparison as a script that trains its runs again; whole, or not at all.

    Args:
        store: Where the runs lie; only read.
        found: The comparison, as ``workbench compare --json`` prints it.
        path: File to write.
        force: Replace a file that is there.

    Returns:
        The file that was written.

    Raises:
        WorkbenchError: As :func:`export_run`, and if there is nothing to compare with.
    """
    target = _target(Path(path), "script", force=force)
    _refuse_shadow(target)
    write_atomically(target, comparison_script(store, found).encode())
    return target


def _script(store: Store, row: RunRow, target: Path) -> bytes:
    story = story_of(store, row)
    numbers = expected(row)
    _refuse_shadow(target)
    return script(story, numbers, _recorded(story, row)).encode()


def _notebook(store: Store, row: RunRow, target: Path) -> bytes:
    story = story_of(store, row)
    return notebook(story, expected(row), _recorded(story, row)).encode()


def _yaml(store: Store, row: RunRow, target: Path) -> bytes:
    story = story_of(store, row)
    experiment = story.experiment
    if target.resolve().parent != story.base:
        _refuse_lost_modules(story)
        experiment = with_whole_paths(experiment, story.base)
    # A note is one line of plain text (see runs/notes.py), so it cannot leave its comment.
    notes = [f"# step {one['step']}, {one['who']}: {one['text']}\n" for one in story.notes]
    return ("".join(notes) + dump_yaml(experiment)).encode()


def _recorded(story: Story, row: RunRow) -> dict[str, Any]:
    """Facts of the record, with what people wrote into the journal where they did."""
    return {**recorded(row), **({"notes": story.notes} if story.notes else {})}


def _weights(store: Store, row: RunRow, target: Path) -> bytes:
    return file_bytes(student_of(store, row), target.name)


_WRITERS: dict[str, Callable[[Store, RunRow, Path], bytes]] = {
    "script": _script,
    "notebook": _notebook,
    "yaml": _yaml,
    "weights": _weights,
}
KINDS = tuple(_WRITERS)


def _target(path: Path, kind: str, *, force: bool) -> Path:
    """The file to write.

    Raises:
        BadFile: If nothing may be written there.
    """
    try:
        if "\0" in str(path):
            raise ValueError("it holds a NUL character")
        if kind == "weights":
            path = path / FILE if path.is_dir() else path
            if path.suffix != ".safetensors":
                raise BadFile(
                    f"{str(path)!r}: weights go to a file that ends in .safetensors, or to a "
                    "folder that exists."
                )
        if path.is_dir():
            raise BadFile(f"{str(path)!r} is a folder; give the file to write.")
        if not path.parent.is_dir():
            raise BadFile(f"{str(path)!r}: there is no folder {str(path.parent)!r}. Make it first.")
        if path.exists() and not path.is_file():
            raise BadFile(f"{str(path)!r} is no regular file; give another name.")
        if path.exists() and not force:
            raise BadFile(
                f"{str(path)!r} exists. Give another name, or --force (force=True) to replace it."
            )
    except (OSError, ValueError) as error:  # too long, or in a folder that may not be looked into
        raise BadFile(f"{str(path)[:200]!r} cannot be used as a path ({error}).") from None
    return path


def _refuse_shadow(target: Path) -> None:
    """A script's folder comes first on the path: ``torch.py`` would be imported for torch."""
    name = target.stem
    if target.suffix != ".py" or not name.isidentifier():
        return
    if name in sys.stdlib_module_names or _is_installed(name, target.resolve().parent):
        raise BadFile(
            f"{target.name}: run from its folder it would stand in for the module {name!r}. "
            "Give another name."
        )


def _is_installed(name: str, folder: Path) -> bool:
    """Whether a module of that name lies elsewhere than in ``folder``."""
    try:
        found = importlib.util.find_spec(name)
    except ValueError:  # `__main__` and its kind: there, but not found by name
        return True
    return found is not None and (
        found.origin is None or Path(found.origin).resolve().parent != folder
    )


def _refuse_lost_modules(story: Story) -> None:
    if story.modules:
        listed = ", ".join(f"{name!r}" for name in story.modules)
        raise RefusedCommand(
            f"Run {story.run} imports {listed} from {story.base}, where its experiment lay. Write "
            "the file there, or export a script, which takes the folder along (--base)."
        )
