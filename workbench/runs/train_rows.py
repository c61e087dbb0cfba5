"""Loyalty on training rows, where a run was asked to look at them: how it went over the snapshots.

Shapes: t = training rows looked at, S = snapshots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from workbench_widgets.since import bases

if TYPE_CHECKING:
    from workbench.store import Snapshot

PREFIX: Final = "train_"
"""Of the loyalty probe's arrays of training rows."""


@dataclass(frozen=True)
class Learned:
    """Training rows at one snapshot.

    Attributes:
        step: Of the snapshot.
        table: Who is right, (2, 2).
        right: Whether the student is, bool, shape (t,).
    """

    step: int
    table: np.ndarray
    right: np.ndarray

    @classmethod
    def of(cls, snapshot: Snapshot) -> Learned | None:
        """From a snapshot; None if it has no training rows."""
        arrays = snapshot.arrays
        if f"loyalty.{PREFIX}table" not in arrays:
            return None
        right = arrays[f"loyalty.{PREFIX}student_right"] > 0
        return cls(snapshot.step, arrays[f"loyalty.{PREFIX}table"], right)


def with_train_rows(
    learned: Sequence[Learned],
    steps: Sequence[int],
    marks: Sequence[Mapping[str, Any]],
    arrays: Mapping[str, np.ndarray],
    facts: Mapping[str, Any],
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The loyalty view's arrays and facts with the history of the training rows.

    Without such rows nothing is added. Of a selection nothing is left: it is of probe rows.

    Args:
        learned: Training rows at each snapshot up to the shown one that has any.
        steps: Of all these snapshots.
        marks: Of the journal.
        arrays: Of the view.
        facts: The same.
    """
    made, told = dict(arrays), dict(facts)
    if "train" not in told:
        return made, told
    if "selected" in told:
        del told["train"]
        return {name: v for name, v in made.items() if not name.startswith(PREFIX)}, told
    own: dict[str, Any] = dict(told["train"])
    if [one.step for one in learned] != list(steps):  # a fork of a run that did not look at them
        return made, {**told, "train": own}
    now = made[f"{PREFIX}student_right"] > 0
    found = bases(steps, list(marks))
    if found:
        before = [learned[base.place].right for base in found]
        own["changes"] = [
            {"gained": int((now & ~right).sum()), "lost": int((~now & right).sum())}
            for right in before
        ]
        own |= own["changes"][0]
    made[f"{PREFIX}table_history"] = np.stack([one.table for one in learned])
    return made, {**told, "train": own}
