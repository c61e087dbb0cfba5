"""A shell to drive the command in, as a stranger would: a process of its own, a store of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

COMMAND = (sys.executable, "-m", "workbench.cli.main")
PATIENCE = 120.0
SHORT = ("--set", "stages.main.epochs=1", "--set", "teacher.train.epochs=1")
SHORT += ("--set", "data.limit=300", "--set", "data.labels_per_class=3")
"""The quickstart in a second of training."""
LONG = ("--set", "stages.main.epochs=100000", "--set", "teacher.train.epochs=1")
LONG += ("--set", "data.limit=300", "--set", "data.labels_per_class=3", "--set", "control=false")
"""The quickstart without end: somebody has to steer it."""


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The standard output as JSON; fails if there is anything else on it."""
        return json.loads(self.out)


@dataclass
class Shell:
    """Runs ``workbench`` in a folder, on one store."""

    store: Path
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(self, *words: str, code: int | Sequence[int] = 0, store: bool = True) -> Answer:
        """Run a command to its end; fails on another exit code and on any traceback."""
        child = self.spawn(*words, store=store)
        out, err = child.communicate(timeout=PATIENCE)
        assert "Traceback" not in out + err, err
        allowed = (code,) if isinstance(code, int) else tuple(code)
        assert child.returncode in allowed, f"{words}: exit {child.returncode}\n{out}\n{err}"
        return Answer(child.returncode, out, err)

    def spawn(self, *words: str, store: bool = True) -> subprocess.Popen[str]:
        """Start a command and go on."""
        where = ("--store", str(self.store)) if store else ()
        child = subprocess.Popen(
            [*COMMAND, *words, *where],
            cwd=self.folder,
            env={**os.environ, **self.env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(child)
        return child

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """What ``runs --json`` lists."""
        found: list[dict[str, Any]] = self("runs", "--json", *words).json
        return found

    def row(self, run: str) -> dict[str, Any]:
        """One row of ``runs --all --json``."""
        return next(row for row in self.rows("--all") if row["run"] == run)

    def detach(self, *words: str) -> str:
        """Start a run and return its name."""
        name: str = self("run", "quickstart", *words, "--detach", "--json").json["run"]
        return name

    def folders(self) -> list[str]:
        """Names of the run folders."""
        place = self.store.parent / "runs"
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []

    def end(self) -> None:
        """Leave no worker and no command behind."""
        if self.store.is_file():
            from workbench.store.store import Store

            store = Store(str(self.store))
            workers = {row.pid for row in store.runs.list() if row.active and row.pid}
            store.close()
            for pid in workers:
                psutil.Process(pid).kill()
        for child in self.started:
            if child.poll() is None:
                child.kill()
            child.communicate()


def until(true: Callable[[], bool], what: str, *, seconds: float = PATIENCE) -> None:
    """Wait until something holds; fails with ``what`` after a while."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell whose store the tests of a module share."""
    folder = tmp_path_factory.mktemp("shell")
    made = Shell(folder / "store" / "wb.db", folder)
    yield made
    made.end()


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Shell]:
    """A shell with a store of its own."""
    made = Shell(tmp_path / "store" / "wb.db", tmp_path)
    yield made
    made.end()
