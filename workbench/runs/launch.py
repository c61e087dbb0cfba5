"""Accepting a run and starting its worker, from the page, the command line and Python alike."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Protocol

from workbench.errors import BadInput, InvalidExperiment, RefusedCommand
from workbench.runs.forked import Helper, can_fork, is_ready, meet
from workbench.runs.objects import as_it_stands, holds_objects, refuse_stored_objects
from workbench.runs.own_code import with_modules
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml
from workbench.specs.knobs import check_interventions, steered
from workbench.store.files import write_text
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.store.thinning import run_budget
from workbench.training.control import control_spec, plain_kd_spec
from workbench.training.journal import Event
from workbench.training.tripwires import refuse_unknown

LEAVE_SECONDS = 10.0
"""For a preloaded process to notice that nobody needs it any more."""
ACCEPTED = "accepted"
"""Kind of the line that says who started a run; nothing trains yet when it is written."""
RESUME_ASKED = "resume asked"
"""Likewise of who lets a run go on whose worker is gone."""
Began = Callable[[subprocess.Popen[bytes]], object]
_WORKERS: dict[str, subprocess.Popen[bytes]] = {}
"""Fresh workers of this process by run: nobody else could take their exit code."""


class Starter(Protocol):
    """Starts workers."""

    def start(self, store: Store, run: str) -> None:
        """Start the worker of an accepted run; returns at once."""


class FreshStarter:
    """A new interpreter for each worker: a few seconds to its first step, works everywhere."""

    def start(self, store: Store, run: str) -> None:
        """Start it in a session of its own, its words in ``log.txt``."""
        log = _log(store, run)
        for ended in [run for run, worker in _WORKERS.items() if worker.poll() is not None]:
            del _WORKERS[ended]
        with log.open("ab", buffering=0) as file:
            _WORKERS[run] = subprocess.Popen(
                module_command("workbench.runs.worker", str(store.path), run),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )


class ZygoteStarter:
    """Workers forked from a preloaded process; falls back to fresh ones where fork is missing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._fresh = FreshStarter()
        if hasattr(os, "fork") and sys.platform != "darwin":
            self._process = subprocess.Popen(
                module_command("workbench.runs.zygote"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )

    def start(self, store: Store, run: str) -> None:
        """Order a worker; while the zygote still preloads, the order waits in its pipe."""
        order = {"store": str(store.path), "run": run, "log": str(_log(store, run))}
        with self._lock:
            if not self._tell(json.dumps(order) + "\n"):
                self._fresh.start(store, run)

    def explain(self, store: Path) -> Helper | None:
        """A process that answers about a store's runs.

        Args:
            store: Path of the database.

        Returns:
            None where it still preloads, or cannot fork: a fresh process answers sooner.
        """
        process = self._process
        if process is None or not can_fork() or not self._is_ready():
            return None

        def order(at: str) -> bool:
            with self._lock:
                return self._tell(json.dumps({"explain": str(store), "at": at}) + "\n")

        return meet(order, lambda: process.poll() is None)

    def _is_ready(self) -> bool:
        """Whether the zygote has said so; its word stays in the pipe for the next who looks."""
        with self._lock:
            said = self._process.stdout if self._process is not None else None
            return said is not None and is_ready(said.fileno())

    def close(self) -> None:
        """Let the zygote go; its workers go on."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                with contextlib.suppress(BrokenPipeError):  # it is gone already
                    self._process.stdin.close()
                try:
                    self._process.wait(timeout=LEAVE_SECONDS)
                except subprocess.TimeoutExpired:  # it still imports
                    self._process.kill()
                    self._process.wait()
                if self._process.stdout is not None:
                    self._process.stdout.close()
                self._process = None

    def _tell(self, line: str) -> bool:
        """Whether a living zygote has taken the line."""
        process = self._process
        if process is None or process.poll() is not None or process.stdin is None:
            return False
        try:
            process.stdin.write(line)
            process.stdin.flush()
        except BrokenPipeError:
            return False
        return True


def own_worker(run: str) -> subprocess.Popen[bytes] | None:
    """The fresh worker that this process started last for a run, living or ended."""
    return _WORKERS.get(run)


def accept(
    store: Store,
    spec: ExperimentSpec,
    *,
    recipe: str | None = None,
    base: Path | None = None,
    pace: float | None = None,
    pause_at: int | None = None,
    threads: int | None = None,
    parent: str | None = None,
    forked_at: int | None = None,
    who: str | None = None,
    queued: bool = False,
) -> str:
    """Make the row and folder of a run; returns its id. Nothing trains yet.

    An experiment of several seeds becomes as many runs, which know each other
    (``store.runs.cohort``) and train one after the other; the first one's id is returned.
    ``who`` and ``queued`` as in :func:`accept_all`.

    Raises:
        BadInput: If the student or a control would have nothing to train.
    """
    return accept_all(
        store,
        [spec],
        recipe=recipe,
        base=base,
        pace=pace,
        pause_at=pause_at,
        threads=threads,
        parent=parent,
        forked_at=forked_at,
        who=who,
        queued=queued,
    )


def accept_all(
    store: Store,
    specs: Sequence[ExperimentSpec],
    *,
    recipe: str | None = None,
    base: Path | None = None,
    pause_at: int | None = None,
    threads: int | None = None,
    who: str | None = None,
    **fields: Any,
) -> str:
    """Accept the runs of several experiments as one group, all or none; returns the first's id.

    They train one after the other in their order, seed by seed within each.

    Args:
        store: Where they lie.
        specs: At least one; the first one's name is that of all.
        recipe: That they were made from.
        base: Folder that relative paths of the experiments start from.
        pause_at: Step at which each pauses by itself.
        threads: Of torch.
        who: Whom their journals name for it; None writes no line.
        fields: ``pace``, ``parent``, ``forked_at``, ``cohort``; ``queued``: wait for their turn in
            the queue of the store.

    Raises:
        BadInput: If a student or a control would have nothing to train.
        NotSendable: If it uses a class that no other process can import.
    """
    run_budget()  # a worker would trip over it
    specs = [spec if holds_objects(spec) else with_modules(spec) for spec in specs]
    for spec in specs:
        check_interventions(spec)
        refuse_unknown(spec)
        _refuse_nothing_to_train(spec)
        if spec.control:
            _refuse_nothing_to_train(control_spec(spec))
        if spec.plain_kd:
            plain_kd_spec(spec)
    experiments = [one.given() for spec in specs for one in spec.each_seed()]
    runs = store.runs.create_all(
        experiments,
        name=specs[0].name,
        options={
            "base": str((base or Path.cwd()).resolve()),
            "pause_at": pause_at,
            "threads": threads,
        },
        recipe=recipe,
        **fields,
    )
    for run, experiment in zip(runs, experiments, strict=True):
        write_text(store.runs.folder(run) / "experiment.yaml", dump_yaml(experiment))
        if who is not None:
            store.journal.write(
                run, Event(0, ACCEPTED, who, {"queued": bool(fields.get("queued"))})
            )
    return runs[0]


def resume(store: Store, run: str, starter: Starter, *, who: str) -> RunRow:
    """Let a paused or interrupted run go on, or one that a full disk ended.

    A finished one stays as it is.

    Raises:
        RefusedCommand: If it is running, stopped, or failed for another reason.
        NotSendable: If it trained a Python object of a process that is gone.
    """
    row = store.runs.get(run)
    if row.status == "paused":
        store.journal.send(run, "resume", who=who)
    elif row.resumable:
        refuse_stored_objects(row.experiment, run)
        store.journal.write(run, Event(row.step, RESUME_ASKED, who))
        starter.start(store, run)
    elif row.status != "finished":
        words = f"already running, pid {row.pid}" if row.active else f"{row.status}"
        if row.status == "queued":
            words = "queued and takes its turn by itself"
        raise RefusedCommand(
            f"Run {run} is {words}; a run can be resumed that is paused or interrupted, or that "
            "failed because the disk was full."
        )
    return store.runs.get(run)


def command(store: Store, run: str, kind: str, *, who: str, **payload: Any) -> int:
    """Send a command to a living run; returns its number.

    Raises:
        RefusedCommand: If the run has ended or its worker is gone.
        BadInput: If something of it is no plain data.
    """
    try:
        json.dumps(payload, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"{kind} {payload}: {error}. A run is sent numbers, words, lists and mappings of these."
        ) from None
    row = store.runs.get(run)
    if not row.active:
        way = "`workbench resume` lets it go on." if row.resumable else "It has ended."
        raise RefusedCommand(f"Run {run} is {row.status}; {kind!r} does not apply. {way}")
    return store.journal.send(run, kind, who=who, payload=payload)


def ask_to_set(store: Store, run: str, path: str, value: Any, *, who: str, note: str = "") -> int:
    """Ask a run to change a knob; returns the number of the command.

    Raises:
        InvalidExperiment: If the value is not allowed; names field, value and bounds.
        RefusedCommand: If the path cannot change in place, or the run has ended; both offer the
            fork that would do it.
    """
    row = store.runs.get(run)
    if not row.active:
        raise RefusedCommand(
            f"Run {run} is {row.status} at step {row.step}; nothing of it can be set any more. "
            f"A fork can: workbench fork {run} --at {row.step} --set {path}={value}"
        )
    steered(as_it_stands(store, run), path, value, run=run, step=row.step)
    return command(store, run, "set", who=who, path=path, value=value, note=note)


def replay_in_fresh_process(store: Store, run: str, began: Began | None = None) -> dict[str, Any]:
    """What ``python -m workbench.runs.replay`` finds.

    Args:
        store: Where the run lies.
        run: Its id.
        began: Called with the process, for whoever may have to end it.

    Raises:
        RefusedCommand: If it cannot replay the run, with its own words, or was ended.
    """
    return _in_fresh_process("workbench.runs.replay", str(store.path), run, began=began)


def anneal_in_fresh_process(store: Store, run: str, epochs: int, at: int | None) -> dict[str, Any]:
    """What ``python -m workbench.runs.anneal`` finds.

    Raises:
        RefusedCommand: If it cannot project the run; its own words.
    """
    more = () if at is None else (str(at),)
    return _in_fresh_process("workbench.runs.anneal", str(store.path), run, str(epochs), *more)


def _in_fresh_process(module: str, *arguments: str, began: Began | None = None) -> dict[str, Any]:
    with TemporaryFile("w+") as out, TemporaryFile("w+") as wrong:
        process = subprocess.Popen(
            module_command(module, *arguments),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=wrong,
            start_new_session=True,
        )
        try:
            if began is not None:
                began(process)
            code = process.wait()
        except BaseException:  # Ctrl-C: in a session of its own it has heard nothing of it
            process.kill()
            process.wait()
            raise
        out.seek(0)
        found = last_word(out.read())
        if code not in (0, 1) or found is None:
            wrong.seek(0)
            raise RefusedCommand(wrong.read().strip() or f"{module} ended without a word.")
    return found


def last_word(said: str) -> dict[str, Any] | None:
    """The answer of a process: its last line as JSON, whatever a user's own module printed before.

    Returns:
        None where that line is no answer: the process has broken.
    """
    try:
        found = json.loads(said.strip().rpartition("\n")[2])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def module_command(module: str, *arguments: str) -> list[str]:
    """A fresh interpreter on one of our modules.

    ``-P``: a file of the user's working folder (``random.py``) must not stand in for a library.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def _refuse_nothing_to_train(spec: ExperimentSpec) -> None:
    terms = spec.stage.terms
    if all(isinstance(term.weight, float) and term.weight == 0 for term in terms.values()):
        raise InvalidExperiment(
            [
                f"stages.{spec.stage_name}.terms: every term ({', '.join(terms)}) has weight 0, so "
                "nothing would be trained. Give at least one a weight > 0"
            ],
            source=repr(spec.name),
        )


def _log(store: Store, run: str) -> Path:
    log = store.runs.folder(run) / "log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    return log
