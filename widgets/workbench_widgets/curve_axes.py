"""The axes of the curves: steps, passes of the data or time; accuracy; the phases of the rate.

Unusual here: whatever the toggle says, data stay at their steps and only the ticks change, so that
marks, ranges and the line of the shown step mean the same in all three. The names of the phases
have a strip of their own between the lower plot and the axis, so that no line runs through them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.skeleton import CHAR_PX, Node, axis, escape, label, nice_ticks, step_ticks
from workbench_widgets.words import count, number, shorten

ACCURACY_TICKS: Final = (
    (80, [80, 85, 90, 95, 100]),
    (60, [60, 70, 80, 90, 100]),
    (0, [0, 20, 40, 60, 80, 100]),
)
"""Ticks of the accuracy axis by the lowest value that it shows, %."""
STRIP_PX: Final = 15
"""Height of the strip that names the phases."""
STRIP_FROM_PX: Final = 280
"""Height of a view from which it has room for the strip."""
SIDES_PX: Final = 10
"""Room beside a phase's name."""
NAME_LENGTHS: Final = (16, 12, 9, 7, 5, 3)
"""Lengths to which a name is cut where its phase is too narrow for all of it."""
UNITS: Final = (("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


@dataclass(frozen=True)
class Clock:
    """When the run came to which step: known at its snapshots, even between two of them.

    Attributes:
        steps: Of the snapshots, rising.
        seconds: Since the first of them, rising.
    """

    steps: tuple[float, ...]
    seconds: tuple[float, ...]

    @classmethod
    def of(cls, times: Sequence[Sequence[float]]) -> Clock | None:
        """From step and time (seconds) of each snapshot; None if that gives no axis."""
        known = [(float(step), float(at)) for step, at in times]
        steps, seconds = [s for s, _ in known], [at - known[0][1] for _, at in known]
        rises = all(before < after for before, after in pairwise(seconds))
        return cls(tuple(steps), tuple(seconds)) if len(steps) > 1 and rises else None

    def axis(self) -> dict[str, Node]:
        """Ticks at round times, up to the newest snapshot, and the unit."""
        last = self.seconds[-1]
        unit, size = next((u, s) for u, s in UNITS if last >= 2 * s or s == 1)
        ticks = nice_ticks(last / size)
        where = np.interp([tick * size for tick in ticks], self.seconds, self.steps)
        return {
            "tickvals": [float(step) for step in where],
            "ticktext": [number(tick) for tick in ticks],
            "text": f"{unit} since step {count(self.steps[0])}",
        }


def x_axis_of(total: float, epochs: float, clock: Clock | None) -> dict[str, Node]:
    """Steps; by the toggle the same axis in passes of the data or in time."""
    by_step = axis([0, total * 1.006], **step_ticks(total), title="step", standoff=2)
    node = {
        "tickvals": by_step["tickvals"],
        "ticktext": by_step["ticktext"],
        "text": by_step["title"]["text"],
    }
    others: dict[str, dict[str, Node]] = {}
    if epochs > 0:
        ticks = nice_ticks(max(total / epochs, 1e-6))
        where, words = [t * epochs for t in ticks], [number(t) for t in ticks]
        others["epoch"] = {"tickvals": where, "ticktext": words, "text": "epoch"}
    if clock is not None:
        others["time"] = clock.axis()
    for name, other in others.items():
        node = {
            key: {"$if": {"x": name}, "then": other[key], "else": was} for key, was in node.items()
        }
    return {
        **by_step,
        "tickvals": node["tickvals"],
        "ticktext": node["ticktext"],
        "title": {**by_step["title"], "text": node["text"]},
    }


def accuracy_floor(values: NDArray[Any], others: Sequence[float]) -> float:
    """Low end of the accuracy axis, %: a tick below all that the run's last half shows.

    Tens from 60 on and twenties below, as the ticks, so that the lowest one stands at the end.
    """
    shown = [value for value in (*late(values), *others) if math.isfinite(value)]
    low = min(shown, default=0.0) - 1
    step = 10 if low >= 60 else 20
    return float(max(0, min(90, math.floor(low / step) * step)))


def late(values: NDArray[Any]) -> list[float]:
    """The last half of a run's values."""
    return [float(value) for value in values[values.size // 2 :]]


def accuracy_ticks(held: str, floor: float) -> Node:
    """Ticks of the accuracy axis; the browser may hold a lower floor than this frame asks for."""
    return {"$held": held, "range": [floor, 100.6], "from": [list(row) for row in ACCURACY_TICKS]}


def floor_of_plots(phases: Sequence[Any]) -> Node:
    """Low end of the lower plot: above the strip of the phases, if there is one."""
    if not phases:
        return 0
    return {"$if": {"h>=": STRIP_FROM_PX}, "then": {"$px": [0, STRIP_PX, "y"]}, "else": 0}


def add_phases(shape: dict[str, Node], phases: Sequence[Sequence[Any]], total: float) -> None:
    """The strip with the names of the learning rate's phases, and where each of them ends.

    Args:
        shape: The layout that takes them.
        phases: Name, first and last step of each.
        total: Planned steps, > 0.
    """
    roomy = {"h>=": STRIP_FROM_PX}
    line = {"color": "$line_strong", "width": 1}
    for k, (name, first, last) in enumerate(phases):
        across = {"type": "rect", "xref": "x", "x0": float(first), "x1": float(last)}
        down = {"yref": "paper", "y0": 0, "y1": floor_of_plots(phases), "layer": "below"}
        floor = {**across, **down, "fillcolor": "$sunken", "line": {"width": 0}}
        shape["shapes"].append({"$if": roomy, "then": floor})
        shape["annotations"].append(
            {
                "$if": roomy,
                "then": label(
                    _fitting(str(name), (last - first) / total),
                    *(float(first), 0),
                    xref="x",
                    xshift=4,
                    yshift=1,
                    font={"size": 11, "color": "$ink2"},
                    hovertext=f"LR: {escape(str(name))}, steps {count(first)} to {count(last)}",
                    captureevents=True,
                ),
            }
        )
        if k == len(phases) - 1:
            continue
        ends = {"type": "line", "xref": "x", "x0": last, "x1": last, "y0": 0, "line": line}
        shape["shapes"] += [
            {**ends, "yref": y, "y1": 1, "layer": "below"} for y in ("y domain", "y2 domain")
        ]
        strip = {**ends, "yref": "paper", "y1": floor_of_plots(phases)}
        shape["shapes"].append({"$if": roomy, "then": strip})


def phases_spoken(phases: Sequence[Sequence[Any]]) -> str:
    """The phases as a sentence, for who does not see the strip or finds it too narrow."""
    if not phases:
        return ""
    told = [f"{name} to step {count(last)}" for name, _, last in phases]
    return f" Learning rate: {', '.join(told)}."


def _fitting(name: str, share: float) -> Node:
    """As much of a name as its phase has room for; nothing in one too narrow for any of it."""
    lengths = [length for length in reversed(NAME_LENGTHS) if length < len(name)]
    text: Node = ""
    for length in (*lengths, len(name)):
        room = (CHAR_PX * length + SIDES_PX) / max(share, 1e-9)
        text = {"$if": {"W>=": room}, "then": escape(shorten(name, length)), "else": text}
    return text
