"""The machine fails under a real worker: it ends in words, loses nothing, and the run goes on."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select, update

from workbench.atomic import sha256
from workbench.errors import DiskFull, StoreLocked
from workbench.runs.launch import accept
from workbench.specs.experiment import ExperimentSpec
from workbench.store.runs import RunRow
from workbench.store.schema import RUNS
from workbench.store.store import Store

from ..forked import Forks
from ..waiting import PATIENCE, until
from .conftest import (
    SMALL,
    Workers,
    assert_sound,
    go_on,
    inline,
    until_ended,
    until_status,
)

CHANGES = {"student": "cnn-tiny", "control": False, "stages.main.steps": 100}
MIDWAY = 0.2
"""Seconds a step where something has to happen before the end, however slow the machine."""
WORKER = """
import sys
import workbench.training.loop as loop
from workbench.runs import worker
from workbench.store import database
loop.CHECKPOINT_SECONDS = 0.1
database.BUSY_MS = 50
worker.BEAT_SECONDS = 0.2
worker.LOCK_SECONDS, worker.LAST_WORD_SECONDS = map(float, sys.argv[3:])
sys.exit(worker.main(sys.argv[1:3]))
"""


class RealWorker:
    """The worker of one run as a process of its own, with what it said and its exit code."""

    def __init__(
        self, forks: Forks | None, store: Store, run: str, *, lock: float, last_word: float
    ) -> None:
        self.log = store.folder / f"{run}.log"
        with self.log.open("wb") as file:
            words = (str(store.path), run, str(lock), str(last_word))
            self.process = inline(forks, WORKER, *words, stdout=file, stderr=file)

    def ended(self) -> int:
        """Wait for its end; it must not end with a traceback."""
        code = self.process.wait(timeout=PATIENCE)
        assert "Traceback" not in self.said(), self.said()
        return code

    def said(self) -> str:
        return self.log.read_text("utf-8")


@pytest.fixture
def start(forks: Forks | None) -> Iterator[Callable[..., RealWorker]]:
    started: list[RealWorker] = []

    def begin(
        store: Store, run: str, *, lock: float = PATIENCE, last_word: float = 1.0
    ) -> RealWorker:
        started.append(RealWorker(forks, store, run, lock=lock, last_word=last_word))
        return started[-1]

    yield begin
    for worker in started:
        worker.process.kill()
        worker.process.wait()


@pytest.fixture
def own(tmp_path) -> Iterator[Store]:
    """A store with nothing in it but what the test puts there."""
    opened = Store(str(tmp_path / "workbench.db"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def weights(store: Store, workers: Workers) -> str:
    """Of the run that nothing happened to."""
    run = accepted_in(store, pace=None)
    workers.start(store, run)
    row = until_ended(store, run)
    assert row.status == "finished", row.error
    return str(row.result["weights"])


def accepted_in(store: Store, *, pace: float | None = MIDWAY) -> str:
    spec = ExperimentSpec.parse(SMALL).replace(CHANGES)
    return accept(store, spec, base=Path.cwd(), threads=1, pace=pace)


def until_kept(store: Store, run: str) -> RunRow:
    """Wait until it has trained for a while and could go on from a checkpoint."""
    until(lambda: store.checkpoints(run) and store.runs.get(run).step >= 5, "a checkpoint")
    return store.runs.get(run)


def assert_checkpoints_good(store: Store, run: str) -> None:
    rows = store.checkpoints(run)
    assert rows
    for row in rows:
        assert sha256(store.runs.folder(run) / row.file) == row.sha256


def ends_as_if_nothing_had_been(store: Store, run: str, workers: Workers, weights: str) -> None:
    store.runs.update(run, pace=None)
    go_on(store, run, workers)
    row = until_ended(store, run)
    assert row.status == "finished", row.error
    assert row.result["weights"] == weights
    steps = store.metrics.read(run, "train").steps.tolist()
    assert steps == list(range(1, row.steps + 1))
    assert_sound(store)


# No space


@pytest.mark.skipif(not hasattr(psutil, "RLIMIT_FSIZE"), reason="no limits of other processes here")
def test_a_store_that_gets_full_in_mid_run_ends_the_worker_and_the_run_goes_on(
    own, start, workers, weights
):
    """From one step to the next its log of changes may not grow any more, as on a full disk."""
    run = accepted_in(own)
    worker = start(own, run)
    until_kept(own, run)
    limit = own.path.with_name("workbench.db-wal").stat().st_size
    psutil.Process(worker.process.pid).rlimit(psutil.RLIMIT_FSIZE, (limit, psutil.RLIM_INFINITY))
    assert worker.ended() == 1
    assert re.search(r"\[WB202\] .*workbench\.db: no space for [1-9]\d+ bytes; ", worker.said())
    row = own.runs.get(run)
    assert (row.status, row.resumable) in {("failed", True), ("interrupted", True)}
    assert_sound(own)
    assert_checkpoints_good(own, run)
    assert not list(own.runs.folder(run).rglob("*.tmp"))
    ends_as_if_nothing_had_been(own, run, workers, weights)


@pytest.fixture
def disk(tmp_path) -> Iterator[Path]:
    """A file system of 8 MB, where the system lets us mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_gets_full_in_mid_run_fails_it_with_the_bytes_and_it_goes_on(
    disk, start, workers, weights
):
    full = Store(str(disk / "workbench.db"))
    run = accepted_in(full)
    worker = start(full, run)
    until_kept(full, run)
    filler = disk / "filler"
    fill(filler)
    assert worker.ended() == 1
    row = full.runs.get(run)
    assert (row.status, row.error["code"], row.error["exit_code"]) == ("failed", DiskFull.code, 1)
    assert "no space for " in row.error["message"]
    assert "no space for what" not in row.error["message"], "the bytes are not named"
    assert row.error["last_good_step"] == full.checkpoints(run)[0].step
    assert_sound(full)
    assert_checkpoints_good(full, run)
    filler.unlink()
    ends_as_if_nothing_had_been(full, run, workers, weights)
    full.close()


def fill(path: Path) -> None:
    """Take every block that is left."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            while True:
                try:
                    file.write(bytes(size))
                except OSError:
                    break


# A lock


@pytest.fixture
def held(own) -> Iterator[sqlite3.Connection]:
    """A connection that can keep all writers out."""
    connection = sqlite3.connect(own.path, isolation_level=None, check_same_thread=False)
    yield connection
    connection.close()


def test_a_worker_waits_for_a_locked_store_says_so_and_goes_on(own, held, start, weights):
    run = accepted_in(own)
    worker = start(own, run)
    until_kept(own, run)
    held.execute("BEGIN EXCLUSIVE")
    waits = f"is locked by another process; waiting up to {PATIENCE:.0f} s."
    until(lambda: waits in worker.said(), "it waits")
    assert worker.process.poll() is None
    assert own.runs.get(run).status == "training", "who reads is not kept out"
    held.execute("ROLLBACK")
    until(lambda: "is free again after " in worker.said(), "it goes on")
    own.journal.send(run, "pace", who="test", payload={"seconds": None})
    assert worker.ended() == 0
    row = own.runs.get(run)
    assert (row.status, row.result["weights"]) == ("finished", weights)
    assert_sound(own)


@pytest.mark.soak
def test_a_worker_that_has_waited_long_enough_fails_in_words(own, held, start):
    run = accepted_in(own)
    worker = start(own, run, lock=0.3, last_word=PATIENCE)
    until_kept(own, run)
    held.execute("BEGIN EXCLUSIVE")
    until(lambda: f"[{StoreLocked.code}] Store {own.path} is locked" in worker.said(), "it ends")
    held.execute("ROLLBACK")
    assert worker.ended() == 1
    error = own.runs.get(run).error
    assert own.runs.get(run).status == "failed"
    assert (error["code"], error["exit_code"]) == (StoreLocked.code, 1)
    assert error["last_good_step"] == own.checkpoints(run)[0].step
    assert_sound(own)
    assert_checkpoints_good(own, run)


@pytest.mark.soak
def test_a_worker_that_cannot_even_write_its_end_down_leaves_a_run_that_goes_on(
    own, held, start, workers, weights
):
    run = accepted_in(own)
    worker = start(own, run, lock=0.3, last_word=0.2)
    until_kept(own, run)
    held.execute("BEGIN EXCLUSIVE")
    assert worker.ended() == 1
    assert "This could not be written down: [WB114]" in worker.said()
    held.execute("ROLLBACK")
    assert own.runs.get(run).status == "interrupted"
    ends_as_if_nothing_had_been(own, run, workers, weights)


@pytest.mark.soak
def test_a_worker_starts_when_a_store_that_was_locked_is_free(tmp_path, start):
    """Even readers are kept out: it cannot so much as open the store."""
    store = Store(str(tmp_path / "workbench.db"))
    run = accepted_in(store, pace=None)
    store.close()
    alone = sqlite3.connect(store.path, isolation_level=None)
    for statement in ("PRAGMA locking_mode=EXCLUSIVE", "BEGIN IMMEDIATE"):
        alone.execute(statement)
    worker = start(store, run)
    until(lambda: "[WB114]" in worker.said(), "it waits")
    assert f"Waiting up to {PATIENCE:.0f} s." in worker.said()
    alone.close()
    assert worker.ended() == 0
    again = Store(str(store.path))
    assert again.runs.get(run).status == "finished"
    again.close()


# Something is gone


def test_a_run_whose_folder_is_deleted_goes_on_and_so_do_others(own, start, weights):
    """Deleted in a pause, so that the moment is the same each time."""
    first, second = accepted_in(own), accepted_in(own)
    workers = [start(own, first), start(own, second)]
    for run in (first, second):
        until_kept(own, run)
    own.journal.send(first, "pause", who="test")
    until_status(own, first, "paused")
    folder = own.runs.folder(first)
    shutil.rmtree(folder)
    own.journal.send(first, "resume", who="test")
    for run in (first, second):
        own.journal.send(run, "pace", who="test", payload={"seconds": None})
    for worker in workers:
        assert worker.ended() == 0
    for run in (first, second):
        row = own.runs.get(run)
        assert (row.status, row.result["weights"]) == ("finished", weights)
    assert (folder / "student.safetensors").is_file()
    found = [snapshot.step for snapshot in own.snapshots(first)]
    assert set(found) < set(own.snapshot_steps(first)), "nothing was lost"
    assert_sound(own)


@pytest.mark.soak
def test_a_run_whose_folder_becomes_a_file_fails_and_names_it(own, start):
    run = accepted_in(own)
    worker = start(own, run)
    until_kept(own, run)
    folder = own.runs.folder(run)
    folder.rename(folder.with_name("away"))
    folder.write_text("in the way")
    assert worker.ended() == 1
    row = own.runs.get(run)
    assert (row.status, row.error["exit_code"]) == ("failed", 1)
    assert f"{folder}/" in row.error["message"]
    assert_sound(own)


@pytest.mark.parametrize("paused", [False, True])
def test_a_store_that_is_moved_away_ends_the_worker_with_words(own, start, tmp_path, paused):
    run = accepted_in(own)
    worker = start(own, run)
    until_kept(own, run)
    if paused:  # nobody could ever end the pause
        own.journal.send(run, "pause", who="test")
        until_status(own, run, "paused")
    (tmp_path / "away").mkdir()
    for entry in own.folder.glob("workbench.db*"):
        entry.rename(tmp_path / "away" / entry.name)
    assert worker.ended() == 1
    assert f"Store {own.path} was moved, deleted or replaced while it was open" in worker.said()
    moved = Store(str(tmp_path / "away" / "workbench.db"))
    assert moved.runs.get(run).status == "interrupted"
    assert_sound(moved)
    moved.close()


@pytest.mark.soak
def test_a_run_without_a_checkpoint_left_starts_anew_and_comes_to_the_same_bits(
    own, start, workers, weights
):
    run = accepted_in(own)
    worker = start(own, run)
    until_kept(own, run)
    worker.process.kill()
    worker.process.wait()
    shutil.rmtree(own.runs.folder(run))
    ends_as_if_nothing_had_been(own, run, workers, weights)
    kinds = [event.kind for event in own.journal.events(run)]
    assert "started anew" in kinds
    assert "resumed" not in kinds


# Two hosts


@pytest.mark.soak
def test_a_worker_whose_run_was_taken_over_leaves_and_changes_nothing_more(own, start):
    run = accepted_in(own)
    worker = start(own, run)
    until_kept(own, run)
    number = own.journal.send(run, "pause", who="test")
    with own.database.write() as connection:
        connection.execute(
            update(RUNS)
            .where(RUNS.c.group == run)
            .values(owner="theirs", host="elsewhere", step=7, status="training")
        )
    assert worker.ended() == 1
    assert f"[WB205] Run {run} is not this process's any more" in worker.said()
    with own.database.read() as connection:
        row = connection.execute(select(RUNS).where(RUNS.c.id == run)).one()
    assert (row.owner, row.status, row.step, row.error) == ("theirs", "training", 7, None)
    assert own.journal.answer(number).state in ("waiting", "applied")


@pytest.mark.soak
def test_a_paused_run_beats_so_that_no_other_host_takes_it(own, start):
    run = accepted_in(own)
    start(own, run)
    until_kept(own, run)
    own.journal.send(run, "pause", who="test")
    until_status(own, run, "paused")
    before = own.runs.get(run).heartbeat_ns
    until(lambda: own.runs.get(run).heartbeat_ns > before, "a heartbeat")
    assert own.runs.get(run).status == "paused"
