"""Proper scores of probabilities, and the temperature that makes them best.

Unusual here: NLL reads logits only, so it is infinite only where it truly is; the temperature is
found by bracketed Newton steps in 1/T, where NLL is convex and the answer unique.
Shapes: n = samples, C = classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.functional.guards import exactly, labels_match
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")


COLDEST, HOTTEST = 1e-3, 1e3
NEWTON_STEPS = 100


def nll(logits: Tensor, labels: Tensor) -> float:
    """Mean negative log-likelihood of the true labels.

    Args:
        logits: Raw scores, shape (n, C).
        labels: Class numbers, shape (n,).

    Returns:
        Nats a sample, >= 0.
    """
    labels_match("nll", logits, labels)
    return float(F.cross_entropy(exactly(logits), labels.cpu()))


def brier_score(probs: Tensor, labels: Tensor) -> float:
    """Mean squared distance between probabilities and the true label, summed over classes.

    Args:
        probs: Rows sum to 1, shape (n, C).
        labels: Class numbers, shape (n,).

    Returns:
        In [0, 2]; other texts halve it, or divide it by C.
    """
    labels_match("brier_score", probs, labels)
    probs, labels = probs.detach().cpu(), labels.cpu()
    at_label = probs.gather(1, labels[:, None]).squeeze(1).double()
    squares = torch.linalg.vector_norm(probs, dim=1, dtype=torch.float64).square()
    return float((squares - 2 * at_label + 1).clamp_min(0).mean())


def mean_entropy(probs: Tensor) -> float:
    """Mean Shannon entropy of the rows, nats, in [0, ln C]."""
    return float(torch.special.entr(exactly(probs)).sum(-1).mean())


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Temperature T that minimises the NLL of ``logits / T``.

    Fit it on another split than the one reported.

    Args:
        logits: Raw scores, shape (n, C).
        labels: Class numbers, shape (n,).

    Returns:
        T in [0.001, 1000]; a bound where NLL has no minimum (every row right: 0.001).

    Raises:
        ValueError: If shapes do not fit or there is no row.

    Reference:
        Guo et al. 2017, arXiv:1706.04599, §4.2.
    """
    labels_match("fit_temperature", logits, labels)
    if len(labels) == 0:
        raise ValueError("fit_temperature: got no row. Give a labelled validation split.")
    scores, labels = exactly(logits), labels.cpu()
    scores = scores - scores.amax(1, keepdim=True)
    at_label = scores.gather(1, labels[:, None]).squeeze(1).mean()

    def slopes(beta: float) -> tuple[float, float]:
        """First and second derivative of the mean NLL in beta = 1/T."""
        p = (scores * beta).softmax(1)
        mean = (p * scores).sum(1)
        spread = (p * (scores - mean[:, None]).square()).sum(1)
        return float(mean.mean() - at_label), float(spread.mean())

    low, high, beta = 1 / HOTTEST, 1 / COLDEST, 1.0
    if slopes(high)[0] <= 0:
        return COLDEST
    if slopes(low)[0] >= 0:
        return HOTTEST
    for _ in range(NEWTON_STEPS):
        slope, curvature = slopes(beta)
        low, high = (low, beta) if slope > 0 else (beta, high)
        step = beta - slope / curvature if curvature > 0 else low
        # outside the bracket Newton is lost: halve it on the log scale, where T lives
        following = step if low < step < high else (low * high) ** 0.5
        if abs(following - beta) <= 1e-12 * beta:
            break
        beta = following
    return 1 / beta
