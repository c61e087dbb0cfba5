"""Where knowledge was won and lost: flips of correctness, counted class by class.

Unusual here: classes without a single flip are in no ranking, so that a share of 1 means "every
class in which anything happened" and never an arbitrary class beside them.
Shapes: n = samples, C = classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def flips_by_class(
    before_right: Tensor, after_right: Tensor, labels: Tensor, *, num_classes: int
) -> tuple[Tensor, Tensor]:
    """How many samples of each class one network gets right and the other does not.

    Args:
        before_right: Whether the first network is right, bool, shape (n,).
        after_right: Whether the second is, bool, shape (n,).
        labels: Class numbers, int64, shape (n,).
        num_classes: C.

    Returns:
        Counts won (wrong before, right after) and lost (the reverse), int64, shape (C,) each.

    Reference:
        Roth et al. 2024, arXiv:2310.17653, §3 (positive and negative prediction flips).
    """
    won, lost = ~before_right & after_right, before_right & ~after_right
    return (
        torch.bincount(labels[won], minlength=num_classes),
        torch.bincount(labels[lost], minlength=num_classes),
    )


def ranked_classes(counts: Tensor) -> Tensor:
    """Classes with any flip, most flips first, ties by class number; int64."""
    order = counts.argsort(descending=True, stable=True)
    return order[counts[order] > 0]


def num_covering(counts: Tensor, share: float) -> int:
    """Fewest classes that hold a share of all flips.

    Args:
        counts: Flips of each class, shape (C,).
        share: In (0, 1].

    Raises:
        ValueError: If the share is no share.
    """
    if not 0 < share <= 1:
        raise ValueError(f"`share` must lie in (0, 1], got {share!r}.")
    held = counts[ranked_classes(counts)].double().cumsum(0)
    if len(held) == 0:
        return 0
    # compared as counts, not as quotients: the last class holds exactly everything
    return int((held < share * held[-1]).sum()) + 1


def entropy_of(counts: Tensor) -> Tensor:
    """Entropy of how flips spread over classes, nats, scalar; 0 if all are in one class."""
    probs = counts[counts > 0].double() / counts.sum()
    return -(probs * probs.log()).sum()
