"""A run's end projected on the side: what it reads, what it leaves alone, what it refuses."""

from __future__ import annotations

import pytest

from workbench.errors import BadInput, RefusedCommand
from workbench.runs import anneal as module
from workbench.runs.anneal import anneal
from workbench.runs.launch import accept
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec

SMALL = {
    "name": "small",
    "data": {"use": "digits", "limit": 400, "labels_per_class": 4},
    "teacher": {"use": "cnn-small", "width": 4, "train": {"steps": 30}},
    "student": {"use": "cnn-tiny", "width": 4},
    "stages": {
        "main": {
            "terms": {"kd": {"use": "kd", "weight": 0.9}, "ce": {"use": "ce", "weight": 0.1}},
            "optimiser": {"use": "adamw", "lr": 0.02},
            "schedule": "constant",
            "batch_size": 32,
            "epochs": 6,
        }
    },
    "control": True,
    "interventions": [{"step": 4, "set": {"stages.main.optimiser.lr": 0.01}}],
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    from workbench.store.store import Store

    store = Store(str(tmp_path_factory.mktemp("anneal") / "wb.db"))
    run = accept(store, ExperimentSpec.parse(SMALL), threads=1)
    assert work(str(store.path), run) == 0
    yield store, run
    store.close()


def test_the_projection_is_measured_at_a_rate_of_zero_and_says_how_sure_it_is(trained):
    store, run = trained
    found = anneal(store, run, 2, at=20)
    assert (found.step, found.epochs, found.rate) == (20, 2, 0.01)
    assert found.interval[0] < found.projected < found.interval[1]
    assert 0.2 < found.projected < 1
    assert found.now_step is not None and found.now_step <= 20
    assert found.split == "probe" and found.n > 20


def test_it_is_the_same_twice_and_writes_nothing_into_the_store(trained):
    store, run = trained
    before = (store.runs.get(run), store.journal.events(run), len(store.runs.list()))
    first, second = (anneal(store, run, 1, at=20) for _ in range(2))
    assert first.projected == second.projected
    assert (store.runs.get(run), store.journal.events(run), len(store.runs.list())) == before


def test_test_rows_are_never_read(trained, monkeypatch):
    store, run = trained
    from workbench.training.session import _Session

    def read(self, model):
        raise AssertionError("the test split was read")

    monkeypatch.setattr(_Session, "final", read)
    assert anneal(store, run, 1, at=20).projected > 0


def test_it_starts_from_the_nearest_checkpoint_and_comes_to_the_same_number(trained, monkeypatch):
    store, run = trained
    near = anneal(store, run, 1).projected
    monkeypatch.setattr(module._Keeper, "nearest", lambda self: None)
    assert anneal(store, run, 1).projected == near


@pytest.mark.parametrize(
    ("epochs", "at", "words"),
    [(0, None, "at least 1 pass"), (1, 10**6, "--at 1000000"), (1, 0, "--at 0")],
)
def test_what_cannot_be_projected_is_said(trained, epochs, at, words):
    store, run = trained
    with pytest.raises(BadInput, match=words):
        anneal(store, run, epochs, at=at)


def test_a_run_that_has_no_step_yet_has_nothing_to_anneal(trained):
    store, _ = trained
    waiting = accept(store, ExperimentSpec.parse(SMALL))
    with pytest.raises(RefusedCommand, match="no step"):
        anneal(store, waiting, 1)
