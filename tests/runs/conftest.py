"""Real workers: processes that train small runs of a store of their own."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.runs import launch
from workbench.runs.launch import accept, resume
from workbench.specs.experiment import ExperimentSpec
from workbench.store.runs import RunRow
from workbench.store.store import Store

from ..forked import Forks, Order, Started
from ..waiting import PATIENCE, until

SMALL: dict[str, Any] = {
    "name": "small",
    "data": {"use": "digits", "limit": 400, "labels_per_class": 4},
    "teacher": {"use": "cnn-small", "width": 4, "train": {"steps": 20}},
    "student": {"use": "timm/test_resnet", "drop_rate": 0.1},
    "stages": {
        "main": {
            "terms": {"kd": {"use": "kd", "weight": 0.9}, "ce": {"use": "ce", "weight": 0.1}},
            "optimiser": {"use": "adamw", "lr": 0.005},
            "batch_size": 16,
            "steps": 60,
        }
    },
    "control": True,
}
OFTEN = """
import time
import workbench.training.loop as loop
from workbench.runs import zygote
loop.CHECKPOINT_SECONDS = {seconds}
become, set_rate = zygote._become_worker, loop.Part.set_rate
def may_dawdle(order):
    def late(part, step):
        time.sleep(order["dawdle"])
        return set_rate(part, step)
    if order["dawdle"]:
        loop.Part.set_rate = late
    become(order)
zygote._become_worker = may_dawdle
zygote.serve()
"""


class Workers:
    """Starts workers from one preloaded process, as the page does; checkpoints come often.

    Args:
        seconds: Between two checkpoints made by the clock.
        forks: What forks that process; None for an interpreter of its own.
    """

    def __init__(self, seconds: float, forks: Forks | None = None) -> None:
        self._zygote = inline(
            forks, OFTEN.format(seconds=seconds), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._zygote.stdin and self._zygote.stdout
        assert self._zygote.stdout.readline() == "ready\n"

    def start(self, store: Store, run: str, *, dawdle: float = 0.0) -> None:
        """Start the worker of a run; returns at once.

        Args:
            store: Where the run is.
            run: Its id.
            dawdle: Seconds that each step of its teacher, student and control sleeps, for what has
                to happen before their end, however slow the machine.
        """
        log = store.runs.folder(run) / "log.txt"
        order = {"store": str(store.path), "run": run, "log": str(log), "dawdle": dawdle}
        assert self._zygote.stdin
        self._zygote.stdin.write(json.dumps(order) + "\n")
        self._zygote.stdin.flush()

    def close(self) -> None:
        """Let the preloaded process leave."""
        assert self._zygote.stdin and self._zygote.stdout
        self._zygote.stdin.close()
        self._zygote.wait(timeout=PATIENCE)
        self._zygote.stdout.close()


def inline(
    forks: Forks | None, code: str, *words: str, **streams: Any
) -> subprocess.Popen[str] | Started:
    """Start ``python -c code words`` in a session of its own, forked where that is possible."""
    if forks is not None and forks.fit(os.environ):
        order = Order("-c", (code, *words), str(Path.cwd()), dict(os.environ))
        return forks.start(order, text=True, **streams)
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], text=True, start_new_session=True, **streams
    )


@pytest.fixture(scope="session")
def workers(forks: Forks | None) -> Iterator[Workers]:
    started = Workers(seconds=0.1, forks=forks)
    yield started
    started.close()


@pytest.fixture(scope="session", autouse=True)
def _reaped() -> Iterator[None]:
    """Fresh workers have ended by then; somebody must take their exit codes."""
    yield
    for worker in launch._WORKERS.values():
        worker.wait(timeout=PATIENCE)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store a module; whatever still runs on it in the end is killed."""
    opened = Store(str(tmp_path_factory.mktemp("runs") / "workbench.db"))
    yield opened
    for row in opened.runs.list():
        if row.active and row.pid:
            os.kill(row.pid, signal.SIGKILL)
    opened.close()


Accept = Callable[..., str]


@pytest.fixture(scope="module")
def accepted(store: Store) -> Accept:
    """Accept the small experiment with changes; nothing trains yet."""

    def make(changes: Mapping[str, Any] | None = None, **options: Any) -> str:
        spec = ExperimentSpec.parse(SMALL).replace(changes or {})
        return accept(store, spec, base=Path.cwd(), threads=1, **options)

    return make


def until_status(store: Store, run: str, *wanted: str) -> RunRow:
    """Wait until a run has one of these statuses; its row."""
    row: RunRow = until(
        lambda: row if (row := store.runs.get(run)).status in wanted else None,
        f"run {run} is {' or '.join(wanted)} (it is {store.runs.get(run)})",
    )
    return row


def until_ended(store: Store, run: str) -> RunRow:
    """Wait until a run has ended, one way or another."""
    return until_status(store, run, "finished", "stopped", "failed", "interrupted")


def go_on(store: Store, run: str, workers: Workers) -> None:
    """Resume an interrupted run; returns when its new worker has taken it."""
    before = store.runs.get(run).pid
    resume(store, run, workers, who="test")
    until(lambda: store.runs.get(run).pid != before, f"a new worker takes run {run}")


def kill(row: RunRow) -> None:
    """kill -9; returns when the system has done it."""
    assert row.pid
    os.kill(row.pid, signal.SIGKILL)
    until(lambda: has_left(row.pid), f"process {row.pid} is dead")


def assert_sound(store: Store) -> None:
    """SQLite's own check of the file."""
    connection = sqlite3.connect(store.path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def has_left(pid: int) -> bool:
    """Whether a process has ended, its exit code taken or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
