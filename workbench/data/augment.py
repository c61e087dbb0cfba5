"""Variations of training images, a pure function of (seed, epoch, sample id).

Unusual here: no generator is advanced. Each sample hashes its own id, on the device it lies on, so
a batch costs no transfer, and what a sample looks like in epoch 3 depends neither on its batch nor
on what ran before. All variations are one gather: which pixel each output pixel is taken from.
Shapes: B = sample, C = channel, H, W = pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.lazy import LazyModule
from workbench.randomness import GOLDEN_GAMMA, MULTIPLIER_1, MULTIPLIER_2, key

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import functional as F

    from workbench.data.spec import Augment
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")

CROP_SHARE = 8
"""crop-flip pads by an eighth of the edge: 4 pixels at 32, as in He et al. 2016."""


@dataclass(frozen=True)
class _Moves:
    """What a variation may do: move by up to ``pad`` pixels, mirror left and right."""

    pad: int
    flip: bool


def augment(images: Tensor, ids: Tensor, *, how: Augment, seed: int, epoch: int) -> Tensor:
    """Move and mirror images; what comes in from outside is black.

    Args:
        images: Floating point, shape (B, C, H, W); gradient passes through.
        ids: Sample ids >= 0, int64, shape (B,), on the same device.
        how: ``none``, ``shift`` (by -1, 0 or 1 pixel each way), ``flip`` (every second sample
            left to right) or ``crop-flip`` (shift by up to an eighth of the edge, and flip).
        seed: Seed of the run.
        epoch: Number of the epoch; another epoch gives another variation.

    Returns:
        Same shape and dtype; ``images`` itself for ``none``.

    Reference:
        He, Zhang, Ren, Sun 2016, arXiv:1512.03385, §4.2 (pad, crop, flip).
    """
    if how == "none":
        return images
    batch, channels, height, width = images.shape
    moves = _moves(how, max(height, width))
    words_B = mix_tensor(ids ^ key(seed, "augment", epoch))
    rows_BH = _offset(words_B, 0, moves.pad) + torch.arange(height, device=ids.device)
    columns_BW = torch.arange(width, device=ids.device).expand(batch, width)
    if moves.flip:
        mirrored = ((words_B >> 32) & 1).bool()[:, None]
        columns_BW = torch.where(mirrored, width - 1 - columns_BW, columns_BW)
    columns_BW = columns_BW + _offset(words_B, 16, moves.pad)
    source_BP = (rows_BH[:, :, None] * (width + 2 * moves.pad) + columns_BW[:, None, :]).flatten(1)
    padded = F.pad(images, [moves.pad] * 4) if moves.pad else images
    source_BCP = source_BP[:, None, :].expand(batch, channels, height * width)
    return padded.flatten(2).gather(2, source_BCP).view(batch, channels, height, width)


def mix_tensor(words: Tensor) -> Tensor:
    """:func:`workbench.randomness.mix` on int64 tensors: the same 64 bits, read as signed.

    Args:
        words: int64, any shape, any device.

    Returns:
        int64, the same shape.
    """
    words = words + _signed(GOLDEN_GAMMA)
    words = (words ^ _shift_right(words, 30)) * _signed(MULTIPLIER_1)
    words = (words ^ _shift_right(words, 27)) * _signed(MULTIPLIER_2)
    return words ^ _shift_right(words, 31)


def _moves(how: Augment, edge: int) -> _Moves:
    if how == "shift":
        return _Moves(pad=1, flip=False)
    if how == "flip":
        return _Moves(pad=0, flip=True)
    return _Moves(pad=max(1, edge // CROP_SHARE), flip=True)


def _offset(words_B: Tensor, first_bit: int, pad: int) -> Tensor:
    """A whole number in 0..2·pad from 16 bits of each word, int64, shape (B, 1)."""
    return (((words_B >> first_bit) & 0xFFFF) * (2 * pad + 1) >> 16)[:, None]


def _shift_right(words: Tensor, bits: int) -> Tensor:
    """Logical shift: int64 alone shifts the sign in."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
