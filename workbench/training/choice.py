"""What a builder found, as the journal has it: who goes on from a journal searches nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workbench.builders.builder import BuilderSpec, choice_of
from workbench.specs.experiment import ExperimentSpec
from workbench.training.journal import Event

BUILT = "built"
"""Kind of the journal's line about what was found, and for whom: the student or its control."""
MEASURED = "measured"
"""Kind of the journal's line about how well scores rank candidates."""
STUDENT, CONTROL = "student", "control"


def is_searched(spec: ExperimentSpec) -> bool:
    """Whether the student has to be found first."""
    return isinstance(spec.student, BuilderSpec)


def changes_search(spec: ExperimentSpec) -> bool:
    """Whether the control finds a student of its own: it lists a change of how it is found."""
    return is_searched(spec) and any(_of_student(path) for path in _changes(spec))


def found_for(who: str, events: Iterable[Event]) -> Any:
    """Plain data of the student that was found for the student or for its control; else None."""
    for event in events:
        if event.kind == BUILT and event.payload.get("for") == who:
            return choice_of(event.payload).given()
    return None


def chosen(spec: ExperimentSpec, events: Iterable[Event]) -> ExperimentSpec:
    """The experiment with the students that its journal says were found; else as it is."""
    lines = list(events)
    student = found_for(STUDENT, lines) if is_searched(spec) else None
    if student is None:
        return spec
    changes: dict[str, Any] = {"student": student}
    if changes_search(spec):
        others = {path: value for path, value in _changes(spec).items() if not _of_student(path)}
        own = found_for(CONTROL, lines)
        changes["control"] = {**others, "student": student if own is None else own}
    return spec.replace(changes)


def _changes(spec: ExperimentSpec) -> dict[str, Any]:
    return spec.control if isinstance(spec.control, dict) else {}


def _of_student(path: str) -> bool:
    return path.partition(".")[0] == "student"
