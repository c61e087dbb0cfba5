"""A value set while a run trains: journalled first, applied at its step, kept through a kill."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest

from workbench.errors import BadInput, InvalidExperiment, RefusedCommand, RunFailed
from workbench.runs.run import Run
from workbench.store.commands import Journal

from .touched import CE, KD, MAIN, Hand, assert_same, killed, untouched_torch


@pytest.fixture
def hand(store, monkeypatch):
    with untouched_torch():
        yield Hand(store, monkeypatch)


@pytest.fixture(scope="module")
def plain(store):
    """The tiny experiment that nobody touched."""
    with pytest.MonkeyPatch.context() as patch, untouched_torch():
        yield Hand(store, patch).train()


PLANS = {
    "weight": (KD + ".weight", 0.3),
    "temperature": (KD + ".temperature", 1.5),
    "rate": (f"{MAIN}.optimiser.lr", 0.002),
    "ramp": (f"{MAIN}.optimiser.lr", {"use": "linear", "start": 0.01, "end": 0.001}),
    "decay": (f"{MAIN}.optimiser.weight_decay", 0.3),
    "schedule": (f"{MAIN}.schedule", {"use": "constant"}),
    "freeze": (f"{MAIN}.freeze", ["stage1"]),
    "rows": (f"{MAIN}.rows.labels", "visible"),
    "kind": (KD + ".use", "dkd"),
    "added": (f"{MAIN}.terms.hint", {"use": "hint", "weight": 0.2}),
}


@pytest.mark.parametrize("name", PLANS)
def test_what_is_set_by_hand_is_what_the_same_plan_trains(hand, plain, name):
    """Another truth: an experiment file that has the change among its interventions."""
    path, value = PLANS[name]
    touched = hand.train(at={5: (path, value)})
    planned = hand.train({"interventions": [{"step": 5, "set": {path: value}}]})
    assert_same(hand, touched, planned)
    before = [hand.column(run, "loss")[:5].tolist() for run in (plain, touched)]
    assert before[0] == before[1]
    assert hand.weights(touched) != hand.weights(plain)


def test_the_journal_says_step_time_who_before_after_and_note(hand):
    run = hand.accept()
    hand.train(run, at={4: lambda: hand.set(run, KD + ".temperature", 2, note="softer")})
    (event,) = hand.changes(run)
    assert (event.step, event.who, event.kind) == (4, "ada", "set")
    row = hand.row(run)
    assert row.started_ns < event.created_ns < row.ended_ns
    assert event.payload == {
        "path": KD + ".temperature",
        "before": 4.0,
        "after": 2.0,
        "set": {KD + ".temperature": 2},
        "note": "softer",
    }
    assert hand.store.journal.answer(event.command).step == 4


def test_two_values_at_one_step_apply_in_order_and_the_last_one_stays(hand):
    path = KD + ".temperature"
    twice = hand.train(at={6: [(path, 9.0), (path, 2.0)]})
    once = hand.train(at={6: (path, 2.0)})
    assert [(e.payload["before"], e.payload["after"]) for e in hand.changes(twice)] == [
        (4.0, 9.0),
        (9.0, 2.0),
    ]
    assert_same(hand, twice, once)
    assert hand.replay(twice).equal


def test_what_was_planned_for_a_step_comes_before_what_is_asked_there(hand):
    path = KD + ".temperature"
    run = hand.train({"interventions": [{"step": 6, "set": {path: 9.0}}]}, at={6: (path, 2.0)})
    assert [(e.who, e.payload["after"]) for e in hand.changes(run)] == [("plan", 9.0), ("ada", 2.0)]
    assert hand.replay(run).equal


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (KD + ".temperature", -1, r"temperature.*must be > 0.*-1"),
        (KD + ".weight", [1], r"weight.*must be a number \(≥ 0 and ≤ 1e\+06\)"),
        (KD + ".weight", None, "must be a number"),
        (KD + ".weight", "x" * 100_000, "must be a number"),
        (KD + ".temprature", 2, "Did you mean 'temperature'"),
        ("", 1, "no such field"),
        ("a'b\"; drop table runs", 1, "no such field"),
        ("stages.other.freeze", [], "stages"),
        (f"{MAIN}.freeze", ["stage9"], r"no module 'stage9'.*Stages: stage1, stage2"),
        (f"{MAIN}.freeze", ["stage1", "stage2", "classifier"], "nothing learns"),
        (f"{MAIN}.rows.classes", ["zebra"], "no class 'zebra'"),
        (f"{MAIN}.rows.confidence", 0.99, "none of the 208 training rows is left"),
        ("teacher", {"use": "cnn-small", "width": 9}, "not trained yet"),
        ("teacher", "run:nobody@last", "nobody"),
        (f"{MAIN}.terms.h", {"use": "hint", "student_tap": "nowhere"}, "no tap 'nowhere'"),
        (f"{MAIN}.batch_size", 8, r"fork RUN --at 3 --set stages\.main\.batch_size=8"),
        (f"{MAIN}.optimiser.use", "sgd", r"fork RUN --at 3 --set stages\.main\.optimiser\.use"),
        ("student", "mlp", "fork RUN --at 0 --set student=mlp"),
        ("seed", 3, "fork RUN --at 0 --set seed=3"),
    ],
)
def test_what_cannot_be_is_refused_in_words_and_changes_nothing(hand, plain, path, value, words):
    run, sent = hand.accept(), []
    hand.train(run, at={3: lambda: sent.append(hand.set(run, path, value))})
    reason = hand.refusal(sent[0])
    assert re.search(words.replace("RUN", run), reason, re.DOTALL), reason[:500]
    assert len(reason) < 2000
    assert hand.changes(run) == []
    assert_same(hand, run, plain)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({}, "has a path and a value"),
        ({"path": KD + ".weight"}, r"this one has \['path'\]"),
        ({"path": KD + ".weight", "value": 1, "note": "x" * 2001}, "2001 characters; at most 2000"),
    ],
)
def test_a_command_that_is_no_set_is_refused_and_the_run_goes_on(hand, plain, payload, words):
    run, sent = hand.accept(), []
    hand.train(run, at={3: lambda: sent.append(hand.send(run, "set", **payload))})
    assert re.search(words, hand.refusal(sent[0]))
    assert_same(hand, run, plain)


def test_a_set_while_paused_applies_there_and_is_applied_again_after_a_kill_in_the_pause(hand):
    path = KD + ".weight"
    run = hand.accept()

    def pause_set() -> None:
        hand.send(run, "pause")
        hand.set(run, path, 0.2)

    hand.train(run, at={5: pause_set}, paused=killed)
    assert hand.row(run).status == "interrupted"
    assert hand.store.checkpoints(run)[0].step == 5
    hand.train(run)
    assert_same(hand, run, hand.train(at={5: (path, 0.2)}))
    assert [event.step for event in hand.changes(run)] == [5]
    assert hand.replay(run).equal


@pytest.mark.parametrize("moment", [5, 6, 9, 13])
def test_killed_after_a_set_and_before_any_checkpoint_the_run_ends_with_the_same_bits(hand, moment):
    asked = {5: [(f"{MAIN}.terms.hint", {"use": "hint"}), (KD + ".weight", 0.5)]}
    run = hand.accept()
    acts = {**asked, moment: [*asked.get(moment, []), killed]}
    hand.train(run, at=acts)
    assert hand.store.checkpoints(run) == []
    if moment == 5:  # killed before the inbox was looked into: still waiting, it applies at last
        assert hand.changes(run) == []
    else:
        assert [event.step for event in hand.changes(run)] == [5, 5]
    hand.train(run)
    if moment == 5:
        assert hand.replay(run).equal
    else:
        assert_same(hand, run, hand.train(at=asked))


def test_killed_in_the_control_after_interventions_the_run_ends_with_the_same_bits(hand):
    asked = {4: [(KD + ".weight", 0.5), (CE + ".weight", 0.4)], 7: (f"{MAIN}.freeze", ["stage1"])}
    whole = hand.train({"control": True}, at=asked)
    run = hand.train({"control": True}, at={**asked, ("control", 8): killed})
    assert hand.row(run).status == "interrupted"
    hand.train(run)
    assert_same(hand, run, whole, parts=("", "-control"))
    assert hand.replay(run).equal


def test_the_control_follows_what_is_not_about_the_teacher(hand):
    """Another truth: the same file without its target terms, with the other changes as its plan."""
    asked = {
        4: [(KD + ".weight", 0.5), (CE + ".weight", 0.4)],
        6: (f"{MAIN}.optimiser.lr", 0.003),
        8: (f"{MAIN}.terms.hint", {"use": "hint"}),
    }
    run = hand.train({"control": True}, at=asked)
    plan = [
        {"step": 4, "set": {CE + ".weight": 0.4}},
        {"step": 6, "set": {f"{MAIN}.optimiser.lr": 0.003}},
    ]
    alone = hand.train(
        {f"{MAIN}.terms": {"ce": {"use": "ce", "weight": 0.1}}, "interventions": plan}
    )
    mine, theirs = hand.column(run, "loss", part="-control"), hand.column(alone, "loss")
    assert mine.tolist() == theirs.tolist()
    assert (
        hand.row(run).result["metrics"]["control"] == hand.row(alone).result["metrics"]["student"]
    )


def test_a_term_of_labels_that_becomes_one_of_the_teacher_stays_as_it_was_in_the_control(hand):
    run = hand.train(
        {"control": True},
        at={
            4: (CE + ".use", "dkd"),
            6: (CE + ".weight", 0.7),
            9: (CE, {"use": "ce", "weight": 0.2}),
        },
    )
    weight = hand.column(run, "ce", part="-control")
    alone = hand.train(
        {
            f"{MAIN}.terms": {"ce": {"use": "ce", "weight": 0.1}},
            "interventions": [{"step": 9, "set": {CE + ".weight": 0.2}}],
        }
    )
    assert weight.tolist() == hand.column(alone, "ce").tolist()
    assert hand.replay(run).equal


def test_a_set_while_the_control_trains_is_refused_with_the_fork(hand):
    run, sent = hand.accept({"control": True}), []
    hand.train(run, at={("control", 3): lambda: sent.append(hand.set(run, KD + ".weight", 0.5))})
    assert f"workbench fork {run} --at STEP --set {KD}.weight=VALUE" in hand.refusal(sent[0])


def test_numbers_can_be_set_while_the_teacher_trains_and_apply_at_step_0(hand):
    own = {"teacher.train.seed": 5}
    run, sent = hand.accept(own), []
    asked = {
        ("teacher", 7): [
            (KD + ".temperature", 2.5),
            lambda: sent.append(hand.set(run, f"{MAIN}.freeze", ["stage1"])),
        ]
    }
    hand.train(run, at=asked)
    assert "only numbers can be set" in hand.refusal(sent[0])
    assert [(e.step, e.payload["before"], e.payload["after"]) for e in hand.changes(run)] == [
        (0, 4.0, 2.5)
    ]
    assert_same(hand, run, hand.train({**own, KD + ".temperature": 2.5}))
    assert hand.replay(run).equal


def test_killed_while_the_teacher_trains_what_was_set_still_applies_at_step_0(hand):
    own = {"teacher.train.seed": 6, "interventions": [{"step": 0, "set": {KD + ".weight": 0.4}}]}
    run = hand.accept(own)
    hand.train(run, at={("teacher", 5): (KD + ".temperature", 3.0), ("teacher", 9): killed})
    hand.train(run)
    assert [event.payload["path"] for event in hand.changes(run)] == [
        KD + ".temperature",
        KD + ".weight",
    ]
    assert_same(hand, run, hand.train({**own, KD + ".temperature": 3.0}))
    assert hand.replay(run).equal


def test_resumed_a_run_takes_nothing_new_until_it_stands_where_it_was(hand):
    """Those steps were shown with what the journal says of them."""
    run = hand.accept()
    hand.train(
        run, at={4: lambda: hand.send(run, "checkpoint"), 10: (CE + ".weight", 1), 11: killed}
    )
    hand.train(run, at={5: (KD + ".temperature", 2.0)})
    assert [(e.step, e.payload["path"]) for e in hand.changes(run)] == [
        (10, CE + ".weight"),
        (11, KD + ".temperature"),
    ]
    assert hand.replay(run).equal


def test_paused_among_repeated_steps_a_set_is_refused_rather_than_left_waiting(hand):
    run, sent = hand.accept(), []
    hand.train(run, at={9: (CE + ".weight", 1), 11: killed})

    def ask() -> None:
        sent.append(hand.set(run, KD + ".temperature", 2.0))
        hand.send(run, "resume")

    hand.train(run, at={5: lambda: hand.send(run, "pause")}, paused=ask)
    assert "paused among steps that were trained before it was interrupted" in hand.refusal(sent[0])
    assert [event.step for event in hand.changes(run)] == [9]
    assert hand.replay(run).equal


def test_a_pause_does_not_move_what_is_set(hand):
    run = hand.accept({"control": True, "probes": ["loyalty"]})
    asked = {
        4: [(KD + ".temperature", 2.0), lambda: hand.send(run, "pause")],
        6: (CE + ".weight", 0.5),
    }
    hand.train(run, at=asked, paused=lambda: hand.send(run, "resume"))
    plan = [
        {"step": 4, "set": {KD + ".temperature": 2.0}},
        {"step": 6, "set": {CE + ".weight": 0.5}},
    ]
    assert_same(
        hand, run, hand.train({"control": True, "interventions": plan}), parts=("", "-control")
    )


def test_a_set_on_an_ended_run_offers_the_fork(hand, plain):
    with pytest.raises(
        RefusedCommand, match=rf"is finished at step 14.*workbench fork {plain} --at 14 --set"
    ):
        Run(plain, hand.store).set(KD + ".weight", 0.5)


def test_a_command_that_applies_in_the_very_moment_in_which_the_run_ends_did_apply(
    hand, plain, monkeypatch
):
    """Between the answer that is read and the row that is read the run does both."""
    number = hand.send(plain, "stop")
    journal, read = hand.store.journal, Journal.answer

    def ends(self, asked):
        found = read(self, asked)
        (command,) = journal.waiting(plain) or (None,)
        if command is not None:
            hand.sql("UPDATE runs SET status = 'stopped' WHERE id = ?", plain)
            journal.apply(plain, command, 14, {})
        return found

    monkeypatch.setattr(Journal, "answer", ends)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    hand.sql("UPDATE runs SET status = 'training' WHERE id = ?", plain)
    try:
        assert Run(plain, hand.store)._answered(number) == 14
    finally:
        hand.sql("UPDATE runs SET status = 'finished' WHERE id = ?", plain)


def test_knobs_list_every_path_with_its_bounds_as_it_stands(hand):
    run = hand.train(at={4: (KD + ".temperature", 2.0)})
    knobs = Run(run, hand.store).knobs
    assert knobs[KD + ".temperature"].value == 2.0
    assert (knobs[KD + ".temperature"].min, knobs[KD + ".temperature"].open) == (0.0, True)
    assert {f"{MAIN}.freeze", f"{MAIN}.rows.labels", f"{MAIN}.target", "teacher"} <= set(knobs)


def test_a_run_refuses_before_it_sends(hand, store):
    """In Python the same words come at once, whether a worker listens or not."""
    run = Run(hand.accept(), store)
    with pytest.raises(InvalidExperiment, match=r"temperature.*must be > 0"):
        run.set(KD + ".temperature", -1)
    with pytest.raises(InvalidExperiment, match="must be a number"):
        run.set(KD + ".temperature", float("nan"))
    with pytest.raises(RefusedCommand, match=f"workbench fork {run.id} --at 0 --set"):
        run.set(f"{MAIN}.batch_size", 8)
    with pytest.raises(BadInput, match=r"float32.*numbers, words, lists and mappings"):
        run.set(KD + ".temperature", np.float32(2))
    assert store.journal.waiting(run.id) == []


def test_a_teacher_that_has_other_weights_by_now_stops_a_resume(hand, plain):
    """What a run does not store itself may change under it; going on would be another run."""
    other = hand.train({"seed": 1})
    weights = hand.store.runs.folder(other) / "student.safetensors"
    run = hand.train(at={5: ("teacher", f"run:{other}@last"), 9: killed})
    weights.write_bytes((hand.store.runs.folder(plain) / "student.safetensors").read_bytes())
    with pytest.raises(RunFailed, match="took over at step 5 had the weights"):
        hand.train(run)


def test_a_first_teacher_that_has_other_weights_by_now_stops_a_resume(hand, plain):
    other = hand.train({"seed": 2})
    weights = hand.store.runs.folder(other) / "student.safetensors"
    run = hand.train({"teacher": f"run:{other}@last"}, at={9: killed})
    before = weights.read_bytes()
    weights.write_bytes((hand.store.runs.folder(plain) / "student.safetensors").read_bytes())
    with pytest.raises(RunFailed, match="The run began under a teacher with the weights"):
        hand.train(run)
    weights.write_bytes(before)
    hand.train(run)
    assert hand.replay(run).equal
