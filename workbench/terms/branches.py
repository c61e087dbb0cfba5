"""Branches from a student's stage into the label space, for maps, tokens and plain vectors.

Unusual here: what kind of network it is follows from the shape of the tap, not from attributes of
a library, so any student works.
Shapes: B = sample, C = channel, H, W = space, L = token, D = feature, K = class.
"""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from workbench.terms.blocks import PatchMerging, TransformerBlock, heads_for, separable
from workbench.terms.projector import leading_and_side

COARSEST = 7
"""Side of a token grid below which it is not merged further."""


def branch(shape: tuple[int, ...], num_classes: int, *, remaining: int, width: int) -> nn.Module:
    """Branch for a tap of one of three shapes.

    Args:
        shape: Of the tap without the batch: (C, H, W), (L, D) or (D,).
        num_classes: K.
        remaining: Stages that follow this one; an earlier stage gets a deeper branch.
        width: Of what the classifier of a map's branch reads.

    Reference:
        Hao et al. 2023 (OFA-KD), arXiv:2310.19444, §3.3.
    """
    if len(shape) == 3:
        return MapBranch(shape[0], num_classes, remaining=remaining, width=width)
    if len(shape) == 2:
        return TokenBranch(shape[0], shape[1], num_classes, remaining=remaining)
    return VectorBranch(shape[0], num_classes, remaining=remaining)


class MapBranch(nn.Module):
    """Separable convolutions that halve the map once a remaining stage, pooling, one layer.

    Args:
        channels: C; doubles with each halving, the last gives ``width``.
        num_classes: K.
        remaining: Stages that follow; 0 is a 1x1 convolution.
        width: Of the pooled vector.
    """

    def __init__(self, channels: int, num_classes: int, *, remaining: int, width: int) -> None:
        super().__init__()
        widths = [channels * 2**i for i in range(max(remaining, 1))] + [width]
        pairs = itertools.pairwise(widths)
        self.body: nn.Module = nn.Sequential(
            *(separable(a, b) for a, b in pairs) if remaining else (nn.Conv2d(channels, width, 1),)
        )
        self.head = nn.Linear(width, num_classes)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) to logits (B, K)."""
        logits: Tensor = self.head(self.body(maps).mean((2, 3)))
        return logits


class TokenBranch(nn.Module):
    """Tokens merged to a grid of at most 7 x 7, transformer blocks, class token or mean, one layer.

    Args:
        length: L, leading tokens included. If no square is left without up to five leading ones,
            nothing is merged.
        width: D.
        num_classes: K.
        remaining: Stages that follow; so many blocks, at least one.
    """

    def __init__(self, length: int, width: int, num_classes: int, *, remaining: int) -> None:
        super().__init__()
        self.prefix, side = leading_and_side(length)
        merges: list[nn.Module] = []
        while side > COARSEST and side % 2 == 0:
            merges.append(PatchMerging(width, side, self.prefix))
            side //= 2
        heads = heads_for(width)
        blocks = [TransformerBlock(width, heads) for _ in range(max(remaining, 1))]
        self.body = nn.Sequential(*merges, *blocks)
        self.head = nn.Linear(width, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) to logits (B, K)."""
        mixed = self.body(tokens)
        logits: Tensor = self.head(mixed[:, 0] if self.prefix else mixed.mean(1))
        return logits


class VectorBranch(nn.Module):
    """A hidden layer a remaining stage, then one layer.

    Args:
        width: D, of the hidden layers too.
        num_classes: K.
        remaining: Stages that follow.
    """

    def __init__(self, width: int, num_classes: int, *, remaining: int) -> None:
        super().__init__()
        hidden = [nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(remaining)]
        self.body = nn.Sequential(*hidden)
        self.head = nn.Linear(width, num_classes)

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, D) to logits (B, K)."""
        logits: Tensor = self.head(self.body(vectors))
        return logits
