"""Code of the reader's own that an experiment needs: found by where its classes come from.

Unusual here: a run trains in another process, and code reaches it by the name of a module only,
never pickled. So the modules stand in the experiment, where a replay, a fork and a colleague's copy
find them; a class that has no module (a notebook's cell) is refused with the way out.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import Final

from workbench.errors import NotSendable
from workbench.specs.base import Kind
from workbench.specs.code import HERE, kinds
from workbench.specs.experiment import ExperimentSpec

OURS: Final = "workbench"


def with_modules(spec: ExperimentSpec) -> ExperimentSpec:
    """The same experiment with the modules named that register what it uses.

    Raises:
        NotSendable: If a class was defined in a notebook's cell or in the script that runs.
    """
    found = {_module_of(path, kind): None for path, kind in kinds(spec)}
    missing = [name for name in found if name is not None and name not in spec.modules]
    return spec.replace({"modules": [*spec.modules, *missing]}) if missing else spec


def _module_of(path: str, kind: Kind) -> str | None:
    """The module to import for a kind; None where the workbench finds it by itself."""
    name = type(kind).__module__
    root = name.partition(".")[0]
    if root in (OURS, f"{OURS}_widgets") or root in _installed():
        return None
    if name == HERE:
        raise NotSendable(
            f"{path}: {kind.use!r} is a class of a notebook's cell or of the script that runs. A "
            "run trains in another process, and code reaches that one only as a module. Begin the "
            "cell with `%%workbench_module my_terms` (after `%load_ext workbench`): it becomes "
            "my_terms.py beside the notebook. Or move the class to a file and import it."
        )
    return name


@cache
def _installed() -> frozenset[str]:
    """Packages whose entry points register themselves in every process."""
    groups = entry_points()
    return frozenset(
        point.module.partition(".")[0]
        for group in groups.groups
        if group.startswith(f"{OURS}.")
        for point in groups.select(group=group)
    )
