"""Where each row of a data set comes from, and which rows were added for the student alone.

Unusual here: a row that was added has no place in the held-out parts. The teacher learns from the
original rows; the student sees an added copy instead of its original, and rows without any class.
Shapes: N = rows.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from workbench.data.splits import IntArray, Splits, split
from workbench.errors import BadData
from workbench.models.batch import UNLABELLED


@dataclass(frozen=True, eq=False)
class Provenance:
    """Origin of each row: original rows first, then changed copies, then foreign rows.

    Attributes:
        names: Of the origins, for example ``("digits", "digits+blur", "photo-patches")``.
        codes: Number of each row's origin, int64, shape (N,).
        source: The row that each was made from, int64, shape (N,): itself for an original row,
            an original row for a copy, -1 for a foreign row, which has no class.
    """

    names: tuple[str, ...]
    codes: IntArray
    source: IntArray

    @property
    def added(self) -> IntArray:
        """Copies and foreign rows, sorted."""
        return np.flatnonzero(self.source != np.arange(len(self.source))).astype(np.int64)

    @property
    def num_classed(self) -> int:
        """Rows that have a class: all before the first foreign one."""
        return int((self.source >= 0).sum())

    def check(self, name: str, labels: npt.NDArray[np.int64]) -> None:
        """Refuse what is no such origin.

        Args:
            name: Of the data set, for messages.
            labels: Class numbers; -1 for foreign rows, shape (N,).

        Raises:
            BadData: If shapes, order, numbers or labels of foreign rows are wrong.
        """
        rows = np.arange(len(labels))
        if self.codes.shape != labels.shape or self.source.shape != labels.shape:
            raise BadData(
                f"{name}: origins have shape {self.codes.shape} and {self.source.shape}; one for "
                f"each of {len(labels)} rows is needed."
            )
        if self.codes.min() < 0 or self.codes.max() >= len(self.names):
            raise BadData(
                f"{name}: origins are numbered {self.codes.min()} to {self.codes.max()}; 0 to "
                f"{len(self.names) - 1} have a name. Name each origin."
            )
        kind = np.select([self.source == rows, self.source >= 0], [0, 1], 2)
        originals = int((kind == 0).sum())
        if np.any(np.diff(kind) < 0) or self.source.max() >= max(originals, 1):
            raise BadData(
                f"{name}: original rows must come first, then copies of them, then foreign rows. "
                "Sort the rows."
            )
        wrong = np.flatnonzero((labels == UNLABELLED) != (kind == 2))
        if wrong.size:
            row = int(wrong[0])
            raise BadData(
                f"{name}: row {row} has label {labels[row]} and was made from row "
                f"{self.source[row]}; foreign rows (made from -1), and only they, have the label "
                f"{UNLABELLED}."
            )

    def to_bytes(self) -> bytes:
        """Everything of it, for a hash."""
        arrays = (self.codes, self.source)
        return json.dumps(self.names).encode() + b"".join(a.astype("<i8").tobytes() for a in arrays)


def split_with_pool(
    labels: IntArray,
    provenance: Provenance,
    *,
    split_seed: int,
    test_rows: IntArray | None = None,
) -> Splits:
    """Cut the original rows as always, then give the student the pool in place of ``train``.

    Args:
        labels: Class numbers, int64, shape (N,); -1 for foreign rows.
        provenance: Of the rows.
        split_seed: Of the parts.
        test_rows: Rows of a given test part, or None.

    Returns:
        The parts of the original rows, unchanged, but ``train``: training rows of which no copy
        was added, the copies, the foreign rows. ``teach`` keeps the original training rows.

    Raises:
        BadData: If the original rows are too few, or a copy shows a row that is held out.
    """
    added = provenance.added
    parts = split(labels[: len(labels) - len(added)], split_seed=split_seed, test_rows=test_rows)
    copied = provenance.source[added]
    copied = np.unique(copied[copied >= 0])
    leaked = np.setdiff1d(copied, parts.train)
    if leaked.size:
        raise BadData(
            f"A row of the pool is a copy of row {leaked[0]}, which is held out. Make the pool "
            "with the same `split_seed`."
        )
    seen = np.union1d(np.setdiff1d(parts.train, copied), added)
    return replace(parts, train=seen.astype(np.int64), teach=parts.train)
