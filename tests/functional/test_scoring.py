"""Proper scores against scikit-learn, and the best temperature against a bounded search."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss, log_loss

from workbench.functional.scoring import brier_score, fit_temperature, mean_entropy, nll


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
