"""The knobs of a run as plain data for the rail: value, range, mark, undo. Plain data only."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from workbench_widgets.words import number, term_name

from workbench.dashboard.wording import COLOURS
from workbench.runs.frames import Frames
from workbench.runs.history import History
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.knobs import Knob, knobs
from workbench.training.timeline import SET

TOUCHABLE = frozenset({"preparing", "training", "paused"})
DECADES = 2.0
"""A slider of a rate reaches so many powers of ten to either side of its first value."""


def controls(history: History, frames: Frames) -> dict[str, Any] | None:
    """What the rail shows of a run's knobs; None if the experiment cannot be read."""
    now, first = frames.spec, frames.first
    if now is None or first is None:
        return None
    found, start = knobs(now), knobs(first)
    marks = _marks(history)
    shown = [
        _knob(path, knob, start.get(path), marks.get(path), now)
        for path, knob in found.items()
        if _is_shown(path, knob)
    ]
    prefix = f"stages.{now.stage_name}"
    stages = ((history.row.protocol or {}).get("student") or {}).get("stages") or []
    return {
        "live": history.row.status in TOUCHABLE,
        "why": _why(history),
        "knobs": shown,
        "freeze": {
            "path": f"{prefix}.freeze",
            "stages": [{"name": name, "on": name in now.stage.freeze} for name in stages],
            "frozen": now.stage.freeze,
        },
        "rows": {
            "path": f"{prefix}.rows.labels",
            "value": now.stage.rows.labels,
            "choices": list(found[f"{prefix}.rows.labels"].choices or ()),
        },
        "paths": [{"path": path, "text": _text(knob.value)} for path, knob in found.items()],
    }


def _is_shown(path: str, knob: Knob) -> bool:
    """Weights and live numbers of the terms, the rate, the share of a second teacher."""
    parts = path.split(".")
    if knob.kind != "number" or len(parts) < 3:
        return False
    if parts[2] == "optimiser":
        return parts[-1] == "lr"
    return parts[2] in ("terms", "target")


def _knob(
    path: str, knob: Knob, start: Knob | None, mark: dict[str, Any] | None, spec: ExperimentSpec
) -> dict[str, Any]:
    value = knob.value if isinstance(knob.value, (int, float)) else None
    was = start.value if start is not None else knob.value
    first = was if isinstance(was, (int, float)) else value
    low, high, log = _range(path, knob, first, value)
    changed = start is not None and _text(was) != _text(knob.value)
    words = f"was {_text(was)}" if changed else _bounds(knob)
    if path.endswith("optimiser.lr"):
        words += " · peak of the schedule"
    return {
        "path": path,
        **_label(path, spec),
        "text": _text(knob.value),
        "place": None if value is None else _place(value, low, high, log=log),
        "start": None if first is None else _place(first, low, high, log=log),
        "low": low,
        "high": high,
        "log": log,
        "words": words,
        "mark": mark["number"] if mark else None,
        "undo": mark["before"] if mark else None,
        "help": knob.help,
    }


def _label(path: str, spec: ExperimentSpec) -> dict[str, str]:
    parts = path.split(".")
    if parts[2] == "optimiser":
        return {"name": "Learning rate", "of": "", "colour": ""}
    if parts[2] == "target":
        return {"name": "Share of the second teacher", "of": "", "colour": "teacher"}
    term = spec.stage.terms[parts[3]]
    name = term_name(parts[3])
    *inside, last = parts[4:]
    word = last.replace("_", " ")
    if inside:  # a part of the term that is itself one
        part = getattr(term, inside[0])
        shown = f"{name} {inside[0]}: {term_name(part.use)}"
        return {
            "of": shown,
            "name": word,
            "colour": COLOURS.get(str(getattr(part, "pull", "")), ""),
        }
    colour = COLOURS.get(str(getattr(term, "pull", "")), "")
    if word == "temperature":
        others = spec.stage.terms.values()
        alone = sum("temperature" in getattr(kind, "live", ()) for kind in others) == 1
        return {"of": "" if alone else name, "name": "Temperature T", "colour": colour}
    return {"of": name, "name": word, "colour": colour}


def _range(
    path: str, knob: Knob, first: float | None, value: float | None
) -> tuple[float, float, bool]:
    """Ends of the slider: what people try, inside what is allowed; typing reaches the rest."""
    at = first if first else (value or 1.0)
    if path.endswith("optimiser.lr"):
        return at / 10**DECADES, at * 10**DECADES, True
    high = max(1.0, 2 * at, value or 0.0)
    if path.endswith("temperature"):
        return 0.5, max(10.0, 2 * at, value or 0.0), False
    low = knob.min if knob.min is not None else min(0.0, 2 * at)
    return low, min(high, knob.max) if knob.max is not None else high, False


def _place(value: float, low: float, high: float, *, log: bool) -> float:
    """Where a value stands on its slider, 0 to 1."""
    if log:
        if value <= 0:
            return 0.0
        share = math.log(value / low) / math.log(high / low)
    else:
        share = (value - low) / (high - low) if high > low else 0.0
    return round(min(max(share, 0.0), 1.0), 4)


def _marks(history: History) -> dict[str, dict[str, Any]]:
    """The newest change of each path: its number and what stood there before, as typed text."""
    changes = [event for event in history.events if event.kind == SET]
    found: dict[str, dict[str, Any]] = {}
    for place, event in enumerate(changes, start=1):
        paths = list(event.payload["set"])
        for path in paths:
            before = event.payload["before"]
            if len(paths) > 1 and isinstance(before, Mapping):
                before = before.get(path)
            found[path] = {"number": place, "before": json.dumps(before)}
    return found


def _why(history: History) -> str:
    """Why nothing can be set, in words; empty while something can."""
    row = history.row
    if row.status in TOUCHABLE:
        return ""
    if row.status == "queued":
        return "Waits for a training process."
    if row.resumable:
        return "Resume lets it train on; then these can be set."
    return "This run has ended; a fork can train on with other values."


def _bounds(knob: Knob) -> str:
    low = "" if knob.min is None else f"{'>' if knob.open else '≥'} {knob.min:g}"
    high = "" if knob.max is None or knob.max >= 1e4 else f"≤ {knob.max:g}"
    return " and ".join(filter(None, (low, high)))


def _text(value: Any) -> str:
    """A value as people type it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        whole = float(value).is_integer() and abs(value) < 1e15
        return f"{value:.0f}" if whole else f"{value:g}"
    if isinstance(value, Mapping) and {"use", "start", "end"} <= set(value):
        return f"{number(value['start'])} → {number(value['end'])}, {value['use']}"
    return str(value) if isinstance(value, str) else json.dumps(value)
