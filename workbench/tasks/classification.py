"""One class for each sample.

Shapes: B = sample, K = class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from workbench.errors import BadData
from workbench.functional.calibration import (
    ReliabilityTable,
    confidence_and_correct_from_logits,
    ece_null,
    expected_calibration_error_from_logits,
)
from workbench.functional.guards import at_least_float32, positive
from workbench.functional.scoring import nll
from workbench.functional.selective import area_under_risk_coverage_from_logits
from workbench.registries import TASKS
from workbench.tasks.task import Task, Unit

if TYPE_CHECKING:
    from torch import Tensor


@TASKS.register("classification")
class Classification(Task):
    """One class for each sample; judged by accuracy."""

    use: Literal["classification"] = "classification"
    unit: ClassVar[Unit] = "sample"
    metric: ClassVar[str] = "accuracy"
    label_shape: ClassVar[tuple[int, ...]] = ()

    def probabilities(self, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Softmax of ``logits / temperature`` over the last axis."""
        positive("temperature", temperature, usual="1 to 10")
        return (at_least_float32(logits) / temperature).softmax(-1)

    def evaluate(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """Accuracy, negative log-likelihood, calibration error, and risk over coverage.

        Args:
            logits: Raw scores, shape (B, K).
            labels: Class numbers, int64, shape (B,).

        Returns:
            ``accuracy`` in [0, 1]; ``nll`` in nats, >= 0; ``ece`` in [0, 1] (15 equal-width,
            right-closed bins of the largest probability); ``aurc`` in [0, 1], the mean error
            rate of the surest rows over all coverages: less is better.

        Raises:
            BadData: If there is no row, not one label for each row, or a label is no class
                number.
        """
        if logits.ndim != 2 or labels.shape != logits.shape[:1]:
            raise BadData(
                f"classification: scores have shape {tuple(logits.shape)}, labels have "
                f"{tuple(labels.shape)}; (B, K) and (B,) are needed, one class number a sample."
            )
        if not len(labels):
            raise BadData("classification: no row to evaluate; the split is empty.")
        low, high = int(labels.min()), int(labels.max())
        if low < 0 or high >= logits.shape[1]:
            raise BadData(
                f"classification: labels from {low} to {high}, but scores for "
                f"{logits.shape[1]} classes; 0 to {logits.shape[1] - 1} are allowed. Evaluate "
                "with `fetch_full`, which shows all labels, and a model of this data set."
            )
        correct = (logits.argmax(-1) == labels).double()
        return {
            "accuracy": float(correct.mean()),
            "nll": nll(logits, labels),
            "ece": expected_calibration_error_from_logits(logits, labels),
            "aurc": area_under_risk_coverage_from_logits(logits, labels),
        }

    def chance(self, logits: Tensor) -> dict[str, float]:
        """``ece_null_p95``: the ECE that a calibrated model with these confidences rarely passes.

        Args:
            logits: Raw scores, finite, shape (B, K).

        Returns:
            In [0, 1], by the bins of ``ece``; one calibrated model in twenty has more.
        """
        table = ReliabilityTable()
        # Against its own answers: the null looks at confidences only, and no label is needed.
        table.update(*confidence_and_correct_from_logits(logits, logits.argmax(-1)))
        return {"ece_null_p95": ece_null(table)[1]}
