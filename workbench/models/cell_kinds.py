"""``cnn-cells``: a CNN given stage by stage, the candidates of a student search; no torch here."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from workbench.models.kinds import OwnModelSpec
from workbench.registries import MODELS

Kernel = Literal[1, 3, 5]
"""Side of a convolution in pixels."""
MAX_STAGES = 4
"""Each stage but the first halves the image: eight pixels allow four."""
MAX_WIDTH = 512
MAX_DEPTH = 8
MAX_HEAD = 4096


@MODELS.register("cnn-cells")
class CnnCells(OwnModelSpec):
    """A CNN given stage by stage (width, kernel, depth), with a fixed penultimate width."""

    options: ClassVar[tuple[str, ...]] = ("widths", "kernels", "depths", "head")
    widths: tuple[int, ...] = Field(
        (8, 16, 24), min_length=1, max_length=MAX_STAGES, description="Channels of each stage."
    )
    kernels: tuple[Kernel, ...] = Field(
        (3, 3, 3),
        min_length=1,
        max_length=MAX_STAGES,
        description="Side of each stage's convolutions in pixels: 1, 3 or 5.",
    )
    depths: tuple[int, ...] = Field(
        (1, 1, 1), min_length=1, max_length=MAX_STAGES, description="Convolutions of each stage."
    )
    head: int = Field(
        48, ge=1, le=MAX_HEAD, description="Channels that the classifier reads, by a 1x1 block."
    )

    @field_validator("widths")
    @classmethod
    def _widths_are_bounded(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return _bounded("width", value, MAX_WIDTH)

    @field_validator("depths")
    @classmethod
    def _depths_are_bounded(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return _bounded("depth", value, MAX_DEPTH)

    @model_validator(mode="after")
    def _one_entry_a_stage(self) -> CnnCells:
        counts = {len(self.widths), len(self.kernels), len(self.depths)}
        if len(counts) > 1:
            raise PydanticCustomError(
                "stages",
                "`widths`, `kernels` and `depths` need one entry a stage each, got "
                "{widths}, {kernels} and {depths} entries",
                {
                    "widths": len(self.widths),
                    "kernels": len(self.kernels),
                    "depths": len(self.depths),
                },
            )
        return self


def _bounded(what: str, values: tuple[int, ...], high: int) -> tuple[int, ...]:
    if not all(1 <= value <= high for value in values):
        raise PydanticCustomError(
            "cells", "each {what} must be in 1..{high}", {"what": what, "high": high}
        )
    return values
