"""The strip of a run that stands still: true of what the worker and the journal then really do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.dashboard.failure import evidence
from workbench.dashboard.journal import lines
from workbench.dashboard.live import Live
from workbench.dashboard.notice import notice
from workbench.runs.history import History
from workbench.training.journal import Event

from ..runs.touched import KD, MAIN, Hand, killed, untouched_torch

AT = 7
RESUME = " Resume goes on bit for bit."


@pytest.fixture
def hand(store, monkeypatch):
    with untouched_torch():
        yield Hand(store, monkeypatch)


@pytest.fixture(scope="module")
def history(finished):
    return History.load(finished.store, finished.run)


def paused(history, *, step=AT, part="", who="mira", events=(), **row):
    """The finished run as if it stood paused, with one more line in its journal."""
    line = Event(step, "pause", who, {"part": part} if part else {}, id=10**6)
    stands = replace(history.row, status="paused", **{"step": step, **row})
    lines = sorted([*history.events, *events, line], key=lambda event: event.step)
    return notice(replace(history, row=stands, events=lines))


def test_a_change_made_in_a_pause_applies_at_the_step_and_gets_the_mark_that_were_told(hand):
    """Another truth: the journal of the worker, and the rate of each step as it was trained."""
    weight, rate = f"{KD}.weight", f"{MAIN}.optimiser.lr"
    planned = [{"step": 2, "set": {weight: 0.5}}, {"step": 10, "set": {weight: 1.0}}]
    run = hand.accept({"interventions": planned, f"{MAIN}.schedule": {"use": "constant"}})
    told = {}

    def in_the_pause():
        told.update(notice(History.load(hand.store, run)))
        hand.set(run, rate, 0.0123)
        hand.send(run, "resume")

    undone = [(f"{KD}.temperature", 9.0), (f"{KD}.temperature", 4.0)]
    hand.train(run, at={4: undone, AT: lambda: hand.send(run, "pause")}, paused=in_the_pause)
    assert told["head"].startswith(f"Paused by ada at step {AT}, ")
    words = f"Changes made now apply at step {AT + 1} and are journalled as 4."
    assert "".join(map(str, told["text"])) == f"Checkpoint written. {words}{RESUME}"
    mark = next(piece for piece in told["text"] if isinstance(piece, int))

    (line,) = [one for one in lines(History.load(hand.store, run)) if "lr" in one["what"]]
    assert line["number"] == mark
    trained = hand.store.metrics.read(run, "train")
    feels = trained.steps[np.isclose(trained.column("lr"), 0.0123)]
    assert feels.tolist() == list(range(AT + 1, 15))


def test_a_change_in_steps_that_are_done_again_is_refused_and_not_promised(hand):
    run = hand.accept()
    looked = {5: lambda: hand.send(run, "checkpoint"), 8: lambda: hand.send(run, "probe")}
    hand.train(run, at={**looked, 9: killed})
    told, sent = {}, []

    def in_the_pause():
        told.update(notice(History.load(hand.store, run)))
        sent.append(hand.set(run, f"{MAIN}.optimiser.lr", 0.0123))
        hand.send(run, "resume")

    seen = hand.store.metrics.last_step(run, "train")
    assert seen > 6, "nothing is done again"
    hand.train(run, at={6: lambda: hand.send(run, "pause")}, paused=in_the_pause)
    assert "Resume it" in hand.refusal(sent[0])
    words = f"Steps up to {seen} were trained before the run was interrupted, so nothing can be set"
    assert told["text"][1].startswith(words)
    assert not any(isinstance(piece, int) for piece in told["text"])


def test_a_number_set_while_the_teacher_trains_gets_the_mark_that_was_told(hand):
    run = hand.accept({"stages.main.steps": 4})
    told = {}

    def in_the_pause():
        told.update(notice(History.load(hand.store, run)))
        hand.set(run, f"{MAIN}.optimiser.lr", 0.0123)
        hand.send(run, "resume")

    at = {("teacher", 3): lambda: hand.send(run, "pause")}
    hand.train(run, at=at, paused=in_the_pause)
    assert told["head"].startswith("Paused by ada while the teacher trains, at its step 3, ")
    assert told["text"][2] == 1
    assert "at the student's step 1" in told["text"][1]
    (change,) = hand.changes(run)
    assert (change.step, change.payload["after"]) == (0, 0.0123)


def test_a_pause_says_who_and_what_can_be_done_in_it(history):
    for who, words in (
        ("mira", "Paused by mira at step 7, "),
        ("page", "Paused on the page at step 7, "),
        ("pause-at", "Paused as asked at step 7, "),
    ):
        assert paused(history, who=who)["head"].startswith(words)
    assert paused(history)["text"][0] == f"Checkpoint at step {history.checkpoint}. "
    told = paused(history, part="control", step=3)
    assert told["head"].startswith("Paused by mira while the control trains, at its step 3, ")
    assert told["text"][1:] == ["The student has ended, so nothing can be set.", RESUME]
    at_the_end = paused(history, step=history.row.steps)
    assert at_the_end["text"][1:] == ["No step is left that a change could apply at.", RESUME]
    assert at_the_end["text"][0] == "Checkpoint written. "


def test_the_pause_that_holds_is_the_one_written_last(history):
    """A resumed run may pause again at an earlier step."""
    before = Event(20, "pause", "ada", id=10**5)
    assert paused(history, events=[before])["head"].startswith("Paused by mira at step 7, ")


def test_a_failure_shows_cause_evidence_and_what_the_views_show(store):
    run = store.runs.create(name="a", experiment={"seed": 0}, options={})
    message = "kd became NaN. The last good checkpoint is kept. A smaller rate cures it."
    error = {"code": "WB201", "message": message, "last_good_step": 600}
    store.runs.update(run, status="failed", step=612, error=error)
    told = Live(store, run).shown.parts["notice"]
    assert (told["kind"], told["code"]) == ("bad", "WB201")
    assert told["head"] == "Failed at step 612: kd became NaN."
    assert told["text"] == "A smaller rate cures it."
    assert told["evidence"] == [
        ["last good checkpoint", "step 600"],
        ["steps lost", "12"],
        ["error", "WB201 NonFiniteLoss"],
    ]
    assert "views" not in told, "there is no snapshot to show"
    store.recorder(run).snapshot(580, {}, {})
    assert notice(History.load(store, run))["views"] == (
        "Views keep showing step 580, the last complete snapshot."
    )


@pytest.mark.parametrize(
    ("error", "step", "rows"),
    [
        ({"code": "WB201", "last_good_step": None}, 43, ["none", "all 43", "WB201 NonFiniteLoss"]),
        ({"code": "WB105", "last_good_step": None}, 0, ["WB105 BadData"]),
        ({"code": "XY1", "last_good_step": 5}, 9, ["step 5", "4", "XY1"]),
        ({}, 9, ["none", "all 9"]),
        # the row is written a few times a second: the failure itself knows better
        ({"last_good_step": 40, "facts": {"step": 45}}, 43, ["step 40", "5"]),
    ],
)
def test_each_line_of_evidence_is_in_the_store_or_not_there(history, error, step, rows):
    row = replace(history.row, status="failed", step=step, error=error)
    assert [value for _, value in evidence(row)] == rows


def test_the_head_names_the_step_once(history):
    error = {"message": "The loss became nan at step 45. Sample ids: 1.", "facts": {"step": 45}}
    row = replace(history.row, status="failed", step=43, error=error)
    told = notice(replace(history, row=row))
    assert told["head"] == "Failed: The loss became nan at step 45."
    assert told["text"] == "Sample ids: 1."
