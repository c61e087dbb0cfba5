"""How a run is carried out, and what its control trains; nothing here loads torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InvalidExperiment
from workbench.specs.experiment import ExperimentSpec
from workbench.terms.term import TermKind

PLAIN_KD = {
    "kd": {"use": "kd", "weight": 0.9, "temperature": 4.0},
    "ce": {"use": "ce", "weight": 0.1},
}
"""Terms of the second control: what everybody compares with."""


@dataclass(frozen=True)
class Options:
    """How a run is carried out; none of it enters the maths.

    Attributes:
        base: Folder that relative paths in the experiment start from.
        pace: Seconds a student's step is stretched to, or None.
        pause_at: Step at which it pauses by itself, or None.
        stop_at: Step at which the student stops by itself, or None.
        checks: Whether to check and estimate before step 0; a replay was checked as a run.
    """

    base: Path
    pace: float | None = None
    pause_at: int | None = None
    stop_at: int | None = None
    checks: bool = True


def control_spec(spec: ExperimentSpec) -> ExperimentSpec:
    """What the control trains: without target terms, or with the changes that ``control`` lists.

    Raises:
        InvalidExperiment: If nothing would be left to train.
    """
    if isinstance(spec.control, dict):
        changes = {**spec.control, "control": False, "plain_kd": False}
        changed = spec.replace(
            {**changes, "interventions": _followed(spec, set(spec.control), taught=True)}
        )
        if changed.teacher != spec.teacher:
            raise InvalidExperiment(
                ["control: changes `teacher`, but student and control share one; leave it out"],
                source=f"the control of {spec.name!r}",
            )
        _refuse_other_stages(spec, changed)
        return changed
    prefix = f"stages.{spec.stage_name}"
    kept = {
        name: term.given()
        for name, term in spec.stage.terms.items()
        if isinstance(term, TermKind) and term.pull != "teacher"
    }
    if not kept:
        raise InvalidExperiment(
            [
                f"control: every term of {prefix} needs the teacher, so nothing is "
                "left to train. Add a term without it (ce), or say what the control changes: "
                "`control: {path: value}`"
            ],
            source=f"the control of {spec.name!r}",
        )
    gone = {f"{prefix}.terms.{name}" for name in spec.stage.terms if name not in kept}
    return spec.replace(
        {
            f"{prefix}.terms": kept,
            **_without_players(spec, kept),
            "control": False,
            "plain_kd": False,
            "interventions": _followed(spec, {"teacher", f"{prefix}.target", *gone}, taught=False),
        }
    )


def _refuse_other_stages(spec: ExperimentSpec, changed: ExperimentSpec) -> None:
    """Student and control begin with what the same earlier stages made.

    Raises:
        InvalidExperiment: If the control changes one, or a student that begins with their weights.
    """
    last = spec.stage_name
    earlier = {name: spec.stages[name] for name in spec.earlier}
    problems = []
    if earlier != {name: changed.stages.get(name) for name in changed.earlier}:
        problems.append(
            f"control: changes a stage before {last}, but student and control share those; change "
            f"only what lies below `stages.{last}`, for example `stages.{last}.start`"
        )
    elif changed.start_of(last) is not None and changed.student != spec.student:
        problems.append(
            f"control: changes `student`, but it begins with the weights of the stage "
            f"{changed.start_of(last)!r}; leave it out, or let the control begin "
            f"`stages.{last}.start: fresh`"
        )
    if problems:
        raise InvalidExperiment(problems, source=f"the control of {spec.name!r}")


def plain_kd_spec(spec: ExperimentSpec) -> ExperimentSpec:
    """What the second control trains: plain KD from the same start, under the same teacher.

    It follows what changes in mid-run, the teacher too, but for terms and target, which are its
    own.
    """
    prefix = f"stages.{spec.stage_name}"
    own = {f"{prefix}.terms", f"{prefix}.target"}
    return spec.replace(
        {
            f"{prefix}.terms": PLAIN_KD,
            **_without_players(spec, PLAIN_KD),
            f"{prefix}.target": {"use": "teacher"},
            "control": False,
            "plain_kd": False,
            "interventions": _followed(spec, own, taught=True),
        }
    )


def _without_players(spec: ExperimentSpec, terms: Mapping[str, Any]) -> dict[str, Any]:
    """The change that leaves out players of terms that the control does not have."""
    players = spec.stage.players
    kept = {
        name: player.given()
        for name, player in players.items()
        if player.trains.split(".")[:2] in [["terms", term] for term in terms]
    }
    same = len(kept) == len(players)
    return {} if same else {f"stages.{spec.stage_name}.players": kept}


def _followed(spec: ExperimentSpec, own: set[str], *, taught: bool) -> list[dict[str, Any]]:
    """What changes in mid-run for the control too: all but paths that are its own or not there.

    Nor, without a teacher, what is done to a term while it needs one.
    """
    prefix = f"stages.{spec.stage_name}.terms."
    added = {
        f"{prefix}{name}" for item in spec.interventions for name in _terms_added(spec, item.set)
    }
    followed, current = [], spec.replace({"interventions": []})
    for item in spec.interventions:
        current = current.replace(item.set)
        pulled = {
            f"{prefix}{name}"
            for name, term in current.stage.terms.items()
            if not taught and isinstance(term, TermKind) and term.pull == "teacher"
        }
        kept = {
            path: value
            for path, value in item.set.items()
            if not _below(path, own | added | pulled)
        }
        if kept:
            followed.append({**item.given(), "set": kept})
    return followed


def _terms_added(spec: ExperimentSpec, changes: Mapping[str, Any]) -> list[str]:
    """Terms that an intervention adds: a control has none but its own."""
    prefix = f"stages.{spec.stage_name}.terms."
    names = {path.removeprefix(prefix) for path in changes if path.startswith(prefix)}
    return [name for name in names if "." not in name and name not in spec.stage.terms]


def _below(path: str, own: set[str]) -> bool:
    return any(path == root or path.startswith(f"{root}.") for root in own)
