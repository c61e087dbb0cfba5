"""What masked image modelling adds to a transformer: which patches stay, a decoder, a loss.

Unusual here: which patches of a sample stay is a pure function of (seed, step, sample id), so it
depends neither on the batch nor on what was drawn before, and a run replays bit for bit.
Shapes: B = sample, L = patch, P = number in a patch, D, E = feature of encoder and decoder.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from workbench.errors import ShapeMismatch
from workbench.functional.guards import at_least_float32
from workbench.models.vit import CLASS_STD, NORM_EPS, Block, initialise, sine_positions
from workbench.randomness import key, mix

PIXEL_EPS = 1e-6
"""Added to the variance of a patch."""


class MaskedDecoder(nn.Module):
    """Guesses every patch's pixels from the encoded patches that stayed.

    A learned mask token stands at each patch that was left out; fixed positions tell the tokens
    apart. Build it inside ``seeded(...)``.

    Args:
        num_patches: L.
        width: D of the encoder's tokens.
        patch_values: P.
        decoder_width: E; must be divisible by 4 and by ``heads``.
        decoder_depth: Number of blocks.
        heads: Of the attention in each block.
        grid: Patches down and across; None for a square.

    Raises:
        ValueError: If ``num_patches`` is no square and no grid is given, or the sizes do not fit.

    Reference:
        He et al. 2022 (MAE), arXiv:2111.06377, §3.
    """

    positions: Tensor

    def __init__(
        self,
        num_patches: int,
        width: int,
        patch_values: int,
        decoder_width: int,
        decoder_depth: int,
        heads: int,
        *,
        grid: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        if decoder_width % 4 or decoder_width % heads:
            raise ValueError(
                f"`decoder_width` is {decoder_width}, `heads` is {heads}; the width must be "
                f"divisible by 4 and by the heads. Use a multiple of {math.lcm(4, heads)}."
            )
        positions = sine_positions(_grid(num_patches, grid), decoder_width)
        self.register_buffer("positions", positions, persistent=False)
        self.embed = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(decoder_width))
        self.blocks = nn.Sequential(*(Block(decoder_width, heads) for _ in range(decoder_depth)))
        self.norm = nn.LayerNorm(decoder_width, eps=NORM_EPS)
        self.predict = nn.Linear(decoder_width, patch_values)
        initialise(self)
        nn.init.normal_(self.mask_token, std=CLASS_STD)

    def forward(self, tokens: Tensor, keep: Tensor) -> Tensor:
        """Pixels of all patches.

        Args:
            tokens: Of the encoder, the class token first, shape (B, 1 + kept, D).
            keep: The patch behind each further token, int64, shape (B, kept), each at most once.

        Returns:
            Shape (B, L, P), normalised as :func:`masked_pixel_loss` takes it.
        """
        embedded = self.embed(tokens)
        num_patches, width = self.positions.shape
        rows = torch.arange(len(keep), device=keep.device)[:, None]
        hidden = self.mask_token.expand(len(keep), num_patches, width)
        # out of place: the mask token is one row in memory, seen L times
        placed = hidden.index_put((rows, keep), embedded[:, 1:].to(hidden.dtype))
        mixed = self.blocks(torch.cat([embedded[:, :1], placed + self.positions], dim=1))
        pixels: Tensor = self.predict(self.norm(mixed)[:, 1:])
        return pixels


def masked_pixel_loss(predicted: Tensor, pixels: Tensor, masked: Tensor) -> Tensor:
    """Mean squared gap to each masked patch's own normalised pixels.

    Args:
        predicted: Of the decoder, shape (B, L, P).
        pixels: Of the images, as ``patchify`` gives them, shape (B, L, P), P >= 2; never receives
            gradient.
        masked: True for patches that were left out, bool, shape (B, L); at least one a sample.

    Returns:
        Mean over the masked patches, shape (B,), at least float32, without unit: a guess of zeros
        scores (P - 1) / P where a patch has any contrast.

    Raises:
        ShapeMismatch: If the shapes do not agree.

    Reference:
        He et al. 2022 (MAE), arXiv:2111.06377, §3 "Reconstruction target"; the variance is the
        unbiased one, as in the authors' code.
    """
    if predicted.shape != pixels.shape or predicted.shape[:2] != masked.shape:
        raise ShapeMismatch(
            "masked pixels",
            predicted,
            pixels,
            fix=f"The mask, of shape {tuple(masked.shape)}, needs an entry for each patch.",
        )
    wanted = at_least_float32(pixels.detach())
    centred = wanted - wanted.mean(-1, keepdim=True)
    wanted = centred / (wanted.var(-1, keepdim=True) + PIXEL_EPS).sqrt()
    gap_BL = (at_least_float32(predicted) - wanted).square().mean(-1)
    return (gap_BL * masked).sum(-1) / masked.sum(-1)


def masked_patches(keep: Tensor, num_patches: int) -> Tensor:
    """True for patches that were left out, bool, shape (B, L).

    Args:
        keep: Patches that stayed, int64, shape (B, kept).
        num_patches: L.
    """
    masked = torch.ones(len(keep), num_patches, dtype=torch.bool, device=keep.device)
    return masked.scatter(1, keep, False)


def random_keep(ids: Tensor, num_patches: int, ratio: float, seed: int, step: int) -> Tensor:
    """Which patches of which sample stay, at random: a pure function of (seed, step, sample id).

    Args:
        ids: Sample ids >= 0, int64, shape (B,).
        num_patches: L, >= 2.
        ratio: Share of patches that is left out, in (0, 1).
        seed: Of the run.
        step: Of the training; another step leaves out others.

    Returns:
        Patches that stay, ascending in each row, int64, shape (B, kept) on the device of ``ids``;
        kept is L * (1 - ratio) rounded down, at least 1 and at most L - 1.

    Raises:
        ValueError: If ``ratio`` lies outside (0, 1) or there are fewer than two patches.

    Reference:
        He et al. 2022 (MAE), arXiv:2111.06377, §3 "Masking": random without replacement.
    """
    if not 0 < ratio < 1:
        raise ValueError(f"`ratio` must be in (0, 1), got {ratio!r}. MAE leaves out 0.75.")
    if num_patches < 2:
        raise ValueError(f"{num_patches} patch leaves nothing to guess. Use a smaller `patch`.")
    # 1e-9: 10 * (1 - 0.9) is a hair below 1
    kept = min(max(1, math.floor(num_patches * (1 - ratio) + 1e-9)), num_patches - 1)
    rows = ids.detach().cpu().numpy().astype(np.uint64)
    words_B = mix(rows ^ np.uint64(key(seed, "mask", step)))
    # a bijection of the word and the patch's number: no two patches of a sample tie
    words_BL = mix(words_B[:, None] ^ np.arange(num_patches, dtype=np.uint64))
    chosen = np.sort(words_BL.argsort(axis=1)[:, :kept], axis=1).astype(np.int64)
    return torch.from_numpy(chosen).to(ids.device)


def _grid(num_patches: int, grid: tuple[int, int] | None) -> tuple[int, int]:
    side = math.isqrt(num_patches)
    down, across = grid or (side, side)
    if down * across != num_patches:
        raise ValueError(
            f"{num_patches} patches are no grid of {down} x {across}; give the encoder's `grid`."
        )
    return down, across
