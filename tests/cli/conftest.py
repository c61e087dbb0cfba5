"""A shell to drive the command in, as a stranger would: own processes, a store of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.store.runs import RunRow
from workbench.store.store import Store

from ..forked import Forks, Order
from ..waiting import PATIENCE, until

MODULE = "workbench.cli.main"


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
    """Runs ``workbench`` in a folder, on one store.

    A command that is run to its end is forked from a process that has its imports behind it, and so
    is the worker it starts; one that goes on (`spawn`) has an interpreter of its own.
    """

    store: Path
    folder: Path
    forks: Forks | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(self, *words: str, code: int | Sequence[int] = 0, store: bool = True) -> Answer:
        """Run a command to its end; fails on another exit code and on any traceback."""
        env = {**os.environ, **self.env}
        if self.forks is not None and self.forks.fit(env):
            order = Order(MODULE, (*words, *self._where(store)), str(self.folder), env)
            ended, out, err = self.forks.run(order, timeout=PATIENCE)
        else:
            child = self.spawn(*words, store=store)
            out, err = child.communicate(timeout=PATIENCE)
            ended = child.returncode
        assert "Traceback" not in out + err, err
        allowed = (code,) if isinstance(code, int) else tuple(code)
        assert ended in allowed, f"{words}: exit {ended}\n{out}\n{err}"
        return Answer(ended, out, err)

    def spawn(self, *words: str, store: bool = True) -> subprocess.Popen[str]:
        """Start a command and go on."""
        child = subprocess.Popen(
            [sys.executable, "-m", MODULE, *words, *self._where(store)],
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

    def _where(self, store: bool) -> tuple[str, ...]:
        return ("--store", str(self.store)) if store else ()

    def rows(self, *words: str) -> list[dict[str, Any]]:
        """What ``runs --json`` lists."""
        found: list[dict[str, Any]] = self("runs", "--json", *words).json
        return found

    def row(self, run: str) -> dict[str, Any]:
        """One row of ``runs --all --json``."""
        return next(row for row in self.rows("--all") if row["run"] == run)

    def peek(self, run: str) -> RunRow:
        """A row as Python sees it: for waiting, where a process a look would be slow."""
        with closing(Store(str(self.store))) as store:
            return store.runs.get(run)

    def until_ended(self, *runs: str) -> None:
        """Wait until no process works on these runs any more."""
        until(lambda: not any(self.peek(run).active for run in runs), f"{runs} have ended")

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
            with closing(Store(str(self.store))) as store:
                workers = {row.pid for row in store.runs.list() if row.active and row.pid}
            for pid in workers:
                psutil.Process(pid).kill()
        for child in self.started:
            if child.poll() is None:
                child.kill()
            child.communicate()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, forks: Forks | None) -> Iterator[Shell]:
    """A shell whose store the tests of a module share."""
    folder = tmp_path_factory.mktemp("shell")
    made = Shell(folder / "store" / "wb.db", folder, forks)
    yield made
    made.end()


@pytest.fixture
def fresh(tmp_path: Path, forks: Forks | None) -> Iterator[Shell]:
    """A shell with a store of its own."""
    made = Shell(tmp_path / "store" / "wb.db", tmp_path, forks)
    yield made
    made.end()
