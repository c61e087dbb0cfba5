"""What training writes: snapshots, checkpoints, and which of them are kept."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from workbench.atomic import write_atomically
from workbench.errors import BadFile
from workbench.store.thinning import SPREAD
from workbench.training.checkpoint import read_state


@pytest.fixture
def recorder(store, run):
    return store.recorder(run)


def test_a_snapshot_comes_back_with_dtypes_shapes_and_facts(store, run, recorder):
    arrays = {
        "cka.unbiased": np.array([[0.5, np.nan]], np.float32),
        "trilateral.ids": np.arange(3, dtype=np.int64),
        "loyalty.right": np.array([1, 0], np.uint8),
        "empty": np.zeros((0, 3), np.float32),
    }
    recorder.snapshot(7, arrays, {"cka": {"n": 3, "note": "ä"}})
    (snapshot,) = store.snapshots(run)
    assert (snapshot.step, snapshot.facts) == (7, {"cka": {"n": 3, "note": "ä"}})
    assert set(snapshot.arrays) == set(arrays)
    for name, array in arrays.items():
        assert snapshot.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(snapshot.arrays[name], array)


def test_a_snapshot_taken_twice_stands_once(store, run, recorder):
    for value in (1.0, 2.0):
        recorder.snapshot(7, {"a": np.array([value])}, {})
    assert store.snapshot_steps(run) == recorder.snapshot_steps() == [7]
    assert store.last_snapshot(run).arrays["a"].tolist() == [2.0]


def test_snapshots_are_read_after_a_step_and_a_lost_file_is_left_out(store, run, recorder):
    for step in (0, 5, 10):
        recorder.snapshot(step, {"a": np.array([step])}, {})
    assert [snapshot.step for snapshot in store.snapshots(run, after=0)] == [5, 10]
    next((recorder.folder / "snapshots").glob("*10.safetensors")).unlink()
    assert [snapshot.step for snapshot in store.snapshots(run)] == [0, 5]
    assert store.last_snapshot(run).step == 5


def test_dropping_forgets_metrics_and_snapshots_beyond_the_step(store, run, recorder):
    steps = np.arange(1, 11)
    recorder.metrics("train", ["loss"], steps, steps[:, None] * 1.0, step=10, rate=2.0)
    recorder.snapshot(4, {"a": np.zeros(1)}, {})
    recorder.snapshot(9, {"a": np.zeros(1)}, {})
    assert (store.runs.get(run).step, store.runs.get(run).rate) == (10, 2.0)
    recorder.drop_metrics_after(4)
    assert recorder.last_step("train") == 4
    assert store.snapshot_steps(run) == [4]
    recorder.metrics("train", ["loss"], steps[4:], steps[4:, None] * 1.0, step=10)
    assert store.metrics.read(run, "train").steps.tolist() == steps.tolist()


def test_a_checkpoint_comes_back_and_its_row_says_what_it_is(store, run, recorder):
    state = {"step": 3, "network": {"w": torch.arange(4.0)}}
    recorder.checkpoint(3, state, reason="pause", accuracy=0.5)
    (row,) = store.checkpoints(run)
    assert (row.step, row.reason, row.accuracy) == (3, "pause", 0.5)
    found = recorder.last_checkpoint()
    assert found.path.stat().st_size == row.bytes
    assert torch.equal(read_state(found.path)["network"]["w"], torch.arange(4.0))


def kept(store, run) -> list[int]:
    return sorted(int(row.step) for row in store.checkpoints(run))


def test_of_checkpoints_by_the_clock_a_spread_stays_with_the_last_and_the_best(
    store, run, recorder
):
    accuracies = [0.1, 0.9, *(0.3 for _ in range(38))]
    for step, accuracy in enumerate(accuracies, start=1):
        recorder.checkpoint(step, {"step": step}, reason="time", accuracy=accuracy)
    steps = kept(store, run)
    assert {2, 39, 40} <= set(steps)
    assert len(steps) == SPREAD + 2  # the best and the last come on top
    assert max(after - before for before, after in pairwise([0, *steps])) <= 10, "no wide hole"
    files = sorted(path.name for path in (recorder.folder / "checkpoints").iterdir())
    assert files == [f"{step:010d}.safetensors" for step in steps]


def test_checkpoints_of_a_pause_a_stop_and_the_end_all_stay(store, run, recorder):
    for step, reason in enumerate(["pause", "time", "time", "stop", "time", "time", "end"], 1):
        recorder.checkpoint(step, {"step": step}, reason=reason, accuracy=None)
    assert kept(store, run) == [1, 2, 3, 4, 5, 6, 7]


def test_a_damaged_checkpoint_is_passed_over_and_if_none_is_left_the_run_starts_anew(
    store, run, recorder
):
    assert recorder.last_checkpoint() is None
    for step in (1, 2):
        recorder.checkpoint(step, {"step": step}, reason="pause", accuracy=None)
    first, second = ((recorder.folder / row.file) for row in reversed(store.checkpoints(run)))
    second.write_bytes(second.read_bytes() + b"x")
    assert recorder.last_checkpoint().step == 1
    first.unlink()
    assert recorder.last_checkpoint() is None
    assert store.checkpoints(run) == []
    (event,) = recorder.events()
    assert (event.step, event.kind) == (0, "started anew")
    assert event.payload == {"checkpoints": 2, "folder": str(recorder.folder)}


def test_a_folder_that_becomes_a_file_while_a_checkpoint_is_staged_is_named(
    store, run, recorder, monkeypatch
):
    def write_then_swap(path, content):
        digest = write_atomically(path, content)  # the second time there is no folder to write to
        recorder.folder.rename(recorder.folder.with_name("away"))
        recorder.folder.write_text("in the way")
        return digest

    monkeypatch.setattr("workbench.store.recorder.write_atomically", write_then_swap)
    with pytest.raises(BadFile, match=f"{recorder.folder}/checkpoints/"):
        recorder.checkpoint(3, {"step": 3}, reason="time", accuracy=None)
    assert store.checkpoints(run) == []


def test_commands_of_a_part_come_from_the_run_that_people_look_at(store, run):
    teacher = store.runs.create(name="t", experiment={}, options={}, role="teacher", group=run)
    recorder = store.recorder(teacher, inbox=run)
    store.journal.send(run, "pause", who="ada")
    (command,) = recorder.commands()
    recorder.apply(command, 4, {})
    assert [event.kind for event in recorder.events()] == ["pause"]
    assert [event.step for event in store.journal.events(run)] == [4]


def test_a_cached_teacher_is_found_by_its_key_while_its_file_is_there(store):
    assert store.teacher("k1") is None
    path = store.teacher_path("k1")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"weights")
    store.keep_teacher("k1", weights="hash", facts={"accuracy": 0.5})
    found = store.teacher("k1")
    assert (found.weights, found.path, found.facts) == ("hash", path, {"accuracy": 0.5})
    path.unlink()
    assert store.teacher("k1") is None
