"""A store that was copied while its runs trained, and one that several machines share."""

from __future__ import annotations

import os
import shutil

import psutil
import pytest

from workbench.errors import RefusedCommand
from workbench.store import turns as turns_module
from workbench.store.processes import STALE_SECONDS
from workbench.store.queue import Standing, call_next, standing
from workbench.store.store import Store


@pytest.fixture
def copied(store, tmp_path):
    """Copies the store as ``cp -r`` does, and opens what came of it."""
    opened = []

    def copy(name="copy"):
        target = tmp_path.with_name(f"{tmp_path.name}-{name}")
        with store.database.write():  # nobody writes meanwhile
            shutil.copytree(tmp_path, target)
        opened.append(Store(str(target / store.path.name)))
        return opened[-1]

    yield copy
    for one in opened:
        one.close()


@pytest.fixture
def later(monkeypatch):
    """Let so many seconds pass for whoever asks whether a run lives."""
    real = turns_module.now_ns

    def let(seconds):
        monkeypatch.setattr(turns_module, "now_ns", lambda: real() + int(1e9 * seconds))

    return let


def on_another_machine(store, run):
    """As a worker elsewhere, on a machine of the same name, would have left the row."""
    store.runs.update(run, machine="another boot", status="training")


@pytest.mark.parametrize("status", ["preparing", "training", "paused", "stopping"])
def test_what_trains_in_the_original_is_interrupted_in_a_copy_and_holds_no_queue(
    store, copied, status
):
    first, second = store.runs.create_all([{}] * 2, name="q", options={}, queued=True)
    store.runs.claim(first)
    store.runs.update(first, status=status)
    copy = copied()
    assert (store.runs.get(first).status, copy.runs.get(first).status) == (status, "interrupted")
    assert standing(store.database).holder == first
    assert standing(copy.database) == Standing((second,))
    assert call_next(copy.database) == second
    assert call_next(store.database) is None


def test_a_group_that_waited_is_interrupted_with_its_copied_run(store, copied):
    first, second = store.runs.create_all([{}] * 2, name="g", options={})
    store.runs.claim(first)
    copy = copied()
    assert [row.status for row in store.runs.cohort(first)] == ["preparing", "queued"]
    assert [row.status for row in copy.runs.cohort(first)] == ["interrupted", "interrupted"]
    assert copy.runs.next_of(first) == second


def test_a_copied_run_is_resumed_and_removed_while_the_original_trains(store, run, copied):
    ours = store.runs.claim(run)
    parent = psutil.Process(os.getppid())  # a living process that is not this one
    store.runs.update(run, pid=parent.pid, process_started=parent.create_time())
    with pytest.raises(RefusedCommand, match="already running"):
        store.runs.claim(run)
    copy = copied()
    theirs = copy.runs.claim(run)
    assert copy.runs.get(run).status == "preparing"
    assert (store.runs.owns(run, ours), copy.runs.owns(run, theirs)) == (True, True)
    copied("another").runs.remove(run)


def test_a_store_that_was_moved_within_its_disk_is_still_the_worker_s(store, run, tmp_path):
    store.runs.claim(run)
    store.close()
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in tmp_path.glob("workbench.db*"):
        path.rename(moved / path.name)
    found = Store(str(moved / "workbench.db"))
    assert found.runs.get(run).status == "preparing"
    found.close()


def test_another_machine_s_run_is_its_own_as_long_as_its_heart_beats(store, run, later):
    """Also one of the same name, whose pids mean nothing here; and nobody can take it over."""
    store.runs.claim(run)
    on_another_machine(store, run)
    store.runs.update(run, process_started=0.0)  # no such process here
    assert store.runs.get(run).status == "training"
    with pytest.raises(RefusedCommand, match="already running"):
        Store(str(store.path)).runs.claim(run)
    later(STALE_SECONDS + 1)
    assert store.runs.get(run).status == "interrupted"


def test_a_copy_from_another_machine_is_interrupted_a_minute_after_its_last_beat(
    store, copied, later
):
    first, second = store.runs.create_all([{}] * 2, name="q", options={}, queued=True)
    store.runs.claim(first)
    on_another_machine(store, first)
    copy = copied()
    assert call_next(copy.database) is None
    later(STALE_SECONDS + 1)
    assert copy.runs.get(first).status == "interrupted"
    assert call_next(copy.database) == second


def test_a_row_of_an_older_version_is_told_by_its_process_alone(store, run):
    store.runs.claim(run)
    store.runs.update(run, machine=None, store_file=None)
    assert store.runs.get(run).status == "preparing"
    store.runs.update(run, process_started=0.0)
    assert store.runs.get(run).status == "interrupted"
