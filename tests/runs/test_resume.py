"""A worker is killed at any moment; whoever resumes the run gets the bits of one never stopped."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from workbench.runs.launch import accept, command, resume
from workbench.specs.experiment import ExperimentSpec
from workbench.store.runs import RunRow
from workbench.store.store import Store

from ..waiting import until
from .conftest import Workers, assert_sound, go_on, kill, until_ended, until_status

KILLS = 4
SHORT = {"stages.main.steps": 36}


@pytest.fixture(scope="module")
def reference(store: Store, workers: Workers, accepted) -> RunRow:
    """The run that nobody touched."""
    run = accepted(SHORT)
    workers.start(store, run)
    row = until_ended(store, run)
    assert row.status == "finished", row.error
    return row


def assert_equal_runs(store: Store, one: str, other: str) -> None:
    """Weights, metrics and every recorded number of all parts are the same bits."""
    first, second = store.runs.get(one), store.runs.get(other)
    assert second.status == "finished", second.error
    assert second.result["weights"] == first.result["weights"]
    assert second.result["metrics"] == first.result["metrics"]
    for part in ("", "-control"):
        mine, theirs = (store.metrics.read(f"{run}{part}", "train") for run in (one, other))
        assert mine.columns == theirs.columns
        np.testing.assert_array_equal(mine.steps, np.arange(1, first.steps + 1))
        np.testing.assert_array_equal(theirs.steps, mine.steps)
        np.testing.assert_array_equal(theirs.values, mine.values)
    steps = store.metrics.read(other, "probe").steps
    assert (np.diff(steps) > 0).all(), "a probe stands twice in the series"


@pytest.mark.soak
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(store, workers, accepted):
    draw = random.Random(7)  # noqa: S311  (moments, not secrets)
    whole, run = accepted(), accepted(pace=0.01)
    workers.start(store, whole)
    until_ended(store, whole)
    workers.start(store, run)
    for _ in range(KILLS):
        row = until_status(store, run, "training")
        moment = min(row.step + draw.randint(4, 16), row.steps - 1)
        until(lambda moment=moment: store.runs.get(run).step >= moment, f"step {moment}")
        kill(store.runs.get(run))
        assert store.runs.get(run).status == "interrupted"
        assert_sound(store)
        go_on(store, run, workers)
    until_ended(store, run)
    assert_equal_runs(store, whole, run)
    assert_sound(store)
    begun = [event.kind for event in store.journal.events(run) if event.who == "worker"]
    assert len(begun) == KILLS + 2  # each start, and the end
    assert "resumed" in begun, "no kill came after a checkpoint"


def test_a_run_killed_while_its_teacher_trains_ends_with_the_same_bits(
    store, workers, accepted, tmp_path
):
    longer = {"teacher.train.steps": 60, "stages.main.steps": 8, "control": False}
    run = accepted(longer)
    teacher = f"{run}-teacher"
    workers.start(store, run, dawdle=0.2)
    until(lambda: _step_of(store, teacher) >= 5 and store.checkpoints(teacher), "a checkpoint")
    kill(store.runs.get(run))
    row = store.runs.get(teacher)
    assert (store.runs.get(run).status, row.status) == ("interrupted", "interrupted")
    assert row.step < 60, "the kill came too late"
    go_on(store, run, workers)
    ended = until_ended(store, run)
    assert ended.status == "finished", ended.error
    assert store.runs.get(teacher).status == "finished"

    other = Store(str(tmp_path / "workbench.db"))  # where no teacher is kept
    whole = accept(other, ExperimentSpec.parse(ended.experiment), threads=1)
    workers.start(other, whole)
    untouched = until_ended(other, whole)
    assert untouched.result["weights"] == ended.result["weights"]
    assert untouched.protocol["teacher"]["hash"] == ended.protocol["teacher"]["hash"]
    mine, theirs = (
        other.metrics.read(f"{whole}-teacher", "train"),
        store.metrics.read(teacher, "train"),
    )
    assert theirs.steps.tolist() == list(range(1, 61))
    np.testing.assert_array_equal(theirs.values, mine.values)
    other.close()


def test_a_run_killed_while_its_control_trains_ends_with_the_same_bits(
    store, workers, accepted, reference
):
    run = accepted(SHORT)
    workers.start(store, run, dawdle=0.1)
    until(lambda: _step_of(store, f"{run}-control") >= 3, "the control trains")
    kill(store.runs.get(run))
    row = store.runs.get(run)
    assert row.status == "interrupted"
    go_on(store, run, workers)
    until_ended(store, run)
    assert_equal_runs(store, reference.id, run)


def test_a_run_killed_while_it_is_paused_goes_on_from_there(store, workers, accepted, reference):
    run = accepted(SHORT, pause_at=23)
    workers.start(store, run)
    paused = until_status(store, run, "paused")
    assert store.checkpoints(run)[0].step == 23
    assert store.metrics.last_step(run, "train") == 23, "rows before the pause are not written"
    kill(paused)
    assert store.runs.get(run).status == "interrupted"
    go_on(store, run, workers)
    ended = until_ended(store, run)
    assert ended.status == "finished", "it paused a second time at the same step"
    assert_equal_runs(store, reference.id, run)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    store, workers, accepted, reference
):
    run = accepted(SHORT, pause_at=30)
    workers.start(store, run)
    paused = until_status(store, run, "paused")
    kill(paused)
    newest, *older = store.checkpoints(run)
    file = store.runs.folder(run) / newest.file
    file.write_bytes(file.read_bytes()[:-7] + b"scratch")
    go_on(store, run, workers)
    until_ended(store, run)
    resumed = [event.step for event in store.journal.events(run) if event.kind == "resumed"]
    assert resumed == [older[0].step] if older else resumed == []
    assert_equal_runs(store, reference.id, run)


def test_a_finished_run_stays_as_it_is_when_resumed(store, workers, reference):
    before = store.runs.get(reference.id)
    assert resume(store, reference.id, workers, who="test") == before
    assert command_is_refused(lambda: command(store, reference.id, "pause", who="test"))


def command_is_refused(send: Callable[[], Any]) -> bool:
    from workbench.errors import RefusedCommand

    with pytest.raises(RefusedCommand, match=r"WB112.*is finished.*It has ended"):
        send()
    return True


def _step_of(store: Store, run: str) -> int:
    known = {row.id: row.step for row in store.runs.list(roles=("teacher", "control"))}
    return known.get(run, -1)
