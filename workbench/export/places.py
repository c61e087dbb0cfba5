"""What an experiment takes from elsewhere: files by relative path, modules, runs of a store.

A path in an experiment starts from the folder of its file. Exported to another folder, that folder
travels along as data (script, notebook), or the paths are written whole (experiment file).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

FILE = "path:"
RUN = "run:"
PATHS = ("path", "test_path")
"""Fields that hold a path."""
WORDS = ("name", "recipe", "note", "who")
"""Fields of an experiment that are read by people only."""


def with_whole_paths(experiment: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """The experiment with every relative path written from the root; ``~`` stays as it is.

    Args:
        experiment: Plain data.
        base: Folder that relative paths start from.
    """

    def whole(key: str, value: str) -> str:
        prefix = FILE if value.startswith(FILE) else ""
        if not prefix and key.rpartition(".")[2] not in PATHS:
            return value
        path = value.removeprefix(prefix)
        if path.startswith("~") or Path(path).is_absolute():
            return value
        return f"{prefix}{base / path}"

    changed: dict[str, Any] = _changed(experiment, "", whole)
    return changed


def modules_in(experiment: Mapping[str, Any], base: Path) -> list[str]:
    """Modules in the folder of the experiment that it names or imports a function of, sorted."""
    found: set[str] = set()

    def note(key: str, value: str) -> str:
        top = value.partition(":")[0].partition(".")[0]
        lies_there = (base / f"{top}.py").is_file() or (base / top).is_dir()
        if key in ("import", "modules") and lies_there:
            found.add(top)
        return value

    _changed(experiment, "", note)
    return sorted(found)


def names_runs(experiment: Mapping[str, Any]) -> bool:
    """Whether it takes a model from a run of its store."""
    found: list[str] = []

    def note(key: str, value: str) -> str:
        if value.startswith(RUN):
            found.append(value)
        return value

    _changed(experiment, "", note)
    return bool(found)


def _changed(value: Any, key: str, change: Callable[[str, str], str]) -> Any:
    """Plain data with every text replaced by ``change(its key, text)``, but for words."""
    if isinstance(value, Mapping):
        return {
            name: item if name in WORDS else _changed(item, name, change)
            for name, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_changed(item, key, change) for item in value]
    return change(key, value) if isinstance(value, str) else value
