"""Accepting a run and starting its worker, from the page, the command line and Python alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Protocol

from workbench.errors import RefusedCommand
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml
from workbench.store.files import write_text
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.control import control_spec

RESUMABLE = frozenset({"paused", "interrupted"})


class Starter(Protocol):
    """Starts workers."""

    def start(self, store: Store, run: str) -> None:
        """Start the worker of an accepted run; returns at once."""


class FreshStarter:
    """A new interpreter for each worker: a few seconds to its first step, works everywhere."""

    def start(self, store: Store, run: str) -> None:
        """Start it in a session of its own, its words in ``log.txt``."""
        log = _log(store, run)
        with log.open("ab", buffering=0) as file:
            subprocess.Popen(
                [sys.executable, "-m", "workbench.runs.worker", str(store.path), run],
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
                [sys.executable, "-m", "workbench.runs.zygote"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )

    def start(self, store: Store, run: str) -> None:
        """Order a worker; while the zygote still preloads, the order waits in its pipe."""
        order = {"store": str(store.path), "run": run, "log": str(_log(store, run))}
        with self._lock:
            process = self._process
            if process is None or process.poll() is not None or process.stdin is None:
                self._fresh.start(store, run)
                return
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()

    def close(self) -> None:
        """Let the zygote go; its workers go on."""
        with self._lock:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
                self._process.wait(timeout=10)
                self._process = None


def accept(
    store: Store,
    spec: ExperimentSpec,
    *,
    recipe: str | None = None,
    base: Path | None = None,
    pace: float | None = None,
    pause_at: int | None = None,
    threads: int | None = None,
) -> str:
    """Make the row and folder of a run; returns its id. Nothing trains yet.

    Raises:
        BadInput: If the control would have nothing to train.
    """
    if spec.control:
        control_spec(spec)
    run = store.runs.create(
        name=spec.name,
        experiment=spec.given(),
        options={
            "base": str((base or Path.cwd()).resolve()),
            "pause_at": pause_at,
            "threads": threads,
        },
        recipe=recipe,
        pace=pace,
    )
    write_text(store.runs.folder(run) / "experiment.yaml", dump_yaml(spec.given()))
    return run


def resume(store: Store, run: str, starter: Starter, *, who: str) -> RunRow:
    """Let a paused or interrupted run go on; a finished one stays as it is.

    Raises:
        RefusedCommand: If it is running, stopped or failed.
    """
    row = store.runs.get(run)
    if row.status == "paused":
        store.journal.send(run, "resume", who=who)
    elif row.status == "interrupted":
        starter.start(store, run)
    elif row.status != "finished":
        words = f"already running, pid {row.pid}" if row.active else f"{row.status}"
        raise RefusedCommand(
            f"Run {run} is {words}; only a paused or an interrupted run can be resumed."
        )
    return store.runs.get(run)


def command(store: Store, run: str, kind: str, *, who: str, **payload: Any) -> int:
    """Send a command to a living run; returns its number.

    Raises:
        RefusedCommand: If the run has ended or its worker is gone.
    """
    row = store.runs.get(run)
    if not row.active:
        way = "`workbench resume` lets it go on." if row.status in RESUMABLE else "It has ended."
        raise RefusedCommand(f"Run {run} is {row.status}; {kind!r} does not apply. {way}")
    return store.journal.send(run, kind, who=who, payload=payload)


def _log(store: Store, run: str) -> Path:
    log = store.runs.folder(run) / "log.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    return log
