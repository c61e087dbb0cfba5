"""One process writes a run, also across hosts: whoever has lost it cannot write another byte."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.errors import LeaseLost, RefusedCommand, StoreLocked
from workbench.store import database
from workbench.store import runs as runs_module
from workbench.store import turns as turns_module
from workbench.store.metrics import Series, put_block
from workbench.store.processes import STALE_SECONDS, hold
from workbench.store.store import Store


@pytest.fixture
def elsewhere(store, run, monkeypatch):
    """Let a process on another host claim the run; ours has been silent for too long by then."""

    def claim() -> str:
        later = runs_module.now_ns() + int((STALE_SECONDS + 1) * 1e9)
        with monkeypatch.context() as patch:
            patch.setattr(runs_module, "this_process", lambda: ("elsewhere", 7, 0.0))
            patch.setattr(turns_module, "is_here", lambda host, machine: False)
            for module in (runs_module, turns_module):
                patch.setattr(module, "now_ns", lambda: later)
            return store.runs.claim(run)

    return claim


def row_of(store, run) -> dict[str, object]:
    with store.database.read() as connection:
        return dict(
            connection.exec_driver_sql("select * from runs where id = ?", (run,)).mappings().one()
        )


def test_an_owner_changes_its_row_and_is_seen_to_be_alive(store, run):
    token = store.runs.claim(run)
    before = row_of(store, run)
    with store.database.write() as connection:
        hold(connection, run, token, step=7, status="training")
    now = row_of(store, run)
    assert (now["step"], now["status"], now["owner"]) == (7, "training", token)
    assert now["heartbeat_ns"] > before["heartbeat_ns"]


def test_a_run_that_nobody_has_claimed_is_held_by_nobody(store, run):
    with store.database.write() as connection:
        hold(connection, run, None, step=1)
    store.runs.claim(run)
    with pytest.raises(LeaseLost), store.database.write() as connection:
        hold(connection, run, None, step=2)
    assert store.runs.get(run).step == 1


def test_who_has_lost_a_run_writes_nothing_not_even_what_came_before_the_question(
    store, run, elsewhere
):
    token = store.runs.claim(run)
    theirs = elsewhere()
    before = row_of(store, run)
    block = Series(("loss",), np.arange(1, 4), np.ones((3, 1)))
    said = rf"WB205.*Run {run} is not this process's any more"
    with pytest.raises(LeaseLost, match=said), store.database.write() as connection:
        put_block(connection, run, "train", block)
        hold(connection, run, token, step=3)
    assert store.metrics.last_step(run, "train") == -1
    assert row_of(store, run) == before
    with store.database.write() as connection:
        hold(connection, run, theirs, step=3)
    assert store.runs.get(run).step == 3


def test_a_removed_run_is_written_by_nobody(store, run):
    token = store.runs.claim(run)
    store.runs.update(run, status="failed")
    store.runs.remove(run)
    with pytest.raises(LeaseLost, match="or removed"), store.database.write() as connection:
        hold(connection, run, token)


def test_nobody_can_take_a_run_between_the_question_and_the_commit(
    store, run, elsewhere, monkeypatch
):
    monkeypatch.setattr(database, "BUSY_MS", 10)
    other = Store(str(store.path))
    other.database.patience = 0.1
    token = store.runs.claim(run)
    with store.database.write() as connection:
        hold(connection, run, token, step=5)
        with pytest.raises(StoreLocked):
            other.runs.claim(run)
    assert store.runs.owns(run, token)
    assert store.runs.get(run).step == 5
    other.close()


def test_a_heartbeat_keeps_another_host_from_taking_the_run(store, run, monkeypatch):
    token = store.runs.claim(run)
    with store.database.write() as connection:
        hold(connection, run, token)
    monkeypatch.setattr(turns_module, "is_here", lambda host, machine: False)
    monkeypatch.setattr(runs_module, "this_process", lambda: ("elsewhere", 7, 0.0))
    with pytest.raises(RefusedCommand, match="is already running, pid"):
        store.runs.claim(run)


# The recorder asks for the lease with everything it writes


def test_metrics_of_who_has_lost_the_run_are_refused(store, run, elsewhere):
    recorder = store.recorder(run, token=store.runs.claim(run))
    recorder.metrics("train", ["loss"], np.arange(1, 3), np.ones((2, 1)), step=2)
    theirs = store.recorder(run, token=elsewhere())
    with pytest.raises(LeaseLost):
        recorder.metrics("train", ["loss"], np.arange(3, 5), np.zeros((2, 1)), step=4)
    assert store.metrics.read(run, "train").steps.tolist() == [1, 2]
    theirs.drop_metrics_after(0)
    theirs.metrics("train", ["loss"], np.arange(1, 2), np.full((1, 1), 9.0), step=1)
    assert store.metrics.read(run, "train").values.tolist() == [[9.0]]
    with pytest.raises(LeaseLost):
        recorder.update(status="finished")
    assert (store.runs.get(run).step, row_of(store, run)["status"]) == (1, "preparing")


def test_a_checkpoint_of_who_has_lost_the_run_leaves_the_owner_s_as_it_is(store, run, elsewhere):
    recorder = store.recorder(run, token=store.runs.claim(run))
    theirs = store.recorder(run, token=elsewhere())
    theirs.checkpoint(3, {"step": 3, "w": torch.ones(2)}, reason="pause", accuracy=None)
    path = theirs.last_checkpoint().path
    before = path.read_bytes()
    with pytest.raises(LeaseLost):
        recorder.checkpoint(3, {"step": 3, "w": torch.zeros(2)}, reason="time", accuracy=0.5)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    (row,) = store.checkpoints(run)
    assert (row.reason, row.accuracy) == ("pause", None)
    assert theirs.last_checkpoint().step == 3
