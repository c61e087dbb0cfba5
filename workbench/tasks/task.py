"""What a task answers: what is a prediction, of which unit, and how is it judged?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from workbench.specs.base import Kind

if TYPE_CHECKING:
    from torch import Tensor

Unit = Literal["sample", "token", "pixel", "row"]
"""What has one prediction and one loss value."""


class Task(Kind, ABC):
    """A task by name, as in ``task: classification``.

    Attributes:
        unit: What has one prediction.
        metric: Name of the headline number in what :meth:`evaluate` returns; higher is better.
        label_shape: Extents of the label of one unit: ``()`` for a class number.
    """

    unit: ClassVar[Unit]
    metric: ClassVar[str]
    label_shape: ClassVar[tuple[int, ...]]

    @abstractmethod
    def probabilities(self, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
        """Probabilities of raw scores.

        Args:
            logits: Raw scores, classes last.
            temperature: Softening > 0, dimensionless; 1 leaves them as the model means them.

        Returns:
            Same shape, at least float32.

        Raises:
            ValueError: If ``temperature`` is not positive.
        """

    @abstractmethod
    def evaluate(self, logits: Tensor, labels: Tensor) -> dict[str, float]:
        """How good the scores are against the truth, by name; contains :attr:`metric`.

        Args:
            logits: Raw scores, classes last.
            labels: The truth of each unit.

        Raises:
            BadData: If there is nothing to judge, or a unit has no label.
        """

    def chance(self, logits: Tensor) -> dict[str, float]:
        """What chance alone explains of :meth:`evaluate`, by name; empty where nothing is known.

        Args:
            logits: Raw scores, classes last.
        """
        return {}
