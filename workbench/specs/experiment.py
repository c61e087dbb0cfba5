"""The experiment as plain, validated data: what a YAML file, a form and a run's folder hold."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from workbench.errors import BadInput, InvalidExperiment
from workbench.registries import (
    DATA,
    MODELS,
    OPTIMISERS,
    PROBES,
    SCHEDULES,
    TARGETS,
    TASKS,
    TERMS,
)
from workbench.registry import Registry, import_named
from workbench.specs.base import Kind, Pick, Spec
from workbench.specs.files import dump_yaml
from workbench.specs.interventions import Intervention
from workbench.specs.order import check_order
from workbench.specs.problems import invalid
from workbench.specs.stage import FRESH, StageSpec, check_keys

DEVICE = re.compile(r"^(auto|cpu|mps|cuda(:\d{1,3})?)$")
LONGEST_NAME = 200
"""Letters of an experiment's name."""


class RecipeSpec(Spec):
    """What makes an experiment file a recipe: the paper's idea and what to look at."""

    paper: str = Field(description="Author, year, where.")
    summary: str = Field(description="Two plain sentences.")
    watch: str = Field(description="What to watch on screen.")
    claim: str = Field(description="One measurable sentence.")
    scales: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Name of a scale (smoke, paper) to path: value."
    )


class ExperimentSpec(Spec):
    """One experiment: data, teacher, student, stages, probes, seed."""

    name: str = Field(
        min_length=1, max_length=LONGEST_NAME, description="Any text; a label, never a path."
    )
    task: Annotated[Kind, Pick(TASKS)] = Field(
        "classification",  # type: ignore[assignment]
        description="What a prediction is.",
    )
    data: Annotated[Kind, Pick(DATA)] = Field(description="Data set and splits.")
    teacher: Annotated[Kind, Pick(MODELS)] = Field(description="The large network, frozen.")
    student: Annotated[Kind, Pick(MODELS)] = Field(description="The small network that learns.")
    stages: dict[str, StageSpec] = Field(min_length=1, description="Stages in order, by name.")
    probes: list[Annotated[Kind, Pick(PROBES)]] = Field(
        default_factory=list, description="What to measure while it trains."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Of everything drawn for the student.")
    seeds: int = Field(
        1, ge=1, le=1000, description="How many runs, one a seed from `seed` on; one teacher."
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:N or mps.")
    control: bool | dict[str, Any] = Field(
        False, description="Also train the same student without target terms."
    )
    plain_kd: bool = Field(
        False,
        description="Also train the same student under plain KD: kd (T = 4, weight 0.9), ce (0.1).",
    )
    allow: list[str] = Field(
        default_factory=list,
        description="Checks before step 0 that only warn, by name, where what they find is meant.",
    )
    interventions: list[Intervention] = Field(
        default_factory=list, description="Changes in mid-run, by step, rising."
    )
    modules: list[str] = Field(
        default_factory=list,
        description="Python modules of your own that it needs, imported before names are looked "
        "up; a run records them by itself.",
    )
    recipe: RecipeSpec | None = None

    @field_validator("stages", mode="before")
    @classmethod
    def _keys_are_addresses(cls, value: Any) -> Any:
        return check_keys(value, "stage")

    @field_validator("stages")
    @classmethod
    def _stages_refer_back(cls, value: dict[str, StageSpec]) -> dict[str, StageSpec]:
        check_order(value)
        return value

    @field_validator("student")
    @classmethod
    def _student_is_trained_here(cls, value: Kind) -> Kind:
        if getattr(value, "train", None) is not None:
            raise PydanticCustomError(
                "student_train",
                "`train` belongs to the teacher; the student learns in `stages`",
                {},
            )
        return value

    @field_validator("control", mode="before")
    @classmethod
    def _control_is_one_of_two(cls, value: Any) -> Any:
        if not isinstance(value, (bool, Mapping)):
            raise PydanticCustomError(
                "control", "must be true, false, or a mapping of path to value", {}
            )
        return value

    @field_validator("device")
    @classmethod
    def _device_is_known(cls, value: str) -> str:
        if not DEVICE.match(value):
            raise PydanticCustomError("device", "must be auto, cpu, cuda, cuda:N or mps", {})
        return value

    @classmethod
    def parse(cls, data: Mapping[str, Any], *, source: str = "the experiment") -> Self:
        """An experiment from plain data.

        Raises:
            InvalidExperiment: Names every wrong field with its value and what is allowed; or the
                modules that cannot be imported, since without them names are unknown.
        """
        named = data.get("modules")
        if isinstance(named, list) and all(isinstance(name, str) for name in named):
            problems = import_named(named)
            if problems:
                raise InvalidExperiment(problems, source=source)
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise invalid(error, source=source) from None

    @property
    def stage_name(self) -> str:
        """Name of the stage that people watch: the last; those before prepare its weights."""
        return next(reversed(self.stages))

    @property
    def earlier(self) -> list[str]:
        """Names of the stages before that one, in order."""
        return list(self.stages)[:-1]

    def start_of(self, name: str) -> str | None:
        """Stage whose weights a stage begins with; None for initial weights."""
        start = self.stages[name].start
        if start is None:
            names = list(self.stages)
            place = names.index(name)
            return names[place - 1] if place else None
        return None if start == FRESH else start

    def of_stage(self, name: str) -> Self:
        """One of the earlier stages as an experiment of its own: its data, its seed, no control.

        References to other stages stay as they are.
        """
        stage = self.stages[name]
        return self.model_copy(
            update={
                "stages": {name: stage},
                "data": stage.data or self.data,
                "seed": self.seed if stage.seed is None else stage.seed,
                "seeds": 1,
                "control": False,
                "plain_kd": False,
                "interventions": [],
            }
        )

    @property
    def stage(self) -> StageSpec:
        """The stage that people watch."""
        return self.stages[self.stage_name]

    def replace(self, changes: Mapping[str, Any]) -> Self:
        """The same experiment with values at dotted paths changed, validated as a whole.

        Changing ``....use`` keeps the options that the new kind knows and drops the others.
        """
        data = copy.deepcopy(self.given())
        for path, value in changes.items():
            _write_defaults(self, data, path)
            set_path(data, path, _own(value))
        touched = {path.partition(".")[0] for path in changes}
        for field in {"teacher", "student"} - touched:
            data[field] = getattr(self, field)  # it may hold a module, which data cannot
        return type(self).parse(data, source=f"the changed experiment {self.name!r}")

    def at_scale(self, scale: str) -> Self:
        """The recipe at ``demo`` (as it is), or at a scale it declares."""
        scales = self.recipe.scales if self.recipe else {}
        if scale == "demo":
            return self
        if scale not in scales:
            known = ", ".join(["demo", *scales])
            raise invalid_choice("--scale", scale, known)
        return self.replace(scales[scale])

    def each_seed(self) -> list[Self]:
        """One experiment a seed, in order; the same one where it has one seed.

        Raises:
            InvalidExperiment: If a seed would be too large.
        """
        if self.seeds == 1:
            return [self]
        seeds = range(self.seed, self.seed + self.seeds)
        return [self.replace({"seed": seed, "seeds": 1}) for seed in seeds]

    def diff(self, other: ExperimentSpec) -> str:
        """Readable difference of two experiments, line by line; empty when they are equal."""
        mine, theirs = (dump_yaml(spec.given()).splitlines() for spec in (self, other))
        lines = difflib.unified_diff(mine, theirs, self.name, other.name, lineterm="", n=1)
        return "\n".join(lines)


def invalid_choice(what: str, value: str, known: str) -> Exception:
    """A BadInput for a value outside a short list."""
    return BadInput(f"{what}: {value!r} is not known. Allowed: {known}.")


def _own(value: Any) -> Any:
    """A copy of plain data, whose parts later paths may change; a module stays the one it is."""
    if isinstance(value, dict):
        return {key: _own(item) for key, item in value.items()}
    return [_own(item) for item in value] if isinstance(value, list) else value


def _write_defaults(spec: Any, data: Any, path: str) -> None:
    """Write down what was chosen by default on the way to a path: its options are about it."""
    for part in path.split(".")[:-1]:
        spec = spec.get(part) if isinstance(spec, Mapping) else getattr(spec, part, None)
        if not isinstance(data, dict) or spec is None:
            return
        if part not in data and isinstance(spec, Kind):
            data[part] = spec.given()
        data = data.get(part)


def set_path(data: dict[str, Any], path: str, value: Any) -> None:
    """Set ``value`` at a dotted path of plain data, making mappings on the way.

    A short name on the way (``student: cnn-tiny``) becomes ``{use: cnn-tiny}``.
    """
    *parents, last = path.split(".")
    place = data
    for part in parents:
        inner = place.get(part)
        if isinstance(inner, str):
            inner = {"use": inner}
        elif not isinstance(inner, dict):
            inner = {}
        place[part] = inner
        place = inner
    if last == "use" and place.get("use") not in (None, value):
        _keep_known(place, parents, value)
    place[last] = value


_PICKED: dict[str, Registry[type[Any]]] = {
    "data": DATA,
    "optimiser": OPTIMISERS,
    "schedule": SCHEDULES,
    "student": MODELS,
    "target": TARGETS,
    "task": TASKS,
    "teacher": MODELS,
}
"""Registry behind each field that is chosen by name; the one of a term is known by its place."""


def _keep_known(place: dict[str, Any], parents: list[str], name: Any) -> None:
    """Drop the options that the kind called ``name`` does not have."""
    registry = _PICKED.get(parents[-1]) if parents else None
    if len(parents) > 1 and parents[-2] == "terms":
        registry = TERMS
    if registry is None or name not in registry:
        return
    fields = registry.get(name).model_fields
    for key in [key for key in place if key not in fields]:
        del place[key]
