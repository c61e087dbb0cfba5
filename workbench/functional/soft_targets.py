"""Losses against a soft target that somebody made: earlier epochs, several teachers, a chosen one.

Unusual here: the target is an argument in probabilities, so that who made it (a memory, a mean of
teachers, the better of two networks) is a Target's business and not the loss's.
Shapes: B = samples, C = classes, N = networks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.functional.guards import at_least_float32, labels_match, same_shape
from workbench.functional.logits import OTHER_LABELS
from workbench.functional.metadata import Parameter, loss
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")


def soft_ce(student_logits: Tensor, target_probs: Tensor) -> Tensor:
    """Cross-entropy of the student against a soft target.

    Args:
        student_logits: Raw scores, shape (B, C).
        target_probs: Rows sum to 1, shape (B, C); never receives gradient.

    Returns:
        Loss in nats, shape (B,), float32; at best the entropy of the target.

    Raises:
        ShapeMismatch: If the shapes differ.

    Reference:
        Kim et al. 2021 (PS-KD), arXiv:2006.12000; Shen & Savvides 2020 (MEAL V2), arXiv:2009.08453.
    """
    same_shape("soft_ce", student_logits, target_probs, fix=OTHER_LABELS)
    log_p = F.log_softmax(at_least_float32(student_logits), dim=-1)
    return -(at_least_float32(target_probs.detach()) * log_p).sum(-1)


@loss(
    "soft-ce",
    paper="Kim et al. 2021 (PS-KD), arXiv:2006.12000; Shen & Savvides 2020, arXiv:2009.08453",
    needs=("student.logits", "teacher.logits"),
)
def soft_ce_of_logits(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Cross-entropy against the target's probabilities, temperature 1.

    Args:
        student_logits: Raw scores, shape (B, C).
        teacher_logits: Scores or log-probabilities of the target, shape (B, C); no gradient.

    Returns:
        Loss in nats, shape (B,); at best the entropy of the target.

    Raises:
        ShapeMismatch: If the shapes differ.
    """
    return soft_ce(student_logits, at_least_float32(teacher_logits.detach()).softmax(-1))


@loss(
    "jeffreys",
    paper="Cui et al. 2021 (SSLD), arXiv:2103.05959",
    needs=("student.logits", "teacher.logits"),
    parameters={
        "floor": Parameter(
            "Added to every probability before its logarithm", low=0.0, high=1e-3, live=False
        )
    },
)
def jeffreys(student_logits: Tensor, teacher_logits: Tensor, *, floor: float = 1e-12) -> Tensor:
    """Half the sum of both KL divergences, temperature 1.

    Its paper calls it JS; it has no mixture and no upper bound of ln 2.

    Args:
        student_logits: Raw scores, shape (B, C).
        teacher_logits: Raw scores, shape (B, C); never receives gradient.
        floor: Added to each probability inside the logarithm, >= 0; bounds the loss.

    Returns:
        Loss in nats, shape (B,), float32.

    Reference:
        Cui et al. 2021, arXiv:2103.05959, eq. 1.
    """
    same_shape("jeffreys", student_logits, teacher_logits, fix=OTHER_LABELS)
    log_s = F.log_softmax(at_least_float32(student_logits), dim=-1)
    log_t = F.log_softmax(at_least_float32(teacher_logits.detach()), dim=-1)
    if floor > 0:
        least = torch.full_like(log_s, math.log(floor))
        gap = torch.logaddexp(log_t, least) - torch.logaddexp(log_s, least)
    else:
        gap = log_t - log_s
    return 0.5 * ((log_t.exp() - log_s.exp()) * gap).sum(-1)


def squared_probs(student_logits: Tensor, target_probs: Tensor) -> Tensor:
    """Mean squared gap between the student's probabilities and a target's, shape (B,), in [0, 1].

    Args:
        student_logits: Raw scores, shape (B, C).
        target_probs: One-hot or soft, shape (B, C); never receives gradient.

    Reference:
        Borup & Andersen 2021, arXiv:2102.13088 (self-distillation of networks).
    """
    same_shape("squared_probs", student_logits, target_probs, fix=OTHER_LABELS)
    probs = at_least_float32(student_logits).softmax(-1)
    return (probs - at_least_float32(target_probs.detach())).square().mean(-1)


def past_target(labels: Tensor, past_probs: Tensor, *, share: float) -> Tensor:
    """The truth mixed with what the network itself said before, rows sum to 1, shape (B, C).

    Args:
        labels: Class numbers, int64, shape (B,); -1 (withheld): the past alone.
        past_probs: Prediction for the same samples one epoch ago, shape (B, C).
        share: Of the past, in [0, 1].

    Reference:
        Kim et al. 2021 (PS-KD), arXiv:2006.12000, eq. 5.
    """
    known = (labels >= 0).unsqueeze(-1)
    truth = torch.zeros_like(past_probs).scatter_(-1, labels.clamp_min(0).unsqueeze(-1), 1.0)
    return torch.where(known, (1 - share) * truth + share * past_probs, past_probs)


def mean_teacher_probs(teacher_logits: Tensor) -> Tensor:
    """Mean of several teachers' probabilities, (N, B, C) to (B, C)."""
    return at_least_float32(teacher_logits.detach()).softmax(-1).mean(0)


def most_trusted(logits: Tensor, labels: Tensor | None = None) -> Tensor:
    """Which network each sample should learn from: the one surest of the truth, or of anything.

    Put the student's frozen initial state first: it wins ties, so nothing is learned for free.

    Args:
        logits: Of N networks, initial student first, shape (N, B, C).
        labels: Class numbers, shape (B,): trust the highest probability of the label. None: the
            highest probability of any class.

    Returns:
        Network numbers, int64, shape (B,).

    Reference:
        Roth et al. 2024, arXiv:2310.17653, §4 (data partitioning).
    """
    probs = at_least_float32(logits.detach()).softmax(-1)
    if labels is None:
        trust = probs.amax(-1)
    else:
        labels_match("most_trusted", logits[0], labels)
        trust = probs[:, torch.arange(len(labels), device=labels.device), labels]
    return trust.argmax(0)
