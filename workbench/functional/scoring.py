"""Proper scores of probabilities, alone or in one pass, and the temperature that is best.

Unusual here: NLL reads logits only, so it is infinite only where it truly is; NLL, Brier score,
accuracy and reliability come out of one pass over raw scores that costs less than a softmax; the
temperature is found by bracketed Newton steps in 1/T, where NLL is convex and the answer unique.
Shapes: n = samples, C = classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.functional.calibration_table import NUM_BINS, Closed, ReliabilityTable
from workbench.functional.confidence import at_labels, chunk_rows, in_chunks, row_sums
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


@dataclass(frozen=True)
class Scores:
    """How good the predictions of one model are; means over samples.

    Attributes:
        num_samples: Samples, n.
        accuracy: Share of samples whose (first) best class is the label, in [0, 1].
        nll: Negative log-likelihood of the label, nats, >= 0.
        brier: Squared distance to the one-hot label, summed over classes, in [0, 2].
        ece: Expected calibration error of the table's bins, in [0, 1].
        confidence: Mean of the largest probability, in [0, 1].
    """

    num_samples: int
    accuracy: float
    nll: float
    brier: float
    ece: float
    confidence: float


class ScoreTable:
    """Accuracy, NLL, Brier score and reliability from one pass over raw scores.

    Grows by batches, and tables of equal bins add up. Rows are computed in the dtype of the
    scores (at least float32), their sums in float64.

    Args:
        num_bins: Bins of the reliability table.
        closed: Which edge a bin owns.

    Attributes:
        reliability: The table of the same samples.

    Example:
        >>> table = ScoreTable()
        >>> table.update(torch.tensor([[2.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
        >>> round(table.compute().nll, 4), table.compute().accuracy
        (0.41, 0.5)
    """

    def __init__(self, num_bins: int = NUM_BINS, *, closed: Closed = "right") -> None:
        self.reliability = ReliabilityTable(num_bins, closed=closed)
        self._nll = torch.zeros((), dtype=torch.float64)
        self._brier = torch.zeros((), dtype=torch.float64)

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Add samples.

        Args:
            logits: Raw scores, shape (n, C).
            labels: Class numbers, shape (n,), none withheld.

        Raises:
            ValueError: If shapes do not fit, a label is withheld or a score is not finite.
        """
        sums = row_sums(logits, labels)
        confidence = sums.mass.reciprocal()
        self.reliability.update(confidence, sums.correct)
        gap = exactly(sums.at_label) - exactly(sums.top)
        mass = exactly(sums.mass)
        self._nll += (mass.log() - gap).sum()
        # |p - one-hot|² = |p|² - 2 p_label + 1
        at_label = gap.exp() / mass
        squares = exactly(sums.squares) / mass.square()
        self._brier += (squares - 2 * at_label + 1).clamp_min_(0).sum()

    def merge(self, other: ScoreTable) -> ScoreTable:
        """Add another table of the same bins to this one; returns this one.

        Raises:
            ValueError: If bins differ.
        """
        self.reliability.merge(other.reliability)
        self._nll += other._nll
        self._brier += other._brier
        return self

    def compute(self) -> Scores:
        """Means over the samples so far; NaN without any."""
        table = self.reliability
        num = int(table.count.sum())
        over = num or float("nan")
        return Scores(
            num_samples=num,
            accuracy=int(table.sum_correct.sum()) / over,
            nll=float(self._nll) / over,
            brier=float(self._brier) / over,
            ece=table.ece(),
            confidence=float(table.sum_confidence.sum()) / over,
        )


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
    labels = labels.cpu()
    scores = torch.empty(min(chunk_rows(logits), len(labels)), logits.shape[1], dtype=torch.float64)
    weights = torch.empty_like(scores)

    def slopes(beta: float) -> tuple[float, float]:
        """First and second derivative of the mean NLL in beta = 1/T."""
        slope, curvature = 0.0, 0.0
        for chunk, chunk_labels in in_chunks(logits, labels):  # float64, but a cacheful of it
            z = scores[: len(chunk)].copy_(chunk)
            z -= z.amax(1, keepdim=True)
            weight = torch.mul(z, beta, out=weights[: len(chunk)]).exp_()
            mass = weight.sum(1)
            mean = torch.linalg.vecdot(weight, z) / mass
            square = torch.linalg.vecdot(weight.mul_(z), z) / mass
            slope += float((mean - at_labels(z, chunk_labels)).sum())
            curvature += float((square - mean.square()).sum())
        return slope / len(labels), curvature / len(labels)

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
