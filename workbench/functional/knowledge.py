"""Who is right where: the 2 × 2 table of student and teacher, and what training changed in it.

Unusual here: beside gain and loss there are two numbers that answer what users ask: errors copied
from the teacher, and samples learned although the teacher is wrong.
Shapes: n = samples, C = classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.functional.guards import exactly
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


@dataclass(frozen=True)
class Flips:
    """What a training changed; shares are of all samples unless said otherwise.

    Attributes:
        num_samples: Samples compared.
        gain: Wrong before, right after.
        loss: Right before, wrong after (negative flips).
        delta: ``gain - loss``, the change of accuracy.
        complementary: Teacher right, student wrong before: what could be transferred.
        at_risk: Student right before, teacher wrong: what could be lost.
        transfer_rate: Share of the complementary samples that are right after; NaN without any.
        spontaneous_gain: Wrong before, right after, although the teacher is wrong.
    """

    num_samples: int
    gain: float
    loss: float
    delta: float
    complementary: float
    at_risk: float
    transfer_rate: float
    spontaneous_gain: float


def correctness_table(student_scores: Tensor, teacher_scores: Tensor, labels: Tensor) -> Tensor:
    """Counts of who is right: rows student right, wrong; columns teacher right, wrong.

    Args:
        student_scores: Logits or probabilities, shape (n, C).
        teacher_scores: Shape (n, C').
        labels: Class numbers, shape (n,), none withheld.

    Returns:
        Int64, shape (2, 2); sums to n.
    """
    student_wrong = student_scores.argmax(-1) != labels
    teacher_wrong = teacher_scores.argmax(-1) != labels
    cell = 2 * student_wrong.long() + teacher_wrong.long()
    counts: Tensor = torch.bincount(cell, minlength=4)
    return counts.view(2, 2)


def copied_errors(
    student_scores: Tensor, teacher_scores: Tensor, labels: Tensor
) -> tuple[int, int]:
    """Samples where the student repeats the teacher's wrong label, and where the teacher is wrong.

    Returns:
        ``(copied, teacher_wrong)``; their ratio is the share of errors copied.
    """
    teacher = teacher_scores.argmax(-1)
    wrong = teacher != labels
    copied = wrong & (student_scores.argmax(-1) == teacher)
    return int(copied.sum()), int(wrong.sum())


def knowledge_flips(
    before_correct: Tensor, after_correct: Tensor, teacher_correct: Tensor
) -> Flips:
    """Knowledge gained, lost and transferred between two states of a student.

    Args:
        before_correct: Student right before, bool, shape (n,), n >= 1.
        after_correct: Student right after, same samples.
        teacher_correct: Teacher right, same samples.

    Raises:
        ValueError: If shapes differ or there is no sample.

    Reference:
        Roth et al. 2024, arXiv:2310.17653 (complementary knowledge, transfer delta and rate).
    """
    if not before_correct.shape == after_correct.shape == teacher_correct.shape:
        raise ValueError(
            f"before, after and teacher must have one shape, got {tuple(before_correct.shape)}, "
            f"{tuple(after_correct.shape)}, {tuple(teacher_correct.shape)}."
        )
    num = before_correct.numel()
    if num == 0:
        raise ValueError("knowledge_flips: got no sample.")
    before, after, teacher = before_correct.bool(), after_correct.bool(), teacher_correct.bool()

    def share(mask: Tensor) -> float:
        return int(mask.sum()) / num

    gained, complementary = ~before & after, ~before & teacher
    num_complementary = int(complementary.sum())
    transferred = int((complementary & after).sum())
    gain, loss = share(gained), share(before & ~after)
    return Flips(
        num_samples=num,
        gain=gain,
        loss=loss,
        delta=(int(gained.sum()) - int((before & ~after).sum())) / num,
        complementary=share(complementary),
        at_risk=share(before & ~teacher),
        transfer_rate=transferred / num_complementary if num_complementary else math.nan,
        spontaneous_gain=share(gained & ~teacher),
    )


def flips_per_class(
    before_correct: Tensor, after_correct: Tensor, labels: Tensor, num_classes: int
) -> tuple[Tensor, Tensor]:
    """Samples of each true class that became right, and that became wrong; int64, shape (C,)."""
    gained = labels[~before_correct & after_correct]
    lost = labels[before_correct & ~after_correct]
    return (
        torch.bincount(gained, minlength=num_classes),
        torch.bincount(lost, minlength=num_classes),
    )


def accuracy_per_class(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Right samples and all samples of each true class, int64, shape (C,) each."""
    num_classes = scores.shape[-1]
    right = labels[scores.argmax(-1) == labels]
    return (
        torch.bincount(right, minlength=num_classes),
        torch.bincount(labels, minlength=num_classes),
    )


def error_consistency(table: Tensor) -> float:
    """Cohen's kappa of being right: agreement beyond what two accuracies give by chance.

    Args:
        table: Of :func:`correctness_table`.

    Returns:
        In [-1, 1]; NaN where both networks are always right or always wrong.

    Reference:
        Geirhos et al. 2020, arXiv:2006.16736.
    """
    return cohen_kappa(table)


def prediction_kappa(student_scores: Tensor, teacher_scores: Tensor) -> float:
    """Cohen's kappa of the predicted labels, in [-1, 1]; NaN where both always say one label."""
    num_classes = student_scores.shape[-1]
    cell = student_scores.argmax(-1) * num_classes + teacher_scores.argmax(-1)
    return cohen_kappa(torch.bincount(cell, minlength=num_classes**2).view(num_classes, -1))


def cohen_kappa(table: Tensor) -> float:
    """Cohen's kappa of a square table of counts; NaN where chance agreement is certain."""
    counts = exactly(table)
    total = counts.sum()
    seen = counts.diagonal().sum() / total
    chance = (counts.sum(0) * counts.sum(1)).sum() / total.square()
    return float((seen - chance) / (1 - chance)) if float(chance) < 1 else math.nan


def mcnemar_p(table: Tensor) -> float:
    """Exact two-sided p that student and teacher (or two students) are right equally often.

    Args:
        table: Of :func:`correctness_table`; only the two cells where one alone is right count.

    Returns:
        In (0, 1]; 1 where they never differ.

    Reference:
        McNemar 1947; the binomial form.
    """
    low, high = sorted((int(table[0, 1]), int(table[1, 0])))
    num = low + high
    if low == high:
        return 1.0
    k = torch.arange(low + 1, dtype=torch.float64)
    ways = math.lgamma(num + 1) - torch.lgamma(k + 1) - torch.lgamma(num - k + 1)
    return min(1.0, 2 * float((ways - num * math.log(2)).exp().sum()))
