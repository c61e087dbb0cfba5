"""Heavy corruptions of images, each a pure function of (seed, sample id).

Unusual here: noise is even, not Gaussian: it takes no sine and no logarithm, whose last bits differ
between libraries, so that a pool keeps its hash.
Shapes: N = rows, C = channels, H, W = pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from workbench.data.splits import IntArray
from workbench.randomness import key, mix, uniform

Corruption = Literal["noise", "blur", "occlusion", "contrast"]
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)

NOISE = 0.5
"""Standard deviation of the noise, in units of [0, 1]."""
BLUR_SHARE = 4
"""A blur averages a quarter of the edge to each side: 5 x 5 pixels of an 8 x 8 image."""
HIDDEN_SHARE = 0.6
"""Edge of the square that hides a part, over the edge of the image: 5 x 5 pixels of 8 x 8."""
HIDDEN_GREY = 0.5
KEPT_CONTRAST = 0.15
"""What is left of a pixel's distance to the image's mean."""

Floats = npt.NDArray[np.float64]


def corrupt(images: Floats, ids: IntArray, how: Corruption, *, seed: int) -> Floats:
    """Images that a person still recognises at times, a network rarely.

    Args:
        images: Values in [0, 1], shape (N, C, H, W).
        ids: Sample id of each, >= 0, shape (N,): two ids are corrupted differently.
        how: ``noise`` (even, strong), ``blur`` (mean of a window), ``occlusion`` (a grey square
            somewhere) or ``contrast`` (faint, at any brightness).
        seed: Of the pool.

    Returns:
        Values in [0, 1], same shape.
    """
    return _HOW[how](images, ids, seed)


def _noise(images: Floats, ids: IntArray, seed: int) -> Floats:
    words = mix(ids.astype(np.uint64) ^ np.uint64(key(seed, "pool", "noise")))
    places = np.arange(images[0].size, dtype=np.uint64)
    drawn = (mix(words[:, None] ^ places) >> np.uint64(11)) * 2.0**-53
    # even between -a and a has the standard deviation a / sqrt(3)
    shift = NOISE * np.sqrt(3.0) * (2 * drawn - 1)
    noisy: Floats = np.clip(images + shift.reshape(images.shape), 0.0, 1.0)
    return noisy


def _blur(images: Floats, ids: IntArray, seed: int) -> Floats:
    height, width = images.shape[2:]
    down, across = max(1, height // BLUR_SHARE), max(1, width // BLUR_SHARE)
    padded = np.pad(images, ((0, 0), (0, 0), (down, down), (across, across)), mode="edge")
    total = np.zeros_like(images)
    for top in range(2 * down + 1):
        for left in range(2 * across + 1):
            total += padded[:, :, top : top + height, left : left + width]
    blurred: Floats = np.clip(total / ((2 * down + 1) * (2 * across + 1)), 0.0, 1.0)
    return blurred


def _occlusion(images: Floats, ids: IntArray, seed: int) -> Floats:
    hidden = np.ones((len(ids), 1, 1, 1), dtype=bool)
    for axis, name in ((2, "rows"), (3, "columns")):
        edge = images.shape[axis]
        size = max(1, round(HIDDEN_SHARE * edge))
        start = np.floor(uniform(ids, seed, "pool", "occlusion", name) * (edge - size + 1))
        place = np.arange(edge)
        inside = (place >= start[:, None]) & (place < start[:, None] + size)
        hidden = hidden & np.expand_dims(inside, (1, 5 - axis))
    return np.where(hidden, HIDDEN_GREY, images)


def _contrast(images: Floats, ids: IntArray, seed: int) -> Floats:
    level = uniform(ids, seed, "pool", "contrast")[:, None, None, None]
    middle = KEPT_CONTRAST + (1 - 2 * KEPT_CONTRAST) * level
    faint: Floats = middle + KEPT_CONTRAST * (images - images.mean(axis=(1, 2, 3), keepdims=True))
    return faint


_HOW: Mapping[Corruption, Callable[[Floats, IntArray, int], Floats]] = {
    "noise": _noise,
    "blur": _blur,
    "occlusion": _occlusion,
    "contrast": _contrast,
}
