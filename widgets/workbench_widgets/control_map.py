"""The similarity map minus that of the control: what the teacher did, and what training alone does.

Unusual here: two maps of one step are compared, both with the same teacher and on the same samples;
a cell in which neither is above its own null reads ``n.s.``. It is one seed: a note says so.
Shapes: Lt, Ls = layers of teacher, student; C = snapshots of the control.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.frame import Arrays, Facts, need
from workbench_widgets.skeleton import Node
from workbench_widgets.words import count, signed, unit_cell

MODE: Final = "control"
"""Value of the state ``mode`` under which this is shown."""
SHOW: Final[dict[str, str]] = {"mode": MODE}

Data = dict[str, NDArray[Any]]


def control_arrays(arrays: Arrays, facts: Facts, data: Mapping[str, NDArray[Any]]) -> Data:
    """What a frame gets of its control; nothing if the facts name none.

    Args:
        arrays: Of the view: optionally ``control`` and ``control_null_p95``, (Lt, Ls), of the
            control at the same step; and ``control_history`` (C, Lt, Ls) with ``control_steps``
            (C,).
        facts: With ``control``: ``run`` (its id), ``label`` of the toggle, ``words`` (what it
            learns from), ``seed``; and ``why`` in words, where it has no map at this step.
        data: The frame's own arrays.

    Raises:
        FrameError: If the control's layers are not the student's.
    """
    if "control" not in facts:
        return {}
    shape = data["unbiased"].shape
    made: Data = {"beside": np.full(shape, np.nan, np.float32)}
    if "control" in arrays:
        need(arrays, "cka", dict.fromkeys(("control", "control_null_p95"), shape))
        made |= {
            name: np.asarray(arrays[name], dtype=np.float32)
            for name in ("control", "control_null_p95")
        }
        made["beside"] = data["unbiased"] - made["control"]
    made["beside_size"] = np.abs(made["beside"])
    if "control_history" in arrays:
        need(arrays, "cka", {"control_steps": ("C",), "control_history": ("C", *shape)})
        made["control_history"] = np.asarray(arrays["control_history"], dtype=np.float32)
        made["control_steps"] = np.asarray(arrays["control_steps"], dtype=np.float32)
    return made


def option(facts: Facts) -> dict[str, str]:
    """The toggle's third choice."""
    told = facts["control"]
    title = f"minus the map of the control {told['run']}, {told['words']}, at the same step"
    return {"value": MODE, "label": str(told["label"]), "title": title}


def note(facts: Facts, step: int) -> dict[str, Any]:
    """Which run stands beside, or why none does."""
    told = facts["control"]
    if told.get("why"):
        return {"kind": "note", "text": [str(told["why"])], "show": SHOW}
    both = f"Minus this run's control ({told['words']}), both at step {count(step)}; "
    one = f"one seed, {told['seed']}. $much: a large difference. Dashed: the control."
    return {"kind": "note", "text": [both + one], "show": SHOW}


def spoken(data: Mapping[str, NDArray[Any]], facts: Facts) -> str:
    """The largest difference in words; empty without one."""
    values = data.get("beside")
    if values is None or not np.isfinite(values).any():
        return ""
    i, j = np.unravel_index(int(np.nanargmax(np.abs(values))), values.shape)
    teacher, student = facts["teacher_layers"][i], facts["student_layers"][j]
    return (
        f" Largest difference from the control {_cell(float(values[i, j]))}, teacher "
        f"{teacher} with student {student}."
    )


def control_facts(data: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """The text of each cell, row by row."""
    if "beside" not in data:
        return {}
    if "control" not in data:
        return {"cells_beside": [""] * data["beside"].size}
    below = (data["unbiased"] < data["null_p95"]) & (data["control"] < data["control_null_p95"])
    pairs = zip(data["beside"].ravel(), below.ravel(), strict=True)
    return {"cells_beside": [_cell(float(value), bool(both)) for value, both in pairs]}


def control_or(data: Mapping[str, NDArray[Any]], own: Node, other: Node) -> Node:
    """One node under the toggle and another otherwise; the other alone without a control."""
    return {"$if": SHOW, "then": own, "else": other} if "beside" in data else other


def difference_map(common: Mapping[str, Node], data: Mapping[str, NDArray[Any]]) -> Node:
    """The map under the toggle.

    Args:
        common: What all maps of the view share, with the pairs' names as ``text``.
        data: Of the frame.
    """
    last = "control" if "control" in data else "beside"
    return {
        **common,
        "zmin": 0,
        "colorscale": {"$scale": "measure"},
        "z": {"$data": "beside_size"},
        "customdata": {"$stack": ["beside", "unbiased", last]},
        "hovertemplate": "<b>%{text}</b><br>difference %{customdata[0]:+.3f}"
        "<br>student %{customdata[1]:.3f}<br>control %{customdata[2]:.3f}<extra></extra>",
    }


def over_training(line: Mapping[str, Node], data: Mapping[str, NDArray[Any]]) -> list[Node]:
    """The control's cell over training, as the view draws the student's in ``line``."""
    if "control_history" not in data:
        return []
    drawn = {
        **line,
        "x": {"$data": "control_steps"},
        "y": {"$data": "control_history", "at": [None, "$i", "$j"]},
        "line": {"color": "$ink", "width": 1.4, "dash": "4px,3px"},
        "hovertemplate": "control, step %{x:d}<br>CKA %{y:.3f}<extra></extra>",
    }
    return [{"$if": SHOW, "then": drawn}]


def _cell(value: float, both_below: bool = False) -> str:
    if not np.isfinite(value):
        return ""
    if both_below:
        return "n.s."
    return signed(0) if abs(value) < 0.005 else ("+" if value > 0 else "") + unit_cell(value)
