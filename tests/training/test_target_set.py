"""Another target in mid-run: what it gives has other layers, so learned parts follow."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbench.runs.launch import accept
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store
from workbench.training import loop

from ..runs.touched import Hand, killed, untouched_torch
from ..small import SMALL

MAIN = SMALL["stages"]["main"]
TARGET = "stages.main.target"
SELF, TEACHER = {"use": "stage", "stage": "first"}, {"use": "teacher"}
TERMS = {**MAIN["terms"], "hint": {"use": "hint", "weight": 0.1}}
STAGED: dict[str, Any] = {
    **SMALL,
    "name": "targets",
    "teacher": {"use": "cnn-small", "width": 8, "train": {"steps": 20}},
    "stages": {
        "first": {**MAIN, "start": "fresh", "terms": {"ce": {"use": "ce"}}, "steps": 3},
        "main": {**MAIN, "start": "first", "terms": TERMS, "steps": 12},
    },
    "probes": [],
}


@pytest.fixture
def hand(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hand]:
    with untouched_torch():
        yield Hand(store, monkeypatch)


def accepted(hand: Hand, **changes: Any) -> str:
    spec = ExperimentSpec.parse(copy.deepcopy(STAGED)).replace(changes)
    return accept(hand.store, spec, base=Path.cwd(), threads=1)


@pytest.mark.parametrize(
    ("first", "then"), [(TEACHER, SELF), (SELF, TEACHER)], ids=["to a stage", "to the teacher"]
)
def test_a_target_of_other_layers_works_in_mid_run_is_journalled_and_replays(hand, first, then):
    run = hand.train(accepted(hand, **{TARGET: first}), at={5: (TARGET, then)}, checks=False)
    assert hand.row(run).status == "finished", hand.row(run).error
    (change,) = hand.changes(run)
    assert (change.step, change.payload["path"]) == (5, TARGET)
    assert hand.replay(run).equal
    plan = [{"step": 5, "set": {TARGET: then}}]
    planned = hand.train(accepted(hand, **{TARGET: first, "interventions": plan}), checks=False)
    assert hand.weights(planned) == hand.weights(run)
    alone = hand.train(accepted(hand, **{TARGET: first}), checks=False)
    assert hand.weights(alone) != hand.weights(run)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
        again = accepted(hand, **{TARGET: first})
        hand.train(again, at={5: (TARGET, then), 8: killed}, checks=False)
        hand.train(again, checks=False)
    assert hand.weights(again) == hand.weights(run)


@pytest.mark.parametrize("stage", ["nowhere", "main"])
def test_a_stage_that_cannot_teach_is_refused_in_words_and_nothing_changes(hand, stage):
    run, sent = accepted(hand), []
    wrong = {"use": "stage", "stage": stage}
    hand.train(run, at={5: lambda: sent.append(hand.set(run, TARGET, wrong))}, checks=False)
    assert f"{stage!r}" in hand.refusal(sent[0])
    assert hand.changes(run) == []
    assert hand.row(run).status == "finished"
