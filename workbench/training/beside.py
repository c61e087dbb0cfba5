"""The control looked at as the student was: its layers against the same teacher, step by step.

Unusual here: the control trains after the student and looks where the student was looked at, as far
as the same budget of time allows and never beyond the grid that both have. What it leaves is
measured, not trained on: neither its bits nor the student's change by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from workbench.probes.probe import ProbeKind
from workbench.probes.view import Look, Rows
from workbench.specs.experiment import ExperimentSpec
from workbench.training.journal import Keeper, Recorder
from workbench.training.part import Part
from workbench.training.probing import HeadlineProber, StudentProber

Taught = tuple[Look, Sequence[str]]
"""What a teacher says of the probe rows, and the names of its layers."""


class ControlProber(StudentProber):
    """Layer similarity of the control with the student's teacher, and what both answer."""

    def _told(self) -> None:
        """A control's share of time is nobody's concern."""


def kinds_beside(spec: ExperimentSpec) -> list[ProbeKind]:
    """The probes of an experiment that its control is measured by, too."""
    return [kind for kind in cast(list[ProbeKind], spec.probes) if kind.needs_layers]


def control_prober(
    role: str,
    part: Part,
    rows: Rows,
    spec: ExperimentSpec,
    keeper: Keeper,
    taught: Sequence[Taught],
) -> HeadlineProber:
    """Who looks at a control while it trains.

    Args:
        role: ``control`` or another; only the first is set beside the student.
        part: The control's training.
        rows: The student's fixed rows.
        spec: The student's experiment.
        keeper: Where both are kept.
        taught: Each teacher that the student had. After a second one the layers of both runs are
            no longer compared with the same network, so there is no similarity of the control.
    """
    recorder: Recorder = keeper.recorder(role)
    kinds = kinds_beside(spec)
    if role != "control" or not kinds or len(taught) != 1:
        cadence = keeper.cadence(recorder, lambda: part.steps)
        return HeadlineProber(part.model, rows, cadence=cadence, recorder=recorder)
    steps = keeper.recorder("student").snapshot_steps()
    prober = ControlProber(
        part.model,
        rows,
        kinds,
        class_names=part.data.class_names,
        cadence=keeper.cadence(recorder, lambda: part.steps, steps),
        recorder=recorder,
    )
    prober.teach(*taught[0])
    return prober
