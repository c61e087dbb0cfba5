"""Quantiles written on torch against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from workbench.functional.quantiles import (
    binomial_quantile,
    normal_quantile,
    pearson3_quantile,
    student_t_quantile,
)


@pytest.mark.parametrize("probability", [0.01, 0.5, 0.95, 0.999])
def test_pearson3_matches_scipy_for_either_sign_of_skewness(probability):
    skewness = np.array([-2.5, -0.3, -1e-4, 0.0, 1e-5, 0.02, 0.8, 2.8])
    expected = [stats.pearson3.ppf(probability, s) for s in skewness]
    actual = pearson3_quantile(probability, torch.tensor(skewness))
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_pearson3_keeps_nan_to_itself():
    value = pearson3_quantile(0.95, torch.tensor([torch.nan, 1.0]))
    assert torch.isnan(value).tolist() == [True, False]


@pytest.mark.parametrize("probability", [0.025, 0.5, 0.975])
def test_binomial_matches_scipy_up_to_a_million_trials(probability):
    count = np.array([0, 1, 7, 50, 1000, 1_000_000, 20, 20])
    chance = np.array([0.5, 0.3, 0.99, 0.04, 0.731, 0.002, 0.0, 1.0])
    expected = stats.binom.ppf(probability, count, chance)
    expected[count == 0] = 0
    expected[chance == 0] = 0  # scipy answers -1 here
    actual = binomial_quantile(probability, torch.tensor(count), torch.tensor(chance))
    np.testing.assert_array_equal(actual.numpy(), expected)


@pytest.mark.parametrize("probability", [0.0, 1.0, -0.1, float("nan")])
def test_probabilities_that_are_none_are_refused(probability):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        normal_quantile(probability)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 10, 29, 30, 999])
@pytest.mark.parametrize("probability", [0.001, 0.025, 0.5, 0.6, 0.975, 0.9995])
def test_student_t_matches_scipy(probability, degrees):
    expected = stats.t.ppf(probability, degrees)
    assert student_t_quantile(probability, degrees) == pytest.approx(expected, rel=1e-10, abs=1e-12)


def test_student_t_matches_the_printed_table():
    """Two-sided 95 %: the values of every statistics book."""
    table = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 9: 2.262, 30: 2.042}
    for degrees, value in table.items():
        assert round(student_t_quantile(0.975, degrees), 3) == value


def test_degrees_that_are_none_are_refused():
    with pytest.raises(ValueError, match="`degrees` must be a whole number >= 1, got 0"):
        student_t_quantile(0.975, 0)
