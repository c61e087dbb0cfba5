"""Chance levels of calibration against simulation and scipy's exact binomial."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from scipy import stats

from workbench.functional.calibration import ReliabilityTable
from workbench.functional.calibration_null import calibration_band, ece_null, wilson_interval


def table_of(confidence: torch.Tensor, correct: torch.Tensor) -> ReliabilityTable:
    table = ReliabilityTable()
    table.update(confidence, correct)
    return table


def confidences(n: int, low: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(n)
    return low + (1 - low) * torch.rand(n, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("n", "low"), [(50, 0.3), (200, 0.3), (2000, 0.3), (300, 0.9)])
def test_null_matches_a_simulated_calibrated_model(n, low):
    confidence = confidences(n, low)
    generator = torch.Generator().manual_seed(1)
    simulated = [
        table_of(
            confidence, torch.rand(n, generator=generator, dtype=torch.float64) < confidence
        ).ece()
        for _ in range(1500)
    ]
    mean, p95 = ece_null(table_of(confidence, confidence > 2))
    assert mean == pytest.approx(np.mean(simulated), rel=0.03)
    assert p95 == pytest.approx(np.quantile(simulated, 0.95), rel=0.05)


def test_null_does_not_look_at_the_hits_nor_at_the_global_generator():
    confidence = confidences(500, 0.3)
    state = torch.random.get_rng_state()
    right, wrong = (ece_null(table_of(confidence, confidence > cut)) for cut in (0, 2))
    assert right == wrong
    assert torch.equal(torch.random.get_rng_state(), state)


def test_null_of_certain_predictions_is_zero_and_of_nothing_is_nan():
    assert ece_null(table_of(torch.ones(10), torch.ones(10) > 0)) == (0, 0)
    assert all(math.isnan(value) for value in ece_null(ReliabilityTable()))


def test_null_is_cheap_enough_for_every_refresh():
    table = table_of(confidences(2000, 0.3), torch.zeros(2000, dtype=torch.bool))
    ece_null(table)
    fastest = math.inf
    for _ in range(10):
        start = time.process_time()  # not by the clock: others may have the processor meanwhile
        ece_null(table)
        fastest = min(fastest, time.process_time() - start)
    assert fastest < 0.02  # measured 1.7 ms; ten times that on a slow machine


def test_band_is_the_exact_binomial_one():
    confidence = confidences(400, 0.05)
    table = table_of(confidence, confidence > 2)
    low, high = calibration_band(table, coverage=0.9)
    rows = table.compute()
    count, chance = rows.count.numpy(), rows.mean_confidence.numpy()
    full = count > 0
    expected_low = stats.binom.ppf(0.05, count[full], chance[full]) / count[full]
    expected_high = stats.binom.ppf(0.95, count[full], chance[full]) / count[full]
    np.testing.assert_allclose(low.numpy()[full], expected_low)
    np.testing.assert_allclose(high.numpy()[full], expected_high)
    assert np.isnan(low.numpy()[~full]).all()


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (10, 10), (7, 10), (431, 997)])
def test_wilson_matches_scipy(hits, trials):
    expected = stats.binomtest(hits, trials).proportion_ci(0.95, method="wilson")
    low, high = wilson_interval(hits, trials)
    assert float(low) == pytest.approx(expected.low, abs=1e-12)
    assert float(high) == pytest.approx(expected.high, abs=1e-12)


def test_wilson_takes_whole_tables_and_has_no_answer_without_trials():
    low, high = wilson_interval(torch.tensor([0, 3]), torch.tensor([0, 4]))
    assert torch.isnan(low[0]) and torch.isnan(high[0])
    assert 0 < float(low[1]) < 0.75 < float(high[1]) < 1


def test_coverage_outside_the_unit_interval_is_refused():
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        wilson_interval(3, 4, confidence=1.0)
