"""How a run is carried out, and what its control trains; nothing here loads torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.errors import InvalidExperiment
from workbench.specs.experiment import ExperimentSpec
from workbench.terms.term import TermKind


@dataclass(frozen=True)
class Options:
    """How a run is carried out; none of it enters the maths.

    Attributes:
        base: Folder that relative paths in the experiment start from.
        pace: Seconds a student's step is stretched to, or None.
        pause_at: Step at which it pauses by itself, or None.
    """

    base: Path
    pace: float | None = None
    pause_at: int | None = None


def control_spec(spec: ExperimentSpec) -> ExperimentSpec:
    """What the control trains: without target terms, or with the changes that ``control`` lists.

    Raises:
        InvalidExperiment: If nothing would be left to train.
    """
    if isinstance(spec.control, dict):
        changed = spec.replace({**spec.control, "control": False})
        if changed.teacher != spec.teacher:
            raise InvalidExperiment(
                ["control: changes `teacher`, but student and control share one; leave it out"],
                source=f"the control of {spec.name!r}",
            )
        return changed
    kept = {
        name: term.given()
        for name, term in spec.stage.terms.items()
        if isinstance(term, TermKind) and term.pull != "teacher"
    }
    if not kept:
        raise InvalidExperiment(
            [
                f"control: every term of stages.{spec.stage_name} needs the teacher, so nothing is "
                "left to train. Add a term without it (ce), or say what the control changes: "
                "`control: {path: value}`"
            ],
            source=f"the control of {spec.name!r}",
        )
    return spec.replace({f"stages.{spec.stage_name}.terms": kept, "control": False})
