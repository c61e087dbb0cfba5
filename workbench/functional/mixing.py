"""Making one image look as if it came from another distribution.

Unusual here: the random choices (ratio, partner) are arguments; a view is a pure function of them.
Shapes: B = images, C = channels, H, W = space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def mix_statistics(images: Tensor, ratio: Tensor, partner: Tensor, *, eps: float = 1e-6) -> Tensor:
    """Images whose channel means and deviations are mixed with a partner's.

    Args:
        images: Shape (B, C, H, W), more than one pixel.
        ratio: Share of the image's own statistics, in [0, 1], shape (B,).
        partner: Row whose statistics are mixed in, int64, shape (B,).
        eps: Added to the variance, > 0.

    Returns:
        Shape of ``images``; ratio 1 gives the images back.

    Reference:
        Zhou et al. 2021 (MixStyle), arXiv:2104.02008.
    """
    mean = images.mean((2, 3), keepdim=True).detach()
    deviation = (images.var((2, 3), keepdim=True) + eps).sqrt().detach()
    own = ratio.view(-1, 1, 1, 1)
    mixed_mean = own * mean + (1 - own) * mean[partner]
    mixed_deviation = own * deviation + (1 - own) * deviation[partner]
    return (images - mean) / deviation * mixed_deviation + mixed_mean
