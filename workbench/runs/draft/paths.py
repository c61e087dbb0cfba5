"""Values of an experiment at dotted paths while it is plain data that may be wrong.

Unusual here: a path may lead through a list, by place (``probes.3.train``), so that an entry has a
form of its own; everywhere else a list is one value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.errors import WorkbenchError
from workbench.specs.experiment import set_path
from workbench.specs.interventions import get_path


def value_at(data: Mapping[str, Any], path: str) -> Any:
    """The value at a path, or None where the path leads nowhere."""
    try:
        if found := _entry(data, path):
            listed, place, rest = found
            return get_path(listed[place], rest)
        return get_path(data, path)
    except (KeyError, TypeError, AttributeError, WorkbenchError):
        return None


def put(data: dict[str, Any], path: str, value: Any) -> None:
    """Set a value, making mappings on the way; of an entry that is a name alone, too."""
    if found := _entry(data, path):
        listed, place, rest = found
        entry = {"at": listed[place]}
        set_path(entry, f"at.{rest}", value)
        listed[place] = entry["at"]
    else:
        set_path(data, path, value)


def drop(data: dict[str, Any], path: str) -> None:
    """Take out what stands at a path, if anything does."""
    if found := _entry(data, path):
        listed, place, rest = found
        drop({"at": listed[place]}, f"at.{rest}")
        return
    *parents, last = path.split(".")
    inner: Any = data
    for part in parents:
        inner = inner.get(part) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner.pop(last, None)


def _entry(data: Any, path: str) -> tuple[list[Any], int, str] | None:
    """The list on the way, the place in it, and the rest of a path; None where there is none."""
    parts, inner = path.split("."), data
    for k, part in enumerate(parts[:-1]):
        if isinstance(inner, list):
            known = part.isdecimal() and int(part) < len(inner)
            return (inner, int(part), ".".join(parts[k + 1 :])) if known else None
        inner = inner.get(part) if isinstance(inner, Mapping) else None
    return None
