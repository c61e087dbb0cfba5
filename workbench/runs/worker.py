"""The worker: one process that trains a run and talks to others only through the store.

Of the runs that one experiment started, seed by seed, it takes up the next when one has ended. It
lives in a session of its own, survives whoever started it, and leaves its words in ``log.txt``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.atomic import disk_full, says_full
from workbench.errors import (
    BadFile,
    BadStore,
    LeaseLost,
    NonFiniteLoss,
    OutOfMemory,
    RunFailed,
    StoreLocked,
    UnknownRun,
    WorkbenchError,
)
from workbench.registry import look_in
from workbench.runs.launch import FreshStarter
from workbench.specs.experiment import ExperimentSpec
from workbench.store.files import drop_ballast, make_ballast
from workbench.store.queue import call_next
from workbench.store.runs import MENDED
from workbench.store.store import Store

NICENESS = 5
"""Below the page, so that looking stays quick while it trains."""
LOCK_SECONDS = 60.0
"""For which a worker waits when another process holds the store; training stands meanwhile."""
BEAT_SECONDS = 15.0
"""A quarter of the age at which another host takes the run for interrupted."""
LAST_WORD_SECONDS = 5.0
"""For which it waits to write its own failure down."""


def work(store_url: str, run: str, spec: ExperimentSpec | None = None) -> int:
    """Train a run in this process; returns the exit code (0 fine, 1 failed, 2 bad input).

    Args:
        store_url: Where the run was accepted.
        run: Its id.
        spec: The experiment, if it holds Python objects that the store cannot.
    """
    try:
        store = _open(store_url)
    except WorkbenchError as error:
        _say(error)
        return error.exit_code
    try:
        token = store.runs.claim(run)
    except WorkbenchError as error:  # somebody else has it, or there is no space to say so
        _say(error)
        store.close()
        return error.exit_code
    try:
        with _beating(store, token):
            return _train(store, run, token, spec)
    finally:
        _answer_the_rest(store, run, token)
        store.close()


def work_through(store_url: str, run: str) -> int:
    """Train a run in this process, then those of its group that wait; the first one's exit code.

    Each has its words in a log of its own. When nothing of the group waits any more, the next of
    the store's queue gets a process of its own. A fault of the machine (a full disk) ends it all:
    what waits then waits on, or counts as interrupted, and follows the run that is resumed.
    """
    first = code = work(store_url, run)
    while (following := _next(store_url, run, code)) is not None:
        run = following
        code = work(store_url, run)
    return first


def _next(store_url: str, run: str, code: int) -> str | None:
    """The run to train next, its log taken over; None if there is none or the machine is at fault.

    A run that two workers go for is one's own by :meth:`Runs.claim`.
    """
    try:
        with contextlib.closing(_open(store_url)) as store:
            if code and _is_fault_of_machine(store, run):
                return None
            found = store.runs.next_of(run)
            if found == run:  # it could not even be claimed
                return None
            if found is None:
                found = call_next(store.database)
                if found is not None and not _are_of_one_group(store, run, found):
                    _say(f"Run {found} of the queue is next, in a process of its own.")
                    FreshStarter().start(store, found)
                    return None
            if found is None:
                return None
            _say(f"Run {found} of the same group is next.")
            _log_to(store.runs.folder(found) / "log.txt")
            return found
    except WorkbenchError as failed:
        _say(failed)
        return None


def _is_fault_of_machine(store: Store, run: str) -> bool:
    """Whether the next run would fail of the same; not of one that was taken back meanwhile."""
    try:
        error = store.runs.get(run).error
    except UnknownRun:
        return False
    return error is not None and error.get("code") in MENDED


def _are_of_one_group(store: Store, run: str, other: str) -> bool:
    """Whether one process may train both: folder, imports and paths of their files are the same."""
    try:
        return any(row.id == run for row in store.runs.cohort(other))
    except UnknownRun:
        return False


def _log_to(path: Path) -> None:
    """Let everything that this process says from now on go to another file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab", buffering=0) as file:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    except OSError as error:  # its words go on into the old log
        _say(f"{path}: cannot be written: {error}.")


def _open(store_url: str) -> Store:
    """The store, also when another process holds it for a while."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            store = Store(store_url)
        except StoreLocked as locked:
            if time.monotonic() >= deadline:
                raise
            _say(f"{locked} Waiting up to {LOCK_SECONDS:.0f} s.")
        else:
            store.database.patience = LOCK_SECONDS
            store.database.told = _say
            return store


@contextlib.contextmanager
def _beating(store: Store, token: str) -> Iterator[None]:
    """A heartbeat whatever training does: a pause, a long step, a download, the control.

    Only other hosts look at it; what it cannot write is told by whoever trains.
    """
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_SECONDS):
            with contextlib.suppress(WorkbenchError):
                store.runs.beat(token)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _say(words: object) -> None:
    """A line for the log; where even that has no space or is gone, nobody can be told."""
    with contextlib.suppress(OSError):
        print(words, flush=True)


def _answer_the_rest(store: Store, run: str, token: str) -> None:
    """Answer what still waits, unless the run is somebody else's by now."""
    try:
        if store.runs.owns(run, token):
            store.journal.refuse_waiting(run, "The run has ended.")
    except WorkbenchError as error:  # the run's own failure has been told already
        _say(error)


def _train(store: Store, run: str, token: str, spec: ExperimentSpec | None) -> int:
    from workbench.runs.keeper import StoreKeeper
    from workbench.training.control import Options
    from workbench.training.device import configure, default_threads
    from workbench.training.session import run_session

    folder = store.runs.folder(run)
    try:
        row = store.runs.get(run)
        make_ballast(folder)
        threads = row.options.get("threads") or default_threads()
        configure(threads)  # written down: whoever resumes the run elsewhere takes as many
        store.runs.update(run, options={**row.options, "threads": threads})
        base = Path(row.options.get("base") or ".")
        if spec is None:
            settle(base)
            spec = ExperimentSpec.parse(row.experiment, source=f"the experiment of run {run}")
        options = Options(
            base=base,
            pace=row.pace,
            pause_at=row.options.get("pause_at"),
        )
        run_session(spec, StoreKeeper(store, run, token), options)
    except WorkbenchError as error:
        return _fail(store, run, token, error)
    except MemoryError:
        words = "The machine ran out of memory; take a smaller batch or model."
        return _fail(store, run, token, OutOfMemory(words))
    except Exception as error:  # the boundary of the process: what is left is our own bug
        traceback.print_exc()
        return _fail(store, run, token, _in_words(error, folder))
    finally:
        drop_ballast(folder)
    return 0


def settle(base: Path) -> None:
    """Look for relative paths and for a user's own modules where the experiment file lies."""
    if base.is_dir():
        os.chdir(base)
    look_in(base)


def _in_words(error: Exception, folder: Path) -> WorkbenchError:
    text = str(error)
    if "out of memory" in text.lower():
        return OutOfMemory(
            f"The device ran out of memory; take a smaller batch or model. ({text[:200]})"
        )
    if says_full(error):
        return disk_full(folder / "log.txt", 0)
    return RunFailed(
        f"{type(error).__name__}: {text[:500]} This is a fault of the workbench or of a model; "
        f"the full report is in {folder / 'log.txt'}."
    )


def _fail(store: Store, run: str, token: str, error: WorkbenchError) -> int:
    """Write the failure down and return the exit code; the ballast makes room on a full disk.

    Where it cannot be written even so (no room, a store that is locked or gone), the log has the
    words, and the run, whose process is gone, counts as interrupted. A run that somebody else has
    taken over is left as it is.
    """
    drop_ballast(store.runs.folder(run))  # first: the log lies on the same disk
    _say(error)
    store.database.patience = LAST_WORD_SECONDS
    code = error.exit_code
    try:
        if not store.runs.owns(run, token):
            return LeaseLost.exit_code
        code = _exit_code(error, store.runs.get(run).step)
        checkpoints = store.checkpoints(run)
        fields: dict[str, Any] = {
            "status": "failed",
            "activity": None,
            "progress": None,
            "ended_ns": time.time_ns(),
            "error": {
                "code": error.code,
                "message": error.message,
                "exit_code": code,
                "last_good_step": int(checkpoints[0].step) if checkpoints else None,
                **({"facts": error.facts} if isinstance(error, NonFiniteLoss) else {}),
            },
        }
        for part in store.runs.list(roles=None, group=run):
            if part.active or part.id == run:
                store.runs.update(part.id, **fields)
    except WorkbenchError as silent:
        _say(f"This could not be written down: {silent}")
        return RunFailed.exit_code
    return code


def _exit_code(error: WorkbenchError, step: int) -> int:
    """Bad input means that nothing was started; a store or a file of ours broke while training."""
    broke = isinstance(error, BadStore) or (isinstance(error, BadFile) and step > 0)
    return RunFailed.exit_code if broke else error.exit_code


def main(arguments: list[str]) -> int:
    """``python -m workbench.runs.worker STORE RUN``."""
    store_url, run = arguments
    os.nice(max(NICENESS - os.nice(0), 0))  # it may have been started by one of its own kind
    return work_through(store_url, run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
