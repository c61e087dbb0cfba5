"""A stage of training: which terms, which optimiser, how long. And how a teacher is trained."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from workbench.registries import DATA, OPTIMISERS, POLICIES, SCHEDULES, TARGETS, TERMS
from workbench.specs.base import Kind, Pick, Spec
from workbench.specs.values import Bounds, Value, Weight

KEY = re.compile(r"^[A-Za-z][A-Za-z0-9_-]{0,39}$")
"""Keys of terms and stages: they are addresses, so plain words."""
PLACE = re.compile(r"^[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z][A-Za-z0-9_-]*)+$")
FRESH = "fresh"
"""As ``start`` of a stage: initial weights."""


class TermSpec(Kind):
    """A distillation term: a loss of tapped tensors with its weight."""

    weight: Weight = Field(1.0, description="Of this term in the loss.")


class OptimiserSpec(Kind):
    """What turns gradients into steps; ``lr`` is the peak of the schedule."""

    lr: Annotated[Value, Bounds(0.0, 1e3)] = Field(description="Peak of the learning rate.")


class ScheduleSpec(Kind):
    """How the learning rate moves: a factor of ``optimiser.lr``, a pure function of the step."""


class TrainingSpec(Spec):
    """What every training has: optimiser, schedule, batch size, length."""

    optimiser: Annotated[OptimiserSpec, Pick(OPTIMISERS)] = Field(
        {"use": "adamw", "lr": 5e-3},  # type: ignore[assignment]
        description="Optimiser and its peak learning rate.",
    )
    schedule: Annotated[ScheduleSpec, Pick(SCHEDULES)] = Field(
        {"use": "cosine"},  # type: ignore[assignment]
        description="Course of the learning rate.",
    )
    batch_size: int = Field(64, ge=1, le=65536, description="Samples a step.")
    epochs: int | None = Field(None, ge=1, le=100_000, description="Passes over the training rows.")
    steps: int | None = Field(
        None, ge=1, le=10**9, description="Optimiser steps, instead of epochs."
    )

    @model_validator(mode="after")
    def _one_length(self) -> TrainingSpec:
        if (self.epochs is None) == (self.steps is None):
            raise PydanticCustomError("length", "give exactly one of `epochs` and `steps`", {})
        return self

    def num_steps(self, num_train: int) -> int:
        """Steps of the whole training; an epoch is ceil(num_train / batch_size) steps."""
        if self.steps is not None:
            return self.steps
        return (self.epochs or 0) * self.steps_per_epoch(num_train)

    def steps_per_epoch(self, num_train: int) -> int:
        """Batches of one pass; the last may be smaller."""
        return -(-num_train // self.batch_size)


class TrainSpec(TrainingSpec):
    """How a teacher is trained from scratch: cross-entropy on all labels of its rows."""

    schedule: Annotated[ScheduleSpec, Pick(SCHEDULES)] = Field(
        {"use": "one-cycle"},  # type: ignore[assignment]
        description="Course of the learning rate.",
    )
    without: list[str] = Field(
        default_factory=list,
        description="Classes whose rows it is not shown: a teacher that is blind to them.",
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of initial weights and data order.")


class TargetSpec(Kind):
    """What the student should match."""


class RowsSpec(Spec):
    """Which training rows are shown; an epoch keeps its length, so the others come more often."""

    labels: Literal["all", "visible", "withheld"] = Field(
        "all", description="Rows by whether the student may see their label."
    )
    classes: list[str] = Field(
        default_factory=list,
        description="Only these classes, by visible label, else by the teacher's answer; "
        "empty is all.",
    )
    confidence: float = Field(
        0.0, ge=0, lt=1, description="Least probability of the teacher's answer."
    )

    @property
    def everything(self) -> bool:
        """Whether no row is left out."""
        return self.labels == "all" and not self.classes and self.confidence == 0


class PolicySpec(Kind):
    """Which training rows are shown next, chosen anew at the start of each epoch."""


class PlayerSpec(Spec):
    """A part that learns beside the student, towards an objective of its own."""

    trains: str = Field(
        pattern=PLACE.pattern,
        description="Place in the stage of what it trains, for example terms.fuse.net.",
    )
    terms: dict[str, Annotated[TermSpec, Pick(TERMS)]] = Field(
        min_length=1, description="Its objective: the sum of weight x term on its split."
    )
    optimiser: Annotated[OptimiserSpec, Pick(OPTIMISERS)] = Field(
        {"use": "adamw", "lr": 0.01},  # type: ignore[assignment]
        description="Of the part; its learning rate stays.",
    )
    split: Literal["meta", "val", "train"] = Field(
        "meta", description="Rows that its objective is measured on."
    )
    batch_size: int = Field(64, ge=1, le=65536, description="Rows of each of its batches.")
    every: int = Field(1, ge=1, le=10**6, description="Student's steps between its moves.")
    steps: int = Field(1, ge=1, le=1000, description="Its own steps at each move.")
    lookahead: bool = Field(
        True,
        description="Measure the student after one virtual step (plain SGD at the stage's rate), "
        "and differentiate through it; otherwise measure it as it is.",
    )


class StageSpec(TrainingSpec):
    """One stage: the student's loss is the sum of weight x term.

    A stage before the last prepares weights, which later ones name in ``start`` or ``target``.
    """

    terms: dict[str, Annotated[TermSpec, Pick(TERMS)]] = Field(
        min_length=1, description="Key to term; the key is the term's address."
    )
    target: Annotated[TargetSpec, Pick(TARGETS)] = Field(
        "teacher",  # type: ignore[assignment]
        description="What the student matches: the teacher, or a mix of two.",
    )
    rows: RowsSpec = Field(default_factory=RowsSpec, description="Which training rows are shown.")
    freeze: list[str] = Field(
        default_factory=list,
        description="Student's stages (stage1) or modules whose weights stay as they are.",
    )
    players: dict[str, PlayerSpec] = Field(
        default_factory=dict, description="Parts with an objective of their own, by name."
    )
    policy: Annotated[PolicySpec | None, Pick(POLICIES, optional=True)] = Field(
        None, description="Chooses the training rows of each epoch; none: all that `rows` shows."
    )
    start: str | None = Field(
        None,
        description="Stage whose weights it begins with, or `fresh` for the seed's own; none: the "
        "stage before.",
    )
    data: Annotated[Kind | None, Pick(DATA, optional=True)] = Field(
        None, description="Data of a stage before the last; none: the experiment's."
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**63,
        description="Of a stage before the last: order, masks and, where it starts fresh, weights; "
        "none: the run's. A fixed one makes the stage common to all seeds.",
    )

    @field_validator("terms", mode="before")
    @classmethod
    def _keys_are_addresses(cls, value: Any) -> Any:
        return check_keys(value, "term")

    @field_validator("players", mode="before")
    @classmethod
    def _names_are_addresses(cls, value: Any) -> Any:
        return check_keys(value, "player")


def check_keys(value: Any, what: str) -> Any:
    """Refuse keys that could not be addresses such as ``stages.main.terms.kd.weight``."""
    for key in value if isinstance(value, dict) else ():
        if not KEY.match(str(key)):
            raise PydanticCustomError(
                "key",
                "a {what}'s key is a word of letters, digits, '-' and '_' that starts with a "
                "letter, not {key}",
                {"what": what, "key": repr(key)},
            )
    return value
