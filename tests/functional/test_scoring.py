"""Proper scores against scikit-learn, and the best temperature against a bounded search."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss, log_loss

from workbench.functional.calibration import expected_calibration_error
from workbench.functional.confidence import row_sums
from workbench.functional.scoring import (
    ScoreTable,
    brier_score,
    fit_temperature,
    mean_entropy,
    nll,
)


@pytest.fixture
def predictions() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(300, 5, generator=generator)
    labels = torch.multinomial((logits / 2.3).softmax(1), 1, generator=generator).squeeze(1)
    return logits, labels


def test_nll_and_brier_match_scikit_learn(predictions):
    logits, labels = predictions
    probs = logits.double().softmax(1)
    expected = log_loss(labels.numpy(), probs.numpy(), labels=range(5))
    assert nll(logits, labels) == pytest.approx(expected, rel=1e-9)
    expected = brier_score_loss(labels.numpy(), probs.numpy(), labels=range(5), scale_by_half=False)
    assert brier_score(probs, labels) == pytest.approx(expected, rel=1e-9)


def test_nll_is_finite_where_probabilities_underflow():
    assert nll(torch.tensor([[0.0, 2000.0]]), torch.tensor([0])) == 2000


def test_brier_spans_zero_to_two():
    probs = torch.eye(2)
    assert brier_score(probs, torch.tensor([0, 1])) == 0
    assert brier_score(probs, torch.tensor([1, 0])) == 2


def test_entropy_is_log_classes_at_most_and_zero_for_certainty():
    assert mean_entropy(torch.full((3, 4), 0.25)) == pytest.approx(math.log(4))
    assert mean_entropy(torch.eye(4)) == 0


def test_temperature_minimises_nll(predictions):
    logits, labels = predictions
    search = minimize_scalar(
        lambda log_t: nll(logits.double() / math.exp(log_t), labels),
        bounds=(-5, 5),
        method="bounded",
        options={"xatol": 1e-10},
    )
    fitted = fit_temperature(logits, labels)
    assert fitted == pytest.approx(math.exp(search.x), rel=1e-5)
    assert 1.5 < fitted < 3.5  # labels were drawn at 2.3


@pytest.mark.parametrize("factor", [1e-2, 7.0, 100.0])
def test_temperature_follows_the_scale_of_the_scores(predictions, factor):
    logits, labels = predictions
    expected = factor * fit_temperature(logits, labels)
    assert fit_temperature(logits.double() * factor, labels) == pytest.approx(expected, rel=1e-6)


def test_temperature_stops_at_its_bounds_where_nothing_is_best():
    logits = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    assert fit_temperature(logits, torch.tensor([0, 1])) == 1e-3
    assert fit_temperature(logits, torch.tensor([1, 0])) == 1e3


def test_temperature_needs_rows():
    with pytest.raises(ValueError, match=r"no row.*validation split"):
        fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))


def test_scores_do_not_track_gradients(predictions):
    logits, labels = predictions
    logits.requires_grad_()
    values = [
        nll(logits, labels),
        fit_temperature(logits, labels),
        brier_score(logits.softmax(1), labels),
        mean_entropy(logits.softmax(1)),
    ]
    assert np.isfinite(values).all()


@pytest.mark.parametrize(("dtype", "rel"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_one_pass_gives_what_the_functions_give_one_by_one(predictions, dtype, rel):
    logits, labels = predictions
    table = ScoreTable()
    table.update(logits.to(dtype), labels)
    scores = table.compute()
    probs = logits.double().softmax(1)
    assert scores.num_samples == 300
    assert scores.accuracy == float((logits.argmax(1) == labels).double().mean())
    assert scores.nll == pytest.approx(nll(logits, labels), rel=rel)
    assert scores.brier == pytest.approx(brier_score(probs, labels), rel=rel)
    assert scores.ece == pytest.approx(expected_calibration_error(probs, labels), rel=rel * 10)
    assert scores.confidence == pytest.approx(float(probs.amax(1).mean()), rel=rel)


def test_one_pass_in_half_precision_computes_in_float32(predictions):
    logits, labels = (part[:50] for part in predictions)
    half, full = ScoreTable(), ScoreTable()
    half.update(logits.bfloat16(), labels)
    full.update(logits.bfloat16().float(), labels)
    assert half.compute() == full.compute()


def test_one_pass_survives_wide_gaps_and_predicts_the_first_of_tied_classes():
    table = ScoreTable()
    table.update(torch.tensor([[0.0, 2000.0], [5.0, 5.0]]), torch.tensor([0, 0]))
    assert table.compute().nll == pytest.approx((2000 + math.log(2)) / 2)
    assert table.compute().accuracy == 0.5
    tied = torch.zeros(500, 700)  # more rows than a chunk holds
    labels = torch.arange(500) % 3
    assert torch.equal(row_sums(tied, labels).correct, labels == 0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_one_pass_refuses_scores_that_are_not_finite_and_counts_nothing(bad):
    table = ScoreTable()
    with pytest.raises(ValueError, match="confidences must lie in"):
        table.update(torch.tensor([[0.0, 1.0], [bad, 0.0]]), torch.tensor([0, 1]))
    assert table.compute().num_samples == 0


def test_an_empty_score_table_is_nan():
    scores = ScoreTable().compute()
    assert all(map(math.isnan, (scores.accuracy, scores.nll, scores.brier, scores.ece)))
