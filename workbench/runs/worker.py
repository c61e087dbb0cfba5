"""The worker: one process that trains one run and talks to others only through the store.

It lives in a session of its own, survives whoever started it, and leaves its words in ``log.txt``.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from workbench.atomic import disk_full, says_full
from workbench.errors import DiskFull, OutOfMemory, RunFailed, WorkbenchError
from workbench.specs.experiment import ExperimentSpec
from workbench.store.files import drop_ballast, make_ballast
from workbench.store.store import Store

NICENESS = 5
"""Below the page, so that looking stays quick while it trains."""


def work(store_url: str, run: str, spec: ExperimentSpec | None = None) -> int:
    """Train a run in this process; returns the exit code (0 fine, 1 failed, 2 bad input).

    Args:
        store_url: Where the run was accepted.
        run: Its id.
        spec: The experiment, if it holds Python objects that the store cannot.
    """
    store = Store(store_url)
    try:
        store.runs.claim(run)
    except WorkbenchError as error:  # somebody else has it, or there is no space to say so
        print(error, flush=True)
        store.close()
        return error.exit_code
    try:
        return _train(store, run, spec)
    finally:
        store.journal.refuse_waiting(run, "The run has ended.")
        store.close()


def _train(store: Store, run: str, spec: ExperimentSpec | None) -> int:
    from workbench.runs.keeper import StoreKeeper
    from workbench.training.control import Options
    from workbench.training.device import configure, default_threads
    from workbench.training.session import run_session

    row = store.runs.get(run)
    folder = store.runs.folder(run)
    try:
        make_ballast(folder)
        threads = row.options.get("threads") or default_threads()
        configure(threads)  # written down: whoever resumes the run elsewhere takes as many
        store.runs.update(run, options={**row.options, "threads": threads})
        base = Path(row.options.get("base") or ".")
        if spec is None:
            _settle(base)
            spec = ExperimentSpec.parse(row.experiment, source=f"the experiment of run {run}")
        options = Options(
            base=base,
            pace=row.pace,
            pause_at=row.options.get("pause_at"),
        )
        run_session(spec, StoreKeeper(store, run), options)
    except WorkbenchError as error:
        _fail(store, run, error)
        return error.exit_code
    except MemoryError:
        _fail(
            store, run, OutOfMemory("The machine ran out of memory; take a smaller batch or model.")
        )
        return 1
    except Exception as error:  # the boundary of the process: what is left is our own bug
        traceback.print_exc()
        _fail(store, run, _in_words(error, folder))
        return 1
    finally:
        drop_ballast(folder)
    return 0


def _settle(base: Path) -> None:
    """Look for relative paths and for a user's own modules where the experiment file lies."""
    if base.is_dir():
        os.chdir(base)
    if str(base) not in sys.path:
        sys.path.append(str(base))  # last: a file there never stands in for a library


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


def _fail(store: Store, run: str, error: WorkbenchError) -> None:
    """Write the failure down; the ballast makes room for it on a full disk.

    Where there is no room even so, the log has the words, and the run, whose process is gone,
    counts as interrupted.
    """
    print(error, flush=True)
    drop_ballast(store.runs.folder(run))
    checkpoints = store.checkpoints(run)
    fields: dict[str, Any] = {
        "status": "failed",
        "activity": None,
        "progress": None,
        "ended_ns": time.time_ns(),
        "error": {
            "code": error.code,
            "message": error.message,
            "exit_code": error.exit_code,
            "last_good_step": int(checkpoints[0].step) if checkpoints else None,
        },
    }
    try:
        for part in store.runs.list(roles=("student", "teacher", "control"), group=run):
            if part.active or part.id == run:
                store.runs.update(part.id, **fields)
    except DiskFull as full:
        print(full, flush=True)


def main(arguments: list[str]) -> int:
    """``python -m workbench.runs.worker STORE RUN``."""
    store_url, run = arguments
    os.nice(NICENESS)
    return work(store_url, run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
