"""Does the student do what its teacher does? Loyalty and fidelity, against the teacher.

Unusual here: the Jensen-Shannon distance is computed in a form whose every term is >= 0, so it is
exact to 1e-12 relative and never NaN for a student that has become faithful; the base of its
logarithm is an argument, because two are in use and the numbers differ (0.167 or 0 at worst).
All of it over batches is :mod:`.loyalty_table`; what the student knows and the teacher does not,
and the reverse, is :mod:`.knowledge`.
Shapes: n = samples, C = classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.functional.confidence import chunk_rows
from workbench.functional.guards import at_least_float32, exactly, same_shape
from workbench.functional.knowledge import (
    Flips,
    FlipTable,
    Knowledge,
    KnowledgeTable,
    accuracy_per_class,
    cohen_kappa,
    copied_errors,
    correctness_table,
    error_consistency,
    flips_per_class,
    knowledge_flips,
    mcnemar_p,
    prediction_kappa,
)
from workbench.functional.similarity import spearman
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")

__all__ = [
    "FlipTable",
    "Flips",
    "Knowledge",
    "KnowledgeTable",
    "accuracy_per_class",
    "cohen_kappa",
    "copied_errors",
    "correctness_table",
    "ensemble_log_probs",
    "error_consistency",
    "fidelity_kl",
    "flips_per_class",
    "forward_kl",
    "hellinger",
    "knowledge_flips",
    "label_loyalty",
    "logit_spearman",
    "mcnemar_p",
    "prediction_kappa",
    "probability_loyalty",
    "reverse_kl",
    "sqrt_js",
    "topk_overlap",
    "total_variation",
]


SAME_CLASSES = "Compare networks with one label set on the same samples."


def label_loyalty(student_scores: Tensor, teacher_scores: Tensor) -> float:
    """Share of samples to which both networks give the same label, in [0, 1].

    Args:
        student_scores: Logits or probabilities, shape (n, C).
        teacher_scores: Shape (n, C).

    Reference:
        Xu et al. 2021, EMNLP; Stanton et al. 2021, arXiv:2106.05945 call it agreement.
    """
    same_shape("label_loyalty", student_scores, teacher_scores, fix=SAME_CLASSES)
    agree = student_scores.argmax(-1) == teacher_scores.argmax(-1)
    return float(exactly(agree).mean())


def probability_loyalty(
    student_probs: Tensor, teacher_probs: Tensor, *, log_base: float = 2.0
) -> float:
    """One minus the mean Jensen-Shannon distance to the teacher.

    Args:
        student_probs: Rows sum to 1, shape (n, C).
        teacher_probs: Shape (n, C).
        log_base: 2 gives [0, 1]; e, the paper's own script, gives [0.167, 1].

    Reference:
        Xu et al. 2021, EMNLP (Beyond Preserved Accuracy).
    """
    distance = sqrt_js(student_probs.detach(), teacher_probs.detach(), log_base=log_base)
    return float((1 - exactly(distance)).mean())


def sqrt_js(student_probs: Tensor, teacher_probs: Tensor, *, log_base: float = 2.0) -> Tensor:
    """Jensen-Shannon distance (the root, a metric) of each sample.

    With d = (p - q)/(p + q) and m = (p + q)/2 the divergence is the sum over classes of
    m/2 · [2 d atanh(d) + log1p(-d²)], each term >= 0.

    Args:
        student_probs: Rows sum to 1, shape (n, C).
        teacher_probs: Shape (n, C).
        log_base: Unit of the divergence before the root: 2 for bits (range [0, 1]), e for nats
            (range [0, sqrt(ln 2)]).

    Returns:
        Shape (n,).

    Raises:
        ShapeMismatch: If shapes differ.
        ValueError: If ``log_base`` is not above 1.
    """
    same_shape("sqrt_js", student_probs, teacher_probs, fix=SAME_CLASSES)
    if not log_base > 1:
        raise ValueError(f"`log_base` must be > 1, got {log_base!r}. Usual: 2 or math.e.")
    student, teacher = at_least_float32(student_probs), at_least_float32(teacher_probs)
    if student.requires_grad or teacher.requires_grad:
        divergence = _js_nats(student, teacher)
    else:
        classes = student.shape[-1]
        flat = _js_nats_in_chunks(student.reshape(-1, classes), teacher.reshape(-1, classes))
        divergence = flat.view(student.shape[:-1])
    return (divergence / math.log(log_base)).sqrt()


def fidelity_kl(student_logits: Tensor, teacher_logits: Tensor) -> float:
    """Mean KL(teacher || student) at temperature 1, nats, >= 0.

    Args:
        student_logits: Raw scores, shape (n, C).
        teacher_logits: Raw scores, shape (n, C).

    Reference:
        Stanton et al. 2021, arXiv:2106.05945 (there averaged over batch means; here over samples).
    """
    same_shape("fidelity_kl", student_logits, teacher_logits, fix=SAME_CLASSES)
    log_p_s = F.log_softmax(exactly(student_logits), dim=-1)
    log_p_t = F.log_softmax(exactly(teacher_logits), dim=-1)
    kl = F.kl_div(log_p_s, log_p_t, reduction="none", log_target=True).sum(-1)
    return float(kl.mean())


def ensemble_log_probs(members: Sequence[Tensor]) -> Tensor:
    """Log-probabilities of a teacher that is the mean of several networks' probabilities.

    Args:
        members: Raw scores of each network on the same samples, shape (n, C) each.

    Returns:
        Shape (n, C); as good as raw scores for every function here, and in log space throughout.

    Raises:
        ValueError: If there is no member.
        ShapeMismatch: If shapes differ.

    Reference:
        Stanton et al. 2021, arXiv:2106.05945, §4.
    """
    if not members:
        raise ValueError("ensemble_log_probs: got no member. Give at least one tensor of scores.")
    for scores in members:
        same_shape("ensemble_log_probs", scores, members[0], fix=SAME_CLASSES)
    logs = torch.stack([F.log_softmax(at_least_float32(scores), dim=-1) for scores in members])
    mean: Tensor = logs.logsumexp(0) - math.log(len(members))
    return mean


def logit_spearman(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Rank correlation of each sample's scores over classes, in [-1, 1], shape (n,).

    NaN where a network scores all classes alike.
    """
    same_shape("logit_spearman", student_logits, teacher_logits, fix=SAME_CLASSES)
    return spearman(student_logits, teacher_logits)


def forward_kl(student_probs: Tensor, teacher_probs: Tensor) -> Tensor:
    """KL(teacher || student) of each sample, nats, shape (n,); inf where the student has a 0.

    From logits use :func:`fidelity_kl`, which cannot be infinite.
    """
    same_shape("forward_kl", student_probs, teacher_probs, fix=SAME_CLASSES)
    gap = torch.xlogy(teacher_probs, teacher_probs) - torch.xlogy(teacher_probs, student_probs)
    return gap.sum(-1)


def reverse_kl(student_probs: Tensor, teacher_probs: Tensor) -> Tensor:
    """KL(student || teacher) of each sample, nats, shape (n,)."""
    return forward_kl(teacher_probs, student_probs)


def total_variation(student_probs: Tensor, teacher_probs: Tensor) -> Tensor:
    """Half the summed absolute difference of each sample, in [0, 1], shape (n,)."""
    same_shape("total_variation", student_probs, teacher_probs, fix=SAME_CLASSES)
    return (student_probs - teacher_probs).abs().sum(-1) / 2


def hellinger(student_probs: Tensor, teacher_probs: Tensor) -> Tensor:
    """Hellinger distance of each sample, in [0, 1], shape (n,)."""
    same_shape("hellinger", student_probs, teacher_probs, fix=SAME_CLASSES)
    gap = student_probs.sqrt() - teacher_probs.sqrt()
    return (gap.square().sum(-1) / 2).sqrt()


def topk_overlap(student_scores: Tensor, teacher_scores: Tensor, k: int) -> float:
    """Mean share of the k best classes that both networks name, in [0, 1].

    Ties go to the lower class number, in both networks.

    Args:
        student_scores: Logits or probabilities, shape (n, C).
        teacher_scores: Shape (n, C).
        k: 1 <= k <= C.
    """
    same_shape("topk_overlap", student_scores, teacher_scores, fix=SAME_CLASSES)
    if not 1 <= k <= student_scores.shape[-1]:
        raise ValueError(f"`k` must lie in 1..{student_scores.shape[-1]}, got {k!r}.")
    best_s = student_scores.argsort(dim=-1, descending=True, stable=True)[:, :k]
    best_t = teacher_scores.argsort(dim=-1, descending=True, stable=True)[:, :k]
    shared = (best_s[:, :, None] == best_t[:, None, :]).any(-1)
    return float(exactly(shared).mean())


def _js_nats(student: Tensor, teacher: Tensor) -> Tensor:
    """Jensen-Shannon divergence of each row in nats, with a gradient."""
    total = student + teacher
    delta = (student - teacher) / torch.where(total > 0, total, 1.0)
    one_sided = delta.abs() >= 1
    inner = torch.where(one_sided, 0.0, delta)
    bracket = 2 * inner * inner.atanh() + torch.log1p(-inner.square())
    bracket = torch.where(one_sided, 2 * math.log(2), bracket)
    return (total / 4 * bracket).sum(-1)


def _js_nats_in_chunks(student: Tensor, teacher: Tensor) -> Tensor:
    """As :func:`_js_nats`, a cacheful of rows at a time and without masks.

    Where one side is 0 the bracket is infinity minus infinity; its limit 2 ln 2 is put there.
    Where both are, it is multiplied by 0; where one is NaN, by NaN.
    """
    found = student.new_empty(len(student))
    rows = chunk_rows(student)
    most = student[:rows]
    totals, deltas, brackets = (torch.empty_like(most) for _ in "abc")
    for p, q, out in zip(
        torch.split(student, rows),
        torch.split(teacher, rows),
        torch.split(found, rows),
        strict=True,
    ):
        num = len(p)
        total = torch.add(p, q, out=totals[:num])
        delta = torch.sub(p, q, out=deltas[:num]).div_(total)
        bracket = torch.atanh(delta, out=brackets[:num]).mul_(delta).mul_(2)
        bracket.add_(delta.square_().neg_().log1p_()).nan_to_num_(nan=2 * math.log(2))
        torch.sum(bracket.mul_(total), -1, out=out)
    return found / 4
