"""What to do when two losses pull the shared weights in opposite directions.

Unusual here: works on flat vectors, so that who owns which weights is the caller's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.functional.guards import same_shape
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def aligned(main: Tensor, other: Tensor) -> Tensor:
    """Sum of two gradients, the other one without the part that works against the main one.

    Args:
        main: Gradient that stays as it is, flat, shape (P,).
        other: Gradient that gives way, shape (P,).

    Returns:
        Shape (P,). Where they agree (product >= 0) the plain sum.

    Reference:
        Yu et al. 2020 (PCGrad), arXiv:2001.06782, one-sided as in DHKD, arXiv:2411.08937.
    """
    same_shape("aligned", other, main, fix="Flatten both over the same parameters.")
    product = other @ main
    square = main.square().sum()
    conflict = product.clamp_max(0.0) / torch.where(square > 0, square, 1.0)
    return main + other - conflict * main
