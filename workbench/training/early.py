"""What can be set while what comes before the student trains: its numbers, for its step 0."""

from __future__ import annotations

from workbench.errors import RefusedCommand, WorkbenchError
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.knobs import knobs, steered
from workbench.training.journal import Command, Recorder
from workbench.training.timeline import Change, asked, stands, timeline, values_at


class BeforeTheStudent:
    """Carries out ``set`` while the teacher or an earlier stage trains.

    Args:
        spec: What the run was started from.
        recorder: Of the student's row: these are its changes.
        part: What trains, in words.
    """

    def __init__(self, spec: ExperimentSpec, recorder: Recorder, *, part: str = "teacher") -> None:
        self._recorder, self._part = recorder, part
        self._spec = stands(
            spec, [item for item in timeline(spec, recorder.events()) if item.journalled]
        )

    def due(self, step: int) -> None:
        """Nothing here changes what trains."""

    def takes(self, step: int) -> bool:
        """Always: it will apply at step 0."""
        return True

    def set(self, command: Command, step: int) -> None:
        """Journal a number for step 0 of the student, or refuse it."""
        try:
            path, value, note = asked(command)
            changed = steered(self._spec, path, value, run=self._recorder.run, step=0)
            knob = knobs(changed).get(path)
            if knob is None or knob.kind != "number":
                raise RefusedCommand(
                    f"The {self._part} still trains; until the student does, only numbers can be "
                    f"set, not `{path}`."
                )
        except WorkbenchError as error:
            self._recorder.refuse(command, error.message)
            return
        change = Change(
            {path: value},
            values_at(self._spec, [path]),
            values_at(changed, [path]),
            {},
            lambda: None,
        )
        self._recorder.apply(command, 0, {**change.payload(), "note": note})
        self._spec = changed
