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


class FlipTable:
    """Who was right before, after, and whether the teacher is; grows by batches, and merges.

    Attributes:
        counts: Samples by right before, right after, teacher right (index 1 is right); int64,
            shape (2, 2, 2).
    """

    def __init__(self) -> None:
        self.counts = torch.zeros(2, 2, 2, dtype=torch.int64)

    def update(
        self, before_correct: Tensor, after_correct: Tensor, teacher_correct: Tensor
    ) -> None:
        """Add samples; bool, shape (n,) each.

        Raises:
            ValueError: If shapes differ.
        """
        if not before_correct.shape == after_correct.shape == teacher_correct.shape:
            raise ValueError(
                "before, after and teacher must have one shape, got "
                f"{tuple(before_correct.shape)}, {tuple(after_correct.shape)}, "
                f"{tuple(teacher_correct.shape)}."
            )
        before, after, teacher = (
            mask.cpu().bool().long().flatten()
            for mask in (before_correct, after_correct, teacher_correct)
        )
        cell = 4 * before + 2 * after + teacher
        self.counts += torch.bincount(cell, minlength=8).view(2, 2, 2)

    def merge(self, other: FlipTable) -> FlipTable:
        """Add another table to this one; returns this one."""
        self.counts += other.counts
        return self

    def compute(self) -> Flips:
        """Shares of the samples so far.

        Raises:
            ValueError: If there is no sample.
        """
        num = int(self.counts.sum())
        if num == 0:
            raise ValueError("knowledge_flips: got no sample.")
        gained, lost = self.counts[0, 1], self.counts[1, 0]
        complementary, transferred = int(self.counts[0, :, 1].sum()), int(gained[1])
        return Flips(
            num_samples=num,
            gain=int(gained.sum()) / num,
            loss=int(lost.sum()) / num,
            delta=(int(gained.sum()) - int(lost.sum())) / num,
            complementary=complementary / num,
            at_risk=int(self.counts[1, :, 0].sum()) / num,
            transfer_rate=transferred / complementary if complementary else math.nan,
            spontaneous_gain=int(gained[0]) / num,
        )


@dataclass(frozen=True)
class Knowledge:
    """Who is right where, of a student and its teacher.

    Attributes:
        table: Rows student right, wrong; columns teacher right, wrong; int64, shape (2, 2).
        by_class: The same for each true class, shape (C, 2, 2).
        copied: Samples of each true class where the student repeats the teacher's error, (C,).
        complementary: Share that only the teacher gets right: what could be transferred.
        at_risk: Share that only the student gets right.
        copied_share: Share of the teacher's errors that the student repeats; NaN without any.
        error_consistency: See :func:`error_consistency`.
        mcnemar_p: See :func:`mcnemar_p`.
    """

    table: Tensor
    by_class: Tensor
    copied: Tensor
    complementary: float
    at_risk: float
    copied_share: float
    error_consistency: float
    mcnemar_p: float


class KnowledgeTable:
    """Counts behind :class:`Knowledge`; grows by batches, and merges.

    Args:
        num_classes: True classes, C.
    """

    def __init__(self, num_classes: int) -> None:
        self.by_class = torch.zeros(num_classes, 2, 2, dtype=torch.int64)
        self.copied = torch.zeros(num_classes, dtype=torch.int64)

    def update(self, student_scores: Tensor, teacher_scores: Tensor, labels: Tensor) -> None:
        """Add samples.

        Args:
            student_scores: Logits or probabilities, shape (n, C).
            teacher_scores: Shape (n, C').
            labels: Class numbers below C, shape (n,), none withheld.

        Raises:
            ValueError: If a label is withheld or is no class of the table.
        """
        num_classes = len(self.copied)
        student, teacher, truth = (
            values.cpu()
            for values in (student_scores.argmax(-1), teacher_scores.argmax(-1), labels)
        )
        if truth.numel() and not (int(truth.min()) >= 0 and int(truth.max()) < num_classes):
            raise ValueError(
                f"labels must lie in 0..{num_classes - 1}, got {int(truth.min())} to "
                f"{int(truth.max())}. Leave out rows whose label is withheld (-1)."
            )
        cell = 4 * truth + 2 * (student != truth).long() + (teacher != truth).long()
        self.by_class += torch.bincount(cell, minlength=4 * num_classes).view(-1, 2, 2)
        repeated = truth[(teacher != truth) & (student == teacher)]
        self.copied += torch.bincount(repeated, minlength=num_classes)

    def merge(self, other: KnowledgeTable) -> KnowledgeTable:
        """Add another table of the same classes to this one; returns this one.

        Raises:
            ValueError: If the numbers of classes differ.
        """
        if self.by_class.shape != other.by_class.shape:
            raise ValueError(
                f"tables of {len(self.copied)} and {len(other.copied)} classes cannot be merged."
            )
        self.by_class += other.by_class
        self.copied += other.copied
        return self

    def compute(self) -> Knowledge:
        """Counts and shares of the samples so far; shares are NaN without any."""
        table = self.by_class.sum(0)
        num, teacher_wrong = int(table.sum()) or math.nan, int(table[:, 1].sum()) or math.nan
        return Knowledge(
            table=table,
            by_class=self.by_class.clone(),
            copied=self.copied.clone(),
            complementary=int(table[1, 0]) / num,
            at_risk=int(table[0, 1]) / num,
            copied_share=int(self.copied.sum()) / teacher_wrong,
            error_consistency=error_consistency(table),
            mcnemar_p=mcnemar_p(table),
        )


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
    table = FlipTable()
    table.update(before_correct, after_correct, teacher_correct)
    return table.compute()


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
