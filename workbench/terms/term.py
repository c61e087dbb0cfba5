"""What a term is: spec on one side, module on the other.

A term answers: how far is the student from the target, for each unit of the batch?
Shapes: B = sample, U = unit (a sample, or 1 for a set statistic).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from workbench.functional.metadata import Pull
from workbench.specs.stage import TermSpec
from workbench.specs.values import Bounds, Value

if TYPE_CHECKING:
    from torch import Tensor, nn

    from workbench.models.batch import Batch
    from workbench.models.taps import Taps

Shapes = Callable[[Collection[str]], Mapping[str, tuple[int, ...]]]
"""Tap names to shapes without the batch."""


@dataclass(frozen=True)
class TermContext:
    """What a term may know when it is built.

    Attributes:
        student_shapes: Shapes of the student's taps.
        teacher_shapes: Shapes of the target's taps.
        student_stages: The student's normalised stages, first to last (``stage1``, ...).
        teacher_stages: The target's.
        seed: Of the term's own initial weights.
        train_ids: Ids of the rows that are trained on, int64, shape (n,); None if unknown.
        train_labels: Their labels as the student may see them, int64, shape (n,), -1 where
            withheld; None if unknown.
    """

    student_shapes: Shapes
    teacher_shapes: Shapes
    student_stages: Sequence[str]
    teacher_stages: Sequence[str]
    seed: int
    train_ids: Tensor | None = None
    train_labels: Tensor | None = None

    @property
    def num_classes(self) -> int:
        """Length of the student's logits."""
        return self.student_shapes(["logits"])["logits"][0]

    def shapes(self, taps: tuple[str, str]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of a tap of the student and one of the target, without the batch."""
        own, their = taps
        return self.student_shapes([own])[own], self.teacher_shapes([their])[their]


class TermValue(NamedTuple):
    """Result of a term on a batch.

    Attributes:
        value: One entry a unit, shape (U,), or a scalar for a set statistic.
        weight: Validity of each unit, shape (U,): bool, or a number from 0 to 1; None counts all.
        log: Further numbers worth a curve, by name.
    """

    value: Tensor
    weight: Tensor | None = None
    log: Mapping[str, Tensor] = MappingProxyType({})

    def reduced(self) -> Tensor:
        """Sum of value x weight over sum of weight; 0 where no unit is valid. Scalar."""
        if self.weight is None:
            return self.value.mean()
        # `where` keeps a masked unit's NaN out; clamp keeps 0/0 out: no valid unit gives exactly 0
        if not self.weight.is_floating_point():  # bool
            return self.value.where(self.weight, 0.0).sum() / self.weight.sum().clamp_min(1)
        masked = (self.value * self.weight).where(self.weight > 0, 0.0)
        return masked.sum() / self.weight.sum().clamp_min(1e-12)


class Term(Protocol):
    """A built term. If it learns, :attr:`module` holds the learned part."""

    student_taps: Collection[str]
    target_taps: Collection[str]

    @property
    def module(self) -> nn.Module | None:
        """What is learned or remembered, if anything."""

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Value a unit; ``values`` holds the term's live parameters at this step."""


class TermKind(TermSpec):
    """Base of all kinds of terms; subclasses add parameters as fields and say what they are."""

    summary: ClassVar[str]
    paper: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    pull: ClassVar[Pull]
    unit: ClassVar[str] = "nats"
    live: ClassVar[Mapping[str, Bounds]] = {}

    @abstractmethod
    def build(self, context: TermContext) -> Term:
        """The term for this pair of models."""

    def knobs(self) -> dict[str, Value]:
        """Live parameters and their values, weight excluded."""
        return {name: getattr(self, name) for name in self.live}
