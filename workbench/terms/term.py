"""What a term is: spec on one side, module on the other.

A term answers: how far is the student from the target, for each unit of the batch?
Shapes: B = sample, U = unit (a sample, or 1 for a set statistic).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from workbench.errors import BadInput
from workbench.functional.metadata import Pull
from workbench.specs.stage import TermSpec
from workbench.specs.values import Bounds, Value

if TYPE_CHECKING:
    from torch import Tensor, nn

    from workbench.models.adapter import ModelAdapter
    from workbench.models.batch import Batch
    from workbench.models.taps import Taps

OUTSIDE = frozenset({"weight"})
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
        teacher_means: Makes the teacher's mean probabilities of each class over the training rows
            with a visible label, shape (K, K), NaN for a class without any; None where no teacher
            may be asked.
        input_size: Of one example as the student's network sees it, (C, H, W); None if unknown.
    """

    student_shapes: Shapes
    teacher_shapes: Shapes
    student_stages: Sequence[str]
    teacher_stages: Sequence[str]
    seed: int
    train_ids: Tensor | None = None
    train_labels: Tensor | None = None
    teacher_means: Callable[[], Tensor] | None = None
    input_size: tuple[int, ...] | None = None

    def images(self, use: str) -> tuple[int, int, int]:
        """Channels, rows and columns of what the student sees.

        Raises:
            BadInput: If it sees no images; ``use`` names the term.
        """
        if self.input_size is None or len(self.input_size) != 3:
            raise BadInput(f"{use}: needs images; the student sees {self.input_size or 'nothing'}.")
        channels, height, width = self.input_size
        return channels, height, width

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
        log: Further numbers of each unit that are worth a look, by name, shape (U,).
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


class View(Protocol):
    """The student's answer to a batch that is shown otherwise: mixed, masked, augmented.

    A term that reads one lists it in an attribute ``views``; its taps are ``NAME:TAP``.
    """

    name: str

    def __call__(self, model: ModelAdapter, batch: Batch, seed: int, step: int) -> Taps:
        """Taps under their own names; what is drawn is a pure function of (seed, step, id)."""


class Term(Protocol):
    """A built term. If it learns, :attr:`module` holds the learned part.

    Three attributes more, where they apply: ``views``, a list of :class:`View`; ``logs``, the names
    under which :attr:`TermValue.log` has a number a sample; ``played``, parts by name that a
    player trains and the stage's optimiser does not.
    """

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

    def frame(self) -> dict[str, Any]:
        """Everything but its weight and its live parameters: a term of another frame is built."""
        return {
            key: value for key, value in self.full().items() if key not in OUTSIDE | {*self.live}
        }

    def bounds(self, name: str) -> Bounds:
        """Allowed numbers of a live parameter."""
        return self.live[name]

    def knobs(self) -> dict[str, Value]:
        """Live parameters and their values, weight excluded."""
        return {name: getattr(self, name) for name in self.live}
