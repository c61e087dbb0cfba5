"""Calibration of every class's own probability, not only of the largest one.

Unusual here: of C probabilities that sum to 1, fewer than M can exceed 1 / M, so all but a few
fall in the first bin; only those few are binned, and the first bin's sum is the class total minus
the rest. That is exact, and tens of times faster than binning every entry.
Shapes: n = samples, C = classes, M = bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.functional.calibration_table import (
    NUM_BINS,
    Closed,
    equal_width_edges,
    equal_width_index,
)
from workbench.functional.confidence import at_labels, check_probs
from workbench.functional.guards import at_least_float32
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor
else:
    np = LazyModule("numpy")
    torch = LazyModule("torch")

CHUNK_ENTRIES = 1 << 18
"""Entries of one chunk: float32 rows and the float64 copy that their exact sum takes."""
HELD = 1 << 20
"""Entries above the first edge that are collected before they are counted."""


class ClasswiseTable:
    """Confidences and hits in bins of each class's probability; grows by batches, and merges.

    Args:
        num_classes: Classes, C.
        num_bins: Bins of equal width over [0, 1].
        closed: Which edge a bin owns, see :class:`ReliabilityTable`.

    Attributes:
        num_samples: Samples so far.
        sum_correct: Samples of the class, by the bin of its probability; int64, shape (C, M).
    """

    def __init__(
        self, num_classes: int, num_bins: int = NUM_BINS, *, closed: Closed = "right"
    ) -> None:
        self.edges = equal_width_edges(num_bins)
        self.closed: Closed = closed
        self.num_samples = 0
        self.sum_correct = torch.zeros(num_classes, num_bins, dtype=torch.int64)
        self._sum_above = torch.zeros(num_classes, num_bins, dtype=torch.float64)
        self._total = torch.zeros(num_classes, dtype=torch.float64)

    @property
    def sum_confidence(self) -> Tensor:
        """Summed probability, float64, shape (C, M)."""
        sums = self._sum_above.clone()
        sums[:, 0] = self._total - sums[:, 1:].sum(1)
        return sums

    def update(self, probs: Tensor, labels: Tensor) -> None:
        """Add samples.

        Args:
            probs: Rows sum to 1, shape (n, C).
            labels: Class numbers, shape (n,).

        Raises:
            ValueError: If the values cannot be probabilities of these labels, or C differs.
        """
        check_probs(probs, labels)
        num_classes, num_bins = self.sum_correct.shape
        if probs.shape[1] != num_classes:
            raise ValueError(f"expected {num_classes} classes, got {probs.shape[1]}.")
        probs, labels = probs.detach().cpu(), labels.cpu()
        cells = labels * num_bins + self._bin(at_labels(probs, labels).double())
        hits = torch.bincount(cells, minlength=num_classes * num_bins)
        self.sum_correct += hits.view(num_classes, num_bins)
        entries: list[Tensor] = []
        values: list[Tensor] = []
        held = 0
        for chunk, high in self._chunks(probs):
            values.append(chunk.reshape(-1).index_select(0, high).double())
            entries.append(high % num_classes)
            held += len(high)
            if held >= HELD:
                self._count(torch.cat(entries), torch.cat(values))
                entries, values, held = [], [], 0
        if entries:
            self._count(torch.cat(entries), torch.cat(values))
        self.num_samples += len(labels)

    def merge(self, other: ClasswiseTable) -> ClasswiseTable:
        """Add another table of the same classes and bins to this one; returns this one.

        Raises:
            ValueError: If classes or bins differ.
        """
        if self.closed != other.closed or self.sum_correct.shape != other.sum_correct.shape:
            raise ValueError(
                "tables of different classes or bins cannot be merged; make both alike."
            )
        self.num_samples += other.num_samples
        self.sum_correct += other.sum_correct
        self._sum_above += other._sum_above
        self._total += other._total
        return self

    def compute(self) -> Tensor:
        """ECE of each class's own probability, float64, shape (C,); NaN without samples."""
        gaps = (self.sum_confidence - self.sum_correct).abs().sum(1)
        return gaps / (self.num_samples or torch.nan)

    def ece(self) -> float:
        """Mean over all C classes; absent classes count with their mean probability."""
        return float(self.compute().mean())

    def _chunks(self, probs: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows in chunks, and flat positions of entries above the first edge or nearly so.

        Adds the rows to the totals on the way. Scratch memory is made once: fresh pages for each
        chunk would cost several times the arithmetic.
        """
        floor = float(self.edges[1]) * (1 - 1e-6)  # a little low: the exact test is the bin
        rows = min(len(probs), max(1, CHUNK_ENTRIES // probs.shape[1]))
        exact = torch.empty(rows, probs.shape[1], dtype=torch.float64)
        mask = np.empty((rows, probs.shape[1]), dtype=bool)
        for part in torch.split(probs, rows):
            chunk = at_least_float32(part)
            self._total += exact[: len(chunk)].copy_(chunk).sum(0)
            # numpy: torch compares at a third of its speed and finds nonzeros at a half
            above = np.greater(chunk.numpy(), floor, out=mask[: len(chunk)])
            yield chunk, torch.from_numpy(np.flatnonzero(above))

    def _count(self, classes: Tensor, values: Tensor) -> None:
        num_bins = self.sum_correct.shape[1]
        cells = classes * num_bins + self._bin(values)
        sums = torch.bincount(cells, values, minlength=self._sum_above.numel())
        self._sum_above += sums.view_as(self._sum_above)

    def _bin(self, values: Tensor) -> Tensor:
        return equal_width_index(values, self.edges, self.closed)


def classwise_ece(
    probs: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS, closed: Closed = "right"
) -> float:
    """Mean over all C classes of the ECE of "is it class k"; absent classes count.

    Args:
        probs: Rows sum to 1, shape (n, C).
        labels: Class numbers, shape (n,).
        num_bins: Bins of equal width.
        closed: Which edge a bin owns.

    Returns:
        In [0, 1]. Other texts drop small probabilities or average squares; not the same number.

    Reference:
        Kull et al. 2019, arXiv:1910.12656.
    """
    return float(classwise_ece_per_class(probs, labels, num_bins=num_bins, closed=closed).mean())


def classwise_ece_per_class(
    probs: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS, closed: Closed = "right"
) -> Tensor:
    """ECE of each class's own probability, float64, shape (C,); see :func:`classwise_ece`."""
    check_probs(probs, labels)
    table = ClasswiseTable(probs.shape[1], num_bins, closed=closed)
    table.update(probs, labels)
    return table.compute()
