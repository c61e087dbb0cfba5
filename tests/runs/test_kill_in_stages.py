"""Real workers, killed while an earlier stage trains: nothing that was made before is lost."""

from __future__ import annotations

import copy

import pytest

from workbench.errors import UnknownRun
from workbench.runs.launch import replay_in_fresh_process
from workbench.training.journal import STAGE

from ..waiting import until
from .conftest import assert_sound, go_on, kill
from .killing import finish

MAE = {"mae": {"use": "mae"}}
LONG = {"terms": MAE, "batch_size": 16, "steps": 150, "start": "pretrain"}
STAGED = {
    "student": {"use": "vit-micro", "patch": 4, "width": 8, "depth": 1, "heads": 2},
    "stages": {
        "pretrain": {**LONG, "start": "fresh", "seed": 0, "steps": 3},
        "further": LONG,
        "restart": {
            **LONG,
            "target": {"use": "stage", "stage": "further"},
            "terms": {**MAE, "hint": {"use": "token-hint"}},
        },
        "main": {"start": "restart", "terms": {"ce": {"use": "ce"}}, "batch_size": 16, "steps": 10},
    },
    "control": {"stages.main.start": "further"},
    "probes": [],
}


def step_of(store, row):
    """Steps that a part has recorded; 0 while it has no row."""
    try:
        return store.runs.get(row).step
    except UnknownRun:
        return 0


@pytest.mark.soak
@pytest.mark.parametrize("stage", ["further", "restart"])
def test_killed_in_a_stage_it_resumes_there_and_ends_as_the_one_never_stopped(
    store, workers, accepted, stage
):
    # a learning rate of its own, so that no other test has left these stages in the cache
    changes = copy.deepcopy(STAGED)
    for part in ("further", "restart"):
        changes["stages"][part]["optimiser"] = {"use": "adamw", "lr": 1e-3 * (1 + len(stage))}
    run = accepted(changes)
    workers.start(store, run)
    row = f"{run}-stage-{stage}"
    until(lambda: step_of(store, row) >= 30 and store.checkpoints(row), "a checkpoint of the stage")
    kill(store.runs.get(run))
    assert_sound(store)
    assert store.runs.get(run).status == "interrupted"
    done = [e.payload["stage"] for e in store.journal.events(run) if e.kind == STAGE]
    assert done == (["pretrain"] if stage == "further" else ["pretrain", "further"])
    go_on(store, run, workers)
    ended = finish(store, run, workers)
    recorded = store.metrics.read(row, "train").steps
    assert recorded.tolist() == list(range(1, 151)), "each step of the stage stands there once"
    for folder in (store.folder / "teachers").iterdir():
        (folder / "weights.safetensors").unlink()  # so that the replay trains all of it
    found = replay_in_fresh_process(store, run)
    assert found["equal"], found["first_difference"]
    assert found["weights"] == ended.result["weights"]
