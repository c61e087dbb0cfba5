"""Targets by name: the teacher as it is, or a mix of two teachers; nothing here loads torch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol

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
    """

    teacher: ModelAdapter
    open_model: Callable[[Any], ModelAdapter]


class Target(Protocol):
    """A built target."""

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

    def __call__(self, batch: Batch, values: Mapping[str, float]) -> Taps:
        """Taps to match on a batch; ``values`` holds the live parameters at this step."""


class TargetKind(TargetSpec):
    """Base of all kinds of targets."""

    live: ClassVar[tuple[str, ...]] = ()

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
