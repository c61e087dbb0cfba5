"""A fork shares its parent's first steps; unchanged it ends the same, changed it differs after."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from workbench.errors import InvalidExperiment, RefusedCommand
from workbench.runs.fork import fork
from workbench.runs.run import Run

from .touched import CE, KD, MAIN, Hand, assert_same, killed, untouched_torch

ASKED = {
    3: [(KD + ".temperature", 2.0), (f"{MAIN}.terms.hint", {"use": "hint", "weight": 0.2})],
    6: (CE + ".weight", 0.5),
    10: (f"{MAIN}.optimiser.lr", 0.004),
}


@pytest.fixture
def hand(store, monkeypatch):
    with untouched_torch():
        yield Hand(store, monkeypatch)


@pytest.fixture(scope="module")
def parent(store):
    """A touched run with a checkpoint at step 7, two changes before it and one after."""
    with pytest.MonkeyPatch.context() as patch, untouched_torch():
        hand = Hand(store, patch)
        run = hand.accept({"control": True})
        return hand.train(run, at={**ASKED, 7: lambda: hand.send(run, "checkpoint")})


def child_of(hand, parent, at, changes=None, **options):
    return hand.train(fork(hand.store, parent, at, changes or {}, who="ada", **options))


@pytest.mark.parametrize("at", [0, 2, 3, 6, 7, 9, 13, 14])
def test_unchanged_a_fork_ends_as_its_parent_wherever_it_begins(hand, parent, at):
    child = child_of(hand, parent, at)
    assert_same(hand, child, parent, parts=("", "-control"))
    row = hand.row(child)
    assert (row.parent, row.forked_at) == (parent, at)
    assert [(event.step, event.payload["after"]) for event in hand.changes(child)] == [
        (event.step, event.payload["after"]) for event in hand.changes(parent)
    ]


@pytest.mark.parametrize("at", [5, 6])
def test_what_was_set_at_the_step_of_the_checkpoint_is_shared_once(hand, at):
    """Whether the checkpoint was written before it or after."""
    run = hand.accept()
    asked = [(KD + ".weight", 0.3), lambda: hand.send(run, "checkpoint"), (KD + ".weight", 0.6)]
    hand.train(run, at={5: asked})
    child = child_of(hand, run, at)
    assert_same(hand, child, run)
    mine, theirs = ([(e.step, e.who, e.payload["after"]) for e in hand.changes(x)] for x in (
        child, run))  # fmt: skip
    assert mine == theirs == [(5, "ada", 0.3), (5, "ada", 0.6)]


def test_a_fork_goes_on_from_the_nearest_checkpoint(hand, parent):
    for at, start in ((6, None), (7, 7), (9, 7), (14, 14)):
        child = child_of(hand, parent, at)
        begun = [e for e in hand.store.journal.events(child) if e.kind in ("started", "resumed")]
        assert [e.step for e in begun if e.kind == "resumed"] == ([] if start is None else [start])


@pytest.mark.parametrize("at", [5, 7, 9])
def test_changed_a_fork_is_its_parent_up_to_the_step_and_then_is_not(hand, parent, at):
    child = child_of(hand, parent, at, {KD + ".weight": 0.2})
    for series in ("train", "probe"):
        mine, theirs = (hand.store.metrics.read(run, series) for run in (child, parent))
        both = np.intersect1d(mine.steps, theirs.steps)
        rows = [s.values[np.isin(s.steps, both)] for s in (mine, theirs)]
        same = (rows[0] == rows[1]) | (np.isnan(rows[0]) & np.isnan(rows[1]))
        assert same[both <= at].all()
        assert not same[both > at].all(axis=1).any()
    assert hand.weights(child) != hand.weights(parent)
    assert hand.replay(child).equal


def test_a_fork_of_a_fork_of_a_fork(hand, parent):
    child = child_of(hand, parent, 8, {KD + ".weight": 0.2})
    grandchild = child_of(hand, child, 11, {KD + ".weight": 0.9})
    last = child_of(hand, grandchild, 12)
    assert_same(hand, last, grandchild)
    assert hand.replay(grandchild).equal
    plan = [
        {"step": step, "set": {path: value}}
        for step, path, value in (
            (3, KD + ".temperature", 2.0),
            (3, f"{MAIN}.terms.hint", {"use": "hint", "weight": 0.2}),
            (6, CE + ".weight", 0.5),
            (8, KD + ".weight", 0.2),
            (10, f"{MAIN}.optimiser.lr", 0.004),
            (11, KD + ".weight", 0.9),
        )
    ]
    assert_same(hand, grandchild, hand.train({"control": True, "interventions": plan}))
    tree = {run.id: run.parent.id if run.parent else None for run in map(_run(hand), (
        parent, child, grandchild, last))}  # fmt: skip
    assert tree == {parent: None, child: parent, grandchild: child, last: grandchild}
    assert child in [run.id for run in Run(parent, hand.store).children]


def _run(hand):
    return lambda name: Run(name, hand.store)


def test_what_the_fork_changes_is_not_changed_back_by_what_was_done_later(hand, parent):
    path = f"{MAIN}.optimiser.lr"
    child = child_of(hand, parent, 8, {path: 0.02})
    assert [event.step for event in hand.changes(child) if path in event.payload["set"]] == [8]
    without = child_of(hand, parent, 4, keep_later=False)
    assert [event.step for event in hand.changes(without)] == [3, 3]


BY_FORK = {
    "batch size in mid-epoch": {f"{MAIN}.batch_size": 20},
    "more steps": {f"{MAIN}.steps": 19},
    "kind of optimiser": {f"{MAIN}.optimiser": {"use": "sgd", "lr": 0.05, "momentum": 0.9}},
    "labels": {"data.labels_per_class": 6},
    "augmentation": {"data.augment": "shift"},
    "target": {f"{MAIN}.rows.labels": "withheld", f"{MAIN}.freeze": ["stage1"]},
}


@pytest.mark.parametrize("name", BY_FORK)
def test_what_cannot_change_in_place_changes_by_a_fork_and_replays(hand, parent, name):
    changes = BY_FORK[name]
    child = child_of(hand, parent, 9, changes)
    planned = Run(child, hand.store).experiment
    assert_same(hand, child, hand.train(planned.given()), parts=("", "-control"))
    assert hand.column(child, "loss")[:9].tolist() == hand.column(parent, "loss")[:9].tolist()
    assert hand.weights(child) != hand.weights(parent)
    assert hand.replay(child).equal
    told = hand.row(child).protocol["interventions"]
    assert [item["step"] for item in told if set(changes) <= set(item["set"])] == [9]


def test_another_batch_size_lets_the_epoch_go_on(hand, monkeypatch):
    """208 rows: 4 steps of 32, then 4 of 20 take the first epoch's rows 0 to 208, each once."""
    from workbench.training.part import Part

    parent = hand.train({f"{MAIN}.steps": 5})
    child = fork(hand.store, parent, 4, {f"{MAIN}.batch_size": 20, f"{MAIN}.steps": 10}, who="ada")
    seen, real = [], Part.batch

    def batch(part, step):
        found = real(part, step)
        if not part.see_all_labels:
            seen.append(found.ids.tolist())
        return found

    monkeypatch.setattr(Part, "batch", batch)
    hand.train(child)
    assert list(map(len, seen)) == [32] * 4 + [20] * 4 + [20] * 2
    assert len({row for rows in seen[:8] for row in rows}) == 208


def test_a_fork_at_the_end_with_more_epochs_trains_on(hand):
    parent = hand.train({f"{MAIN}.steps": None, f"{MAIN}.epochs": 2})
    assert hand.row(parent).step == 14
    child = child_of(hand, parent, 14, {f"{MAIN}.epochs": 3})
    row = hand.row(child)
    assert (row.step, row.steps, row.status) == (21, 21, "finished")
    assert hand.column(child, "loss")[:14].tolist() == hand.column(parent, "loss").tolist()
    assert hand.replay(child).equal


@pytest.mark.parametrize("state", ["paused", "interrupted", "stopped"])
def test_a_run_that_did_not_finish_can_be_forked(hand, state):
    whole = hand.train(at={4: (KD + ".weight", 0.4)})
    run, children = hand.accept(), []
    end = {
        "paused": lambda: hand.send(run, "pause"),
        "stopped": lambda: hand.send(run, "stop"),
        "interrupted": killed,
    }

    def meanwhile() -> None:
        children.append(fork(hand.store, run, 8, {}, who="ada"))
        hand.send(run, "resume")

    hand.train(run, at={4: (KD + ".weight", 0.4), 9: end[state]}, paused=meanwhile)
    if state != "paused":
        children.append(fork(hand.store, run, 8, {}, who="ada"))
    hand.train(children[0])
    assert_same(hand, children[0], whole)


def test_a_fork_of_what_was_set_while_the_teacher_trained(hand):
    run = hand.train({"teacher.train.seed": 21}, at={("teacher", 3): (KD + ".weight", 0.3)})
    for at in (0, 5):
        assert_same(hand, child_of(hand, run, at), run)
    other = child_of(hand, run, 0, {KD + ".weight": 0.9})
    assert_same(hand, other, hand.train({"teacher.train.seed": 21}))


def test_another_student_begins_at_step_0(hand, parent):
    child = child_of(hand, parent, 0, {"student": {"use": "mlp"}, "name": "other\nname"})
    alone = hand.train(Run(child, hand.store).experiment.given())
    assert_same(hand, child, alone)
    assert hand.row(child).name == "other\nname"
    with pytest.raises(RefusedCommand, match=rf"step 0 only: workbench fork {parent} --at 0 --set"):
        fork(hand.store, parent, 5, {"student": "mlp"}, who="ada")


@pytest.mark.parametrize(
    ("at", "changes", "error", "words"),
    [
        (15, {}, RefusedCommand, "has steps 0 to 14 so far"),
        (-1, {}, RefusedCommand, "has steps 0 to 14 so far"),
        (5, {KD + ".temperature": -1}, InvalidExperiment, "must be > 0"),
        (5, {KD + ".temprature": 1}, InvalidExperiment, "Did you mean 'temperature'"),
        (5, {"interventions": []}, RefusedCommand, "it makes itself"),
        (5, {"seed": 2}, RefusedCommand, "at step 0 only"),
        (5, {"data.split_seed": 2}, RefusedCommand, "at step 0 only"),
    ],
)
def test_a_fork_that_cannot_be_is_refused_and_leaves_no_run(
    hand, parent, at, changes, error, words
):
    before = [row.id for row in hand.store.runs.list()]
    with pytest.raises(error, match=words):
        fork(hand.store, parent, at, changes, who="ada")
    assert [row.id for row in hand.store.runs.list()] == before


def test_a_control_and_a_teacher_are_not_forked(hand, parent):
    with pytest.raises(RefusedCommand, match=f"is a control; fork the student's run, {parent}"):
        fork(hand.store, f"{parent}-control", 5, {}, who="ada")


def test_the_files_of_the_parent_may_go_and_the_child_still_trains(hand):
    run = hand.accept()
    hand.train(run, at={**ASKED, 7: lambda: hand.send(run, "checkpoint")})
    child = fork(hand.store, run, 9, {}, who="ada")
    whole = hand.weights(run)
    shutil.rmtree(hand.store.runs.folder(run))
    hand.train(child)
    assert hand.weights(child) == whole
    assert hand.replay(child).equal


def test_a_fork_is_journalled_with_its_parent_step_changes_and_note(hand, parent):
    child = fork(hand.store, parent, 9, {KD + ".weight": 0.1}, who="ada", note="less of it")
    (event,) = [event for event in hand.store.journal.events(child) if event.kind == "forked"]
    assert event.who == "ada"
    assert event.payload == {
        "parent": parent,
        "at": 9,
        "set": {KD + ".weight": 0.1},
        "note": "less of it",
    }
