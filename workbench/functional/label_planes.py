"""Labels as one more channel of the image: a teacher that is told the answer, noisily.

Unusual here: the random numbers are arguments, so a plane is a pure function of them.
Shapes: B = images, H, W = pixels, K = classes and one for "ignore".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

SCALE = 100.0
"""Brings the plane to the range of images in 0..255."""


def grid_values(num_values: int, *, spacing: float = 0.1) -> Tensor:
    """Evenly spaced class values around 0, shape (K,): (k - K // 2) x spacing.

    Args:
        num_values: K, classes and one for pixels to ignore.
        spacing: Between neighbouring classes.
    """
    return (torch.arange(num_values, dtype=torch.float64) - num_values // 2) * spacing


def label_plane(labels: Tensor, values: Tensor, noise: Tensor) -> Tensor:
    """The value of each pixel's class, plus noise, times 100.

    Args:
        labels: Class of each pixel, int64, shape (B, H, W); -1 (ignore) is the last value.
        values: Of each class, shape (K,), or (B, K) where each image has its own.
        noise: Added to each pixel, shape (B, H, W).

    Returns:
        Shape (B, 1, H, W), dtype of ``noise``.

    Reference:
        LAD, "Make a Strong Teacher with Label Assistance" (semantic segmentation).
    """
    table = values.to(noise).expand(len(labels), values.shape[-1])
    known = torch.where(labels < 0, table.shape[1] - 1, labels)
    filled = table.gather(1, known.flatten(1)).view(known.shape)
    return SCALE * (filled + noise).unsqueeze(1)


def with_plane(images: Tensor, plane: Tensor) -> Tensor:
    """Images with the plane as their last channel, shape (B, C + 1, H, W)."""
    return torch.cat([images, plane], dim=1)
