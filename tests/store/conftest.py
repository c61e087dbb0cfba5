"""A store of its own for each test, and other processes that hold it or may not write it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workbench.store.store import Store

from ..waiting import PATIENCE

Ran = subprocess.CompletedProcess[str]

HOLDER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in sys.argv[2].split(";"):
    held.execute(statement)
print("held", flush=True)
sys.stdin.readline()
held.close()
"""
WRITERS_OUT = "BEGIN EXCLUSIVE"
"""Keeps writers out; in WAL mode readers go on."""
READERS_OUT = "PRAGMA locking_mode=EXCLUSIVE;BEGIN IMMEDIATE;UPDATE meta SET value=value;COMMIT"
"""Keeps everybody out; only possible while nobody else has the file open."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(str(tmp_path / "workbench.db"))
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store) -> str:
    """An accepted run."""
    return store.runs.create(name="a run", experiment={"name": "a run"}, options={})


Hold = Callable[..., Callable[[], None]]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Let another process take the lock of a file; returns what lets it go again."""
    holders: list[subprocess.Popen[str]] = []

    def take(path: Path, how: str = WRITERS_OUT) -> Callable[[], None]:
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path), how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        return lambda: let_go(holder)

    yield take
    for holder in holders:
        let_go(holder)


def let_go(holder: subprocess.Popen[str]) -> None:
    if holder.poll() is None:
        holder.communicate("\n")


@pytest.fixture(scope="session")
def bound(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Ran]:
    """Run Python as somebody for whom the permission bits of files count, as they do not for root.

    Root keeps its name and loses the right to pass over the bits.
    """
    plain = os.name == "posix" and os.geteuid() != 0
    prefix = [] if plain else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]

    def run_bound(*words: str) -> Ran:
        return subprocess.run(
            [*prefix, sys.executable, *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    if prefix and shutil.which(prefix[0]) is None:
        pytest.skip("permission bits do not hold root back here, and there is no setpriv")
    file = tmp_path_factory.mktemp("bound") / "file"
    file.touch()
    file.chmod(0o444)
    tried = run_bound("-c", f"import os; print(os.access({str(file)!r}, os.W_OK))")
    if tried.stdout != "False\n":
        pytest.skip(f"permission bits cannot be made to count here: {tried.stderr.strip()}")
    return run_bound


@pytest.fixture
def locked_up() -> Iterator[Callable[[Path], None]]:
    """Take away the right to write from a folder and all files in it, until the test has ended."""
    changed: list[Path] = []

    def lock(folder: Path) -> None:
        for path in [*folder.rglob("*"), folder]:
            changed.append(path)
            path.chmod(0o555 if path.is_dir() else 0o444)

    yield lock
    for path in filter(Path.exists, reversed(changed)):  # SQLite takes its log away by itself
        path.chmod(0o755 if path.is_dir() else 0o644)


def dump(path: Path) -> list[str]:
    """Everything in a SQLite file as text, in an order of its own."""
    connection = sqlite3.connect(path)
    lines = sorted(connection.iterdump())
    connection.close()
    return lines


def sound(path: Path) -> bool:
    """SQLite's own check of a file."""
    connection = sqlite3.connect(path)
    said = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return said == [("ok",)]
