"""Other ways to measure how far two predictions are apart: mode-seeking, mixed, of raw scores.

Unusual here: everything stays in log space; a mixture is a logsumexp, so no probability of 0 is
ever divided by.
Shapes: B = samples (or any leading axes of units), C = classes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.functional.guards import at_least_float32, positive, same_shape
from workbench.functional.logits import OTHER_LABELS, TEMPERATURE
from workbench.functional.metadata import Parameter, loss
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")

NEEDS = ("student.logits", "teacher.logits")


@loss(
    "reverse-kl",
    paper="Gu et al. 2024 (MiniLLM), arXiv:2306.08543",
    needs=NEEDS,
    parameters={"temperature": TEMPERATURE},
)
def reverse_kl(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 1.0
) -> Tensor:
    """KL from the tempered student to the tempered teacher, times T²: seeks one mode.

    Args:
        student_logits: Raw scores, shape (B, C).
        teacher_logits: Raw scores, shape (B, C); never receives gradient.
        temperature: Softening T > 0.

    Returns:
        Loss in nats, shape (B,), float32.

    Raises:
        ShapeMismatch: If the two shapes differ.
        ValueError: If ``temperature`` is not positive.
    """
    log_s, log_t = _log_probs("reverse-kl", student_logits, teacher_logits, temperature)
    return temperature**2 * F.kl_div(log_t, log_s, reduction="none", log_target=True).sum(-1)


@loss(
    "generalized-jsd",
    paper="Agarwal et al. 2024 (GKD), arXiv:2306.13649",
    needs=NEEDS,
    parameters={
        "beta": Parameter(
            "Share of the teacher in the mixture", low=0.0, high=1.0, open_low=True, open_high=True
        ),
        "temperature": TEMPERATURE,
    },
    upper_bound=math.log(2),
)
def generalized_jsd(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    beta: float = 0.5,
    temperature: float = 1.0,
) -> Tensor:
    """Both KL divergences to a mixture of student and teacher; bounded, no factor T².

    Args:
        student_logits: Raw scores, shape (B, C).
        teacher_logits: Raw scores, shape (B, C); never receives gradient.
        beta: Weight of the teacher in the mixture and of its KL, in (0, 1). The value goes to 0
            at both ends.
        temperature: Softening T > 0.

    Returns:
        Loss in nats, shape (B,), float32, at most ln 2.

    Raises:
        ShapeMismatch: If the two shapes differ.
        ValueError: If ``temperature`` is not positive or ``beta`` not inside (0, 1).

    Reference:
        Agarwal et al. 2024, arXiv:2306.13649, eq. 1.
    """
    if not 0 < beta < 1:
        raise ValueError(f"`beta` must lie in (0, 1), got {beta!r}. At the ends the loss is 0.")
    log_s, log_t = _log_probs("generalized-jsd", student_logits, teacher_logits, temperature)
    log_m = torch.logaddexp(log_t + math.log(beta), log_s + math.log1p(-beta))
    of_teacher = F.kl_div(log_m, log_t, reduction="none", log_target=True).sum(-1)
    of_student = F.kl_div(log_m, log_s, reduction="none", log_target=True).sum(-1)
    return beta * of_teacher + (1 - beta) * of_student


@loss("logit-mse", paper="Ba & Caruana 2014, arXiv:1312.6184", needs=NEEDS, unit="1")
def logit_mse(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Mean squared gap of the raw scores: KD's limit at high temperature, shifts included.

    Args:
        student_logits: Raw scores, shape (B, C).
        teacher_logits: Raw scores, shape (B, C); never receives gradient.

    Returns:
        Mean over classes, shape (B,), float32.

    Raises:
        ShapeMismatch: If the two shapes differ.

    Reference:
        Ba & Caruana 2014, arXiv:1312.6184, eq. 1 (there a sum, times 1/2).
    """
    same_shape("logit-mse", student_logits, teacher_logits, fix=OTHER_LABELS)
    gap = at_least_float32(student_logits) - at_least_float32(teacher_logits.detach())
    return gap.square().mean(-1)


def _log_probs(
    what: str, student_logits: Tensor, teacher_logits: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    same_shape(what, student_logits, teacher_logits, fix=OTHER_LABELS)
    positive("temperature", temperature, usual="1 to 4")
    return (
        F.log_softmax(at_least_float32(student_logits) / temperature, dim=-1),
        F.log_softmax(at_least_float32(teacher_logits.detach()) / temperature, dim=-1),
    )
