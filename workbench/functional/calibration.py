"""Is a predicted probability of 0.8 right 80 % of the time? The errors of reliability tables.

Unusual here: sums are float64 and counts int64, so the error is exact and tables add up over
batches; logits and probabilities have separate entry points and are never guessed from values.
Default convention (Guo et al. 2017): 15 bins of equal width, right-closed, empty bins skipped.
The table itself is in :mod:`.calibration_table`, each class's own probability in
:mod:`.calibration_classwise`, everything about raw scores in one pass in :mod:`.scoring`.
Shapes: n = samples, C = classes, M = bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.functional.calibration_classwise import (
    ClasswiseTable,
    classwise_ece,
    classwise_ece_per_class,
)
from workbench.functional.calibration_null import calibration_band, ece_null, wilson_interval
from workbench.functional.calibration_table import (
    NUM_BINS,
    Closed,
    Reliability,
    ReliabilityTable,
    equal_mass_edges,
)
from workbench.functional.confidence import (
    confidence_and_correct,
    confidence_and_correct_from_logits,
)
from workbench.functional.scoring import (
    Scores,
    ScoreTable,
    brier_score,
    fit_temperature,
    mean_entropy,
    nll,
)
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

__all__ = [
    "ClasswiseTable",
    "Reliability",
    "ReliabilityTable",
    "ScoreTable",
    "Scores",
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


def _table(probs: Tensor, labels: Tensor, num_bins: int, closed: Closed) -> ReliabilityTable:
    table = ReliabilityTable(num_bins, closed=closed)
    table.update(*confidence_and_correct(probs, labels))
    return table


def _equal_mass_table(probs: Tensor, labels: Tensor, num_bins: int) -> ReliabilityTable:
    confidence, correct = confidence_and_correct(probs, labels)
    table = ReliabilityTable(edges=equal_mass_edges(confidence, num_bins))
    table.update(confidence, correct)
    return table
