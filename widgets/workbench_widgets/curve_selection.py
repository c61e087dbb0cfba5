"""Accuracy on the selected samples in the curves: both models at each snapshot, all samples faint.

Unusual here: a snapshot is a point and a step of the line, so nothing is drawn between two of them;
each line is named where it stands, because a legend would only repeat the colours.
Shapes: S = snapshots that keep who is right.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.frame import Arrays, Facts, Run, need
from workbench_widgets.skeleton import LABEL_PX, Node, label
from workbench_widgets.words import count, percent

FAINT: Final = 0.35
"""Opacity of the lines of all samples beside those of the selected ones."""
APART: Final = 9
"""Between a line and its name, in pixels."""
EDGE: Final = 0.3
"""Share of a low plot at its floor or top that has no room for a name beyond the line."""


def selected_data(arrays: Arrays) -> dict[str, NDArray[Any]]:
    """Arrays of the frame, accuracies in %; empty where no samples are selected.

    Raises:
        FrameError: If they disagree in shape.
    """
    if "selected_steps" not in arrays:
        return {}
    names = ("selected_steps", "selected_student", "selected_teacher")
    need(arrays, "curves", dict.fromkeys(names, ("P",)))
    scales = (1, 100, 100)
    return {
        name: np.asarray(arrays[name], dtype=np.float32) * scale
        for name, scale in zip(names, scales, strict=True)
    }


def selected_legend(
    data: dict[str, NDArray[Any]], latest: float | None, teacher: float | None
) -> list[Run]:
    """Both accuracies of the selected samples now, then those of all."""
    mine, theirs = (float(data[f"selected_{who}"][-1]) / 100 for who in ("student", "teacher"))
    at = {who: ["selected_steps", f"selected_{who}"] for who in ("student", "teacher")}
    return [
        {"text": "● S ", "colour": "$student"},
        {"text": percent(mine), "colour": "$student", "strong": True, "at": at["student"]},
        "\u2003",
        {"text": "■ T ", "colour": "$teacher"},
        {"text": percent(theirs), "colour": "$teacher", "strong": True, "at": at["teacher"]},
        "\u2003",
        {"text": "all: S ", "colour": "$ink3"},
        {"text": percent(latest), "colour": "$ink3", "at": ["steps", "student_accuracy"]},
        {"text": f", T {percent(teacher)}", "colour": "$ink3", "at": "step"},
    ]


def selected_traces(data: dict[str, NDArray[Any]]) -> list[Node]:
    """A line of steps with a marker a snapshot, teacher below student."""
    keep = {"marker": {"opacity": 1}}  # a range of steps that is dragged must not fade them
    looks = (("teacher", "square", "7px,4px", 1.8), ("student", "circle", "solid", 2.2))
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "x": {"$data": "selected_steps"},
            "y": {"$data": f"selected_{who}"},
            "line": {"color": f"${who}", "width": width, "dash": dash, "shape": "hv"},
            "marker": {"color": f"${who}", "size": 4.5, "symbol": symbol, "opacity": 1},
            "selected": keep,
            "unselected": keep,
            "hovertemplate": f"step %{{x:d}}<br>{who[0].upper()} selected %{{y:.1f}} %"
            "<extra></extra>",
        }
        for who, symbol, dash, width in looks
    ]


def selected_names(data: dict[str, NDArray[Any]], facts: Facts, floor: float) -> list[Node]:
    """``S selected, n = 37`` at the end of its line, ``T selected`` at the beginning of its own."""
    n = count(facts["selected"]["n"])
    steps = data["selected_steps"]
    mine, theirs = (float(data[f"selected_{who}"][-1]) for who in ("student", "teacher"))
    if not (steps.size and math.isfinite(mine) and math.isfinite(theirs)):
        return []
    total = max(float(facts.get("steps_total", 1)), 1.0)
    late = float(steps[-1]) > total / 2
    end = {"x": float(steps[-1]), "xanchor": "right" if late else "left"}
    start = {"x": float(steps[0]) + 0.02 * total, "xanchor": "left"}
    first = float(data["selected_teacher"][0])
    # early in a run both ends lie close together: then the student's name goes below its line
    above = mine >= theirs
    return [
        _name(f"S selected, n = {n}", mine, end, "$student", floor, above=above),
        _name("T selected", first, start, "$teacher", floor, above=late or not above),
    ]


def _name(
    text: str, value: float, at: dict[str, Any], colour: str, floor: float, *, above: bool
) -> Node:
    room = (value - floor) / max(100 - floor, 1.0)
    above = (above or room < EDGE) and room < 1 - EDGE  # never beyond the plot
    return label(
        f"<b>{text}</b>",
        at["x"],
        max(value, floor),
        xref="x",
        yref="y",
        xanchor=at["xanchor"],
        yanchor="bottom" if above else "top",
        yshift=APART / 2 if above else -APART / 2,
        bgcolor={"$fade": "surface", "alpha": 0.75},
        font={"size": LABEL_PX, "color": colour},
    )
