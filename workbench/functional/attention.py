"""Losses that match where a layer looks: attention transfer and channel-wise distributions.

Unusual here: maps of unequal size are averaged down to the smaller one; values are per sample, so
that a term's weights and masks apply.
Shapes: B = samples, C = channels, H, W = space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ShapeMismatch
from workbench.functional.guards import at_least_float32, positive, same_rows, same_shape
from workbench.functional.metadata import Parameter, loss
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")


@loss(
    "at",
    paper="Zagoruyko & Komodakis 2017, arXiv:1612.03928",
    needs=("student.features", "teacher.features"),
    unit="1",
    parameters={"power": Parameter("Power of each entry before the mean over channels", low=1.0)},
)
def at(student_features: Tensor, teacher_features: Tensor, *, power: float = 2.0) -> Tensor:
    """Mean squared gap of the normalised attention maps (channel mean of |f|^p).

    Channels may differ, so no projector is needed.

    Args:
        student_features: Shape (B, C, H, W).
        teacher_features: Shape (B, C', H', W'); never receives gradient.
        power: The paper's p, >= 1.

    Returns:
        Mean over positions, shape (B,), float32, dimensionless; weights near 1000 are usual.

    Reference:
        Zagoruyko & Komodakis 2017, arXiv:1612.03928, eq. 2 (there a norm, here a mean as in
        common implementations).
    """
    student, teacher = same_size("at", student_features, teacher_features)
    gap = _attention(student, power) - _attention(teacher, power)
    return gap.square().mean(-1)


@loss(
    "cwd",
    paper="Shu et al. 2021 (CWD), arXiv:2011.13256",
    needs=("student.features", "teacher.features"),
    parameters={
        "temperature": Parameter(
            "Softening of each channel's map", low=0.0, high=100.0, open_low=True
        )
    },
)
def cwd(student_features: Tensor, teacher_features: Tensor, *, temperature: float = 4.0) -> Tensor:
    """KL between each channel's distribution over positions, teacher to student, times T².

    Args:
        student_features: Maps or dense scores, shape (B, C, H, W).
        teacher_features: Same shape; never receives gradient.
        temperature: Softening T > 0.

    Returns:
        Mean over channels, nats, shape (B,), float32.

    Reference:
        Shu et al. 2021, arXiv:2011.13256, eq. 5.
    """
    same_shape("cwd", student_features, teacher_features, fix="Give the term a projector.")
    positive("temperature", temperature, usual="1 to 4")
    student = at_least_float32(student_features).flatten(2) / temperature
    teacher = at_least_float32(teacher_features.detach()).flatten(2) / temperature
    kl = F.kl_div(
        F.log_softmax(student, -1), F.log_softmax(teacher, -1), reduction="none", log_target=True
    )
    return temperature**2 * kl.sum(-1).mean(-1)


def same_size(what: str, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps, (B, C, H, W) each, averaged to the lower height of the two; teacher detached."""
    same_rows(what, student, teacher)
    if student.dim() != 4 or teacher.dim() != 4:
        raise ShapeMismatch(what, student, teacher, fix="Needs maps of shape (B, C, H, W).")
    student, teacher = at_least_float32(student), at_least_float32(teacher.detach())
    if student.shape[2] > teacher.shape[2]:
        student = averaged_to(student, teacher.shape[2], teacher.shape[3])
    elif teacher.shape[2] > student.shape[2]:
        teacher = averaged_to(teacher, student.shape[2], student.shape[3])
    return student, teacher


def averaged_to(maps: Tensor, height: int, width: int) -> Tensor:
    """Adaptive average pooling as two matrix products, (B, C, H, W) to (B, C, height, width).

    Torch's own has no deterministic gradient on CUDA; this one has, so a run replays bit for bit.
    """
    rows = _averaging(maps.shape[2], height, maps)
    columns = _averaging(maps.shape[3], width, maps)
    return rows @ maps @ columns.T


def nearest_to(maps: Tensor, height: int, width: int) -> Tensor:
    """Nearest-neighbour resize, (B, C, H, W) to (B, C, height, width), deterministic on CUDA."""
    if maps.shape[2:] == (height, width):
        return maps
    rows = _picking(maps.shape[2], height, maps)
    columns = _picking(maps.shape[3], width, maps)
    return rows @ maps @ columns.T


def _picking(size: int, parts: int, like: Tensor) -> Tensor:
    """Matrix whose row i picks entry floor(i n / m); shape (m, n)."""
    picked = torch.arange(parts, device=like.device) * size // parts
    place = torch.arange(size, device=like.device)
    return (picked[:, None] == place).to(like.dtype)


def _averaging(size: int, parts: int, like: Tensor) -> Tensor:
    """Matrix whose row i averages entries floor(i n / m) to ceil((i + 1) n / m); shape (m, n)."""
    start = torch.arange(parts, device=like.device) * size // parts
    stop = (torch.arange(1, parts + 1, device=like.device) * size + parts - 1) // parts
    place = torch.arange(size, device=like.device)
    inside = (place >= start[:, None]) & (place < stop[:, None])
    return inside.to(like.dtype) / (stop - start)[:, None]


def _attention(maps: Tensor, power: float) -> Tensor:
    return F.normalize(maps.abs().pow(power).mean(1).flatten(1), dim=-1)
