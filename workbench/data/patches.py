"""Patches of the two photographs that come with scikit-learn: natural images, no download.

Unusual here: patches lie on a grid and do not overlap unless asked to, so that no training pixel
is a test pixel; patches of sky or blur, where there is nothing to see, are passed over.

Licence: both photographs are under Creative Commons Attribution 2.0. `china.jpg` is by
danielbuechele (flickr photo 6061409035), `flower.jpg` by vultilion (flickr photo 6056698931).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from workbench.data.examples import Examples
from workbench.data.spec import DataSpec
from workbench.errors import BadData, BadFile
from workbench.lazy import LazyModule
from workbench.randomness import key, permutation
from workbench.registries import DATA

if TYPE_CHECKING:
    from PIL import Image
else:
    Image = LazyModule("PIL.Image")

PHOTOGRAPHS = ("china", "flower")
LEAST_CONTRAST = 0.02
"""Standard deviation of a patch's pixels, in units of [0, 1], below which it is passed over.

Sky and blur have about 0.003, which is the noise of JPEG; of 8 x 8 patches, china.jpg loses four in
ten and flower.jpg seven in ten.
"""

Grey = npt.NDArray[np.uint8]


@DATA.register("photo-patches")
class PhotoPatches(DataSpec):
    """Grey patches of two photographs from scikit-learn, labelled by which: no download."""

    use: Literal["photo-patches"] = "photo-patches"
    side: Annotated[int, Field(ge=8, le=64, description="Edge of a patch in pixels.")] = 8
    count: Annotated[
        int, Field(ge=2, le=50_000, description="How many, half of them from each photograph.")
    ] = 2000
    stride: Annotated[
        int | None,
        Field(
            ge=1,
            le=64,
            description="Pixels between patches; below `side` they overlap, so that a test patch "
            "may show pixels of a training patch. Empty: `side`.",
        ),
    ] = None
    seed: Annotated[int, Field(ge=0, description="Of the grid's offset and the choice.")] = 0

    def load(self, base: Path) -> Examples:
        """Cut the photographs; a pure function of the options.

        Raises:
            BadData: If scikit-learn is missing or has fewer patches than `count`; says how many.
        """
        shares = (self.count - self.count // 2, self.count // 2)
        parts = [self._chosen(name, share) for name, share in zip(PHOTOGRAPHS, shares, strict=True)]
        labels = np.repeat(np.arange(len(PHOTOGRAPHS), dtype=np.int64), shares)
        return Examples(np.concatenate(parts)[:, None], labels, PHOTOGRAPHS, "photo-patches")

    def _chosen(self, name: str, count: int) -> Grey:
        """Patches of one photograph in reading order, uint8, shape (count, side, side)."""
        stride = self.stride or self.side
        word = key(self.seed, "photo-patches", name, "offset")
        down, across = word % stride, word // stride % stride
        found = _with_contrast(_cut(_photograph(name)[down:, across:], self.side, stride))
        if count > len(found):
            raise BadData(
                f"photo-patches: `count` is {self.count}, but {name}.jpg has {len(found)} patches "
                f"of {self.side} x {self.side} pixels with contrast. Set `count` to "
                f"{2 * len(found)} or less, or let them overlap with a `stride` below {stride}."
            )
        order = permutation(self.seed, f"photo-patches {name}", 0, len(found))
        return found[np.sort(order[:count])]


def _cut(photograph: Grey, side: int, stride: int) -> Grey:
    """All patches in reading order, a view, shape (down * across, side, side)."""
    windows = np.lib.stride_tricks.sliding_window_view(photograph, (side, side))
    return windows[::stride, ::stride].reshape(-1, side, side)


def _with_contrast(patches: Grey) -> Grey:
    """Those with a standard deviation of at least :data:`LEAST_CONTRAST`."""
    pixels = patches.reshape(len(patches), -1).astype(np.int64)
    number = pixels.shape[1]
    # whole numbers, so that no rounding decides about a patch
    variance = number * np.square(pixels).sum(axis=1) - np.square(pixels.sum(axis=1))
    chosen: Grey = patches[variance >= (LEAST_CONTRAST * 255 * number) ** 2]
    return chosen


def _photograph(name: str) -> Grey:
    """A packaged photograph in grey, uint8, shape (427, 640)."""
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise BadData(
            "The photographs come with scikit-learn, which is not installed. Install scikit-learn."
        )
    file = Path(package.submodule_search_locations[0]) / "datasets" / "images" / f"{name}.jpg"
    try:
        with Image.open(file) as opened:
            pixels: Grey = np.asarray(opened.convert("L"), dtype=np.uint8)
    except OSError as error:
        raise BadFile(
            f"{file} cannot be read ({error}). Install scikit-learn again; its photographs come "
            "with it."
        ) from None
    return pixels
