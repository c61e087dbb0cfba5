"""Targets by name: the teacher, a mix of two, an earlier stage's model, or the student's own past.

Nothing here loads torch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol

from pydantic import Field

from workbench.registries import MODELS, TARGETS
from workbench.specs.base import Kind, Pick
from workbench.specs.stage import TargetSpec
from workbench.specs.values import Bounds, Value

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.models.adapter import ModelAdapter
    from workbench.models.batch import Batch
    from workbench.models.taps import Taps


@dataclass(frozen=True)
class TargetContext:
    """What a target may use.

    Attributes:
        teacher: The run's teacher, frozen.
        open_model: Another trained model by its spec, frozen.
        open_stage: The model of an earlier stage by its name, frozen.
        num_rows: Rows of the whole data set.
        train_ids: Ids of the training rows, int64, shape (n,).
        num_classes: Of the data.
    """

    teacher: ModelAdapter
    open_model: Callable[[Any], ModelAdapter]
    open_stage: Callable[[str], ModelAdapter]
    num_rows: int
    train_ids: Tensor
    num_classes: int


@dataclass(frozen=True)
class Moment:
    """When a target is asked.

    Attributes:
        step: Optimiser steps done.
        steps: Of the whole stage.
        epoch: Passes done, from 0.
        epochs: Of the whole stage, >= 1; the last may be a part of one.
    """

    step: int
    steps: int
    epoch: int
    epochs: int


class Target(Protocol):
    """A built target.

    One that has a state of its own keeps it as tensors: they go into every checkpoint.
    """

    follows_student: bool
    """Whether it is asked with what the student says of the batch, after it has said so."""

    @property
    def draws(self) -> bool:
        """Whether a network runs for each batch, so that it must be seeded."""

    def want(self, taps: Collection[str]) -> None:
        """Which taps the terms read from now on; logits always come."""

    def prepare(
        self,
        num_rows: int,
        rows: Tensor,
        fetch: Callable[[Tensor], Tensor],
        progress: Callable[[float], None],
    ) -> None:
        """Look up beforehand what never changes."""

    def __call__(
        self, batch: Batch, values: Mapping[str, float], moment: Moment, student: Taps | None
    ) -> Taps:
        """Taps to match on a batch.

        Args:
            batch: The rows.
            values: Live parameters at this step.
            moment: When.
            student: What the student says of them, if the target follows the student.

        Returns:
            By tap name; under ``known`` (bool, shape (B,)) rows of which it says something, if not
            all: losses of single samples leave the others out.
        """

    def after_step(self, batch: Batch, student: Taps) -> None:
        """The student has learned from this batch; ``student`` is what it said before."""

    def state(self) -> Mapping[str, Tensor]:
        """What it remembers, by name; empty if nothing."""

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put back what :meth:`state` gave.

        Raises:
            BadFile: If it is of other rows or classes; names both sizes.
        """


class Memoryless:
    """What a target that neither learns nor remembers says of itself."""

    follows_student = False

    def after_step(self, batch: Batch, student: Taps) -> None:
        """It does not learn."""

    def state(self) -> Mapping[str, Tensor]:
        """What it looks up can be looked up again."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to put back."""


class TargetKind(TargetSpec):
    """Base of all kinds of targets."""

    live: ClassVar[tuple[str, ...]] = ()
    shaped_like: ClassVar[Literal["teacher", "student"]] = "teacher"
    """Whose layers it gives: learned parts of terms are built for their shapes."""

    @abstractmethod
    def build(self, context: TargetContext) -> Target:
        """The target for this teacher."""

    def knobs(self) -> dict[str, Value]:
        """Live parameters and their values."""
        return {name: getattr(self, name) for name in self.live}


@TARGETS.register("teacher")
class TeacherTarget(TargetKind):
    """The teacher's own answers."""

    def build(self, context: TargetContext) -> Target:
        from workbench.targets.teacher import FrozenTeacher

        return FrozenTeacher(context.teacher)


@TARGETS.register("mix")
class MixTarget(TargetKind):
    """Probabilities of two teachers, mixed; layers are the first teacher's."""

    live: ClassVar[tuple[str, ...]] = ("share",)
    other: Annotated[Kind, Pick(MODELS)] = Field(
        description="The second teacher: a trained model (run:, path:, hub:)."
    )
    share: Annotated[Value, Bounds(0.0, 1.0)] = Field(
        0.5, description="Share of the second teacher: 0 is the first alone."
    )

    def build(self, context: TargetContext) -> Target:
        from workbench.targets.mix import MixedTeachers
        from workbench.targets.teacher import FrozenTeacher

        other = context.open_model(self.other)
        return MixedTeachers(FrozenTeacher(context.teacher), FrozenTeacher(other))


@TARGETS.register("stage")
class StageTarget(TargetKind):
    """What the student of an earlier stage says, layers included."""

    shaped_like: ClassVar[Literal["teacher", "student"]] = "student"
    stage: str = Field(description="Name of the stage, which stands before this one.")

    def build(self, context: TargetContext) -> Target:
        from workbench.targets.teacher import FrozenTeacher

        return FrozenTeacher(context.open_stage(self.stage))


@TARGETS.register("past")
class PastTarget(TargetKind):
    """The label mixed with what the student itself said of the row an epoch ago.

    ``share`` grows with the epochs: in epoch e of E it is ``share (e + 1) / E``, 0 being the label
    alone; before a row was seen its past is its label. A row whose label is withheld has no
    target and does not count; a loss of the batch as a set is given what the student says now.

    Reference:
        Kim et al. 2021 (PS-KD), arXiv:2006.12000.
    """

    live: ClassVar[tuple[str, ...]] = ("share",)
    shaped_like: ClassVar[Literal["teacher", "student"]] = "student"
    share: Annotated[Value, Bounds(0.0, 1.0)] = Field(
        0.8, description="Of the past in the last epoch (the paper's alpha_T)."
    )

    def build(self, context: TargetContext) -> Target:
        from workbench.targets.past import PastPredictions

        return PastPredictions(context.train_ids, context.num_rows, context.num_classes)
