"""Who carries out ``set`` at a boundary: for a student, and for its control."""

from __future__ import annotations

from workbench.errors import WorkbenchError
from workbench.specs.experiment import ExperimentSpec
from workbench.training.journal import Command, Event, Recorder
from workbench.training.steering import Steering
from workbench.training.timeline import SET, Item, asked, timeline


class Intervening:
    """The student's: its timeline first, then what people ask for.

    Args:
        spec: What the run was started from.
        steering: Of the part.
        recorder: The run's journal.
        hold: Step before which nothing new is taken: those steps have been shown already, with
            what the journal says of them.
    """

    def __init__(
        self, spec: ExperimentSpec, steering: Steering, recorder: Recorder, *, hold: int
    ) -> None:
        self._items = timeline(spec, recorder.events())
        self._steering, self._recorder, self._hold = steering, recorder, hold

    @property
    def applied(self) -> int:
        """How many changes have taken effect."""
        return self._steering.applied

    def fast_forward(self, applied: int) -> None:
        """Bring the part's structure to where a checkpoint was written."""
        self._steering.fast_forward(self._items[:applied])

    def due(self, step: int) -> None:
        """Carry out what is planned or journalled for this step."""
        while self.applied < len(self._items) and self._items[self.applied].step <= step:
            item = self._items[self.applied]
            change = self._steering.follow(item)
            if not item.journalled:
                payload = {**change.payload(), "note": item.note, "planned": item.planned}
                self._recorder.event(Event(step, SET, item.who, payload))
            before = self._steering.steps
            change.commit()
            if self._steering.steps != before:
                self._recorder.update(steps=self._steering.steps)

    def takes(self, step: int) -> bool:
        """Whether a new change may apply at this step."""
        return step >= self._hold

    def set(self, command: Command, step: int) -> None:
        """Carry out one that a person asks for, or refuse it in words."""
        try:
            path, value, note = asked(command)
            change = self._steering.set(path, value, step)
        except WorkbenchError as error:
            self._recorder.refuse(command, error.message)
            return
        self._recorder.apply(command, step, {**change.payload(), "note": note})
        item = Item(step, change.set, command.who, note, journalled=True)
        self._items.insert(self.applied, item)
        change.commit()


class AfterTheStudent:
    """While the control trains: it follows what the student followed, and nothing new."""

    def __init__(self, items: list[Item], steering: Steering, recorder: Recorder, run: str) -> None:
        self._items, self._steering, self._recorder = items, steering, recorder
        self._run = run

    @property
    def applied(self) -> int:
        """How many changes have taken effect."""
        return self._steering.applied

    def fast_forward(self, applied: int) -> None:
        """Bring the part's structure to where a checkpoint was written."""
        self._steering.fast_forward(self._items[:applied])

    def due(self, step: int) -> None:
        """Carry out what the student's journal says for this step."""
        while self.applied < len(self._items) and self._items[self.applied].step <= step:
            self._steering.follow(self._items[self.applied]).commit()

    def takes(self, step: int) -> bool:
        """A request is answered at once: it is refused."""
        return True

    def set(self, command: Command, step: int) -> None:
        """Refuse: the student has ended."""
        path = command.payload.get("path", "PATH")
        self._recorder.refuse(
            command,
            f"The student of run {self._run} has ended; its control trains. A fork can change "
            f"`{path}`: workbench fork {self._run} --at STEP --set {path}=VALUE",
        )
