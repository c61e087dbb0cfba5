"""Seconds from ``resume`` of a killed run to its next step, against a start to its first one.

Both are fresh interpreters; the teacher is in the cache. What a resume does more, reading the
checkpoint and what was set since, should not be felt.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._pairs import main, report
from workbench.recipes import open_experiment
from workbench.runs.launch import FreshStarter, accept, command, own_worker, resume
from workbench.store.store import Store

BUDGET = 1.2
MOST = 8
"""Rounds: each is two starts of several seconds."""
PATIENCE = 120.0
PACE = 0.02
PATH = "stages.main.terms.kd.temperature"


def measure(rounds: int) -> dict[str, Any]:
    """Median ratio over the rounds; each starts a run, kills it after a set and resumes it."""
    starts, resumes = [], []
    with TemporaryDirectory() as folder:
        store = Store(str(Path(folder) / "wb.db"))
        _start(store)  # trains the teacher
        for _ in range(min(rounds, MOST)):
            run, seconds = _start(store)
            starts.append(seconds)
            resumes.append(_resume(store, run))
        store.close()
    ratios = [a / b for a, b in zip(resumes, starts, strict=True)]
    return report(
        "resume",
        statistics.median(ratios),
        BUDGET,
        resume_seconds=statistics.median(resumes),
        start_seconds=statistics.median(starts),
        aa=statistics.median(b / a for a, b in pairwise(starts)),
        rounds=len(ratios),
    )


def _start(store: Store) -> tuple[str, float]:
    """Start a run, and once it trains touch and kill it; returns the seconds to its first step."""
    spec, recipe, _ = open_experiment("quickstart")
    spec = spec.replace({"control": False, "device": "cpu"})
    run = accept(store, spec, recipe=recipe, pace=PACE, threads=1)
    began = time.perf_counter()
    FreshStarter().start(store, run)
    _until(lambda: store.metrics.last_step(run, "train") >= 1)
    seconds = time.perf_counter() - began
    number = command(store, run, "set", who="bench", path=PATH, value=3.0)
    _until(lambda: store.journal.answer(number).state == "applied")
    command(store, run, "checkpoint", who="bench")
    _until(lambda: bool(store.checkpoints(run)))
    _kill(store, run)
    return run, seconds


def _resume(store: Store, run: str) -> float:
    last = store.checkpoints(run)[0].step
    began = time.perf_counter()
    resume(store, run, FreshStarter(), who="bench")
    pid = store.runs.get(run).pid
    _until(lambda: store.runs.get(run).pid != pid and store.runs.get(run).step > last)
    seconds = time.perf_counter() - began
    _kill(store, run)
    return seconds


def _kill(store: Store, run: str) -> None:
    pid, worker = store.runs.get(run).pid, own_worker(run)
    if pid is None or worker is None:
        raise SystemExit(f"run {run} has no worker")
    os.kill(pid, signal.SIGKILL)
    worker.wait()


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {PATIENCE:.0f} s")
        time.sleep(0.002)


if __name__ == "__main__":
    main(measure)
