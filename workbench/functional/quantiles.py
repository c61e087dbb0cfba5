"""Quantiles that torch lacks: gamma, Pearson III, binomial, normal, Student's t; float64.

Unusual here: written on torch's own special functions and bisection, so that a refresh of a view
imports no statistics library.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


BISECTIONS = 60
NEARLY_NORMAL = 1e-3
"""Skewness below which Pearson III is replaced by the normal; the difference is below 2e-4."""


def normal_quantile(probability: float) -> float:
    """Standard normal quantile.

    Raises:
        ValueError: If ``probability`` is not strictly between 0 and 1.
    """
    _inside_unit("quantile", probability)
    return NormalDist().inv_cdf(probability)


def student_t_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t law; exact but for rounding, without tables and without torch.

    Args:
        probability: In (0, 1).
        degrees: Of freedom, a whole number >= 1.

    Raises:
        ValueError: If one of them is out of range.

    Reference:
        Abramowitz, Stegun 1964, 26.7.3 and 26.7.4: the law as a finite sum in an angle.

    Example:
        >>> round(student_t_quantile(0.975, 4), 4)
        2.7764
    """
    _inside_unit("probability", probability)
    if degrees < 1:
        raise ValueError(f"`degrees` must be a whole number >= 1, got {degrees!r}.")
    within = abs(2 * probability - 1)  # mass between the quantile and its mirror image
    low, high = 0.0, math.pi / 2
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, degrees) < within else (low, middle)
    quantile = math.sqrt(degrees) * math.tan((low + high) / 2)
    return math.copysign(quantile, probability - 0.5) if within else 0.0


def pearson3_quantile(probability: float, skewness: Tensor) -> Tensor:
    """Quantile of the Pearson type III law of mean 0, variance 1 and the given skewness.

    A shifted gamma (a shifted chi-square at skewness sqrt 8); the normal at skewness 0.

    Args:
        probability: In (0, 1).
        skewness: Any shape, any sign; NaN stays NaN.

    Returns:
        Float64, shape of ``skewness``.
    """
    normal = normal_quantile(probability)
    skewness = skewness.detach().cpu().double()
    flat = skewness.abs() < NEARLY_NORMAL
    magnitude = torch.where(flat | skewness.isnan(), 1.0, skewness.abs())
    shape = 4 / magnitude.square()
    upper = (_gamma_quantile(probability, shape) - shape) / shape.sqrt()
    lower = -(_gamma_quantile(1 - probability, shape) - shape) / shape.sqrt()
    value = torch.where(skewness > 0, upper, lower)
    # second-order Cornish-Fisher where the gamma's shape parameter would be huge
    near_normal = normal + (normal**2 - 1) * skewness / 6
    return torch.where(flat | skewness.isnan(), near_normal, value)


def binomial_quantile(probability: float, count: Tensor, success: Tensor) -> Tensor:
    """Smallest k with P(X <= k) >= probability, X binomial; exact for any count.

    Args:
        probability: In (0, 1).
        count: Trials, whole numbers >= 0, shape (N,).
        success: Chance of each trial in [0, 1], shape (N,); NaN where count is 0 is allowed.

    Returns:
        Float64 whole numbers, shape (N,); 0 where count is 0.
    """
    _inside_unit("probability", probability)
    values = [
        _one_binomial_quantile(probability, int(trials), float(chance))
        for trials, chance in zip(count.tolist(), success.tolist(), strict=True)
    ]
    return torch.tensor(values, dtype=torch.float64, device=count.device)


def binomial_log_pmf(successes: Tensor, count: int, success: float) -> Tensor:
    """Log-probability of each number of successes, float64."""
    k = successes.double()
    total = torch.tensor(float(count), dtype=torch.float64)
    ways = torch.lgamma(total + 1) - torch.lgamma(k + 1) - torch.lgamma(total - k + 1)
    chance = torch.tensor(success, dtype=torch.float64)
    weight: Tensor = ways + torch.xlogy(k, chance) + torch.special.xlog1py(total - k, -chance)
    return weight


def _t_within(angle: float, degrees: int) -> float:
    """P(|t| < sqrt(degrees) tan(angle)), a finite sum."""
    sine, cosine = math.sin(angle), math.cos(angle)
    if degrees % 2 == 0:
        term, total = 1.0, 1.0
        for k in range(2, degrees - 1, 2):
            term *= cosine * cosine * (k - 1) / k
            total += term
        return sine * total
    term, total = cosine, cosine if degrees > 1 else 0.0
    for k in range(3, degrees - 1, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + sine * total)


def _one_binomial_quantile(probability: float, count: int, success: float) -> float:
    if count == 0 or success <= 0:
        return 0.0
    if success >= 1:
        return float(count)
    mean, sd = count * success, (count * success * (1 - success)) ** 0.5
    first = max(0, int(mean - 10 * sd - 40))  # mass outside is below 1e-20
    last = min(count, int(mean + 10 * sd + 40))
    window = torch.arange(first, last + 1)
    pmf = binomial_log_pmf(window, count, success).exp()
    below = torch.searchsorted((pmf / pmf.sum()).cumsum(0), probability * (1 - 1e-14))
    return float(min(first + int(below), last))


def _gamma_quantile(probability: float, shape: Tensor) -> Tensor:
    """Unit-scale gamma quantile by bisection of the regularised incomplete gamma function."""
    low = torch.zeros_like(shape)
    high = shape + 40 * shape.sqrt() + 40
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = torch.special.gammainc(shape, middle) < probability
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def _inside_unit(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"`{name}` must be strictly between 0 and 1, got {value!r}. Usual: 0.95.")
