"""Since when a change is counted: the first snapshot, or the last one before a journal mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.words import count

MOST: Final = 5
"""Newest marks that can be chosen, beside the first snapshot."""
STATE: Final = "since"
"""Name of the state that holds which one is."""


@dataclass(frozen=True)
class Base:
    """One snapshot that others are compared with.

    Attributes:
        place: Its index among the snapshots, from 0.
        step: Its step.
        number: Of the mark that came right after it; None for the first snapshot.
        words: Which it is, and what the mark did.
    """

    place: int
    step: int
    number: int | None
    words: str


def bases(steps: Sequence[float] | NDArray[Any], marks: Sequence[Mapping[str, Any]]) -> list[Base]:
    """What can be chosen, oldest first; nothing while there is no second snapshot.

    Args:
        steps: Of the snapshots, rising; the last is the one that is shown.
        marks: ``step``, ``number`` and ``text`` of each, in order.
    """
    if len(steps) < 2:
        return []
    first = int(steps[0])
    found = [Base(0, first, None, f"since the first snapshot, step {count(first)}")]
    for mark in marks:
        place = int(np.searchsorted(steps, mark["step"], side="right")) - 1
        if 0 <= place < len(steps) - 1:  # else nothing has been seen since
            step = int(steps[place])
            text = f": {mark['text']}" if mark.get("text") else ""
            words = f"since mark {mark['number']}, snapshot at step {count(step)}{text}"
            found.append(Base(place, step, int(mark["number"]), words))
    return [found[0], *found[1:][-MOST:]]


def control(found: Sequence[Base], show: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """The toggle that chooses one, in a list; an empty list where there is one only.

    The value of an option is its place in this frame, which a newer mark moves; its name is the
    mark's own number, so that what a link or the trait ``toggles`` says is always the same mark.

    Args:
        found: As :func:`bases` gives them.
        show: Test that must hold for the toggle to be seen.
    """
    if len(found) < 2:
        return []
    options = [
        {
            "value": place,
            "name": "start" if base.number is None else f"mark-{base.number}",
            "label": "start" if base.number is None else str(base.number),
            "title": base.words,
        }
        for place, base in enumerate(found)
    ]
    return [{"name": STATE, "options": options, "show": dict(show or {})}]
