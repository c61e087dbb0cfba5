"""The x axis of the curves, in steps, passes of the data or time, and the phases of the rate.

Unusual here: whatever the toggle says, data stay at their steps and only the ticks change, so that
marks, ranges and the line of the shown step mean the same in all three.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from workbench_widgets.skeleton import Node, axis, escape, label, nice_ticks, step_ticks
from workbench_widgets.words import count, number

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


def add_phases(shape: dict[str, Node], phases: Sequence[Sequence[Any]]) -> None:
    """Names of the learning rate's phases on the floor of the lower plot, and where each ends."""
    for name, first, last in phases:
        shape["annotations"].append(
            {
                "$if": {"h>=": 250},
                "then": label(
                    escape(str(name)),
                    *(float(first), 0),
                    xref="x",
                    yref="y2 domain",
                    xshift=3,
                    yshift=1,
                    font={"size": 11, "color": "$ink3"},
                ),
            }
        )
        if (first, last) == (phases[-1][1], phases[-1][2]):
            continue
        line = {"color": "$line_strong", "width": 1}
        ends = {"x0": last, "x1": last, "y0": 0, "y1": 1}
        shape["shapes"] += [
            {"type": "line", "xref": "x", "yref": y, **ends, "line": line, "layer": "below"}
            for y in ("y domain", "y2 domain")
        ]
