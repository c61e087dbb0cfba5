"""A loaded data set: plain arrays that were checked once, so that nothing later has to.

Unusual here: no torch. A data set can be loaded, counted, hashed and looked at without it; only
:mod:`workbench.data.images` puts it on a device.
Shapes: N = rows, C = channels (1 or 3), H, W = pixels, K = classes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from workbench.data.splits import choose_rows
from workbench.errors import BadData

MAX_BYTES = 8 * 2**30
"""Data sets live in memory, on the device if it has room; larger ones are refused."""
CHUNK_ROWS = 4096
"""Rows looked at together, so that checks and sums need no second copy of the data."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Images with class numbers.

    Attributes:
        images: uint8 in 0..255, or float32 in [0, 1], shape (N, C, H, W).
        labels: Class numbers 0..K-1, int64, shape (N,); each class occurs.
        class_names: Name of each class, length K >= 2.
        name: What the data set is called on screen.
        test_rows: Rows of a test part that the data set itself defines, sorted int64, or None.

    Raises:
        BadData: If the arrays are anything else; says which row or class.
    """

    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    name: str
    test_rows: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        _check_images(self.name, self.images)
        _check_labels(self.name, self.labels, self.class_names, rows=len(self.images))
        if self.test_rows is not None:
            _check_test_rows(self.name, self.test_rows, rows=len(self.images))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def content_hash(self) -> str:
        """SHA-256, 64 hex digits, over everything but ``name``: shape, bytes, labels, test part."""
        head = {
            "shape": self.images.shape,
            "dtype": str(self.images.dtype),
            "classes": self.class_names,
            "test": self.test_rows is not None,
        }
        digest = sha256(json.dumps(head, sort_keys=True).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(self.labels.astype("<i8").tobytes())
        if self.test_rows is not None:
            digest.update(self.test_rows.astype("<i8").tobytes())
        return digest.hexdigest()

    def limited(self, limit: int | None, *, seed: int) -> Examples:
        """The same data set with at most ``limit`` rows, in the same proportions.

        Rows are numbered anew. Classes keep their share, and so does a given test part.

        Raises:
            BadData: If ``limit`` leaves no row of some class.
        """
        if limit is None or limit >= len(self):
            return self
        keep = choose_rows(strata(self.labels, self.test_rows), limit, seed=seed)
        test_rows = None
        if self.test_rows is not None:
            test_rows = np.flatnonzero(np.isin(keep, self.test_rows)).astype(np.int64)
        return replace(
            self, images=self.images[keep], labels=self.labels[keep], test_rows=test_rows
        )


def strata(
    labels: npt.NDArray[np.int64], test_rows: npt.NDArray[np.int64] | None
) -> npt.NDArray[np.int64]:
    """One number for each row that tells its class and whether it is a test row, shape (N,)."""
    group = labels * 2
    if test_rows is not None:
        group[test_rows] += 1
    return group


def refuse_large(name: str, shape: Sequence[int], *, itemsize: int, fix: str) -> None:
    """Raise BadData when images of this shape do not fit; call it before memory is taken.

    Args:
        name: The data set, for the message.
        shape: (N, C, H, W).
        itemsize: Bytes of one value.
        fix: Which option makes it smaller.
    """
    size = itemsize
    for extent in shape:
        size *= int(extent)
    if size > MAX_BYTES:
        dims = " x ".join(str(extent) for extent in shape)
        raise BadData(
            f"{name}: {dims} values of {itemsize} byte{'s' if itemsize > 1 else ''} need "
            f"{size / 2**30:.1f} GiB of memory; at most {MAX_BYTES // 2**30} GiB are used. {fix}"
        )


def _check_images(name: str, images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> None:
    if images.dtype not in (np.dtype(np.uint8), np.dtype(np.float32)):
        raise BadData(
            f"{name}: images are {images.dtype}; uint8 in 0..255 or float32 in [0, 1] is needed. "
            "Convert them, for example with `.astype('uint8')`."
        )
    if images.ndim != 4 or images.shape[1] not in (1, 3) or not images.size:
        raise BadData(
            f"{name}: images have shape {images.shape}; (rows, channels, height, width) with 1 or "
            "3 channels and at least one row is needed. Move the channels with `np.moveaxis`."
        )
    if images.dtype == np.uint8:
        return
    for start in range(0, len(images), CHUNK_ROWS):
        chunk = images[start : start + CHUNK_ROWS].reshape(-1, images[0].size)
        low, high = chunk.min(axis=1), chunk.max(axis=1)
        wrong = np.flatnonzero(~((low >= 0) & (high <= 1)))  # also true for NaN
        if wrong.size:
            row = int(wrong[0])
            raise BadData(
                f"{name}: the image of row {start + row} has values from {low[row]:g} to "
                f"{high[row]:g}; uint8 in 0..255 or float in [0, 1] is needed. Leave out "
                "normalisation: each model brings its own."
            )


def _check_labels(
    name: str, labels: npt.NDArray[np.int64], class_names: tuple[str, ...], *, rows: int
) -> None:
    if labels.dtype != np.int64 or labels.shape != (rows,):
        raise BadData(
            f"{name}: labels are {labels.dtype} of shape {labels.shape}; int64 of shape ({rows},), "
            "one class number for each image, is needed."
        )
    num_classes = len(class_names)
    if num_classes < 2:
        raise BadData(f"{name}: there is one class only ({class_names}); at least two are needed.")
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if wrong.size:
        row = int(wrong[0])
        raise BadData(
            f"{name}: row {row} has label {labels[row]}; class numbers 0 to {num_classes - 1} are "
            "allowed. Number the classes from 0."
        )
    empty = np.flatnonzero(np.bincount(labels, minlength=num_classes) == 0)
    if empty.size:
        listed = ", ".join(repr(class_names[number]) for number in empty[:5])
        raise BadData(
            f"{name}: class {listed} has no image. Number the classes from 0 without gaps, or "
            "leave that class out."
        )


def _check_test_rows(name: str, test_rows: npt.NDArray[np.int64], *, rows: int) -> None:
    good = (
        test_rows.dtype == np.int64
        and test_rows.ndim == 1
        and 0 < test_rows.size < rows
        and bool(np.all(np.diff(test_rows) > 0))
        and test_rows[0] >= 0
        and test_rows[-1] < rows
    )
    if not good:
        raise BadData(
            f"{name}: test rows must be int64 row numbers between 0 and {rows - 1}, sorted, each "
            f"once, some but not all; got {test_rows.size} of type {test_rows.dtype}."
        )
