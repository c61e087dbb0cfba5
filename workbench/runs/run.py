"""A run in Python: what it measured, what happened to it, and a hand on it while it trains."""

from __future__ import annotations

import getpass
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import RefusedCommand, UnknownName, WorkerDied
from workbench.export.kinds import export_run
from workbench.runs.attribution import Explained
from workbench.runs.fork import fork
from workbench.runs.launch import (
    FreshStarter,
    anneal_in_fresh_process,
    ask_to_set,
    command,
    own_worker,
    replay_in_fresh_process,
    resume,
)
from workbench.runs.notes import note
from workbench.runs.objects import as_it_stands, spec_of
from workbench.runs.results import check_ended_well, over_seeds, result_of, was_refused
from workbench.runs.shown import Shown
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.knobs import Knob, knobs
from workbench.store.runs import PARTS, RunRow
from workbench.store.store import Store

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor

    from workbench.training.journal import Event

__all__ = ["Run", "check_ended_well", "me", "result_of", "was_refused"]
POLL_SECONDS = 0.1
SHOWN = ("pause", "resume", "stop")  # a row says when they are carried out
TAKE_UP_SECONDS = 120.0
"""For a fresh worker to import everything and claim the run."""


class Run(Explained, Shown):
    """One accepted run of a store; reading it never disturbs the training.

    Args:
        id: As ``workbench runs`` lists it.
        store: Where it lies; the default store if not given.

    Raises:
        UnknownRun: If the store has no such run.

    Example:
        >>> Run("quickstart-7k2p9x").metrics.tail()  # doctest: +SKIP
    """

    def __init__(self, id: str, store: Store | str | None = None) -> None:
        self.store = store if isinstance(store, Store) else Store(store)
        self.id = id
        self.store.runs.get(id)

    def __repr__(self) -> str:
        row = self.row
        return f"Run({self.id!r}: {row.status}, step {row.step} of {row.steps})"

    @property
    def row(self) -> RunRow:
        """The run's row as it is now."""
        return self.store.runs.get(self.id)

    @property
    def status(self) -> str:
        """queued, preparing, training, paused, stopping, stopped, finished, failed, interrupted."""
        return self.row.status

    @property
    def experiment(self) -> ExperimentSpec:
        """What it was started from."""
        return spec_of(self.row)

    @property
    def metrics(self) -> pd.DataFrame:
        """One row a step: total loss, each weighted term, learning rate; index is the step."""
        return self.series("train")

    @property
    def probes(self) -> pd.DataFrame:
        """One row a snapshot: accuracy and NLL on the probe split; index is the step."""
        return self.series("probe")

    def series(self, name: str, *, part: str = "student") -> pd.DataFrame:
        """Rows of a series (``train`` or ``probe``) of the student, ``control``, ..."""
        import pandas as pd

        found = self.store.metrics.read(self._row_of(part), name)
        index = pd.Index(found.steps, name="step")
        return pd.DataFrame(found.values, index=index, columns=list(found.columns))

    def arrays(self, name: str) -> list[tuple[int, dict[str, np.ndarray]]]:
        """What a probe (``cka``, ``trilateral``, ``calibration``, ``loyalty``) saw, with steps.

        Raises:
            UnknownName: If the run has no such probe.
        """
        known = sorted({str(probe.use) for probe in self.experiment.probes})
        if name not in known:
            raise UnknownName("probe of this run", name, known)
        prefix = f"{name}."
        return [
            (
                snapshot.step,
                {
                    key.removeprefix(prefix): array
                    for key, array in snapshot.arrays.items()
                    if key.startswith(prefix)
                },
            )
            for snapshot in self.store.snapshots(self.id)
        ]

    @property
    def selection(self) -> dict[str, np.ndarray]:
        """Which training rows a data policy showed in each epoch, once the run has ended.

        Returns:
            ``ids`` of all training rows, int64 (N,); ``epochs`` from 0, int64 (E,); ``kept``, bool
            (E, N). ``series("selection")`` has the numbers of each epoch, also while it trains.

        Raises:
            RefusedCommand: If it has no policy, or has not come to its end.
        """
        from workbench.training.choices import read_choices

        return read_choices(self.store.runs.folder(self.id))

    @property
    def journal(self) -> list[Event]:
        """What took effect at which step."""
        return self.store.journal.events(self.id)

    def note(self, text: str, *, step: int | None = None) -> int:
        """Write words into the journal; they change nothing. Returns the step where they stand.

        Args:
            text: One line, at most 500 characters.
            step: Optimiser steps done; None is where the run is now.

        Raises:
            BadInput: If the text is empty or too long, or the run has no such step.
        """
        return note(self.store, self.id, text, who=me(), step=step)

    @property
    def current(self) -> ExperimentSpec:
        """The experiment as it stands: what was started, with what was done to it since."""
        return as_it_stands(self.store, self.id)

    @property
    def knobs(self) -> dict[str, Knob]:
        """Every path that :meth:`set` takes, with its value and its bounds."""
        return knobs(self.current)

    @property
    def parent(self) -> Run | None:
        """The run this one was forked from."""
        row = self.row
        return Run(row.parent, self.store) if row.parent else None

    @property
    def children(self) -> list[Run]:
        """Runs that were forked from this one, newest first."""
        return [Run(row.id, self.store) for row in self.store.runs.list() if row.parent == self.id]

    @property
    def group(self) -> list[Run]:
        """The runs that were started with it, one a seed and setting, in order; itself too."""
        return [Run(row.id, self.store) for row in self.store.runs.cohort(self.id)]

    @property
    def summary(self) -> dict[str, Any]:
        """Mean and sd over the seeds of its setting, and paired differences to the controls.

        Returns:
            What ``workbench run --seeds N --json`` prints under ``summary``.
        """
        return over_seeds(self.store, self.id)

    def fork(self, at: int, changes: Mapping[str, Any] | None = None, **options: Any) -> Run:
        """Start a new run that shares this one's first steps; returns at once.

        Args:
            at: Optimiser steps that both share.
            changes: Path to value, from there on; any path at step 0.
            options: ``name``, ``note``, ``keep_later=False`` to leave out what was done to this
                run after that step.
        """
        child = fork(self.store, self.id, at, changes or {}, who=me(), **options)
        FreshStarter().start(self.store, child)
        return Run(child, self.store)

    def anneal(self, epochs: int, at: int | None = None) -> dict[str, Any]:
        """Project what it would reach if its learning rate went to zero, in a fresh process.

        Args:
            epochs: Passes over which the rate decays.
            at: From which step on; None is the last one recorded.

        Returns:
            What ``workbench anneal --json`` prints: ``projected``, ``interval``, ``now``, ...
        """
        return anneal_in_fresh_process(self.store, self.id, epochs, at)

    def export(self, to: str, path: str | Path, *, force: bool = False) -> Path:
        """Write the run as a file that stands alone.

        Args:
            to: ``script``, ``notebook``, ``yaml`` or ``weights``.
            path: File to write; for weights also a folder.
            force: Replace a file that is there.

        Raises:
            BadFile: If nothing may be written there.
            RefusedCommand: If the run has nothing to export yet.
        """
        return export_run(self.store, self.id, to, path, force=force)

    def checkpoint(self, step: int | None = None) -> dict[str, Tensor]:
        """The student's tensors by name as a checkpoint holds them.

        Args:
            step: Step of a kept checkpoint; None is the newest.

        Raises:
            BadModel: If there is none; lists the steps that have one.
        """
        from safetensors.torch import load_file

        from workbench.runs.keeper import open_run

        which = "last" if step is None else str(step)
        return load_file(open_run(self.store, f"{self.id}@{which}").path)

    def replay(self) -> dict[str, Any]:
        """Train it anew from its journal alone, in a fresh process, and compare every number.

        Returns:
            What ``workbench replay --json`` prints: ``equal``, ``first_difference``, ...
        """
        return replay_in_fresh_process(self.store, self.id)

    @property
    def result(self) -> dict[str, Any]:
        """Status, steps, seconds, weights hash, test metrics and protocol, as ``--json`` prints."""
        return result_of(self.row)

    def pause(self) -> int:
        """Pause at the next step; returns that step when it is journalled and the run stands."""
        return self._command("pause")

    def resume(self) -> None:
        """Go on after a pause or an interruption; returns when the run has been taken up.

        Raises:
            RefusedCommand: If it runs (names the pid), or has ended for good.
            WorkerDied: If the new worker ends before it has taken the run up.
        """
        before = self.row
        if before.status == "paused":
            try:
                self._command("resume")
            except RefusedCommand:
                self._refuse_if_running()
                raise
            return
        resume(self.store, self.id, FreshStarter(), who=me())
        if before.status != "finished":
            self._await_own_worker()

    def set(self, path: str, value: Any, note: str = "") -> int:
        """Change a knob while it trains; returns the step from which it applies, journalled.

        Args:
            path: As :attr:`knobs` lists it, for example ``stages.main.terms.kd.temperature``.
            value: Number, or plain data such as a schedule.
            note: Why, for the journal.

        Raises:
            InvalidExperiment: If the value is not allowed; names field, value and bounds.
            RefusedCommand: If the path cannot change in place, or the run has ended; both offer
                the fork that would do it.
        """
        return self._answered(ask_to_set(self.store, self.id, path, value, who=me(), note=note))

    def save_checkpoint(self) -> int:
        """Write a checkpoint at the next step; returns that step."""
        return self._command("checkpoint")

    def probe(self) -> int:
        """Take a snapshot at the next step; returns that step."""
        return self._command("probe")

    def stop(self) -> int:
        """Stop at the next step, for good; returns that step when it is journalled and shows.

        A run that waits for its turn in a group is left out of it, at once.
        """
        if self.store.runs.withdraw(self.id):
            return 0
        return self._command("stop")

    def wait(self, told: Callable[[RunRow], None] | None = None) -> Run:
        """Wait until it ends or pauses; ``told`` gets the row a few times a second.

        Raises:
            WorkerDied: If the worker is gone without a word.
        """
        while True:
            worker = own_worker(self.id)
            gone = worker is not None and worker.poll() is not None
            row = self.row
            if told is not None:
                told(row)
            waits = row.turn is not None  # in the queue: whoever comes by starts the next worker
            if row.status == "interrupted" or (gone and row.status == "queued" and not waits):
                raise WorkerDied(
                    f"The worker of run {self.id} is gone at step {row.step}; "
                    f"`workbench resume {self.id}` goes on from its last checkpoint. "
                    f"Its last words are in {self.store.runs.folder(self.id) / 'log.txt'}."
                )
            if not row.active or row.status == "paused":
                return self
            time.sleep(POLL_SECONDS)

    def _await_own_worker(self) -> None:
        """Until the worker that this process started has the run, or has been turned away."""
        worker = own_worker(self.id)
        deadline = time.monotonic() + TAKE_UP_SECONDS
        while worker is not None and time.monotonic() < deadline:
            gone = worker.poll() is not None
            if self.row.pid == worker.pid:
                return
            if gone:
                self._refuse_if_running()
                break
            time.sleep(POLL_SECONDS)
        raise WorkerDied(
            f"The new worker of run {self.id} ended before it could take the run up. "
            f"Its words are in {self.store.runs.folder(self.id) / 'log.txt'}."
        )

    def _refuse_if_running(self) -> None:
        if (row := self.row).active:
            raise RefusedCommand(
                f"Run {self.id} is already running, pid {row.pid}; somebody else resumed it."
            )

    def _await_shown(self, kind: str) -> None:
        """Until a journalled command shows, or somebody has told the run otherwise."""
        while (row := self.row).active and (row.status == "paused") != (kind == "pause"):
            told = [event for event in self.journal if event.kind in SHOWN]
            if max(told, key=lambda event: event.id).kind != kind:
                return
            time.sleep(POLL_SECONDS)

    def _row_of(self, part: str) -> str:
        if part not in PARTS:
            raise UnknownName("part of a run", part, PARTS)
        return self.id if part == "student" else f"{self.id}-{part}"

    def _command(self, kind: str, **payload: Any) -> int:
        """Send a command; returns the step at which it applied."""
        step = self._answered(command(self.store, self.id, kind, who=me(), **payload))
        if kind in SHOWN:
            self._await_shown(kind)
        return step

    def _answered(self, number: int) -> int:
        """Wait for the answer to a command; returns the step at which it applied."""
        while True:
            active = self.row.active  # before the answer: what applies at the end has one by then
            answer = self.store.journal.answer(number)
            if answer.state == "refused":
                raise RefusedCommand(answer.reason or f"Run {self.id} refused the command.")
            if answer.state == "applied":
                return answer.step or 0
            if not active:
                raise RefusedCommand(f"Run {self.id} is {self.status}; the command did not apply.")
            time.sleep(POLL_SECONDS)


def me() -> str:
    """Who the journal names for what this process does."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such user in a container
        return "someone"
