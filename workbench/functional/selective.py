"""How well confidence sorts right answers from wrong ones: risk over coverage.

Unusual here: rows of equal confidence have no order of their own, so within a tie the errors are
spread evenly; the area then does not depend on the order of the rows.
Shapes: n = samples, C = classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.functional.confidence import confidence_and_correct_from_logits
from workbench.functional.guards import exactly
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def area_under_risk_coverage(confidence: Tensor, correct: Tensor) -> float:
    """Mean over all coverages of the error rate among the surest rows (AURC); less is better.

    At coverage k / n only the k surest rows are answered; their error rate is the risk. The area
    is the mean risk over k = 1 to n. Some texts print it times 1000.

    Args:
        confidence: Any number that is larger where the network is surer, shape (n,).
        correct: Whether the prediction is right, bool, shape (n,).

    Returns:
        In [0, 1]; 0 where every row is right; the error rate where all are equally sure.

    Raises:
        ValueError: If there is no row, the shapes differ, or a confidence is NaN.

    Reference:
        Geifman, Uziel, El-Yaniv 2019, arXiv:1805.08206, §2.
    """
    if confidence.dim() != 1 or confidence.shape != correct.shape:
        raise ValueError(
            f"area_under_risk_coverage: confidence has shape {tuple(confidence.shape)}, correct "
            f"has {tuple(correct.shape)}; one of each a row, (n,), is needed."
        )
    if not len(confidence):
        raise ValueError("area_under_risk_coverage: got no row. Give a labelled split.")
    if bool(confidence.isnan().any()):
        raise ValueError("area_under_risk_coverage: a confidence is NaN; the network has diverged.")
    wrong = exactly(~correct.bool())
    surest = exactly(confidence)
    _, group, sizes = torch.unique(-surest, return_inverse=True, return_counts=True)
    errors = torch.zeros(len(sizes), dtype=torch.float64).index_add_(0, group, wrong)
    spread = (errors / sizes).repeat_interleave(sizes)
    coverage = torch.arange(1, len(wrong) + 1, dtype=torch.float64)
    return float((spread.cumsum(0) / coverage).mean())


def area_under_risk_coverage_from_logits(logits: Tensor, labels: Tensor) -> float:
    """As :func:`area_under_risk_coverage`, with the largest probability as confidence.

    Args:
        logits: Raw scores, shape (n, C).
        labels: Class numbers, int64, shape (n,), none withheld.
    """
    confidence, correct = confidence_and_correct_from_logits(exactly(logits), labels.cpu())
    return area_under_risk_coverage(confidence, correct)
