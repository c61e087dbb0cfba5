"""Small building blocks of learned parts: norms that bear a batch of one, convolutions, attention.

Shapes: B = sample, C = channel, H, W = space, L = token, D = feature.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK_EPS = 1e-6
"""Of the norms of a transformer block, as common vision transformers have it."""


class BatchNorm(nn.BatchNorm2d):
    """Batch norm that takes its running statistics where one value a channel has no spread.

    torch's own raises for a single image that is pooled to 1x1, which the last batch of an epoch
    may well be.
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        if self.training and maps.numel() == maps.shape[1]:
            return F.batch_norm(
                maps, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(maps)


def convolution(
    inputs: int, outputs: int, size: int = 1, *, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Square convolution without bias that keeps the extent at stride 1 (odd sizes)."""
    return nn.Conv2d(
        inputs, outputs, size, stride=stride, padding=size // 2, groups=groups, bias=False
    )


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """Two depthwise-separable convolutions, the first of stride 2; each with norm and ReLU."""
    return nn.Sequential(
        convolution(inputs, inputs, 3, stride=2, groups=inputs),
        convolution(inputs, inputs),
        BatchNorm(inputs),
        nn.ReLU(),
        convolution(inputs, inputs, 3, groups=inputs),
        convolution(inputs, outputs),
        BatchNorm(outputs),
        nn.ReLU(),
    )


class SelfAttention(nn.Module):
    """Multi-head self-attention without bias in queries, keys and values.

    Written out, because torch's fused kernels choose by hardware and have no fixed bits.

    Args:
        width: D.
        heads: Must divide D.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) to the same shape."""
        batch, length, width = tokens.shape
        split = self.qkv(tokens).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        scores = query @ key.mT / (width // self.heads) ** 0.5
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, length, width)
        projected: Tensor = self.proj(mixed)
        return projected


class TransformerBlock(nn.Module):
    """Pre-norm attention and a two-layer perceptron four times as wide, each added to its input.

    Args:
        width: D.
        heads: Must divide D.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=BLOCK_EPS)
        self.attn = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=BLOCK_EPS)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) to the same shape."""
        tokens = tokens + self.attn(self.norm1(tokens))
        widened: Tensor = tokens + self.mlp(self.norm2(tokens))
        return widened


def heads_for(width: int, most: int = 4) -> int:
    """The most heads, at most ``most``, that divide a width."""
    return next(heads for heads in range(most, 0, -1) if width % heads == 0)


class PatchMerging(nn.Module):
    """Four neighbouring tokens of a square grid become one, of the same width; leading ones stay.

    Args:
        width: D.
        side: Tokens along a side, even.
        prefix: Leading tokens that belong to no place.
    """

    def __init__(self, width: int, side: int, prefix: int) -> None:
        super().__init__()
        self.side, self.prefix = side, prefix
        self.norm = nn.LayerNorm(4 * width)
        self.reduction = nn.Linear(4 * width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, prefix + side², D) to (B, prefix + side²/4, D)."""
        leading, placed = tokens[:, : self.prefix], tokens[:, self.prefix :]
        grid = placed.reshape(len(placed), self.side, self.side, -1)
        quarters = [grid[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        merged = F.gelu(self.reduction(self.norm(torch.cat(quarters, -1).flatten(1, 2))))
        return torch.cat([leading, merged], dim=1)
