"""The recipe of a searched student: complete, quick at smoke scale, honest about its score."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from workbench.recipes import open_experiment
from workbench.runs.launch import accept
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import dump_yaml, parse_yaml
from workbench.store.store import Store
from workbench.training.choice import BUILT, MEASURED
from workbench.training.control import control_spec

from ..runs.touched import Hand, untouched_torch

NAME = "diswot"


@pytest.fixture(scope="module")
def recipe() -> ExperimentSpec:
    return open_experiment(NAME)[0]


def test_it_is_the_same_experiment_after_a_round_trip(recipe):
    text = dump_yaml(recipe.given())
    assert ExperimentSpec.parse(parse_yaml(text, source="again"), source="again") == recipe


def test_the_control_climbs_the_parameter_count_in_the_same_space(recipe):
    control = control_spec(recipe)
    assert (recipe.student.score, control.student.score) == ("diswot", "parameters")
    same = {"score": None}
    assert {**recipe.student.full(), **same} == {**control.student.full(), **same}


@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_every_scale_is_a_valid_experiment(recipe, scale):
    assert recipe.at_scale(scale).student.iterations != recipe.student.iterations


def test_at_smoke_scale_it_searches_measures_trains_and_keeps_to_the_budget(recipe, tmp_path):
    with (
        closing(Store(str(tmp_path / "wb.db"))) as store,
        pytest.MonkeyPatch.context() as patch,
        untouched_torch(),
    ):
        hand = Hand(store, patch)
        run = accept(store, recipe.at_scale("smoke"), base=Path.cwd(), threads=1, recipe=NAME)
        hand.train(run)
        assert hand.weights(run)
        events = store.journal.events(run)
        built = [event.payload for event in events if event.kind == BUILT]
        assert [line["for"] for line in built] == ["student", "control"]
        assert all(0 < line["parameters"] <= 6000 for line in built)
        (measured,) = (event.payload for event in events if event.kind == MEASURED)
        assert {"diswot", "parameters"} <= set(measured["spearman"])


@pytest.mark.claim
def test_the_parameter_count_ranks_better_than_the_score_and_the_recipe_says_so(recipe, tmp_path):
    with (
        closing(Store(str(tmp_path / "wb.db"))) as store,
        pytest.MonkeyPatch.context() as patch,
        untouched_torch(),
    ):
        hand = Hand(store, patch)
        gaps = []
        for seed in range(3):
            spec = recipe.replace({"seed": seed, "control": False, "student.iterations": 4})
            run = hand.train(accept(store, spec, base=Path.cwd(), threads=1), checks=False)
            (found,) = (e.payload for e in store.journal.events(run) if e.kind == MEASURED)
            rho = {name: item["rho"] for name, item in found["spearman"].items()}
            gaps.append(rho["parameters"] - rho["diswot"])
        assert sum(gaps) / len(gaps) > 0.3
        assert "it does not" in recipe.recipe.claim
