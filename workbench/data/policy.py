"""What a data policy is: it chooses the training rows of an epoch from what both models say.

A policy sees reports only, so what it chose can be chosen again. Nothing here loads torch.
Shapes: n = training rows, K = classes.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from workbench.randomness import permutation
from workbench.registries import POLICIES
from workbench.specs.stage import PolicySpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    Kept = npt.NDArray[np.bool_]


SHARPNESS = 5.0
SCALE = 4 / 3
"""KD³'s curve ends at epoch 160, and is left at 120."""


@dataclass(frozen=True)
class Report:
    """What is known of the training rows at the start of an epoch.

    Attributes:
        epoch: Passes done, from 0.
        epochs: Of the whole stage.
        seed: Of the run.
        num_rows: n.
        student: Logits of every training row in evaluation mode, not augmented, shape (n, K), on
            the CPU; None unless the policy asks for them.
        teacher: The teacher's.
    """

    epoch: int
    epochs: int
    seed: int
    num_rows: int
    student: Tensor | None = None
    teacher: Tensor | None = None


class PolicyKind(PolicySpec):
    """Base of all kinds of policies."""

    summary: ClassVar[str]
    paper: ClassVar[str]
    asks: ClassVar[tuple[Literal["student", "teacher"], ...]] = ()

    @abstractmethod
    def choose(self, report: Report) -> Kept:
        """Which training rows are shown in this epoch, bool, shape (n,); pure in the report."""


@POLICIES.register("random-rows")
class RandomRows(PolicyKind):
    """A random part of the training rows, drawn anew each epoch: the control of every policy."""

    summary: ClassVar[str] = "A random part of the rows, drawn anew each epoch."
    paper: ClassVar[str] = "-"
    share: Annotated[
        float, Field(gt=0, le=1, description="Of the training rows, at least one row.")
    ] = 0.5

    def choose(self, report: Report) -> Kept:
        """The first of a shuffle."""
        import numpy as np

        kept = np.zeros(report.num_rows, bool)
        count = max(1, round(self.share * report.num_rows))
        kept[permutation(report.seed, "random-rows", report.epoch, report.num_rows)[:count]] = True
        return kept


@POLICIES.register("confident")
class Confident(PolicyKind):
    """Rows that a blend of teacher and student is sure of, with a bar for each class (KD³).

    A class that is seldom predicted has a lower bar. The blend is the teacher's at first, moves to
    the student, and is the student's alone from ``until`` of the stage on. The paper has 240 epochs
    and leaves the teacher after 120.

    Reference:
        Tang et al. 2023 (KD³), "Distribution Shift Matters for Knowledge Distillation with Webly
        Collected Images".
    """

    summary: ClassVar[str] = "Rows that teacher and student are sure of, with a bar for each class."
    paper: ClassVar[str] = "Tang et al. 2023 (KD3), Distribution Shift Matters"
    asks: ClassVar[tuple[Literal["student", "teacher"], ...]] = ("student", "teacher")
    threshold: float = Field(
        0.95, gt=0, lt=1, description="Probability that the most predicted class must reach."
    )
    until: float = Field(
        0.5, gt=0, le=1, description="Share of the stage after which the student decides alone."
    )
    per_class: bool = Field(
        True, description="Whether a class that is seldom predicted has a lower bar."
    )

    def choose(self, report: Report) -> Kept:
        """Rows above the bar of the class that the blend predicts."""
        from workbench.functional.selection import sure_enough

        kept = sure_enough(
            _given(report.student),
            _given(report.teacher),
            teacher_share=teacher_share(report.epoch, report.epochs, until=self.until),
            cutoff=self.threshold,
            per_class=self.per_class,
        )
        found: Kept = kept.numpy()
        return found


def teacher_share(epoch: int, epochs: int, *, until: float) -> float:
    """Share of the teacher in KD³'s blend, in [0, 1].

    Near 1 at first, 0.27 just before ``until`` of the stage, 0 from there on: the curve's own end
    lies a third further, at epoch 160 of the paper's 240, where 120 are ``until``.

    Args:
        epoch: Counted from 0.
        epochs: Of the whole stage.
        until: Share of the stage after which the student decides alone, in (0, 1].
    """
    last = until * epochs
    if epoch >= last:
        return 0.0
    return 1 - math.exp(-SHARPNESS * ((epoch + 1) / (last * SCALE) - 1) ** 2)


def _given(logits: Tensor | None) -> Tensor:
    if logits is None:
        raise TypeError("the policy asks for both models' logits, the report has none")
    return logits
