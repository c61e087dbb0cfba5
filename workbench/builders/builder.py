"""The extension point *Builder*: which module do we train, or teach with?

Unusual here: a builder is stepped from outside, so that whoever drives it can show each step, stop
between two and take a checkpoint; and what it decides is plain data, so that a replay builds the
module from the journalled choice and searches nothing. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import ValidationError

from workbench.errors import BadFile, BadModel
from workbench.models.facts import ModelContext
from workbench.models.kinds import ModelSpec
from workbench.registries import MODELS

if TYPE_CHECKING:
    import torch

    from workbench.models.adapter import ModelAdapter
    from workbench.models.batch import Batch

CHOICE = "student"
"""Where a result holds the mapping that names the chosen model."""


@dataclass(frozen=True)
class BuildContext:
    """What a builder may use.

    Attributes:
        batch: Fixed examples on ``device``, with the labels that the student may see. One batch
            for all candidates: a new one for each, as DisWOT's code draws, ranks batches too.
        teacher: On ``device``. An untrained one of a fixed seed is what the paper scores against.
        model: The data that candidates are built for; ``model.seed`` gives their initial weights,
            so with the run's own the student starts from the very weights that were scored.
        seed: Of the search, 0 <= seed < 2**62.
        device: Where candidates are scored.
    """

    batch: Batch
    teacher: ModelAdapter
    model: ModelContext
    seed: int
    device: torch.device


class Builder(Protocol):
    """Work towards a choice, one step at a time.

    Between two steps ``state`` is all there is to keep: another builder of the same spec and
    context that has loaded it goes on with the same bits.
    """

    @property
    def total(self) -> int:
        """Steps that are planned, >= 1; the work may be done sooner."""

    @property
    def steps(self) -> int:
        """Steps that are done."""

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""

    def step(self) -> None:
        """Do the next step."""

    def row(self) -> dict[str, float]:
        """Numbers of the last step by name, for a curve."""

    def state(self) -> dict[str, Any]:
        """All that was found so far, as JSON values."""

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what ``state`` gave.

        Raises:
            BadFile: If it is damaged, or of another search.
        """

    def result(self) -> dict[str, Any]:
        """The choice and what is true of it, as JSON values; ``student`` names the model."""


class BuilderSpec(ModelSpec):
    """A model that is found first: its ``builder`` decides, and a plain mapping is the decision."""

    def builder(self, context: BuildContext) -> Builder:
        """What finds it.

        Raises:
            BadModel: If nothing can be found: known before the first step.
        """
        raise NotImplementedError

    def build(self, context: ModelContext) -> ModelAdapter:
        """Never itself: only what was found can be built.

        Raises:
            BadModel: Always.
        """
        raise BadModel(
            f"{self.use}: not a network yet. A run searches before it trains and journals what it "
            "found; give the found mapping (`student` of the search's result) to build it alone."
        )


def choice_of(result: Mapping[str, Any]) -> ModelSpec:
    """The spec of what a builder chose, from its journalled result.

    Args:
        result: What :meth:`Builder.result` gave, read back from a journal.

    Raises:
        BadFile: If it names no model that can be built.
    """
    data = result.get(CHOICE)
    use = data.get("use") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(use, str) or use not in MODELS:
        raise BadFile(f"The journalled choice names no known model: {CHOICE} is {data!r}.")
    try:
        spec: ModelSpec = MODELS.get(use).model_validate(dict(data))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, (CHOICE, *first["loc"])))
        raise BadFile(f"The journalled choice is wrong at {place}: {first['msg']}.") from None
    if isinstance(spec, BuilderSpec):
        raise BadFile(f"The journalled choice {use!r} is itself a search, not a model.")
    return spec
