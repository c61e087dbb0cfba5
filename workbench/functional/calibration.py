"""Is a predicted probability of 0.8 right 80 % of the time? Reliability tables and their errors.

Unusual here: sums are float64 and counts int64, so the error is exact and tables add up over
batches; a confidence of exactly 1 lies in the last bin and one of exactly 0 in the first; logits
and probabilities have separate entry points and are never guessed from values.
Default convention (Guo et al. 2017): 15 bins of equal width, right-closed, empty bins skipped.
Shapes: n = samples, C = classes, M = bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from workbench.functional.calibration_null import calibration_band, ece_null, wilson_interval
from workbench.functional.confidence import (
    check_probs,
    confidence_and_correct,
    confidence_and_correct_from_logits,
    in_chunks,
)
from workbench.functional.guards import exactly
from workbench.functional.scoring import brier_score, fit_temperature, mean_entropy, nll
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

__all__ = [
    "Reliability",
    "ReliabilityTable",
    "adaptive_calibration_error",
    "binary_calibration_error",
    "brier_score",
    "calibration_band",
    "classwise_ece",
    "classwise_ece_per_class",
    "confidence_and_correct",
    "confidence_and_correct_from_logits",
    "debiased_l2_calibration_error",
    "ece_null",
    "equal_mass_edges",
    "expected_calibration_error",
    "expected_calibration_error_from_logits",
    "fit_temperature",
    "maximum_calibration_error",
    "mean_entropy",
    "nll",
    "rms_calibration_error",
    "wilson_interval",
]


Closed = Literal["right", "left"]
NUM_BINS = 15


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
        if edges is None:
            if num_bins < 1:
                raise ValueError(f"`num_bins` must be >= 1, got {num_bins!r}. Usual: 10 or 15.")
            edges = torch.arange(num_bins + 1, dtype=torch.float64) / num_bins
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
        value = exactly(confidence)
        if value.numel() and not (float(value.min()) >= 0 and float(value.max()) <= 1 + 1e-6):
            raise ValueError(
                f"confidences must lie in [0, 1], got {float(value.min()):.4g} to "
                f"{float(value.max()):.4g}. For raw scores use the `_from_logits` function."
            )
        index = _bin_index(value, self.edges, self.closed)
        num = len(self.count)
        self.count += torch.bincount(index, minlength=num)
        self.sum_correct += torch.bincount(index[correct.cpu().bool()], minlength=num)
        self.sum_confidence += torch.bincount(index, value, minlength=num)
        self.sum_squared_confidence += torch.bincount(index, value.square(), minlength=num)

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


def expected_calibration_error(
    probs: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS, closed: Closed = "right"
) -> float:
    """Mean gap between confidence and accuracy over equal-width bins (ECE).

    Args:
        probs: Probabilities, rows sum to 1, shape (n, C).
        labels: Class numbers, shape (n,).
        num_bins: Bins of equal width.
        closed: Which edge a bin owns, see :class:`ReliabilityTable`.

    Returns:
        In [0, 1]. Show it beside :func:`ece_null`: even a perfectly calibrated model whose
        confidences spread over 0.3 to 1 shows 0.035 at n = 1000.

    Raises:
        ValueError: If ``probs`` cannot be probabilities (then use the ``_from_logits`` function).

    Reference:
        Guo et al. 2017, arXiv:1706.04599, eq. 3.
    """
    return _table(probs, labels, num_bins, closed).ece()


def expected_calibration_error_from_logits(
    logits: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS, closed: Closed = "right"
) -> float:
    """ECE of raw scores, shape (n, C); see :func:`expected_calibration_error`."""
    table = ReliabilityTable(num_bins, closed=closed)
    table.update(*confidence_and_correct_from_logits(logits, labels))
    return table.ece()


def rms_calibration_error(
    probs: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS, closed: Closed = "right"
) -> float:
    """Root mean squared gap over equal-width bins, in [0, 1]."""
    return _table(probs, labels, num_bins, closed).rms()


def maximum_calibration_error(
    probs: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS, closed: Closed = "right"
) -> float:
    """Largest gap over non-empty equal-width bins, in [0, 1]."""
    return _table(probs, labels, num_bins, closed).maximum()


def adaptive_calibration_error(probs: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS) -> float:
    """ECE of the top label over bins of equal mass; tied confidences are never split.

    Reference:
        Nguyen & O'Connor 2015; edges as Kumar et al. 2019 place them.
    """
    return _equal_mass_table(probs, labels, num_bins).ece()


def debiased_l2_calibration_error(
    probs: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS
) -> float:
    """Debiased RMS gap of the top label over bins of equal mass, in [0, 1].

    Reference:
        Kumar, Liang, Ma 2019, arXiv:1909.10155, §5.
    """
    return _equal_mass_table(probs, labels, num_bins).debiased_l2()


def classwise_ece(
    probs: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS, closed: Closed = "right"
) -> float:
    """Mean over all C classes of the ECE of "is it class k"; absent classes count.

    Reference:
        Kull et al. 2019, arXiv:1910.12656.
    """
    return float(classwise_ece_per_class(probs, labels, num_bins=num_bins, closed=closed).mean())


def classwise_ece_per_class(
    probs: Tensor, labels: Tensor, *, num_bins: int = NUM_BINS, closed: Closed = "right"
) -> Tensor:
    """ECE of each class's own probability, float64, shape (C,).

    A row has fewer than ``num_bins`` entries above the first edge, so only those are binned and
    the first bin is the column total minus the rest: exact, and tens of times faster.
    """
    check_probs(probs, labels)
    num_classes = probs.shape[1]
    edges = ReliabilityTable(num_bins, closed=closed).edges
    floor = float(edges[1]) * (1 - 1e-6)  # a little low: the exact test is the bin index
    size = num_classes * num_bins
    confidence = torch.zeros(size, dtype=torch.float64)
    hits = torch.zeros(size, dtype=torch.float64)
    total = torch.zeros(num_classes, dtype=torch.float64)
    for chunk, chunk_labels in in_chunks(probs, labels):
        chunk, chunk_labels = chunk.cpu(), chunk_labels.cpu()
        total += chunk.sum(0, dtype=torch.float64)
        high = (chunk > floor).flatten().nonzero().squeeze(1)
        value = chunk.flatten()[high].double()
        cell = (high % num_classes) * num_bins + _bin_index(value, edges, closed)
        confidence += torch.bincount(cell, value, minlength=size)
        at_label = chunk.gather(1, chunk_labels[:, None]).squeeze(1).double()
        cell = chunk_labels * num_bins + _bin_index(at_label, edges, closed)
        hits += torch.bincount(cell, minlength=size)
    by_class = confidence.view(num_classes, num_bins)
    by_class[:, 0] = total - by_class[:, 1:].sum(1)
    return (by_class - hits.view_as(by_class)).abs().sum(1) / len(probs)


def binary_calibration_error(
    positive_probs: Tensor,
    labels: Tensor,
    *,
    form: Literal["positive", "confidence"] = "positive",
    num_bins: int = NUM_BINS,
    closed: Closed = "right",
) -> float:
    """ECE of a two-class model that gives one probability.

    Args:
        positive_probs: Probability of class 1, shape (n,).
        labels: 0 or 1, shape (n,).
        form: ``positive`` asks whether P(y = 1) is right; ``confidence`` whether max(p, 1 - p) is.
            Two different numbers.
        num_bins: Bins of equal width.
        closed: Which edge a bin owns.
    """
    table = ReliabilityTable(num_bins, closed=closed)
    if form == "positive":
        table.update(positive_probs, labels == 1)
    else:
        positive = positive_probs > 0.5
        confidence = torch.where(positive, positive_probs, 1 - positive_probs)
        table.update(confidence, positive == (labels == 1))
    return table.ece()


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


def _table(probs: Tensor, labels: Tensor, num_bins: int, closed: Closed) -> ReliabilityTable:
    table = ReliabilityTable(num_bins, closed=closed)
    table.update(*confidence_and_correct(probs, labels))
    return table


def _equal_mass_table(probs: Tensor, labels: Tensor, num_bins: int) -> ReliabilityTable:
    confidence, correct = confidence_and_correct(probs, labels)
    table = ReliabilityTable(edges=equal_mass_edges(confidence, num_bins))
    table.update(confidence, correct)
    return table


def _bin_index(value: Tensor, edges: Tensor, closed: Closed) -> Tensor:
    # inner edges only: 0 falls in the first bin and 1 in the last by construction
    index: Tensor = torch.bucketize(value, edges[1:-1], right=closed == "left")
    return index
