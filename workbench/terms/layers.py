"""Terms that read layers: which ones by default, and how stages of two networks are paired.

Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from workbench.errors import BadInput
from workbench.terms.term import TermContext, TermKind

LAST = "last"
"""Tap of a network's last stage, whatever its number."""


class LayerTerm(TermKind):
    """A term that reads one layer of each network."""

    student_tap: str = Field(
        LAST, min_length=1, description="Student's layer: last stage, stage1 and on, or a module."
    )
    teacher_tap: str = Field(
        LAST, min_length=1, description="Teacher's layer: last stage, stage1 and on, or a module."
    )

    def taps(self, context: TermContext) -> tuple[str, str]:
        """Student's and teacher's tap."""
        return (
            resolved(self.student_tap, context.student_stages),
            resolved(self.teacher_tap, context.teacher_stages),
        )


class StudentLayerTerm(TermKind):
    """A term that reads one layer of the student."""

    student_tap: str = Field(
        LAST, min_length=1, description="Student's layer: last stage, stage1 and on, or a module."
    )


class StagesTerm(TermKind):
    """A term that reads several layers of each network, first to last."""

    student_taps: tuple[str, ...] = Field(
        (), max_length=16, description="Student's layers, first to last; none: its stages."
    )
    teacher_taps: tuple[str, ...] = Field(
        (), max_length=16, description="Teacher's layers, first to last; none: its stages."
    )

    def paired(self, context: TermContext) -> tuple[list[str], list[str]]:
        """As many layers of each: where one network has more, an even pick that ends with its last.

        Raises:
            BadInput: If both were named, and not equally many.
        """
        own = list(self.student_taps or context.student_stages)
        their = list(self.teacher_taps or context.teacher_stages)
        if len(own) == len(their):
            return own, their
        if self.student_taps and self.teacher_taps:
            raise BadInput(
                f"{self.use}: `student_taps` names {len(own)} layers, `teacher_taps` {len(their)}. "
                "Name equally many."
            )
        count = min(len(own), len(their))
        return evenly(own, count), evenly(their, count)


def resolved(tap: str, stages: Sequence[str]) -> str:
    """Networks differ in how many stages they have; each has a last one."""
    return stages[-1] if tap == LAST and stages else tap


def evenly(names: Sequence[str], count: int) -> list[str]:
    """``count`` of the names, evenly spread and always with the last."""
    return [names[round((i + 1) * len(names) / count) - 1] for i in range(count)]
