"""Loyalty and fidelity over batches: one table from which every number of them follows.

Unusual here: agreement is counted apart for samples where the teacher is right, wrong, and sure,
since a student may be loyal for good and for bad; no mean of batch means is ever taken.
Shapes: n = samples, C = classes, E = strata of the teacher's entropy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.functional.calibration_table import equal_width_edges, equal_width_index
from workbench.functional.confidence import check_labels, chunk_rows
from workbench.functional.guards import exactly, same_shape
from workbench.functional.loyalty import SAME_CLASSES, hellinger, sqrt_js, total_variation
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")


@dataclass(frozen=True)
class Fidelity:
    """How closely a student follows its teacher; means over samples, NaN without any.

    Attributes:
        num_samples: Samples, n.
        label_loyalty: Share of equal predictions, in [0, 1].
        probability_loyalty: One minus the mean Jensen-Shannon distance, bits, in [0, 1].
        forward_kl: Mean KL(teacher || student) at temperature 1, nats.
        reverse_kl: Mean KL(student || teacher), nats.
        total_variation: Mean, in [0, 1].
        hellinger: Mean, in [0, 1].
        loyalty_teacher_right: Share of equal predictions where the teacher is right; NaN
            without labels.
        loyalty_teacher_wrong: The same where it is wrong: high means copied errors.
        entropy_edges: Strata of the teacher's entropy over ln C, shape (E + 1,).
        entropy_count: Samples of each stratum, int64, shape (E,).
        loyalty_by_entropy: Share of equal predictions in each, shape (E,); NaN where empty.
    """

    num_samples: int
    label_loyalty: float
    probability_loyalty: float
    forward_kl: float
    reverse_kl: float
    total_variation: float
    hellinger: float
    loyalty_teacher_right: float
    loyalty_teacher_wrong: float
    entropy_edges: Tensor
    entropy_count: Tensor
    loyalty_by_entropy: Tensor


class LoyaltyTable:
    """Everything :class:`Fidelity` says, over batches; tables of equal strata add up.

    Counts are exact; means come from float64 sums over samples, never from means of batches,
    which a short last batch would bias.

    Args:
        num_strata: Equal-width strata of the teacher's entropy over ln C.
    """

    def __init__(self, num_strata: int = 5) -> None:
        self.entropy_edges = equal_width_edges(num_strata)
        # teacher right, wrong, or unknown; stratum; student differs, agrees
        self.counts = torch.zeros(3, num_strata, 2, dtype=torch.int64)
        self._sums = torch.zeros(5, dtype=torch.float64)

    def update(
        self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor | None = None
    ) -> None:
        """Add samples.

        Args:
            student_logits: Raw scores, shape (n, C).
            teacher_logits: Raw scores, shape (n, C).
            labels: Class numbers, shape (n,); without them nobody is right or wrong.

        Raises:
            ShapeMismatch: If the two shapes differ.
            ValueError: If labels do not fit or a score is not finite.
        """
        same_shape("LoyaltyTable", student_logits, teacher_logits, fix=SAME_CLASSES)
        if labels is not None:
            check_labels(teacher_logits, labels)
        if not bool(student_logits.isfinite().all() and teacher_logits.isfinite().all()):
            raise ValueError("LoyaltyTable: a score is NaN or infinite. Leave such rows out.")
        rows = chunk_rows(student_logits)
        parts = zip(
            torch.split(student_logits, rows), torch.split(teacher_logits, rows), strict=True
        )
        for start, (student, teacher) in enumerate(parts):
            truth = None if labels is None else labels[start * rows : (start + 1) * rows].cpu()
            self._add(exactly(student), exactly(teacher), truth)

    def merge(self, other: LoyaltyTable) -> LoyaltyTable:
        """Add another table of the same strata to this one; returns this one.

        Raises:
            ValueError: If strata differ.
        """
        if self.counts.shape != other.counts.shape:
            raise ValueError("tables of different strata cannot be merged; make both alike.")
        self.counts += other.counts
        self._sums += other._sums
        return self

    def compute(self) -> Fidelity:
        """Means over the samples so far."""
        num = int(self.counts.sum())
        distance, forward, reverse, variation, hell = (
            float(total) / (num or math.nan) for total in self._sums
        )
        by_entropy = self.counts.sum(0)
        right, wrong, _ = (_agreement(table.sum(0)) for table in self.counts)
        return Fidelity(
            num_samples=num,
            label_loyalty=float(_agreement(by_entropy.sum(0))),
            probability_loyalty=1 - distance,
            forward_kl=forward,
            reverse_kl=reverse,
            total_variation=variation,
            hellinger=hell,
            loyalty_teacher_right=float(right),
            loyalty_teacher_wrong=float(wrong),
            entropy_edges=self.entropy_edges,
            entropy_count=by_entropy.sum(-1),
            loyalty_by_entropy=_agreement(by_entropy),
        )

    def _add(self, student: Tensor, teacher: Tensor, labels: Tensor | None) -> None:
        log_p_s, log_p_t = F.log_softmax(student, dim=-1), F.log_softmax(teacher, dim=-1)
        p_s, p_t = log_p_s.exp(), log_p_t.exp()
        gap = log_p_t - log_p_s
        self._sums += torch.stack(
            [
                sqrt_js(p_s, p_t).sum(),
                (p_t * gap).sum(),
                -(p_s * gap).sum(),
                total_variation(p_s, p_t).sum(),
                hellinger(p_s, p_t).sum(),
            ]
        )
        guess = teacher.argmax(-1)
        agrees = (student.argmax(-1) == guess).long()
        most = math.log(student.shape[-1]) or 1.0  # one class only: entropy 0
        entropy = (-(p_t * log_p_t).sum(-1) / most).clamp_(0.0, 1.0)
        stratum = equal_width_index(entropy, self.entropy_edges, "right")
        known = torch.full_like(guess, 2) if labels is None else (guess != labels).long()
        cell = (known * self.counts.shape[1] + stratum) * 2 + agrees
        self.counts += torch.bincount(cell, minlength=self.counts.numel()).view_as(self.counts)


def _agreement(counts: Tensor) -> Tensor:
    """Share of the last axis' second entry; NaN where both are 0."""
    return counts[..., 1].double() / counts.sum(-1)
