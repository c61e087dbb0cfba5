"""Losses that match relations: between the samples of a batch, or the channels of a map.

Unusual here: except NST these are statistics of the whole batch, a scalar that changes with its
company; they declare themselves so. None needs a projector: widths may differ.
Shapes: B = samples, D = width, C = channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.functional.attention import same_size
from workbench.functional.guards import at_least_float32, same_rows, same_shape
from workbench.functional.metadata import Parameter, loss
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")

FEATURES = ("student.features", "teacher.features")
TINY = 1e-12
"""Smallest squared distance between two different samples."""
PKT_EPS = 1e-7


@loss("sp", paper="Tung & Mori 2019, arXiv:1907.09682", needs=FEATURES, unit="1", per_sample=False)
def sp(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Squared gap of the batch's similarity matrices, rows of norm 1, over B².

    Args:
        student_features: Shape (B, ...), flattened.
        teacher_features: Shape (B, ...); never receives gradient.

    Returns:
        Scalar in [0, 4 / B], float32; weights near 3000 are usual. A batch of one gives 0.

    Reference:
        Tung & Mori 2019, arXiv:1907.09682, eq. 4.
    """
    student, teacher = _flat("sp", student_features, teacher_features)
    gap = F.normalize(student @ student.T, dim=1) - F.normalize(teacher @ teacher.T, dim=1)
    return gap.square().mean()


@loss(
    "rkd",
    paper="Park et al. 2019 (RKD), arXiv:1904.05068",
    needs=FEATURES,
    unit="1",
    per_sample=False,
    parameters={
        "distance_weight": Parameter("Weight of the part about pairs", low=0.0),
        "angle_weight": Parameter("Weight of the part about triples; costs B³", low=0.0),
    },
    min_samples=2,
)
def rkd(
    student_features: Tensor,
    teacher_features: Tensor,
    *,
    distance_weight: float = 25.0,
    angle_weight: float = 50.0,
) -> Tensor:
    """Smooth-L1 gap of all pairwise distances (in units of their mean) and of all angles.

    Args:
        student_features: Shape (B, ...), flattened.
        teacher_features: Shape (B, ...); never receives gradient.
        distance_weight: Of the pairs, >= 0.
        angle_weight: Of the triples, >= 0; 0 saves B³ memory.

    Returns:
        Scalar >= 0, float32.

    Reference:
        Park et al. 2019, arXiv:1904.05068, eq. 5 to 9.
    """
    student, teacher = _flat("rkd", student_features, teacher_features)
    gaps_s, gaps_t = (x[None, :, :] - x[:, None, :] for x in (student, teacher))
    value = torch.zeros((), dtype=student.dtype, device=student.device)
    if distance_weight:
        value = value + distance_weight * F.smooth_l1_loss(_distances(gaps_s), _distances(gaps_t))
    if angle_weight:
        value = value + angle_weight * F.smooth_l1_loss(_cosines(gaps_s), _cosines(gaps_t))
    return value


@loss(
    "pkt",
    paper="Passalis & Tefas 2018 (PKT), arXiv:1803.10837",
    needs=FEATURES,
    unit="nats",
    per_sample=False,
    min_samples=2,
)
def pkt(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """KL between the batch's neighbourhood distributions by cosine, a mean over B² entries.

    Args:
        student_features: Shape (B, ...), flattened.
        teacher_features: Shape (B, ...); never receives gradient.

    Returns:
        Scalar >= 0, float32; small, weights near 30 000 are usual.

    Reference:
        Passalis & Tefas 2018, arXiv:1803.10837, eq. 8.
    """
    student, teacher = _flat("pkt", student_features, teacher_features)
    p_s, p_t = _neighbourhood(student), _neighbourhood(teacher)
    return (p_t * ((p_t + PKT_EPS) / (p_s + PKT_EPS)).log()).mean()


@loss(
    "cc",
    paper="Peng et al. 2019 (CC), arXiv:1904.01802, as RepDistiller builds it",
    needs=FEATURES,
    unit="1",
    per_sample=False,
    min_samples=2,
)
def cc(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Correlation of the gaps of neighbouring samples in the batch; depends on its order.

    Not the paper's kernel matrix: the form that common code trains with.

    Args:
        student_features: Embedded to one width, shape (B, D).
        teacher_features: Shape (B, D); never receives gradient.

    Returns:
        Scalar >= 0, float32; 0 for a batch of one.

    Reference:
        Peng et al. 2019, arXiv:1904.01802.
    """
    same_shape("cc", student_features, teacher_features, fix="Embed both to one width first.")
    gap = at_least_float32(student_features) - at_least_float32(teacher_features.detach())
    gap = gap.abs()
    return (gap[:-1] * gap[1:]).sum() / max(len(gap) - 1, 1)


@loss("nst", paper="Huang & Wang 2017 (NST), arXiv:1707.01219", needs=FEATURES, unit="1")
def nst(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Squared discrepancy (MMD, kernel (x·y)²) of the channels' maps, each of norm 1.

    Args:
        student_features: Shape (B, C, H, W).
        teacher_features: Shape (B, C', H', W'); never receives gradient.

    Returns:
        Shape (B,), float32, >= 0 up to rounding; memory O(B C C').

    Reference:
        Huang & Wang 2017, arXiv:1707.01219, eq. 7.
    """
    student, teacher = same_size("nst", student_features, teacher_features)
    student = F.normalize(student.flatten(2), dim=2)
    teacher = F.normalize(teacher.flatten(2), dim=2)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.mT).square().mean((1, 2))

    return kernel(teacher, teacher) + kernel(student, student) - 2 * kernel(student, teacher)


def _flat(what: str, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    same_rows(what, student, teacher)
    return at_least_float32(student).flatten(1), at_least_float32(teacher.detach()).flatten(1)


def _distances(gaps: Tensor) -> Tensor:
    """Pairwise distances in units of their mean over different samples, shape (B, B)."""
    distances = gaps.square().sum(-1).clamp_min(TINY).sqrt()
    diagonal = torch.eye(len(gaps), dtype=torch.bool, device=gaps.device)
    distances = distances.masked_fill(diagonal, 0.0)
    num_pairs = max(len(gaps) * (len(gaps) - 1), 1)
    mean = distances.sum() / num_pairs
    return distances / torch.where(mean > 0, mean, 1.0)


def _cosines(gaps: Tensor) -> Tensor:
    """Cosine at each sample between all pairs of others, shape (B, B, B)."""
    unit = F.normalize(gaps, dim=2)
    return unit @ unit.mT


def _neighbourhood(features: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    unit = features / (norm + PKT_EPS)
    nearness: Tensor = (unit @ unit.T + 1) / 2
    return nearness / nearness.sum(1, keepdim=True)
