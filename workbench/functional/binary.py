"""Losses that match each class on its own, as a coin toss: no class competes with another.

Unusual here: everything goes through log-sigmoid, so nothing is clamped and wide gaps stay finite.
Shapes: B = samples (or any leading axes of units), C = classes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.functional.guards import at_least_float32, positive, same_shape
from workbench.functional.logits import OTHER_LABELS, TEMPERATURE
from workbench.functional.metadata import loss
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch.nn.functional as F
    from torch import Tensor
else:
    F = LazyModule("torch.nn.functional")


@loss(
    "binary-kl",
    paper="Yang et al. 2024 (DHKD), arXiv:2411.08937",
    needs=("student.logits", "teacher.logits"),
    parameters={"temperature": TEMPERATURE},
)
def binary_kl(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 2.0
) -> Tensor:
    """KL of one Bernoulli a class, teacher to student, summed over classes, times T².

    Args:
        student_logits: Raw scores, shape (B, C).
        teacher_logits: Raw scores, shape (B, C); never receives gradient.
        temperature: Softening T > 0.

    Returns:
        Loss in nats, shape (B,), float32.

    Reference:
        Yang et al. 2024, arXiv:2411.08937 (named BinaryKL in its code).
    """
    same_shape("binary-kl", student_logits, teacher_logits, fix=OTHER_LABELS)
    positive("temperature", temperature, usual="2")
    z_s = at_least_float32(student_logits) / temperature
    z_t = at_least_float32(teacher_logits.detach()) / temperature
    gap = z_t.sigmoid() * (F.logsigmoid(z_t) - F.logsigmoid(z_s))
    gap = gap + (-z_t).sigmoid() * (F.logsigmoid(-z_t) - F.logsigmoid(-z_s))
    return temperature**2 * gap.sum(-1)


@loss(
    "binary-kl-norm",
    paper="Yang et al. 2024 (DHKD), arXiv:2411.08937",
    needs=("student.logits", "teacher.logits"),
    parameters={"temperature": TEMPERATURE},
)
def binary_kl_norm(
    student_logits: Tensor, teacher_logits: Tensor, *, temperature: float = 2.0
) -> Tensor:
    """KL from a fair coin to a coin of the score gap, summed over classes, times T².

    Zero where both networks give the same score; pulls every score gap to 0.

    Args:
        student_logits: Raw scores, shape (B, C), of the auxiliary head.
        teacher_logits: Raw scores, shape (B, C); never receives gradient.
        temperature: Softening T > 0.

    Returns:
        Loss in nats, shape (B,), float32.

    Reference:
        Yang et al. 2024, arXiv:2411.08937 (BinaryKLNorm, the one its scripts train with).
    """
    same_shape("binary-kl-norm", student_logits, teacher_logits, fix=OTHER_LABELS)
    positive("temperature", temperature, usual="2")
    gap = at_least_float32(student_logits) - at_least_float32(teacher_logits.detach())
    half = gap / temperature
    kl = -math.log(2) - (F.logsigmoid(half) + F.logsigmoid(-half)) / 2
    return temperature**2 * kl.sum(-1)
