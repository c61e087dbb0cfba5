"""What happens between two steps: commands are journalled and followed, slow motion waits.

Nothing here enters the maths but what the hands change: a run that was paused, slowed or looked at
has the bits of one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from workbench.training.journal import Command, Event, Recorder, Status

POLL_SECONDS = 0.05
PAUSE_AT = "pause-at"
"""Who is journalled for a pause that was planned at the start."""
REPEATS = (
    "The run is paused among steps that were trained before it was interrupted; with them stands "
    "what was set there. Resume it: what is set then applies as soon as these are done. A fork can "
    "change an earlier step."
)


class Hands(Protocol):
    """Carries out changes of the experiment; see :mod:`workbench.training.intervening`."""

    def due(self, step: int) -> None:
        """Carry out what is planned or journalled for this step."""

    def takes(self, step: int) -> bool:
        """Whether a new change may apply at this step; else it waits."""

    def set(self, command: Command, step: int) -> None:
        """Carry it out, journalled first, or refuse it in words."""


class Boundary:
    """Looks into the inbox at step boundaries.

    Args:
        recorder: Whose commands.
        run: Recorder of the student's row, which people look at.
        running: Status of that row while this part trains.
        pace: Seconds that a step is stretched to; None is full speed.
        pause_at: Step at which the run pauses by itself, once.
        stop_at: Step at which it stops by itself, without a word in the journal.
        save: Called with the step and a reason to write a checkpoint.
        probe: Called with the step to look at the model now.
        hands: Carries out changes of the experiment; None where nothing can change.
        part: ``teacher`` or ``control`` where steps are not the student's: the journal says so.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        run: Recorder,
        running: Status = "training",
        pace: float | None = None,
        pause_at: int | None = None,
        stop_at: int | None = None,
        save: Callable[[int, str], None] | None = None,
        probe: Callable[[int], None] | None = None,
        hands: Hands | None = None,
        part: str | None = None,
    ) -> None:
        self._recorder = recorder
        self._run = run
        self._running = running
        self._pace = pace
        self._pause_at, self._stop_at = pause_at, stop_at
        self._save = save
        self._probe = probe
        self._hands = hands
        self._of = {"part": part} if part else {}
        self._next_look = 0.0
        self._step_started = time.perf_counter()
        self._paused = False
        self.stopped = False

    def at(self, step: int) -> bool:
        """Follow what has been commanded; returns when training may go on or must stop.

        Returns:
            Whether it waited in a pause.
        """
        if self._stop_at is not None and step >= self._stop_at:
            self.stopped = True
            return False
        if self._hands is not None:
            self._hands.due(step)
        if self._pause_at is not None and step >= self._pause_at:
            self._recorder.event(Event(step, "pause", PAUSE_AT))
            self._pause_at = None
            self._pause(step)
        self._look(step)
        waited = self._paused
        while self._paused and not self.stopped:
            time.sleep(POLL_SECONDS)
            self._look(step, now=True)
        self._step_started = time.perf_counter()
        return waited

    def wait(self, step: int) -> None:
        """Slow motion: stretch the step that has just ended, still listening."""
        while self._pace is not None and not self.stopped and not self._paused:
            left = self._step_started + self._pace - time.perf_counter()
            if left <= 0:
                return
            time.sleep(min(left, POLL_SECONDS))
            self._look(step)

    def _look(self, step: int, *, now: bool = False) -> None:
        clock = time.perf_counter()
        if not now and clock < self._next_look:
            return
        self._next_look = clock + POLL_SECONDS
        for command in self._recorder.commands():
            if command.kind != "set":
                self._follow(command, step)
            elif self._hands is None:
                self._recorder.refuse(command, "Nothing can be set now.")
            elif self._hands.takes(step):
                self._hands.set(command, step)
            elif self._paused:  # nobody should wait for somebody who resumes it
                self._recorder.refuse(command, REPEATS)

    def _follow(self, command: Command, step: int) -> None:
        if command.kind == "pause" and not self._paused:
            self._recorder.apply(command, step, self._of)
            self._pause(step)
        elif command.kind == "resume" and self._paused:
            self._recorder.apply(command, step, self._of)
            self._paused = False
            self._run.update(status=self._running)
        elif command.kind == "stop":
            self._recorder.apply(command, step, self._of)
            self._run.update(status="stopping")
            self.stopped = True
        elif command.kind == "pace":
            before, self._pace = self._pace, command.payload.get("seconds")
            self._recorder.apply(command, step, {"before": before, "after": self._pace})
            self._run.update(pace=self._pace)
        elif command.kind == "checkpoint" and self._save is not None:
            self._recorder.apply(command, step, self._of)
            self._save(step, "asked")
        elif command.kind == "probe" and self._probe is not None:
            self._recorder.apply(command, step, self._of)
            self._probe(step)
        else:
            state = "paused" if self._paused else "training"
            self._recorder.refuse(command, f"The run is {state}; {command.kind!r} does not apply.")

    def _pause(self, step: int) -> None:
        if self._save is not None:
            self._save(step, "pause")
        self._paused = True
        self._run.update(status="paused")
