"""A loaded data set: plain arrays that were checked once, so that nothing later has to.

Unusual here: no torch. A data set can be loaded, counted, hashed and looked at without it; only
:mod:`workbench.data.images` puts it on a device.
Shapes: N = rows, C = channels (1 or 3), H, W = pixels, F = features of a table row, K = classes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Literal

import numpy as np
import numpy.typing as npt

from workbench.data.provenance import Provenance
from workbench.data.splits import IntArray, choose_rows
from workbench.errors import BadData

MAX_BYTES = 8 * 2**30
"""Data sets live in memory, on the device if it has room; larger ones are refused."""
CHUNK_ROWS = 4096
"""Rows looked at together, so that checks and sums need no second copy of the data."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Images, or the rows of a table, with class numbers.

    Attributes:
        inputs: Images, uint8 in 0..255 or float32 in [0, 1], shape (N, C, H, W); or table rows,
            finite float32 in the units of their columns, shape (N, F).
        labels: Class numbers 0..K-1, int64, shape (N,); each class occurs.
        class_names: Name of each class, length K >= 2.
        name: What the data set is called on screen.
        test_rows: Rows of a test part that the data set itself defines, sorted int64, or None.
        feature_names: Name of each feature of a table row, length F; empty for images.
        provenance: Where each row comes from, of a pool; there a row may have no class (label -1).

    Raises:
        BadData: If the arrays are anything else; says which row or class.
    """

    inputs: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    name: str
    test_rows: npt.NDArray[np.int64] | None = None
    feature_names: tuple[str, ...] = ()
    provenance: Provenance | None = None

    def __post_init__(self) -> None:
        if self.kind == "row":
            _check_rows(self.name, self.inputs, self.feature_names)
        else:
            _check_images(self.name, self.inputs)
        what = "image" if self.kind == "image" else "row"
        labels, rows = self.labels, len(self.inputs)
        if self.provenance is not None:
            self.provenance.check(self.name, labels)
            rows = self.provenance.num_classed  # foreign rows stand last
            labels = labels[:rows]
        _check_labels(self.name, labels, self.class_names, rows=rows, what=what)
        if self.test_rows is not None:
            _check_test_rows(self.name, self.test_rows, rows=len(self.inputs))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def kind(self) -> Literal["image", "row"]:
        """What one sample is: an image, or a row of a table."""
        return "row" if self.inputs.ndim == 2 else "image"

    @property
    def origin_names(self) -> tuple[str, ...]:
        """Names of the origins that rows of a pool have; empty for any other data set."""
        return () if self.provenance is None else self.provenance.names

    @property
    def origin(self) -> IntArray | None:
        """Number in :attr:`origin_names` of each row of a pool, int64, shape (N,); else None."""
        return None if self.provenance is None else self.provenance.codes

    @cached_property
    def content_hash(self) -> str:
        """SHA-256, 64 hex digits, over everything but ``name``: shape, bytes, labels, test part.

        Names of features count too; images have none.
        """
        head = {
            "shape": self.inputs.shape,
            "dtype": str(self.inputs.dtype),
            "classes": self.class_names,
            "test": self.test_rows is not None,
            **({"features": self.feature_names} if self.feature_names else {}),
        }
        digest = sha256(json.dumps(head, sort_keys=True).encode())
        digest.update(np.ascontiguousarray(self.inputs).data)
        digest.update(self.labels.astype("<i8").tobytes())
        if self.test_rows is not None:
            digest.update(self.test_rows.astype("<i8").tobytes())
        if self.provenance is not None:
            digest.update(self.provenance.to_bytes())
        return digest.hexdigest()

    def originals(self) -> Examples:
        """The data set that a pool was made from; ``self`` for any other."""
        if self.provenance is None:
            return self
        rows = len(self) - len(self.provenance.added)
        return replace(
            self,
            inputs=self.inputs[:rows],
            labels=self.labels[:rows],
            name=self.provenance.names[0],
            provenance=None,
        )

    def limited(self, limit: int | None, *, seed: int) -> Examples:
        """The same data set with at most ``limit`` rows, in the same proportions.

        Rows are numbered anew. Classes keep their share, and so does a given test part. A pool
        stays whole: what it was made of was limited.

        Raises:
            BadData: If ``limit`` leaves no row of some class.
        """
        if limit is None or limit >= len(self) or self.provenance is not None:
            return self
        keep = choose_rows(strata(self.labels, self.test_rows), limit, seed=seed)
        test_rows = None
        if self.test_rows is not None:
            test_rows = np.flatnonzero(np.isin(keep, self.test_rows)).astype(np.int64)
        return replace(
            self, inputs=self.inputs[keep], labels=self.labels[keep], test_rows=test_rows
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
    """Raise BadData when inputs of this shape do not fit; call it before memory is taken.

    Args:
        name: The data set, for the message.
        shape: (N, C, H, W), or (N, F).
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


def _check_rows(
    name: str,
    rows: npt.NDArray[np.uint8] | npt.NDArray[np.float32],
    feature_names: tuple[str, ...],
) -> None:
    if rows.dtype != np.float32 or not rows.size:
        raise BadData(
            f"{name}: table rows are {rows.dtype} of shape {rows.shape}; float32 of shape (rows, "
            "features), at least one of each, is needed. Convert them with `.astype('float32')`."
        )
    if len(feature_names) not in (0, rows.shape[1]):
        raise BadData(
            f"{name}: there are {len(feature_names)} feature names for {rows.shape[1]} features. "
            "Name each feature once, or none."
        )
    for start in range(0, len(rows), CHUNK_ROWS):
        wrong = np.argwhere(~np.isfinite(rows[start : start + CHUNK_ROWS]))
        if len(wrong):
            row, feature = int(wrong[0, 0]), int(wrong[0, 1])
            called = f" ({feature_names[feature]!r})" if feature_names else ""
            raise BadData(
                f"{name}: feature {feature}{called} of row {start + row} is "
                f"{rows[start + row, feature]}; finite numbers are needed. Fill or leave out what "
                "is missing."
            )


def _check_labels(
    name: str, labels: npt.NDArray[np.int64], class_names: tuple[str, ...], *, rows: int, what: str
) -> None:
    if labels.dtype != np.int64 or labels.shape != (rows,):
        raise BadData(
            f"{name}: labels are {labels.dtype} of shape {labels.shape}; int64 of shape ({rows},), "
            f"one class number for each {what}, is needed."
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
            f"{name}: class {listed} has no {what}. Number the classes from 0 without gaps, or "
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
