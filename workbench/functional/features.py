"""Losses that match features of one sample: hint, cosine, VID, hierarchical context, ND.

Unusual here: the projector that makes widths equal belongs to the term, not to the function, so
both tensors arrive with the same shape. What a term learns or keeps (VID's variances, class means)
is an argument.
Shapes: B = samples, C = channels, H, W = space; else whatever the tap gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.functional.attention import averaged_to
from workbench.functional.guards import at_least_float32, positive, same_shape
from workbench.functional.metadata import loss
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")

DISTANCE_EPS = 1e-6
NEEDS_PROJECTOR = "Give the term a projector, or pick layers of equal shape."


@loss(
    "hint",
    paper="Romero et al. 2015 (FitNets), arXiv:1412.6550",
    needs=("student.features", "teacher.features"),
    unit="1",
)
def hint(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean squared difference between the student's and the teacher's features.

    Args:
        student_features: Already projected to the teacher's width, shape (B, ...).
        teacher_features: Shape (B, ...); never receives gradient.

    Returns:
        Mean over all entries of a sample, shape (B,), float32, in squared feature units.

    Raises:
        ShapeMismatch: If the shapes differ.

    Reference:
        Romero et al. 2015, arXiv:1412.6550, eq. 3 (there a sum, times 1/2).
    """
    same_shape("hint", student_features, teacher_features, fix=NEEDS_PROJECTOR)
    gap = at_least_float32(student_features) - at_least_float32(teacher_features.detach())
    return gap.square().flatten(1).mean(-1)


@loss(
    "cosine",
    paper="Sanh et al. 2019 (DistilBERT), arXiv:1910.01108",
    needs=("student.features", "teacher.features"),
    unit="1",
    upper_bound=2.0,
)
def cosine(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """One minus the cosine of the student's and the teacher's features at each position.

    Args:
        student_features: Already projected to the teacher's width, (B, C, ...) with C the width.
        teacher_features: Same shape; never receives gradient.

    Returns:
        Mean over positions, shape (B,), float32, in [0, 2].

    Raises:
        ShapeMismatch: If the shapes differ.
    """
    same_shape("cosine", student_features, teacher_features, fix=NEEDS_PROJECTOR)
    student = F.normalize(at_least_float32(student_features), dim=1)
    teacher = F.normalize(at_least_float32(teacher_features.detach()), dim=1)
    return 1 - (student * teacher).sum(1).reshape(len(student), -1).mean(-1)


def vid(
    student_features: Tensor, teacher_features: Tensor, log_scale: Tensor, *, eps: float = 1e-5
) -> Tensor:
    """Negative log-likelihood of the teacher's map under a Gaussian around the student's.

    Args:
        student_features: Predicted mean, shape (B, C, H, W).
        teacher_features: Same shape; never receives gradient.
        log_scale: Learned, shape (C,); the variance of a channel is softplus(log_scale) + eps.
        eps: Smallest variance, > 0.

    Returns:
        Mean over the entries of a sample, nats (up to a constant), shape (B,); may be negative.

    Reference:
        Ahn et al. 2019, arXiv:1904.05835, eq. 5.
    """
    same_shape("vid", student_features, teacher_features, fix=NEEDS_PROJECTOR)
    positive("eps", eps, usual="1e-5")
    mean = at_least_float32(student_features)
    gap = mean - at_least_float32(teacher_features.detach())
    # logaddexp: log(1 + exp(x)) overflows
    variance = torch.logaddexp(log_scale, torch.zeros_like(log_scale)) + eps
    variance = variance.view(-1, 1, 1)
    return (0.5 * (gap.square() / variance + variance.log())).flatten(1).mean(-1)


def vid_initial_log_scale(num_channels: int, *, variance: float = 5.0, eps: float = 1e-5) -> Tensor:
    """Log-scale at which every channel's variance is ``variance``, shape (C,)."""
    return torch.full((num_channels,), variance - eps, dtype=torch.float64).expm1().log()


@loss(
    "hcl",
    paper="Chen et al. 2021 (ReviewKD), arXiv:2104.09044",
    needs=("student.features", "teacher.features"),
    unit="1",
)
def hcl(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean squared difference of two maps and of their poolings to 4 × 4, 2 × 2 and 1 × 1.

    Each coarser level that is used weighs half the one before; the weights are divided out.

    Args:
        student_features: Shape (B, C, H, W).
        teacher_features: Same shape; never receives gradient.

    Returns:
        Shape (B,), float32, in squared feature units.

    Reference:
        Chen et al. 2021, arXiv:2104.09044, §3.4 (hierarchical context loss).
    """
    same_shape("hcl", student_features, teacher_features, fix=NEEDS_PROJECTOR)
    student = at_least_float32(student_features)
    teacher = at_least_float32(teacher_features.detach())
    value = (student - teacher).square().flatten(1).mean(-1)
    weight, total = 1.0, 1.0
    for side in (4, 2, 1):
        if side >= student.shape[2]:
            continue
        weight /= 2
        gap = averaged_to(student - teacher, side, side)
        value = value + weight * gap.square().flatten(1).mean(-1)
        total += weight
    return value / total


def nd(
    student_features: Tensor, teacher_features: Tensor, class_means: Tensor, labels: Tensor
) -> Tensor:
    """One minus the student's projection on its class direction, relative to the larger norm.

    Args:
        student_features: Penultimate embedding, shape (B, D).
        teacher_features: Shape (B, D); never receives gradient.
        class_means: Teacher's mean embedding of each class, shape (C, D).
        labels: Class numbers, int64, shape (B,); -1 gives a finite value of no meaning.

    Returns:
        In [0, 2], shape (B,), float32.

    Reference:
        Wang et al. 2023 (KD++), arXiv:2305.17007.
    """
    same_shape("nd", student_features, teacher_features, fix=NEEDS_PROJECTOR)
    student = at_least_float32(student_features)
    means = at_least_float32(class_means.detach())[labels.clamp_min(0)]
    direction = F.normalize(means, dim=-1)
    own = torch.linalg.vector_norm(student, dim=-1)
    larger = torch.maximum(own, torch.linalg.vector_norm(teacher_features.detach(), dim=-1))
    return 1 - (student * direction).sum(-1) / larger.clamp_min(torch.finfo(own.dtype).tiny)


def disagreement_weight(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """How much a sample's feature loss counts: more where the networks disagree.

    Args:
        student_logits: Raw scores, shape (B, C).
        teacher_logits: Raw scores, shape (B, C).

    Returns:
        Sigmoid of the distance of the scores, in [0.5, 1), shape (B,), detached.

    Reference:
        Tang et al. 2023 (KD³).
    """
    same_shape("disagreement_weight", student_logits, teacher_logits, fix="Same label set?")
    gap = at_least_float32(student_logits.detach()) - at_least_float32(teacher_logits.detach())
    distance: Tensor = torch.linalg.vector_norm(gap + DISTANCE_EPS, dim=-1)
    return distance.sigmoid()
