"""``student: {use: search}``: a student found under a budget without training; no torch here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import Field

from workbench.builders.builder import BuildContext, BuilderSpec
from workbench.builders.space import Space, StageChoices
from workbench.models.cell_kinds import MAX_HEAD, MAX_STAGES
from workbench.registries import MODELS

if TYPE_CHECKING:
    from workbench.builders.search import Search

ScoreName: TypeAlias = Literal["diswot", "relation", "semantic", "parameters", "random"]
"""What a search climbs: two scores of the paper, their sum, and two that need no teacher."""


@MODELS.register("search")
class SearchSpec(BuilderSpec):
    """A student found before training: evolve small CNNs under a budget by a score (DisWOT)."""

    space: tuple[StageChoices, ...] = Field(
        (StageChoices(),) * 3,
        min_length=1,
        max_length=MAX_STAGES,
        description="What each stage of a candidate may be, input to output.",
    )
    head: int | None = Field(
        None,
        ge=1,
        le=MAX_HEAD,
        description="Penultimate width of all candidates; none: the teacher's, as scores need it.",
    )
    max_parameters: int | None = Field(
        None, ge=1, description="Most parameters of a candidate; none: no limit."
    )
    max_macs: int | None = Field(
        None,
        ge=1,
        description="Most multiply-accumulates an image (one is two FLOPs); none: no limit.",
    )
    score: ScoreName = Field(
        "diswot",
        description="What the search climbs; diswot is relation + semantic. None of them need "
        "predict accuracy: `measure` tells on this data.",
    )
    population: int = Field(
        64, ge=1, le=4096, description="Best candidates that stay as parents; 512 in the paper."
    )
    iterations: int = Field(
        200, ge=1, le=100_000, description="Candidates that are scored; 5000 in the paper."
    )
    batch_size: int = Field(
        64, ge=2, le=4096, description="Training rows of the one batch that scores all candidates."
    )
    measure: int = Field(
        0,
        ge=0,
        le=256,
        description="Random candidates that are also trained by plain KD, to measure how scores "
        "and parameter counts rank with accuracy; 0: none, else 4 or more say something.",
    )

    def builder(self, context: BuildContext) -> Search:
        from workbench.builders.search import Search

        return Search(self, context)

    def choices(self) -> Space:
        """The space as something to draw from."""
        return Space(self.space)

    def mapping(self, fields: dict[str, list[int]], head: int) -> dict[str, Any]:
        """The plain mapping that names a candidate, fit for an experiment file."""
        size = {} if self.input_size is None else {"input_size": self.input_size}
        return {"use": "cnn-cells", **fields, "head": head, **size}
