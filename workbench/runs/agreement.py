"""How far a model follows its teacher on the probe rows, counted from the classes both answered.

Unusual here: a snapshot keeps the answers of whoever was looked at beside a teacher, so these
numbers are known of a control, too, which the loyalty probe never measures.
Shapes: n = probe rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

ANSWERED = ("labels", "student_class", "teacher_class")


@dataclass(frozen=True)
class Agreement:
    """Counts over some samples.

    Attributes:
        n: Samples, >= 1.
        label_loyalty: Share on which both name the same class, in [0, 1].
        copied: Samples on which the model repeats the teacher's error.
        teacher_wrong: Samples on which the teacher errs.
    """

    n: int
    label_loyalty: float
    copied: int
    teacher_wrong: int

    @classmethod
    def among(cls, labels: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> Agreement:
        """From labels, the model's classes and the teacher's, int, shape (n,) each."""
        wrong = theirs != labels
        copied = wrong & (mine == theirs)
        return cls(len(labels), float(np.mean(mine == theirs)), int(copied.sum()), int(wrong.sum()))

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Agreement | None:
        """Of all probe rows of a snapshot; None if it keeps no answers."""
        found = answers_of(arrays)
        return None if found is None or not len(found[0]) else cls.among(*found)


def answers_of(
    arrays: Mapping[str, np.ndarray],
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Labels and both models' classes of a snapshot's probe rows, int64, shape (n,) each."""
    if "answers.labels" not in arrays:
        return None
    labels, mine, theirs = (np.asarray(arrays[f"answers.{name}"], np.int64) for name in ANSWERED)
    return labels, mine, theirs
