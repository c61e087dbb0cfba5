"""A vision transformer small enough for 8 x 8 scans, which can leave out patches before its blocks.

Unusual here: positions are fixed sines and cosines, so they hold no parameter and masking (MAE)
needs no other network: a patch that is left out is simply not there. Attention is written out,
because torch's fused kernels choose by hardware and have no fixed bits.
Shapes: B = sample, C = channel, H, W = pixel, L = patch, P = number in a patch, D = feature,
K = class.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from workbench.errors import BadModel

NORM_EPS = 1e-6
"""Of every layer norm, as common vision transformers have it."""
CLASS_STD = 0.02
"""Spread of the class token's initial values."""
LONGEST_WAVE = 10_000.0
"""Positions are sines of periods from 2π to 2π times this, in patches."""


class VisionTransformer(nn.Module):
    """Patches and a class token through pre-norm blocks; the classifier reads the class token.

    Args:
        input_size: Of an image, (C, H, W).
        num_classes: K.
        patch: Side of a patch in pixels; must divide H and W.
        width: D; must be divisible by 4 and by ``heads``.
        depth: Number of blocks.
        heads: Of the attention.
        mlp_ratio: Hidden width of a block's perceptron, in multiples of D.
        dropout: Share dropped after attention and perceptron while training, in [0, 1).

    Attributes:
        grid: Patches down and across, (H / patch, W / patch).
        num_patches: L.
        patch_values: P, numbers in a patch.
        feature_info: Module and width of each block, from which stages are named.

    Raises:
        BadModel: If the sizes do not fit each other; says which.

    Reference:
        Dosovitskiy et al. 2021, arXiv:2010.11929, §3.1; positions as in He et al. 2022 (MAE),
        arXiv:2111.06377, §3.
    """

    positions: Tensor

    def __init__(
        self,
        input_size: Sequence[int],
        num_classes: int,
        *,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        mlp_ratio: float,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check(input_size, patch, width, heads)
        channels, height, across = input_size
        self.patch = patch
        self.grid = (height // patch, across // patch)
        self.num_patches = self.grid[0] * self.grid[1]
        self.patch_values = channels * patch**2
        self.patch_embed = nn.Conv2d(channels, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.register_buffer("positions", sine_positions(self.grid, width), persistent=False)
        self.blocks = nn.Sequential(
            *(Block(width, heads, mlp_ratio=mlp_ratio, dropout=dropout) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.classifier = nn.Linear(width, num_classes)
        self.feature_info: list[Mapping[str, str | int]] = [
            {"module": f"blocks.{index}", "num_chs": width} for index in range(depth)
        ]
        initialise(self)
        nn.init.normal_(self.class_token, std=CLASS_STD)

    def forward(self, images: Tensor) -> Tensor:
        """Logits, shape (B, K), of standardised images, shape (B, C, H, W)."""
        logits: Tensor = self.classifier(self.encode(images)[:, 0])
        return logits

    def encode(self, images: Tensor, keep: Tensor | None = None) -> Tensor:
        """Class token and patches after the last norm.

        Args:
            images: Standardised, shape (B, C, H, W).
            keep: Patches that enter the blocks, int64 in 0..L-1, each at most once a sample, shape
                (B, kept); None for all. Patches are counted row by row.

        Returns:
            Shape (B, 1 + kept, D), the class token first, patches in the order of ``keep``.
        """
        tokens = self.patch_embed(images).flatten(2).mT + self.positions
        if keep is not None:
            rows = torch.arange(len(tokens), device=tokens.device)[:, None]
            tokens = tokens[rows, keep]
        leading = self.class_token.expand(len(tokens), -1, -1)
        encoded: Tensor = self.norm(self.blocks(torch.cat([leading, tokens], dim=1)))
        return encoded

    def patchify(self, images: Tensor) -> Tensor:
        """The pixels of each patch, shape (B, L, P), with P ordered row, column, channel."""
        return patchify(images, self.patch)


class Block(nn.Module):
    """Attention and a two-layer perceptron, each on normed tokens and added to its input.

    Args:
        width: D.
        heads: Must divide D.
        mlp_ratio: Hidden width of the perceptron, in multiples of D.
        dropout: Share dropped after each part while training.
    """

    def __init__(
        self, width: int, heads: int, *, mlp_ratio: float = 4.0, dropout: float = 0.0
    ) -> None:
        super().__init__()
        hidden = max(1, int(width * mlp_ratio))
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) to the same shape."""
        tokens = tokens + self.drop(self.attn(self.norm1(tokens)))
        widened: Tensor = tokens + self.drop(self.mlp(self.norm2(tokens)))
        return widened


class Attention(nn.Module):
    """Multi-head self-attention.

    Args:
        width: D.
        heads: Must divide D.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, D) to the same shape."""
        batch, length, width = tokens.shape
        depth = width // self.heads
        split = self.qkv(tokens).view(batch, length, 3, self.heads, depth)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        shares = (query @ key.mT / math.sqrt(depth)).softmax(-1)
        mixed = (shares @ value).transpose(1, 2).reshape(batch, length, width)
        projected: Tensor = self.proj(mixed)
        return projected


def patchify(images: Tensor, patch: int) -> Tensor:
    """Cut images into square patches, counted row by row.

    Args:
        images: Shape (B, C, H, W), with H and W divisible by ``patch``.
        patch: Side in pixels.

    Returns:
        Shape (B, L, P), with P ordered row, column, channel, as MAE orders it.
    """
    batch, channels, height, width = images.shape
    down, across = height // patch, width // patch
    cut = images.reshape(batch, channels, down, patch, across, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, down * across, patch**2 * channels)


def sine_positions(grid: tuple[int, int], width: int) -> Tensor:
    """Fixed positions of a grid: half the features tell the column, half the row.

    Args:
        grid: Patches down and across.
        width: D, divisible by 4.

    Returns:
        float32, shape (L, D): sines then cosines of the column, then of the row.

    Reference:
        He et al. 2022 (MAE), arXiv:2111.06377, §3, after Vaswani et al. 2017, §3.5.
    """
    # float64 first: the bits then do not depend on how a device takes powers of floats.
    steps = torch.arange(width // 4, dtype=torch.float64) / (width // 4)
    rates = LONGEST_WAVE**-steps
    down, across = (torch.arange(side, dtype=torch.float64)[:, None] * rates for side in grid)
    by_row, by_column = (torch.cat([angle.sin(), angle.cos()], dim=1) for angle in (down, across))
    columns = by_column.repeat(grid[0], 1)
    rows = by_row.repeat_interleave(grid[1], dim=0)
    return torch.cat([columns, rows], dim=1).float()


def initialise(network: nn.Module) -> None:
    """Xavier-uniform weights and zero biases; a convolution of patches counts as a linear map."""
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.xavier_uniform_(module.weight.detach().flatten(1))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def vit_micro(
    input_size: tuple[int, int, int],
    num_classes: int,
    *,
    patch: int,
    width: int,
    depth: int,
    heads: int,
    mlp_ratio: float,
    dropout: float = 0.0,
) -> VisionTransformer:
    """Vision transformer with these sizes."""
    return VisionTransformer(
        input_size,
        num_classes,
        patch=patch,
        width=width,
        depth=depth,
        heads=heads,
        mlp_ratio=mlp_ratio,
        dropout=dropout,
    )


def _check(input_size: Sequence[int], patch: int, width: int, heads: int) -> None:
    if len(input_size) != 3:
        raise BadModel(
            f"vit-micro takes images, the data has rows of shape {tuple(input_size)}. Use `mlp`."
        )
    height, across = input_size[1:]
    if height % patch or across % patch:
        raise BadModel(
            f"vit-micro: `patch` is {patch}, which does not divide images of {height} x {across} "
            f"pixels. Use {_divisors(math.gcd(height, across))}, or set `input_size` to a "
            f"multiple of {patch}."
        )
    if width % 4 or width % heads:
        raise BadModel(
            f"vit-micro: `width` is {width}, `heads` is {heads}; the width must be divisible by 4 "
            f"(positions) and by the heads. Use {math.lcm(4, heads)} or a multiple of it."
        )


def _divisors(number: int) -> str:
    found = [str(side) for side in range(1, number + 1) if number % side == 0]
    return " or ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
