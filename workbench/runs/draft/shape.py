"""What a text must be before a form can hold it: plain values, mappings where forms need them.

The specs say what is allowed; this says only what can be shown, written as a file and read again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

MOST_DEEP: Final = 24
"""Values within values."""
MOST_BITS: Final = 63
"""Of a whole number; one of thousands could not even be written down."""
PICKED: Final = ("data", "student", "teacher")


def misshapen(data: Mapping[str, Any]) -> str:
    """Why data cannot stand in a form, in words; empty if it can.

    Args:
        data: An experiment as plain data, as somebody wrote it.
    """
    return _not_plain(data, "", 0) or _not_shaped(data)


def _not_plain(value: Any, path: str, depth: int) -> str:
    where = path or "The experiment"
    if depth > MOST_DEEP:
        return f"{where}: more than {MOST_DEEP} values within values."
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                return f"{where}: {key!r} is no name; put it in quotes."
            found = _not_plain(inner, f"{path}.{key}" if path else key, depth + 1)
            if found:
                return found
        return ""
    if isinstance(value, (list, tuple)):
        inside = (_not_plain(one, f"{path}.{k}", depth + 1) for k, one in enumerate(value))
        return next(filter(None, inside), "")
    if isinstance(value, float) and not math.isfinite(value):
        return f"{where}: {value} is no finite number."
    if isinstance(value, int) and value.bit_length() > MOST_BITS:
        return f"{where}: a whole number of more than {MOST_BITS} bits."
    if value is None or isinstance(value, (bool, int, float, str)):
        return ""
    return f"{where}: a {type(value).__name__} is no number, text, list or mapping."


def _not_shaped(data: Mapping[str, Any]) -> str:
    for role in PICKED:
        if not _is_pick(data.get(role, "")):
            return f"{role}: a name is needed, or a mapping with use."
    probes = data.get("probes", [])
    if not isinstance(probes, (list, tuple)) or not all(_has_use(one) for one in probes):
        return "probes: a list of names is needed, or of mappings with use."
    stages = data.get("stages", {})
    if not isinstance(stages, Mapping):
        return "stages: a mapping of stages is needed: main: {terms: ...}."
    for name, stage in stages.items():
        if not isinstance(stage, Mapping):
            return f"stages.{name}: a mapping is needed: terms, epochs, batch_size."
        terms = stage.get("terms") or {}
        if not isinstance(terms, Mapping):
            return f"stages.{name}.terms: a mapping of terms is needed: kd: {{use: kd}}."
        for key, term in terms.items():
            if not _has_use(term):
                return f"stages.{name}.terms.{key}: a term needs use, a name of a loss."
    return ""


def _is_pick(value: Any) -> bool:
    return value is None or isinstance(value, (str, Mapping))


def _has_use(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, Mapping) and isinstance(value.get("use"), str)
    )
