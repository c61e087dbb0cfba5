"""How well an untrained network fits a teacher: scores that need no training.

Unusual here: both are negative distances, so higher is better and 0 is a perfect match.
Shapes: B = samples, C = classes, D = width of the penultimate layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.functional.guards import at_least_float32, same_shape
from workbench.functional.relations import sp
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch.nn.functional as F
    from torch import Tensor
else:
    F = LazyModule("torch.nn.functional")


def relation_score(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Minus the gap of the batch's similarity matrices, scalar <= 0.

    Args:
        student_features: Last map before pooling, shape (B, ...).
        teacher_features: Shape (B, ...).

    Reference:
        Dong, Li, Wei 2023 (DisWOT), arXiv:2303.15678, eq. 5.
    """
    return -sp(student_features, teacher_features)


def semantic_score(student_grads: Tensor, teacher_grads: Tensor) -> Tensor:
    """Minus the gap of how each class relates the features, scalar <= 0.

    A class's relation is the outer product of its classifier gradient with itself, rows of norm 1.

    Args:
        student_grads: Gradient of the cross-entropy by the classifier's weight, shape (C, D).
        teacher_grads: Same shape: penultimate widths must agree.

    Reference:
        Dong, Li, Wei 2023, arXiv:2303.15678, eq. 3.
    """
    same_shape("semantic_score", student_grads, teacher_grads, fix="Penultimate widths must agree.")
    gap = _relation(student_grads) - _relation(teacher_grads)
    return -gap.square().sum() / student_grads.numel()


def _relation(grads: Tensor) -> Tensor:
    full = at_least_float32(grads)
    return F.normalize(full[:, :, None] * full[:, None, :], dim=2)
