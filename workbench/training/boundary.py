"""What happens between two steps: commands are journalled and followed, slow motion waits.

Nothing here enters the maths: a run that was paused or slowed has the bits of one that was not.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from workbench.training.journal import Command, Event, Recorder, Status

POLL_SECONDS = 0.05
PAUSE_AT = "pause-at"
"""Who is journalled for a pause that was planned at the start."""


class Boundary:
    """Looks into the inbox at step boundaries.

    Args:
        recorder: Whose commands.
        run: Recorder of the student's row, which people look at.
        running: Status of that row while this part trains.
        pace: Seconds that a step is stretched to; None is full speed.
        pause_at: Step at which the run pauses by itself, once.
        save: Called with the step when a pause begins, to write a checkpoint.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        run: Recorder,
        running: Status = "training",
        pace: float | None = None,
        pause_at: int | None = None,
        save: Callable[[int, str], None] | None = None,
    ) -> None:
        self._recorder = recorder
        self._run = run
        self._running = running
        self._pace = pace
        self._pause_at = pause_at
        self._save = save
        self._next_look = 0.0
        self._step_started = time.perf_counter()
        self._paused = False
        self.stopped = False

    def at(self, step: int) -> bool:
        """Follow what has been commanded; returns when training may go on or must stop.

        Returns:
            Whether it waited in a pause.
        """
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
            self._follow(command, step)

    def _follow(self, command: Command, step: int) -> None:
        if command.kind == "pause" and not self._paused:
            self._recorder.apply(command, step, {})
            self._pause(step)
        elif command.kind == "resume" and self._paused:
            self._recorder.apply(command, step, {})
            self._paused = False
            self._run.update(status=self._running)
        elif command.kind == "stop":
            self._recorder.apply(command, step, {})
            self._run.update(status="stopping")
            self.stopped = True
        elif command.kind == "pace":
            before, self._pace = self._pace, command.payload.get("seconds")
            self._recorder.apply(command, step, {"before": before, "after": self._pace})
            self._run.update(pace=self._pace)
        else:
            state = "paused" if self._paused else "training"
            self._recorder.refuse(command, f"The run is {state}; {command.kind!r} does not apply.")

    def _pause(self, step: int) -> None:
        if self._save is not None:
            self._save(step, "pause")
        self._paused = True
        self._run.update(status="paused")
