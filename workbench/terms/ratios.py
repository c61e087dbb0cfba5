"""Networks that give each sample the ratio of a mix, by name; nothing here loads torch."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from workbench.errors import BadInput
from workbench.registries import RATIOS
from workbench.specs.base import Kind
from workbench.terms.term import TermContext

if TYPE_CHECKING:
    from workbench.terms.fusion_net import RatioNetwork


class RatioKind(Kind):
    """Base of all kinds of ratio networks."""

    summary: ClassVar[str]
    paper: ClassVar[str]

    @abstractmethod
    def build(self, context: TermContext) -> RatioNetwork:
        """The network for this pair of models; initial weights follow ``context.seed``."""


@RATIOS.register("geometry")
class GeometryRatio(RatioKind):
    """TGeo-KD's fusion net: the ratio from the triangle of student, teacher and truth.

    The student's corner is read without gradient: the student must not learn to look like a sample
    of another ratio. A sample without a label has no triangle; its ratio is 1.
    """

    summary: ClassVar[str] = "Ratio from where student, teacher, truth and class mean stand."
    paper: ClassVar[str] = "Hu et al. 2024 (TGeo-KD), arXiv:2312.15112"
    hidden: tuple[int, ...] = Field(
        (32, 16), max_length=4, description="Widths between state and ratio."
    )
    state: Literal["full", "small"] = Field(
        "full",
        description="What it reads: nine blocks of as many numbers as classes, or, for many "
        "classes, distances and the teacher's best classes.",
    )
    top: int = Field(8, ge=1, le=1000, description="Classes that the small state keeps.")

    @field_validator("hidden")
    @classmethod
    def _widths_are_bounded(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not all(1 <= width <= 4096 for width in value):
            raise PydanticCustomError("widths", "each width must be in 1..4096", {})
        return value

    def build(self, context: TermContext) -> RatioNetwork:
        """Reads the teacher's class means once.

        Raises:
            BadInput: If there is no teacher, or more classes are kept than there are.
        """
        from workbench.terms.fusion_net import FusionNet

        if context.teacher_means is None:
            raise BadInput("geometry: the ratio needs a teacher, and there is none.")
        top = self.top if self.state == "small" else None
        if top is not None and top > context.num_classes:
            raise BadInput(
                f"geometry.top: {top} classes are kept, the data has {context.num_classes}. "
                f"Allowed: 1 to {context.num_classes}."
            )
        return FusionNet(context.teacher_means(), self.hidden, top=top, seed=context.seed)
