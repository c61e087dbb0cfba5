"""A run trained anew from its journal alone has the same bits; one changed number is found."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys

import numpy as np
import pytest

from workbench.errors import NonFiniteLoss, RefusedCommand
from workbench.runs import fork as forks
from workbench.runs.replay import result_of_replay
from workbench.store.metrics import Series, put_block
from workbench.store.store import Store
from workbench.training import probing
from workbench.training.part import Part
from workbench.training.steering import Steering

from .touched import CE, KD, MAIN, Hand, killed, untouched_torch

LOOKS = ["cka", {"use": "loyalty", "train": True}]
AUGMENTED = {"data.augment": "shift", "control": True, "probes": LOOKS}


@pytest.fixture
def hand(store, monkeypatch):
    with untouched_torch():
        yield Hand(store, monkeypatch)


@pytest.fixture(scope="module")
def teacher(store):
    """A stored student that can teach others."""
    with pytest.MonkeyPatch.context() as patch, untouched_torch():
        return Hand(store, patch).train({"seed": 9})


STUDENTS = {
    "cnn with batchnorm and dropout": {"use": "timm/test_resnet", "drop_rate": 0.2},
    "vit with dropout": {"use": "timm/test_vit", "drop_rate": 0.2},
    "mlp": {"use": "mlp", "hidden": [16]},
}


@pytest.mark.parametrize("name", STUDENTS)
def test_a_touched_run_replays_bit_for_bit(hand, name):
    """Learned projector, random views, a pause, five changes, a control."""
    run = hand.accept(
        {
            **AUGMENTED,
            "student": STUDENTS[name],
            f"{MAIN}.terms.hint": {"use": "hint", "weight": 0.1},
        }
    )
    asked = {
        3: [(KD + ".temperature", 2.0), (f"{MAIN}.freeze", ["stage1"])],
        6: [(f"{MAIN}.optimiser.lr", 0.004), lambda: hand.send(run, "pause")],
        8: (f"{MAIN}.terms.hint.student_tap", "stage1"),
        9: (f"{MAIN}.freeze", []),
    }
    hand.train(run, at=asked, paused=lambda: hand.send(run, "resume"))
    found = hand.replay(run)
    assert found.equal, found.first_difference
    assert found.weights == hand.weights(run)
    assert found.metrics == hand.row(run).result["metrics"]
    assert found.steps == 14
    assert found.compared > 14 * 4 + 14 * 2 + 2 * 3 * 3


CHANGES = {
    "mix": [(4, f"{MAIN}.target", {"use": "mix", "other": "TEACHER", "share": 0.3}),
            (6, f"{MAIN}.target.share", 0.8),
            (9, f"{MAIN}.target.share", {"use": "linear", "start": 1, "end": 0}),
            (12, f"{MAIN}.target", "teacher")],
    "teacher": [(5, "teacher", "TEACHER"), (8, f"{MAIN}.rows.classes", ["1", "7"])],
    "rows": [(3, f"{MAIN}.rows.labels", "withheld"), (6, f"{MAIN}.rows.labels", "visible"),
             (9, f"{MAIN}.rows", {"confidence": 0.11})],
    "terms": [(3, f"{MAIN}.terms.hint", {"use": "hint"}),
              (6, f"{MAIN}.terms.hint", {"use": "dist"}),
              (8, f"{MAIN}.terms.hint", {"use": "hint", "weight": 0.5}), (10, KD + ".use", "dkd"),
              (11, CE + ".weight", 0.0)],
    "optimiser": [(3, f"{MAIN}.optimiser.weight_decay", 0.2), (5, f"{MAIN}.optimiser.beta1", 0.5),
                  (7, f"{MAIN}.schedule", {"use": "step"})],
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_every_sort_of_change_replays(hand, teacher, name):
    def filled(value):
        return json.loads(json.dumps(value).replace("TEACHER", f"run:{teacher}@last"))

    asked = {step: (path, filled(value)) for step, path, value in CHANGES[name]}
    run = hand.train({"control": True, "probes": ["cka", "loyalty"]}, at=asked)
    assert len(hand.changes(run)) == len(asked)
    found = hand.replay(run)
    assert found.equal, found.first_difference


def test_a_killed_and_resumed_run_replays(hand):
    run = hand.train(
        AUGMENTED,
        at={
            4: [(f"{MAIN}.terms.hint", {"use": "hint"}), lambda: None],
            6: lambda: hand.send(hand.store.runs.list()[0].id, "checkpoint"),
            9: killed,
        },
    )
    assert [row.step for row in hand.store.checkpoints(run)] == [6]
    hand.train(run, at={11: (KD + ".weight", 0.2)})
    assert hand.replay(run).equal


SEEN_CHANGES = {"teacher": ("teacher", "TEACHER"), "weight": (KD + ".weight", 0.0)}


@pytest.mark.parametrize("what", SEEN_CHANGES)
def test_what_is_changed_in_a_pause_and_looked_at_there_replays(hand, teacher, what):
    """The snapshot of a step is of what stood before anything changed there."""
    run = hand.accept({"probes": ["balance", "loyalty"], "control": True})
    path, value = SEEN_CHANGES[what]

    def swap_and_look() -> None:
        hand.set(run, path, f"run:{teacher}@last" if value == "TEACHER" else value)
        hand.send(run, "probe")
        hand.send(run, "checkpoint")
        hand.send(run, "resume")

    hand.train(run, at={5: lambda: hand.send(run, "pause")}, paused=swap_and_look)
    assert {5, 6} <= set(hand.store.snapshot_steps(run))
    found = hand.replay(run)
    assert found.equal, found.first_difference


def test_a_resume_at_the_step_of_a_swap_leaves_its_snapshot(hand, teacher):
    run = hand.accept({"probes": ["loyalty"]})
    asked = {
        5: [("teacher", f"run:{teacher}@last"), lambda: hand.send(run, "checkpoint")],
        8: killed,
    }
    hand.train(run, at=asked)
    (before,) = hand.store.snapshots(run, after=4, upto=5)
    hand.train(run)
    (after,) = hand.store.snapshots(run, after=4, upto=5)
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(array, after.arrays[name])
    assert hand.replay(run).equal


def test_what_applies_at_the_very_end_is_replayed_too(hand, teacher):
    run = hand.train({"control": True}, at={14: ("teacher", f"run:{teacher}@last")})
    assert [event.step for event in hand.changes(run)] == [14]
    plain = hand.train()
    assert hand.weights(run) == hand.weights(plain)
    mine, theirs = (hand.row(name).result["metrics"]["teacher"] for name in (run, plain))
    assert mine != theirs
    found = hand.replay(run)
    assert found.equal, found.first_difference


def test_a_fork_replays(hand):
    parent = hand.train(at={3: (KD + ".temperature", 2.0), 10: (CE + ".weight", 0.5)})
    child = forks.fork(hand.store, parent, 6, {f"{MAIN}.batch_size": 20}, who="ada")
    hand.train(child)
    assert hand.replay(child).equal


@pytest.mark.parametrize("end", ["stop", "pause", "kill", "stop in the control"])
def test_a_run_that_did_not_finish_replays_as_far_as_it_came(hand, end):
    run, found = hand.accept({"control": True}), []
    asked = {4: [(KD + ".weight", 0.3)]}
    if end == "stop in the control":
        asked["control", 5] = lambda: hand.send(run, "stop")
    elif end == "pause":
        asked[9] = lambda: hand.send(run, "pause")
    else:
        asked[9] = (lambda: hand.send(run, "stop")) if end == "stop" else killed

    def while_paused() -> None:
        other = Store(str(hand.store.path))
        done = subprocess.run(
            [sys.executable, "-m", "workbench.runs.replay", str(other.path), run],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        other.close()
        found.append((done.returncode, json.loads(done.stdout)))
        hand.send(run, "resume")

    hand.train(run, at=asked, paused=while_paused)
    if end == "pause":
        ((code, words),) = found
        assert (code, words["equal"], words["steps"]) == (0, True, 9)
        return
    replayed = hand.replay(run)
    assert replayed.equal, replayed.first_difference
    assert replayed.steps == (14 if end == "stop in the control" else hand.row(run).step)
    assert replayed.compared > 40


def test_a_run_that_became_nan_replays_up_to_its_last_step_and_can_be_forked(hand, monkeypatch):
    real, made, steered = Part.set_rate, Steering.__init__, []

    def remembered(steering: Steering, spec, part: Part, *args, **kwargs) -> None:
        steered.append(part)  # what trains, not what is tried out before
        made(steering, spec, part, *args, **kwargs)

    def boundless(part: Part, step: int) -> float:
        rate = real(part, step)
        if steered and part is steered[-1] and step == 8:
            for group in part.optimiser.param_groups:
                group["lr"] = float("inf")
        return rate

    monkeypatch.setattr(Steering, "__init__", remembered)
    monkeypatch.setattr(Part, "set_rate", boundless)
    run = hand.accept()
    with pytest.raises(NonFiniteLoss) as broken:
        hand.train(run, at={5: (KD + ".temperature", 2.0)})
    words = {"code": broken.value.code, "message": broken.value.message, "exit_code": 1}
    hand.store.runs.update(run, status="failed", error=words)
    assert hand.store.metrics.last_step(run, "train") == 9
    found = hand.replay(run)
    assert found.equal, found.first_difference
    assert found.steps == 9
    monkeypatch.setattr(Part, "set_rate", real)
    unbroken = hand.replay(run)
    assert not unbroken.equal
    assert unbroken.first_difference.step == 9
    child = forks.fork(hand.store, run, 8, {}, who="ada")
    hand.train(child)
    assert hand.weights(child) == hand.weights(hand.train(at={5: (KD + ".temperature", 2.0)}))


# Another truth: what is tampered with is found, where it stands


@pytest.fixture
def touched(hand):
    """A run with two changes, each at a step where rows before and after were written."""
    return hand.train(
        {"control": True}, at={4: (KD + ".temperature", 2.0), 8: (CE + ".weight", 0.5)}
    )


def tamper(hand, run, step, change) -> None:
    (event,) = [event for event in hand.changes(run) if event.step == step]
    payload = dict(event.payload)
    change(payload)
    hand.sql("UPDATE events SET payload = ? WHERE id = ?", json.dumps(payload), event.id)


def test_a_changed_value_in_the_journal_is_found_at_that_very_step(hand, touched):
    tamper(hand, touched, 8, lambda payload: payload["set"].update({CE + ".weight": 0.51}))
    found = hand.replay(touched)
    assert not found.equal
    first = found.first_difference
    assert (first.step, first.quantity) == (8, f"journal.{CE}.weight.after")
    assert (first.recorded, first.replayed) == (0.5, 0.51)


def test_a_consistent_lie_in_the_journal_is_found_in_the_first_row_after_it(hand, touched):
    def lie(payload):
        payload["set"].update({CE + ".weight": 0.51})
        payload["after"] = 0.51

    tamper(hand, touched, 8, lie)
    first = hand.replay(touched).first_difference
    assert (first.step, first.quantity) == (9, "train.loss")
    assert first.recorded != first.replayed


def test_a_changed_step_in_the_journal_is_found_in_the_first_row_that_differs(hand, touched):
    (event,) = [event for event in hand.changes(touched) if event.step == 8]
    hand.sql("UPDATE events SET step = 10 WHERE id = ?", event.id)
    assert hand.replay(touched).first_difference.step == 9


def test_a_change_that_is_taken_out_of_the_journal_is_found(hand, touched):
    (event,) = [event for event in hand.changes(touched) if event.step == 4]
    hand.sql("DELETE FROM events WHERE id = ?", event.id)
    first = hand.replay(touched).first_difference
    assert (first.step, first.quantity) == (5, "train.loss")


def test_an_earlier_difference_is_told_first_whatever_is_compared_when(hand, monkeypatch):
    """Row 37, written with others, and the journal's line of step 39 are wrong: 37 is first."""
    monkeypatch.setattr(probing, "MIN_SECONDS", 1e9)  # looks at the grid's steps only
    run = hand.train({f"{MAIN}.steps": 60}, at={39: (CE + ".weight", 0.5)})
    assert not {36, 37, 38, 39} & set(hand.store.snapshot_steps(run)), "no look comes between"
    tamper(hand, run, 39, lambda payload: payload.update(before=0.3))
    series = hand.store.metrics.read(run, "train")
    values = series.values.copy()
    values[36, 0] += 1e-12
    with hand.store.database.write() as connection:
        put_block(connection, run, "train", Series(series.columns, series.steps, values))
    first = hand.replay(run).first_difference
    assert (first.step, first.quantity) == (37, "train.loss")
    assert 0 < abs(first.recorded - first.replayed) < 1e-11


@pytest.mark.parametrize(
    ("field", "quantity"), [("weights", "weights"), ("metrics", "control.test.nll")]
)
def test_a_changed_end_is_found(hand, touched, field, quantity):
    result = hand.row(touched).result
    if field == "weights":
        result["weights"] = "0" * 64
    else:
        result["metrics"]["control"]["nll"] += 1e-9
    hand.store.runs.update(touched, result=result)
    first = hand.replay(touched).first_difference
    assert (first.step, first.quantity) == (14, quantity)


def test_the_json_of_a_replay_adds_equal_and_the_first_difference(hand, touched):
    words = result_of_replay(hand.row(touched), hand.replay(touched))
    assert words["equal"] is True
    assert words["first_difference"] is None
    assert (words["run"], words["status"], words["steps"]) == (touched, "finished", 14)
    assert words["weights"] == hand.weights(touched)
    tamper(hand, touched, 4, lambda payload: payload.update(after=[3.0]))
    words = json.loads(json.dumps(result_of_replay(hand.row(touched), hand.replay(touched))))
    assert words["equal"] is False
    assert words["first_difference"] == {
        "step": 4, "quantity": f"journal.{KD}.temperature.after", "recorded": [3.0], "replayed": 2.0
    }  # fmt: skip


def test_a_replay_reads_no_checkpoint_no_probe_array_and_no_cached_teacher(hand, monkeypatch):
    """All of it moved away: what is left is the journal and what was measured."""
    run = hand.train({**AUGMENTED, "teacher.train.seed": 3}, at={4: (KD + ".temperature", 2.0)})
    folder, cache = hand.store.runs.folder(run), hand.store.folder / "teachers"
    away = hand.store.folder / "away"
    away.mkdir()
    for number, name in enumerate(["checkpoints", "snapshots", "student.safetensors"]):
        (folder / name).rename(away / str(number))
    cache.rename(away / "teachers")
    try:
        found = hand.replay(run)
    finally:
        (away / "teachers").rename(cache)
    assert found.equal, found.first_difference
    assert found.weights == hand.weights(run)
    rows = hand.store.metrics.read(f"{run}-teacher", "train")
    assert found.compared > rows.values.size, "the teacher trained again, and was compared"


def test_a_replay_writes_nothing_into_the_store(hand, touched):
    def everything():
        connection = sqlite3.connect(hand.store.path)
        lines = list(connection.iterdump())
        connection.close()
        files = [
            path for path in hand.store.folder.rglob("*") if hand.store.path.name not in path.name
        ]
        return lines, sorted(files)

    before = everything()
    assert hand.replay(touched).equal
    assert everything() == before


def test_a_run_that_still_trains_is_not_replayed(hand):
    run = hand.accept()
    refused = []

    def try_it() -> None:
        with pytest.raises(RefusedCommand, match="is training; a replay needs one that has ended"):
            hand.replay(run)
        refused.append(1)

    hand.train(run, at={5: try_it})
    assert refused
