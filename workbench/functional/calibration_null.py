"""How much miscalibration is chance: intervals a bin, and ECE of a perfectly calibrated model.

Unusual here: nothing is simulated and no random number drawn. Under perfect calibration a bin's
hits are a sum of coin tosses with known chances, so the mean of |gap| is a closed form (De Moivre)
and the sum over bins is fitted by its first three moments.
Shapes: M = bins.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.functional.quantiles import (
    binomial_quantile,
    normal_quantile,
    pearson3_quantile,
)
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from workbench.functional.calibration import ReliabilityTable
else:
    torch = LazyModule("torch")


HALF_NORMAL_THIRD = math.sqrt(2 / math.pi) * (4 / math.pi - 1)
"""Third central moment of |Z|, Z standard normal."""


def wilson_interval(
    num_correct: Tensor | float, count: Tensor | float, confidence: float = 0.95
) -> tuple[Tensor, Tensor]:
    """Wilson score interval of a share.

    Args:
        num_correct: Hits, >= 0, any shape.
        count: Trials, >= hits, same shape.
        confidence: Coverage in (0, 1).

    Returns:
        Low and high end in [0, 1], float64; NaN where count is 0.

    Reference:
        Wilson 1927, JASA 22.
    """
    z = normal_quantile((1 + confidence) / 2)
    hits = torch.as_tensor(num_correct, dtype=torch.float64)
    trials = torch.as_tensor(count, dtype=torch.float64)
    share = hits / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    spread = share * (1 - share) / trials + (z / (2 * trials)).square()
    half = z * spread.sqrt() / (1 + z**2 / trials)
    # clamp: at 0 or all hits the exact end is 0 or 1, rounding may pass it
    return (centre - half).clamp_min(0.0), (centre + half).clamp_max(1.0)


def calibration_band(table: ReliabilityTable, coverage: float = 0.95) -> tuple[Tensor, Tensor]:
    """Where each bin's accuracy lies by chance if its mean confidence is right.

    Exact binomial quantiles, each bin on its own.

    Args:
        table: Reliability table.
        coverage: Share of chance results inside, in (0, 1).

    Returns:
        Low and high accuracy in [0, 1], float64, shape (M,); NaN where the bin is empty.
    """
    rows = table.compute()
    count = rows.count.double()
    tail = (1 - coverage) / 2
    low = binomial_quantile(tail, rows.count, rows.mean_confidence)
    high = binomial_quantile(1 - tail, rows.count, rows.mean_confidence)
    return low / count, high / count


def ece_null(table: ReliabilityTable, *, quantile: float = 0.95) -> tuple[float, float]:
    """ECE that a perfectly calibrated model with these confidences shows by chance.

    Agrees with simulation to about 1 % in the mean and 2 % in the quantile from n = 50 on.

    Args:
        table: Reliability table; its hits are not looked at.
        quantile: Of the chance distribution, in (0, 1).

    Returns:
        Mean and ``quantile`` of ECE, in [0, 1]; NaN without samples.
    """
    full = table.count > 0
    count = table.count[full].double()
    total = float(count.sum())
    if total == 0:
        return float("nan"), float("nan")
    chance = (table.sum_confidence[full] / count).clamp(0.0, 1.0)
    spread = (table.sum_confidence[full] - table.sum_squared_confidence[full]).clamp_min(0.0)
    mean = _mean_deviation(count, chance, spread)
    variance = (spread - mean.square()).clamp_min(0.0).sum()
    third = HALF_NORMAL_THIRD * spread.pow(1.5).sum()
    if float(variance) == 0:
        return float(mean.sum()) / total, float(mean.sum()) / total
    skewness = third / variance.pow(1.5)
    upper = mean.sum() + variance.sqrt() * pearson3_quantile(quantile, skewness)
    return float(mean.sum()) / total, float(upper) / total


def _mean_deviation(count: Tensor, chance: Tensor, spread: Tensor) -> Tensor:
    """E|hits - expected hits| of each bin, De Moivre's form of the binomial.

    Scaled to the bin's own variance ``spread``: coins of unequal chance vary less than equal ones.
    """
    best = (count * chance).floor() + 1
    best = torch.minimum(best, count)  # chance 1: the factor (1 - p) below is 0 anyway
    log_ways = torch.lgamma(count + 1) - torch.lgamma(best + 1) - torch.lgamma(count - best + 1)
    log_value = (
        log_ways + torch.xlogy(best, chance) + torch.special.xlog1py(count - best + 1, -chance)
    )
    equal_coins = count * chance * (1 - chance)
    ratio = torch.where(equal_coins > 0, spread / equal_coins, 0.0).clamp_max(1.0)
    deviation: Tensor = 2 * best * log_value.exp() * ratio.sqrt()
    return deviation
