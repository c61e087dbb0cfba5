"""A draft that forks a run: as it stood at the step, changed where a fork can, told as paths."""

from __future__ import annotations

import pytest

from workbench.errors import RefusedCommand
from workbench.runs.draft.checks import why_not
from workbench.runs.draft.draft import Parent
from workbench.runs.draft.forked import (
    draft_of_fork,
    fork_changes,
    fork_rows,
    later,
    moved,
    why_fixed,
)
from workbench.runs.draft.stages import add_stage
from workbench.runs.fork import fork
from workbench.runs.run import Run

from ..touched import CE, KD, MAIN, Hand, untouched_torch


@pytest.fixture(scope="module")
def hand(store):
    with pytest.MonkeyPatch.context() as patch, untouched_torch():
        yield Hand(store, patch)


@pytest.fixture(scope="module")
def parent(hand):
    """Touched at steps 3 and 10, with a checkpoint at step 7."""
    run = hand.accept()
    asked = {3: (f"{KD}.temperature", 2.0), 10: (f"{CE}.weight", 0.5)}
    return hand.train(run, at={**asked, 7: lambda: hand.send(run, "checkpoint")})


def rows_of(draft, store):
    return {row.title: row for row in fork_rows(draft, store)}


def test_it_shows_what_the_run_was_at_the_step_and_begins_unchanged(store, parent):
    heats = {
        at: draft_of_fork(store, parent, at).spec.stage.terms["kd"].temperature for at in (2, 3, 12)
    }
    assert heats == {2: 4.0, 3: 2.0, 12: 2.0}
    draft = draft_of_fork(store, parent, 7)
    assert (draft.parent, draft.origin) == (Parent(parent, 7), f"run {parent} at step 7")
    assert (draft.changed(), fork_changes(draft)) == ([], {})
    assert later(store, draft.parent) == 1


def test_only_a_student_s_run_is_forked(store, hand):
    run = hand.train({"control": True, f"{MAIN}.steps": 2})
    with pytest.raises(RefusedCommand, match=f"is a control; fork the student's run, {run}"):
        draft_of_fork(store, f"{run}-control", 1)


def test_what_a_fork_cannot_change_is_said_with_the_way_back(store, parent):
    draft = draft_of_fork(store, parent, 7)
    changed = draft.edit("student.width", 8).edit("seed", 3)
    found = [row for row in fork_rows(changed, store) if row.state == "failed"]
    assert [(row.path, row.fix["value"]) for row in found] == [("seed", None), ("student.width", 4)]
    assert "first step" in found[0].detail
    assert why_not(found) == "2 checks failed. Mend them first."
    back = changed.edit("student.width", 4).clear("seed")
    assert not [row for row in fork_rows(back, store) if row.state == "failed"]
    assert why_fixed(draft_of_fork(store, parent, 0), "student.width") == ""
    assert "adds to by itself" in why_fixed(draft, "interventions")


@pytest.mark.parametrize(
    ("at", "state", "says", "step"),
    [
        (0, "passed", "initial weights", None),
        (7, "passed", "are kept", None),
        (9, "warning", "nearest before it is of step 7", 7),
        (5, "warning", "nearest before it is of step 0", 7),
        (14, "failed", "would train nothing", 7),
        (99, "failed", "steps 0 to 14", 14),
    ],
)
def test_a_step_without_a_checkpoint_offers_the_nearest_one(store, parent, at, state, says, step):
    row = next(fork_rows(draft_of_fork(store, parent, at), store))
    assert (row.state, says in row.detail) == (state, True)
    assert (row.fix or {}).get("value") == step


def test_at_the_end_a_fork_trains_once_it_is_longer(store, parent):
    draft = draft_of_fork(store, parent, 14).edit(f"{MAIN}.steps", 20)
    assert next(fork_rows(draft, store)).state == "passed"


def test_another_step_keeps_the_changes_on_what_the_run_was_there(store, parent):
    draft = draft_of_fork(store, parent, 7).edit(f"{KD}.weight", 0.3).edit(f"{MAIN}.steps", 20)
    there = moved(draft, store, 2)
    assert there.parent == Parent(parent, 2)
    assert there.changed() == draft.changed() == [f"{MAIN}.steps", f"{KD}.weight"]
    assert there.spec.stage.terms["kd"].temperature == 4.0


def test_at_step_0_a_stage_more_keeps_its_place_in_the_order(store, parent):
    draft = add_stage(draft_of_fork(store, parent, 0)).edit("stages.prepare.steps", 5)
    assert list(fork_changes(draft)) == ["stages"]
    run = store.runs.get(fork(store, parent, 0, fork_changes(draft), who="ada"))
    stages = run.experiment["stages"]
    assert (list(stages), stages["prepare"]["steps"]) == (["prepare", "main"], 5)
    assert "2 later changes" in rows_of(draft, store)["Later changes are left out"].detail
    assert list(moved(draft, store, 7).data["stages"]) == ["prepare", "main"]
    late = [row for row in fork_rows(moved(draft, store, 7), store) if row.state == "failed"]
    assert {row.path for row in late} == {"stages.prepare"}


def test_changes_are_paths_that_a_fork_takes_and_the_child_is_what_the_form_says(hand, parent):
    """Lengthened, a kind replaced, a field cleared, one term less and one more."""
    store = hand.store
    draft = (
        draft_of_fork(store, parent, 7)
        .edit(f"{MAIN}.epochs", 4)
        .edit(f"{MAIN}.optimiser.use", "sgd")
        .clear(f"{KD}.temperature")
        .remove_term("ce")
        .add_term("hint")
    )
    changes = fork_changes(draft)
    assert changes == {
        f"{MAIN}.epochs": 4,
        f"{MAIN}.steps": None,
        f"{MAIN}.optimiser": {"use": "sgd", "lr": 0.01},
        f"{KD}.temperature": 4.0,
        f"{CE}.weight": 0.0,
        f"{MAIN}.terms.hint": {"use": "hint"},
    }
    removed = rows_of(draft, store)["A removed term loses its weight"]
    assert removed.detail == "ce: kept with weight 0 from step 7 on."
    child = hand.train(fork(store, parent, 7, changes, who="ada"))
    stands = Run(child, store).experiment
    row = store.runs.get(child)
    assert (row.status, row.forked_at, row.steps) == ("finished", 7, 28)
    (own,) = (item for item in stands.interventions if item.step == 7)
    assert own.set == changes
    assert hand.column(child, "loss")[:7].tolist() == hand.column(parent, "loss")[:7].tolist()
