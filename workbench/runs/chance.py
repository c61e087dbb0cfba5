"""What chance alone explains of a reliability table, without torch: for processes that only show.

Unusual here: the same closed forms as ``functional.calibration_null`` on numpy and ``math``,
because the server of the page loads no torch; a test holds both equal.
Shapes: n = samples, M = bins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BINS: Final = 15
EQUAL_WIDTH: Final[Floats] = np.arange(BINS + 1) / BINS
"""Edges of the usual bins."""
TAILS: Final = (0.025, 0.975)
"""Of a bin's hits: between them lie 95 % of perfectly calibrated models."""
BISECTIONS: Final = 60
"""Steps towards a quantile at most; Newton's need some five."""
SERIES: Final = 40_000
"""Terms of the incomplete gamma series at most; some dozens are usual."""
NEARLY_NORMAL: Final = 1e-3
"""Skewness below which the law of the ECE is taken as normal."""
HALF_NORMAL_THIRD: Final = math.sqrt(2 / math.pi) * (4 / math.pi - 1)
"""Third central moment of |Z|, Z standard normal."""


@dataclass(frozen=True)
class Table:
    """Bins (a, b], each with what fell into it; shape (M,).

    Attributes:
        edges: Of the bins, rising from 0 to 1, shape (M + 1,).
        count: Samples.
        confidence: Sum of confidences.
        squares: Sum of squared confidences.
        hits: Right answers.
    """

    edges: Floats
    count: Floats
    confidence: Floats
    squares: Floats
    hits: Floats

    @classmethod
    def of(cls, top: Floats, right: NDArray[np.bool_], edges: Floats | None = None) -> Table:
        """From single samples.

        Args:
            top: Confidence of each in [0, 1], shape (n,); NaN is left out.
            right: Whether it is right, shape (n,).
            edges: Of the bins; 15 of equal width if not given.
        """
        edges = EQUAL_WIDTH if edges is None else edges
        index = bin_of(top, edges)
        there = index >= 0
        index, top, right = index[there], top[there], right[there]

        def total(weights: Floats) -> Floats:
            found = np.bincount(index, weights=weights, minlength=len(edges) - 1)
            return found.astype(np.float64)

        return cls(
            edges,
            total(np.ones_like(top)),
            total(top),
            total(top**2),
            total(right.astype(np.float64)),
        )

    def columns(self) -> dict[str, Floats]:
        """The arrays that the calibration view draws, by its names; NaN where a bin is empty."""
        empty = self.count == 0
        count = np.where(empty, np.nan, self.count)
        mean, accuracy = self.confidence / count, self.hits / count
        low, high = wilson(accuracy, count)
        band = binomial_quantiles(TAILS, self.count, np.where(empty, 0, mean)) / count
        return {
            "count": self.count,
            "confidence": mean,
            "accuracy": accuracy,
            "wilson_low": low,
            "wilson_high": high,
            "band_low": band[0],
            "band_high": band[1],
        }

    def ece(self) -> float | None:
        """Mean gap weighted by counts, in [0, 1]; None without samples."""
        total = float(self.count.sum())
        return float(np.abs(self.confidence - self.hits).sum()) / total if total else None

    def ece_null(self) -> float | None:
        """95th percentile of the ECE of a perfectly calibrated model of these confidences."""
        full = self.count > 0
        count = self.count[full]
        total = float(count.sum())
        if not total:
            return None
        chance = np.clip(self.confidence[full] / count, 0, 1)
        spread = np.maximum(self.confidence[full] - self.squares[full], 0)
        mean = np.asarray([_deviation(*row) for row in zip(count, chance, spread, strict=True)])
        variance = float(np.maximum(spread - mean**2, 0).sum())
        if variance == 0:
            return float(mean.sum()) / total
        skewness = HALF_NORMAL_THIRD * float((spread**1.5).sum()) / variance**1.5
        return float(mean.sum() + math.sqrt(variance) * pearson3_quantile(0.95, skewness)) / total


def bin_of(top: NDArray[Any], edges: Floats = EQUAL_WIDTH) -> NDArray[np.int64]:
    """Which bin (a, b] holds each confidence, 0 to M - 1; -1 where it is NaN. Shape (n,)."""
    values = np.asarray(top, dtype=np.float64)
    return np.where(np.isnan(values), -1, np.searchsorted(edges[1:-1], values, side="left"))


def equal_mass_edges(top: NDArray[Any]) -> Floats:
    """Edges between equal chunks of the sorted confidences, as ``calibration_table`` places them.

    Equal confidences share a bin, so there may be fewer than 15.

    Args:
        top: In [0, 1], shape (n,); NaN is left out.
    """
    values = np.asarray(top, dtype=np.float64)
    ordered = np.sort(values[~np.isnan(values)])
    chunks = np.array_split(ordered, max(min(BINS, len(ordered)), 1))
    middles = np.unique([(low[-1] + high[0]) / 2 for low, high in pairwise(chunks)])
    return np.concatenate([[0.0], middles[(middles > 0) & (middles < 1)], [1.0]])


def wilson(share: Floats, count: Floats, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson score interval of shares in [0, 1]; NaN stays NaN."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    spread = share * (1 - share) / count + (z / (2 * count)) ** 2
    half = z * np.sqrt(spread) / (1 + z**2 / count)
    return np.maximum(centre - half, 0), np.minimum(centre + half, 1)


def binomial_quantiles(probabilities: Sequence[float], count: Floats, success: Floats) -> Floats:
    """Smallest k with P(X <= k) >= probability, X binomial: a row for each probability.

    Args:
        probabilities: In (0, 1), shape (P,).
        count: Trials, >= 0, shape (M,).
        success: Chance of each in [0, 1], shape (M,).

    Returns:
        Shape (P, M); 0 without trials.
    """
    sure = (count == 0) | (success <= 0) | (success >= 1)
    p = np.where(sure, 0.5, success)[:, None]  # a law that is a single point is put in at the end
    trials = count[:, None]
    mean, sd = trials * p, np.sqrt(trials * p * (1 - p))
    first = np.floor(np.maximum(mean - 10 * sd - 40, 0))
    last = np.minimum(np.floor(mean + 10 * sd + 40), trials)
    k = first + np.arange(int((last - first).max(initial=0)) + 1)
    # neighbours of the law differ by a simple factor: no factorial of a large number is needed
    inside = k[:, :-1] < last
    factor = np.log(np.where(inside, trials - k[:, :-1], 1) / (k[:, :-1] + 1)) + np.log(p / (1 - p))
    logs = np.concatenate([np.zeros_like(p), np.cumsum(factor, axis=1)], axis=1)
    logs = np.where(k <= last, logs, -np.inf)
    law = np.exp(logs - logs.max(axis=1, keepdims=True))
    reached = np.cumsum(law / law.sum(axis=1, keepdims=True), axis=1)
    wanted = np.asarray(probabilities)[:, None, None] * (1 - 1e-14)
    found = np.minimum(first[:, 0] + (reached < wanted).sum(axis=2), last[:, 0])
    return np.where(sure, np.where(success >= 1, count, 0), found)


def pearson3_quantile(probability: float, skewness: float) -> float:
    """Quantile of the Pearson type III law of mean 0, variance 1 and a skewness >= 0."""
    if skewness < NEARLY_NORMAL:
        normal = NormalDist().inv_cdf(probability)
        return normal + (normal**2 - 1) * skewness / 6
    shape = 4 / skewness**2
    low, high = 0.0, shape + 12 * math.sqrt(shape) + 40
    at = shape + math.sqrt(shape) * NormalDist().inv_cdf(probability)
    for _ in range(BISECTIONS):
        gap = _gamma_below(shape, at) - probability
        low, high = (at, high) if gap < 0 else (low, at)
        step = gap / math.exp((shape - 1) * math.log(at) - at - math.lgamma(shape))
        # Newton's, unless it leaves what is known to hold the quantile
        before, at = at, at - step if low < at - step < high else (low + high) / 2
        if abs(at - before) <= 1e-14 * at:
            break
    return (at - shape) / math.sqrt(shape)


def _gamma_below(shape: float, x: float) -> float:
    """P(X <= x), X unit-scale gamma: the regularised incomplete gamma function as a series."""
    if x <= 0:
        return 0.0
    # from x - shape on the terms fall as a normal law of variance x does; 60 more for a small x
    terms = min(int(max(x - shape, 0) + 9 * math.sqrt(x) + 60), SERIES)
    total = 1 + float(np.cumprod(x / (shape + np.arange(1, terms))).sum())
    return min(math.exp(shape * math.log(x) - x - math.lgamma(shape + 1)) * total, 1.0)


def _deviation(count: float, chance: float, spread: float) -> float:
    """E|hits - expected hits| of a bin, De Moivre's form, scaled to the bin's own variance."""
    equal_coins = count * chance * (1 - chance)
    if equal_coins <= 0:
        return 0.0
    best = min(math.floor(count * chance) + 1, count)
    ways = math.lgamma(count + 1) - math.lgamma(best + 1) - math.lgamma(count - best + 1)
    log_value = ways + best * math.log(chance) + (count - best + 1) * math.log1p(-chance)
    return 2 * best * math.exp(log_value) * math.sqrt(min(spread / equal_coins, 1.0))
