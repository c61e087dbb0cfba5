"""Rows of runs: any name stays text, one process owns a run, the dead are told from the living."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest
from sqlalchemy import update

from workbench.errors import RefusedCommand, UnknownRun
from workbench.store import runs as runs_module
from workbench.store import turns as turns_module
from workbench.store.processes import is_alive, this_machine, this_process
from workbench.store.schema import RUNS
from workbench.store.turns import UNCLAIMED_SECONDS

HOSTILE = [
    'it\'s a "test"; drop table runs; --',
    "two\nlines\tand {braces} {{}} %s %(x)s",
    "../../etc/passwd",
    "/absolute/path",
    "....",
    "   ",
    "日本語 الاختبار 🎓",
    "a" * 200,
    "<script>alert(1)</script>",
    "\\x00\\u0000 $HOME `id`",
    "nul\x00inside",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_comes_back_intact_and_is_never_a_path(store, name):
    run = store.runs.create(
        name=name, experiment={"name": name, name: [name]}, options={"note": name}
    )
    row = store.runs.get(run)
    assert (row.name, row.options["note"]) == (name, name)
    assert row.experiment == {"name": name, name: [name]}
    assert set(run) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    assert len(run) < 50
    folder = store.runs.folder(run)
    assert folder.parent == store.folder / "runs"
    assert folder.resolve() == folder


def test_two_runs_of_one_name_have_two_ids_and_the_newest_comes_first(store):
    first, second = (store.runs.create(name="x", experiment={}, options={}) for _ in range(2))
    assert first != second
    assert [row.id for row in store.runs.list()] == [second, first]


def test_an_id_that_is_drawn_again_is_given_to_nobody_else(store, monkeypatch):
    drawn = iter(["aaaaaa", "aaaaaa", "bbbbbb", "bbbbbb", "bbbbbb", "cccccc"])
    monkeypatch.setattr(runs_module, "_token", lambda length: next(drawn))
    first = store.runs.create(name="x", experiment={}, options={})
    others = store.runs.create_all([{}] * 2, name="x", options={})
    assert [first, *others] == ["x-aaaaaa", "x-bbbbbb", "x-cccccc"]


def test_an_unknown_run_is_told_with_the_nearest(store, run):
    with pytest.raises(UnknownRun, match=rf"WB111.*No run '{run[:-1]}'.*Did you mean '{run}'"):
        store.runs.get(run[:-1])


def test_parts_belong_to_their_run_and_are_not_listed_as_students(store, run):
    teacher = store.runs.create(name="t", experiment={}, options={}, role="teacher", group=run)
    assert teacher == f"{run}-teacher"
    assert [row.id for row in store.runs.list()] == [run]
    both = store.runs.list(roles=("student", "teacher"), group=run)
    assert {row.id for row in both} == {run, teacher}


def test_an_accepted_run_has_no_pid_and_is_queued(store, run):
    row = store.runs.get(run)
    assert (row.status, row.pid, row.step, row.active) == ("queued", None, 0, True)


def test_an_accepted_run_that_nobody_takes_counts_as_interrupted(store, run, monkeypatch):
    real = turns_module.now_ns
    monkeypatch.setattr(turns_module, "now_ns", lambda: real() + int((UNCLAIMED_SECONDS + 1) * 1e9))
    assert store.runs.get(run).status == "interrupted"


def test_a_claimed_run_names_the_process_that_prepares_it(store, run):
    token = store.runs.claim(run)
    row = store.runs.get(run)
    assert (row.status, row.pid) == ("preparing", os.getpid())
    assert row.started_ns is not None
    assert store.runs.owns(run, token)
    assert not store.runs.owns(run, "somebody else's")


@pytest.fixture
def other_process():
    """A process that lives until the test ends."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield child
    child.communicate()


def written_by(store, run, pid: int, started: float, *, host: str | None = None, status="training"):
    """The row as another process would have left it."""
    with store.database.write() as connection:
        connection.execute(
            update(RUNS)
            .where(RUNS.c.id == run)
            .values(
                owner="them", host=host or this_process()[0], pid=pid, process_started=started,
                status=status, heartbeat_ns=runs_module.now_ns(),
            )
        )  # fmt: skip


def test_a_living_owner_is_named_and_a_dead_one_gives_way(store, run, other_process):
    started = psutil.Process(other_process.pid).create_time()
    written_by(store, run, other_process.pid, started)
    assert store.runs.get(run).status == "training"
    with pytest.raises(RefusedCommand, match=rf"already running, pid {other_process.pid} on "):
        store.runs.claim(run)
    other_process.kill()
    other_process.wait()
    assert store.runs.get(run).status == "interrupted"
    store.runs.claim(run)
    assert store.runs.get(run).pid == os.getpid()


def test_a_pid_that_has_come_back_is_another_process(store, run, other_process):
    """Same pid, another start time: whoever wrote the row is dead."""
    started = psutil.Process(other_process.pid).create_time()
    written_by(store, run, other_process.pid, started - 100)
    assert store.runs.get(run).status == "interrupted"
    store.runs.claim(run)


@pytest.mark.skipif(this_machine() is None, reason="only Linux counts a start since the boot")
def test_a_clock_that_is_set_ends_no_run(store, run, monkeypatch):
    """The kernel counts the time of the boot back from the clock: that moves with it."""
    store.runs.claim(run)
    moved = psutil.boot_time() + 3600
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: moved)
    assert store.runs.get(run).status == "preparing"


def test_a_zombie_is_dead():
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = psutil.Process(child.pid)
    started = process.create_time()
    while process.status() != psutil.STATUS_ZOMBIE:
        os.sched_yield()
    assert not is_alive(this_process()[0], child.pid, started)
    child.wait()


def test_on_another_host_the_age_of_the_heartbeat_counts(store, run, monkeypatch):
    written_by(store, run, 1, 0.0, host="elsewhere")
    assert store.runs.get(run).status == "training"
    with pytest.raises(RefusedCommand, match="on elsewhere"):
        store.runs.claim(run)
    real = turns_module.now_ns
    monkeypatch.setattr(turns_module, "now_ns", lambda: real() + int(61e9))
    assert store.runs.get(run).status == "interrupted"


@pytest.mark.parametrize("status", ["finished", "stopped"])
def test_an_ended_run_cannot_be_claimed(store, run, status):
    store.runs.update(run, status=status)
    with pytest.raises(RefusedCommand, match=f"is {status}; nothing of it is left to train"):
        store.runs.claim(run)
    assert store.runs.get(run).status == status


@pytest.mark.parametrize(
    ("status", "code", "resumable"),
    [("paused", None, True), ("failed", "WB202", True), ("failed", "WB114", True),
     ("failed", "WB201", False),
     ("failed", None, False), ("finished", None, False), ("stopped", None, False)],
)  # fmt: skip
def test_what_can_go_on(store, run, status, code, resumable):
    store.runs.claim(run)
    store.runs.update(run, status=status, error=code and {"code": code})
    assert store.runs.get(run).resumable is resumable


def test_a_dead_run_can_go_on(store, run):
    written_by(store, run, 2**22 - 1, 0.0)
    assert store.runs.get(run).resumable


def test_a_removed_run_leaves_nothing_and_a_living_one_is_refused(store, run, other_process):
    keep = store.runs.create(name="keep", experiment={}, options={})
    store.journal.send(run, "pause", who="ada")
    folder = store.runs.folder(run)
    (folder / "snapshots").mkdir(parents=True)
    written_by(store, run, other_process.pid, psutil.Process(other_process.pid).create_time())
    with pytest.raises(RefusedCommand, match=r"is training, pid .*; stop it first"):
        store.runs.remove(run)
    other_process.kill()
    other_process.wait()
    store.runs.remove(run)
    assert not folder.exists()
    assert [row.id for row in store.runs.list()] == [keep]
    assert store.journal.waiting(run) == []


def test_numbers_that_are_no_json_never_reach_a_row(store, run):
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.runs.update(run, result={"nll": float("nan")})
