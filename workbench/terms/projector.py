"""What makes features of two networks comparable: a common grid, and a learned change of width.

Shapes: B = sample, C = channel, H, W = space, L = token, D = feature.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from workbench.functional.attention import averaged_to
from workbench.models.inspection import seeded


def as_map(features: Tensor) -> Tensor:
    """Any features as a map (B, C, H, W).

    Tokens (B, L, D) are laid out as a square when L is one after dropping up to five leading
    tokens (class, distillation and register tokens stand first), else as a row.
    """
    if features.dim() == 4:
        return features
    if features.dim() == 2:
        return features[:, :, None, None]
    prefix, side = leading_and_side(features.shape[1])
    if side:
        grid = features[:, prefix:].transpose(1, 2)
        return grid.reshape(features.shape[0], -1, side, side)
    return features.transpose(1, 2)[:, :, None, :]


def leading_and_side(length: int) -> tuple[int, int]:
    """Leading tokens, at most five, and the side of the square that is left; (0, 0) if none is."""
    for prefix in range(min(6, length)):
        side = math.isqrt(length - prefix)
        if side * side == length - prefix:
            return prefix, side
    return 0, 0


def map_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(C, H, W) that :func:`as_map` gives for a tap's shape without the batch."""
    channels, height, width = as_map(torch.empty(1, *shape, device="meta")).shape[1:]
    return channels, height, width


def common_grid(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Both maps averaged down to the smaller extent of each axis."""
    size = (min(student.shape[2], teacher.shape[2]), min(student.shape[3], teacher.shape[3]))
    return _to(student, size), _to(teacher, size)


class Projector(nn.Module):
    """1x1 convolution from the student's width to the teacher's (FitNets' regressor).

    Args:
        student_channels: Width it takes.
        teacher_channels: Width it gives.
        seed: Of its initial weights.
    """

    def __init__(self, student_channels: int, teacher_channels: int, *, seed: int) -> None:
        super().__init__()
        with seeded(seed):
            self.convolution = nn.Conv2d(student_channels, teacher_channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_student, H, W) to (B, C_teacher, H, W)."""
        projected: Tensor = self.convolution(features)
        return projected


def _to(features: Tensor, size: tuple[int, int]) -> Tensor:
    return features if features.shape[2:] == size else averaged_to(features, *size)
