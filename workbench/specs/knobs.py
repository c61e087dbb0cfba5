"""Every path of an experiment that can be set while it trains, with its value and its bounds.

Read off the fields of the specs, so a form, ``workbench show`` and the check are one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, cast, get_args, get_origin

from pydantic.fields import FieldInfo

from workbench.errors import InvalidExperiment, RefusedCommand
from workbench.registries import SCHEDULES
from workbench.specs.base import Kind, Spec
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.interventions import get_path, reach
from workbench.specs.stage import TermSpec
from workbench.specs.values import Bounds

KnobKind = Literal["number", "integer", "switch", "choice", "text", "list", "model", "mapping"]


@dataclass(frozen=True)
class Knob:
    """One settable path.

    Attributes:
        value: As it stands; a number, or plain data such as a schedule's mapping.
        min: Least number allowed; None is unbounded or no number.
        max: Greatest.
        open: Whether ``min`` itself is excluded.
        kind: Sort of control that suits it.
        choices: Allowed words, for a choice.
        help: One line.
    """

    value: Any
    min: float | None
    max: float | None
    open: bool
    kind: KnobKind
    choices: tuple[str, ...] | None
    help: str

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def knobs(spec: ExperimentSpec) -> dict[str, Knob]:
    """All settable paths of an experiment as it stands, in the order of its file."""
    stage, prefix = spec.stage, f"stages.{spec.stage_name}"
    found: dict[str, Knob] = {}
    for name, term in stage.terms.items():
        found |= dict(_of(term, f"{prefix}.terms.{name}"))
    found |= dict(_of(stage.optimiser, f"{prefix}.optimiser"))
    found[f"{prefix}.schedule.use"] = _choice(
        stage.schedule.use, tuple(SCHEDULES.names()), "Course of the learning rate."
    )
    found |= dict(_of(stage.schedule, f"{prefix}.schedule"))
    fields = type(stage).model_fields
    found[f"{prefix}.freeze"] = _whole(stage.freeze, "list", fields["freeze"])
    found |= dict(_of(stage.rows, f"{prefix}.rows"))
    found[f"{prefix}.target"] = _whole(stage.target.given(), "mapping", fields["target"])
    found |= dict(_of(stage.target, f"{prefix}.target"))
    policy = None if stage.policy is None else stage.policy.given()
    found[f"{prefix}.policy"] = _whole(policy, "mapping", fields["policy"])
    if stage.policy is not None:
        found |= dict(_of(stage.policy, f"{prefix}.policy"))
    teacher = spec.teacher.given() if isinstance(spec.teacher, Kind) else None
    found["teacher"] = _whole(teacher, "model", type(spec).model_fields["teacher"])
    return found


def steered(spec: ExperimentSpec, path: str, value: Any, *, run: str, step: int) -> ExperimentSpec:
    """The experiment after ``path`` is set in a running stage.

    Args:
        spec: As it stands.
        path: Dotted address.
        value: Plain data.
        run: Named in the way out.
        step: Likewise.

    Raises:
        InvalidExperiment: If the value is not allowed; names field, value and bounds.
        RefusedCommand: If the path cannot change in place; offers the fork that would do it.
    """
    changed = spec.replace({path: value})
    kept = reach(path, stage=spec.stage_name)
    if kept == "live":
        return changed
    at = 0 if kept == "start" else step
    raise RefusedCommand(
        f"`{path}` cannot change while it trains (it is {_short(get_path(spec.full(), path))}). "
        f"A fork can: workbench fork {run} --at {at} --set {path}={_short(value)}"
    )


def check_interventions(spec: ExperimentSpec) -> None:
    """Refuse planned interventions that could not be carried out, all at once.

    Raises:
        InvalidExperiment: Names the entry, what is wrong and what is allowed.
    """
    problems = []
    current = spec.replace({"interventions": []})
    for number, item in enumerate(spec.interventions):
        place = f"interventions.{number}"
        if number and item.step < spec.interventions[number - 1].step:
            problems.append(f"{place}.step: must not lie before the entry above (got {item.step})")
        for path in item.set:
            late = bool(item.step) or path == "seeds"  # there is one run by then
            when = reach(path, stage=spec.stage_name)
            if path.split(".")[0] == "stages" and path.split(".")[1:2] != [spec.stage_name]:
                problems.append(
                    f"{place}.set: {path} belongs to the start of the run: every stage before "
                    f"{spec.stage_name} is trained by step 0. Change it in the experiment itself"
                )
            elif when == "aside" or (late and when == "start"):
                problems.append(f"{place}.set: {path} cannot change in mid-run")
        try:
            current = current.replace(item.set)
        except InvalidExperiment as error:
            problems += [f"{place}.set: {problem}" for problem in error.problems]
    if problems:
        raise InvalidExperiment(problems, source=f"the experiment {spec.name!r}")


def _of(spec: Spec, prefix: str) -> Iterator[tuple[str, Knob]]:
    for name, field in type(spec).model_fields.items():
        if name == "use" or _idle(spec, name):
            continue
        inner = getattr(spec, name)
        if isinstance(inner, TermSpec):
            yield from _of(inner, f"{prefix}.{name}")
        if isinstance(inner, Kind):  # what a player trains cannot be built anew in mid-run
            continue
        value = spec.full()[name]
        bounds = next((item for item in field.metadata if isinstance(item, Bounds)), None)
        knob = _bounded(value, bounds, field) if bounds is not None else _plain(value, field)
        yield f"{prefix}.{name}", knob


def _idle(spec: Spec, name: str) -> bool:
    """Whether a live parameter has no effect as things stand: something else gives its value."""
    return name in getattr(spec, "live", ()) and name not in cast(Any, spec).knobs()


def _bounded(value: Any, bounds: Bounds, field: FieldInfo) -> Knob:
    return Knob(
        value, bounds.low, bounds.high, bounds.open_low, "number", None, field.description or ""
    )


def _plain(value: Any, field: FieldInfo) -> Knob:
    words = literals(field.annotation)
    if words:
        return _choice(value, words, field.description or "")
    limits = {
        key: getattr(item, key)
        for item in field.metadata
        for key in ("ge", "gt", "le", "lt")
        if hasattr(item, key)
    }
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    kinds = set(get_args(field.annotation) or (field.annotation,))
    kind: KnobKind = "text"
    if bool in kinds:
        kind = "switch"
    elif float in kinds:
        kind = "number"
    elif int in kinds:
        kind = "integer"
    if get_origin(field.annotation) is list or isinstance(value, list):
        kind = "list"
    return Knob(value, low, high, "gt" in limits, kind, None, field.description or "")


def literals(annotation: Any) -> tuple[str, ...]:
    """The words that a field may hold; none where it takes others too."""
    if get_origin(annotation) is Literal:
        return tuple(str(word) for word in get_args(annotation))
    return ()


def _choice(value: Any, words: tuple[str, ...], text: str) -> Knob:
    return Knob(value, None, None, False, "choice", words, text)


def _whole(value: Any, kind: KnobKind, field: FieldInfo) -> Knob:
    return Knob(value, None, None, False, kind, None, field.description or "")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
