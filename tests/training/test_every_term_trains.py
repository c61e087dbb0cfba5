"""Every registered term trains a student in the real session, from its defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.registries import TERMS
from workbench.runs.keeper import StoreKeeper
from workbench.runs.launch import accept
from workbench.specs.experiment import ExperimentSpec
from workbench.training import loop
from workbench.training.control import Options
from workbench.training.objective import Objective
from workbench.training.session import run_session

from ..examples import OF_TOKENS, TRANSFORMER, term_data

SMALL = {
    "name": "small",
    "data": {"use": "digits", "limit": 400, "labels_per_class": 4},
    "teacher": {"use": "cnn-small", "width": 4, "train": {"steps": 20}},
    "student": {"use": "cnn-tiny", "width": 4},
    "stages": {
        "main": {
            "terms": {"ce": {"use": "ce"}},
            "optimiser": {"use": "adamw", "lr": 0.01},
            "batch_size": 32,
            "steps": 8,
        }
    },
}
NAMES = sorted(name for name, _ in TERMS.items())


def changes_for(name: str, *, steps: int) -> dict[str, Any]:
    """The term with what it needs, beside cross-entropy."""
    models = {"teacher": {**TRANSFORMER, "train": {"steps": 5}}, "student": TRANSFORMER}
    return {
        "stages.main.terms": {
            "it": term_data(name, weight=0.5),
            "ce": {"use": "ce", "weight": 0.1},
        },
        "stages.main.steps": steps,
        "probes": [],
        **(models if name in OF_TOKENS else {}),
    }


class BrokenOff(Exception):
    """Stands for a power cut."""


@pytest.mark.parametrize("name", NAMES)
def test_a_term_trains_beside_cross_entropy(name, train):
    """On two of our own networks: every number of every step is finite."""
    trained = train(changes_for(name, steps=6))
    assert trained.row.status == "finished"
    series = trained.series()
    assert series.steps.tolist() == [1, 2, 3, 4, 5, 6]
    assert np.isfinite(series.column("it")).all()


@pytest.mark.parametrize("name", ["crd", "dhkd", "mae", "nd", "reviewkd", "vid"])
def test_a_run_that_breaks_off_goes_on_with_its_terms_memory(name, train, store, monkeypatch):
    """It keeps a checkpoint at every step, breaks off in step 5 and is taken up again."""
    changes = changes_for(name, steps=8)
    whole = train(changes)
    evaluate = Objective.__call__

    def breaks_off(self, student, target, batch, step):
        if step == 4 and self.terms[0].name == "it":
            raise BrokenOff
        return evaluate(self, student, target, batch, step)

    spec = ExperimentSpec.parse(SMALL).replace(changes)
    accepted = accept(store, spec, base=Path.cwd())
    keeper = StoreKeeper(store, accepted, store.runs.claim(accepted))
    with monkeypatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(Objective, "__call__", breaks_off)
        with pytest.raises(BrokenOff):
            run_session(spec, keeper, Options(base=Path.cwd()))
    run_session(spec, keeper, Options(base=Path.cwd()))
    row = store.runs.get(accepted)
    resumed = [e.step for e in store.journal.events(accepted) if e.kind == "resumed"]
    assert resumed == [4]
    assert row.result["weights"] == whole.weights
    np.testing.assert_array_equal(
        store.metrics.read(accepted, "train").values, whole.series().values
    )
