"""The reliability table: samples, confidences and hits counted in bins of confidence.

Unusual here: counts are int64 and sums float64, so tables of any batches add up, in any order, to
the table of the whole; a confidence of exactly 1 lies in the last bin and one of exactly 0 in the
first. A bin is found by multiplying, and searched for only beside an edge.
Shapes: n = samples, M = bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from workbench.functional.guards import exactly
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


Closed = Literal["right", "left"]
NUM_BINS = 15
CHUNK = 1 << 15
"""Samples binned at one go, so that what is made on the way stays in cache."""
BESIDE = 1e-9
"""In bin widths: closer to an edge than this, the product may round to the wrong side."""


@dataclass(frozen=True)
class Reliability:
    """One row a bin; all on the CPU, shape (M,).

    Attributes:
        edges: Bin edges, float64, shape (M + 1,).
        count: Samples, int64.
        mean_confidence: In [0, 1], float64; NaN where the bin is empty.
        accuracy: In [0, 1], float64; NaN where the bin is empty.
    """

    edges: Tensor
    count: Tensor
    mean_confidence: Tensor
    accuracy: Tensor


class ReliabilityTable:
    """Counts, confidences and hits a bin; grows by batches, and tables of equal bins add up.

    Args:
        num_bins: Bins of equal width over [0, 1].
        closed: ``right`` for (a, b] (Guo et al.; first bin also holds 0), ``left`` for [a, b)
            (numpy, netcal; last bin also holds 1).
        edges: Edges of your own instead, ascending, shape (M + 1,); see :func:`equal_mass_edges`.

    Example:
        >>> table = ReliabilityTable()
        >>> table.update(torch.tensor([0.9, 0.6]), torch.tensor([True, False]))
        >>> round(table.ece(), 3)
        0.35
    """

    def __init__(
        self, num_bins: int = NUM_BINS, *, closed: Closed = "right", edges: Tensor | None = None
    ) -> None:
        self._equal_width = edges is None
        if edges is None:
            edges = equal_width_edges(num_bins)
        if closed not in ("right", "left"):
            raise ValueError(f"`closed` must be 'right' or 'left', got {closed!r}.")
        self.edges = exactly(edges)
        self.closed: Closed = closed
        num = len(self.edges) - 1
        self.count = torch.zeros(num, dtype=torch.int64)
        self.sum_correct = torch.zeros(num, dtype=torch.int64)
        self.sum_confidence = torch.zeros(num, dtype=torch.float64)
        self.sum_squared_confidence = torch.zeros(num, dtype=torch.float64)

    def update(self, confidence: Tensor, correct: Tensor) -> None:
        """Add samples.

        Args:
            confidence: Probability given to the prediction, in [0, 1], shape (n,).
            correct: Whether the prediction was right, bool, shape (n,).

        Raises:
            ValueError: If shapes differ, or a confidence is not in [0, 1] (or is NaN).
        """
        if confidence.shape != correct.shape or confidence.dim() != 1:
            raise ValueError(
                f"confidence has shape {tuple(confidence.shape)}, correct {tuple(correct.shape)}; "
                "both must be (n,)."
            )
        if confidence.numel() == 0:
            return
        low, high = (float(end) for end in confidence.detach().aminmax())
        if not (low >= 0 and high <= 1 + 1e-6):
            raise ValueError(
                f"confidences must lie in [0, 1], got {low:.4g} to {high:.4g}. "
                "For raw scores use the `_from_logits` function."
            )
        for value, hit in zip(
            torch.split(confidence, CHUNK), torch.split(correct, CHUNK), strict=True
        ):
            self._add(exactly(value), hit.detach().cpu().bool())

    def _add(self, value: Tensor, correct: Tensor) -> None:
        num = len(self.count)
        if self._equal_width:
            index = equal_width_index(value, self.edges, self.closed)
        else:
            index = bin_index(value, self.edges, self.closed)
        self.sum_confidence += torch.bincount(index, value, minlength=num)
        self.sum_squared_confidence += torch.bincount(index, value.square(), minlength=num)
        # wrong and right side by side: one count for both
        cell = index.mul_(2).add_(correct)
        wrong, right = torch.bincount(cell, minlength=2 * num).view(num, 2).unbind(1)
        self.count += wrong + right
        self.sum_correct += right

    def merge(self, other: ReliabilityTable) -> ReliabilityTable:
        """Add another table of the same bins to this one; returns this one.

        Raises:
            ValueError: If bins differ.
        """
        if self.closed != other.closed or not torch.equal(self.edges, other.edges):
            raise ValueError("tables with different bins cannot be merged; make both alike.")
        self.count += other.count
        self.sum_correct += other.sum_correct
        self.sum_confidence += other.sum_confidence
        self.sum_squared_confidence += other.sum_squared_confidence
        return self

    def compute(self) -> Reliability:
        """The table as means a bin."""
        count = self.count.double()
        return Reliability(
            self.edges, self.count.clone(), self.sum_confidence / count, self.sum_correct / count
        )

    def ece(self) -> float:
        """Expected calibration error, in [0, 1]; NaN without samples."""
        gaps = (self.sum_confidence - self.sum_correct).abs()  # no division: no NaN, exact
        return float(gaps.sum() / self.count.sum())

    def rms(self) -> float:
        """Root of the mean squared gap, samples weighted equally, in [0, 1]."""
        return float((self._weights() * self._gaps().square()).sum().sqrt())

    def maximum(self) -> float:
        """Largest gap of a non-empty bin, in [0, 1]; NaN without samples."""
        gaps = self._gaps()
        return float(gaps.max()) if gaps.numel() else float("nan")

    def average(self) -> float:
        """Unweighted mean gap of the non-empty bins (Average CE, Neumann et al. 2018)."""
        return float(self._gaps().mean())

    def debiased_l2(self) -> float:
        """RMS gap with the sampling noise of each bin's accuracy taken off (Kumar et al. 2019).

        A bin of one sample cannot tell error from noise and adds 0, as in their code.
        """
        full = self.count > 0
        count = self.count[full].double()
        accuracy = self.sum_correct[full] / count
        noise = accuracy * (1 - accuracy) / (count - 1).clamp_min(1)
        square = torch.where(count > 1, self._gaps().square() - noise, 0.0)
        return float((self._weights() * square).sum().clamp_min(0).sqrt())

    def _weights(self) -> Tensor:
        full = self.count[self.count > 0].double()
        return full / full.sum()

    def _gaps(self) -> Tensor:
        full = self.count > 0
        gap = self.sum_confidence[full] - self.sum_correct[full]
        return gap.abs() / self.count[full]


def equal_width_edges(num_bins: int) -> Tensor:
    """Edges 0, 1/M, ..., 1, each the float64 nearest to the fraction, shape (M + 1,).

    Raises:
        ValueError: If ``num_bins`` is below 1.
    """
    if num_bins < 1:
        raise ValueError(f"`num_bins` must be >= 1, got {num_bins!r}. Usual: 10 or 15.")
    return torch.arange(num_bins + 1, dtype=torch.float64) / num_bins


def equal_mass_edges(confidence: Tensor, num_bins: int = NUM_BINS) -> Tensor:
    """Edges between equal chunks of the sorted confidences, equal ones merged; float64.

    Use with right-closed bins: tied confidences then share a bin, whatever their order.

    Args:
        confidence: In [0, 1], shape (n,), n >= 1.
        num_bins: Chunks; fewer bins come out where confidences are tied.
    """
    ordered = exactly(confidence).sort().values
    chunks = torch.tensor_split(ordered, min(num_bins, len(ordered)))
    middles = [(low[-1] + high[0]) / 2 for low, high in pairwise(chunks)]
    inner = torch.unique(torch.stack(middles)) if middles else ordered[:0]
    inner = inner[(inner > 0) & (inner < 1)]
    return torch.cat([ordered.new_zeros(1), inner, ordered.new_ones(1)])


def bin_index(value: Tensor, edges: Tensor, closed: Closed) -> Tensor:
    """Bin of each value by search; any edges. Int64, shape of ``value``."""
    # inner edges only: 0 falls in the first bin and 1 in the last by construction
    index: Tensor = torch.bucketize(value, edges[1:-1], right=closed == "left")
    return index


def equal_width_index(value: Tensor, edges: Tensor, closed: Closed) -> Tensor:
    """As :func:`bin_index` for :func:`equal_width_edges`, exact and ten times as fast.

    Args:
        value: Float64 in [0, 1].
        edges: Equal-width edges.
        closed: Which edge a bin owns.
    """
    num = len(edges) - 1
    scaled = value * num
    index = scaled.long().clamp_max_(num - 1)
    # float64 keeps value * M within 1e-13 of the truth: only beside a whole number may it mislead
    gap = scaled.sub_(scaled.round()).abs_()
    beside = (gap < BESIDE).nonzero().squeeze(1)
    if beside.numel():
        index[beside] = bin_index(value[beside], edges, closed)
    return index
