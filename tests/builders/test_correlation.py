"""Rank correlations against scipy, and the study that measures them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from workbench.builders import BuildContext
from workbench.builders.correlation import Study, rank_correlations
from workbench.data.images import build_data
from workbench.errors import BadFile, BadModel
from workbench.functional.logits import kd
from workbench.models import ModelContext
from workbench.registries import DATA, MODELS

from .conftest import finish, parse

ACCURACIES = [0.5, 0.9, 0.7, 0.9, 0.2, 0.6, 0.9]
SCORES = [3.0, 5.0, 3.0, 4.0, 1.0, 9.0, 5.0]


def accuracy_of(mapping):
    """Stands for a training: rises with what a network computes."""
    return sum(mapping["widths"]) / 100 + mapping["kernels"][0] / 1000


@pytest.fixture
def study(search):
    def make(train=accuracy_of, **options):
        return Study(search(**{"measure": 9, **options}), train)

    return make


# Numbers


def test_rho_matches_scipy_with_ties():
    expected = stats.spearmanr(SCORES, ACCURACIES).statistic
    found = rank_correlations(ACCURACIES, {"a": SCORES, "b": [-x for x in SCORES]})
    assert found["a"]["rho"] == pytest.approx(expected, abs=1e-12)
    assert found["b"]["rho"] == pytest.approx(-expected, abs=1e-12)


def test_the_interval_is_that_of_fishers_z():
    found = rank_correlations(ACCURACIES, {"a": SCORES})["a"]
    half = stats.norm.ppf(0.975) * math.sqrt((1 + found["rho"] ** 2 / 2) / (7 - 3))
    assert found["low"] == pytest.approx(math.tanh(math.atanh(found["rho"]) - half))
    assert found["high"] == pytest.approx(math.tanh(math.atanh(found["rho"]) + half))


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """Normal pairs with Pearson r: Spearman's is 6 / pi arcsin(r / 2)."""
    generator = np.random.default_rng(0)
    truth, hits = 6 / math.pi * math.asin(0.6 / 2), 0
    for _ in range(400):
        x, noise = generator.standard_normal((2, 24))
        found = rank_correlations(x, {"a": 0.6 * x + 0.8 * noise})["a"]
        hits += found["low"] <= truth <= found["high"]
    assert 0.91 <= hits / 400 <= 0.99


@pytest.mark.parametrize(
    ("accuracies", "scores", "rho"),
    [([0.5, 0.5, 0.5, 0.5, 0.5], [1, 2, 3, 4, 5], None), ([0.1], [3], None), ([], [], None),
     ([0.1, 0.2, 0.3], [10, 30, 20], 0.5), ([0.1, 0.2, 0.3, 0.4, 0.5], [1, 2, 3, 4, 5], 1.0)],
)  # fmt: skip
def test_what_is_undefined_is_none(accuracies, scores, rho):
    found = rank_correlations(accuracies, {"a": scores})["a"]
    assert found["rho"] == (None if rho is None else pytest.approx(rho))
    assert found["low"] is found["high"] is None


def test_other_lengths_are_refused():
    with pytest.raises(ValueError, match="a has 2 numbers, accuracy has 1"):
        rank_correlations([0.1], {"a": [1, 2]})


# The study


def test_candidates_are_different_random_and_within_the_budget(study):
    made = study(max_parameters=900, measure=15)
    assert len(set(made.candidates)) == made.total == 15
    assert all(made._search._size(candidate)[0] <= 900 for candidate in made.candidates)
    assert made.candidates == study(max_parameters=900, measure=15).candidates
    assert made.candidates != study(max_parameters=900, measure=15, context={"seed": 4}).candidates


def test_a_budget_that_leaves_fewer_measures_fewer(study):
    made = study(measure=200)
    assert made.total == 72
    assert study(measure=0).done


def test_each_score_stands_beside_the_parameter_count(study):
    trained = []

    def train(mapping):
        trained.append(mapping)
        return accuracy_of(mapping)

    made = study(train)
    finish(made)
    result = json.loads(json.dumps(made.result(), allow_nan=False))
    assert result["n"] == len(trained) == 9
    assert [entry["student"] for entry in result["candidates"]] == trained
    assert set(result["spearman"]) == {"relation", "semantic", "diswot", "parameters", "macs"}
    for name, found in result["spearman"].items():
        values = [entry[name] for entry in result["candidates"]]
        accuracies = [entry["accuracy"] for entry in result["candidates"]]
        expected = stats.spearmanr(values, accuracies).statistic
        assert found["rho"] == pytest.approx(expected, abs=1e-9)
        assert found["low"] < found["rho"] < found["high"]


def test_scores_are_those_of_the_search_whatever_it_climbs(study):
    climbing, counting = study(), study(score="parameters")
    climbing.step()
    counting.step()
    assert climbing.row() == counting.row()
    assert climbing.row()["diswot"] == climbing.row()["relation"] + climbing.row()["semantic"]


def test_without_a_common_width_the_semantic_score_is_left_out(study):
    made = study(head=9, score="relation")
    finish(made)
    assert set(made.result()["spearman"]) == {"relation", "parameters", "macs"}


@pytest.mark.parametrize("stop", [0, 4, 9])
def test_a_study_resumes_without_training_again(study, stop):
    whole = study()
    finish(whole)
    first = study()
    for _ in range(stop):
        first.step()
    trained = []
    second = study(lambda mapping: trained.append(mapping) or accuracy_of(mapping))
    second.load(json.loads(json.dumps(first.state())))
    assert second.row() == first.row()
    finish(second)
    assert len(trained) == 9 - stop
    assert second.result() == whole.result()


@pytest.mark.parametrize(
    "change",
    [{"study": 3}, {"accuracies": None}, {"accuracies": ["a"]}, {"accuracies": [0.1] * 10}],
)
def test_a_damaged_or_foreign_state_is_refused(study, change):
    made = study()
    made.step()
    with pytest.raises(BadFile, match="state of the measured correlation"):
        made.load({**made.state(), **change})


def test_a_study_leaves_the_search_as_it_was(study):
    made = study()
    before = made._search.state()
    finish(made)
    assert made._search.state() == before


def test_a_candidate_without_a_finite_score_is_not_ranked(study, monkeypatch):
    made = study()
    monkeypatch.setattr(made._search, "evaluate", lambda candidate: None)
    with pytest.raises(BadModel, match="has no finite score, so its rank means nothing"):
        made.step()


# Real training


@pytest.fixture(scope="module")
def digits_study():
    """Ten CNNs trained by KD on digits: fifty steps each, under one trained teacher."""
    data = build_data(
        DATA.get("digits").model_validate({"use": "digits"}), base=Path(), seed=0, device="cpu"
    )
    model = ModelContext(
        data.channels, data.height, data.width, data.num_classes, data.mean, data.std, seed=5
    )
    teacher = built({"use": "cnn-small", "width": 12}, model)
    untrained = built({"use": "cnn-small", "width": 12}, model)
    trained(teacher, data, lambda logits, batch: F.cross_entropy(logits, batch.labels))
    teacher.eval()

    def distilled(logits, batch):
        with torch.no_grad():
            target = teacher(batch.inputs)
        hard = F.cross_entropy(logits, batch.labels)
        return 0.9 * kd(logits, target, temperature=4.0).mean() + 0.1 * hard

    def train(mapping):
        student = built(mapping, model)
        trained(student, data, distilled)
        student.eval()
        rows = data.fetch_full(data.split_ids("val"))
        with torch.no_grad():
            return float((student(rows.inputs).argmax(1) == rows.labels).double().mean())

    stage = {"widths": [2, 4, 16, 24], "kernels": [3], "depths": [1]}
    spec = parse(space=[stage, stage], measure=10, score="diswot")
    batch = data.fetch_train(data.plan(0, 0)[: spec.batch_size])
    search = spec.builder(BuildContext(batch, untrained, model, seed=1, device=torch.device("cpu")))
    return finish(Study(search, train)).result()


def built(mapping, model):
    return MODELS.get(mapping["use"]).model_validate(mapping).build(model)


def trained(adapter, data, loss, steps=50):
    """Fifty steps of AdamW in the data's own order."""
    optimiser = torch.optim.AdamW(adapter.parameters(), lr=5e-3)
    adapter.train()
    rows = np.concatenate([data.plan(0, epoch) for epoch in range(4)])
    for step in range(steps):
        batch = data.fetch_full(rows[64 * step : 64 * (step + 1)])
        optimiser.zero_grad()
        loss(adapter(batch.inputs), batch).backward()
        optimiser.step()


def test_rank_correlation_with_kd_accuracy_is_measured_beside_the_parameter_count(digits_study):
    found = digits_study["spearman"]
    assert digits_study["n"] == 10
    accuracies = [entry["accuracy"] for entry in digits_study["candidates"]]
    assert max(accuracies) - min(accuracies) > 0.1
    for name in ("relation", "semantic", "diswot", "parameters"):
        assert -1 <= found[name]["low"] < found[name]["rho"] < found[name]["high"] <= 1


def test_on_digits_the_parameter_count_ranks_students_better_than_diswot(digits_study):
    found = digits_study["spearman"]
    assert found["parameters"]["rho"] > 0.5
    assert found["parameters"]["rho"] > found["diswot"]["rho"]
