"""Other divergences: against numpy in float64, and the laws that name them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from workbench.errors import ShapeMismatch
from workbench.functional.divergences import generalized_jsd, logit_mse, reverse_kl
from workbench.functional.logits import kd


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(4)
    return torch.randn(5, 7, generator=generator) * 3, torch.randn(5, 7, generator=generator) * 3


def softmax(logits, temperature=1.0):
    scores = logits.double().numpy() / temperature
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_reverse_kl_is_the_students_expectation_of_the_log_ratio(pair, temperature):
    student, teacher = pair
    q, p = softmax(student, temperature), softmax(teacher, temperature)
    expected = temperature**2 * (q * np.log(q / p)).sum(-1)
    found = reverse_kl(student, teacher, temperature=temperature)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4, atol=1e-6)


def test_reverse_kl_is_kd_with_its_arguments_swapped(pair):
    student, teacher = pair
    torch.testing.assert_close(
        reverse_kl(student, teacher, temperature=2.0), kd(teacher, student, temperature=2.0)
    )
    assert not torch.allclose(reverse_kl(student, teacher), kd(student, teacher, temperature=1.0))


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_jsd_is_both_divergences_to_the_mixture(pair, beta):
    student, teacher = pair
    q, p = softmax(student), softmax(teacher)
    m = beta * p + (1 - beta) * q
    expected = beta * (p * np.log(p / m)).sum(-1) + (1 - beta) * (q * np.log(q / m)).sum(-1)
    found = generalized_jsd(student, teacher, beta=beta)
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4, atol=1e-6)


def test_jsd_at_one_half_is_symmetric_and_at_most_ln_2(pair):
    student, teacher = pair
    torch.testing.assert_close(generalized_jsd(student, teacher), generalized_jsd(teacher, student))
    opposite = torch.tensor([[240.0, 0.0]]), torch.tensor([[0.0, 240.0]])
    assert float(generalized_jsd(*opposite)) == pytest.approx(math.log(2), rel=1e-6)


def test_jsd_leaning_to_a_corner_is_a_scaled_divergence(pair):
    """As beta goes to 0, JSD / beta goes to KL(teacher || student), as the paper says."""
    student, teacher = (x.double() / 3 for x in pair)
    scaled = generalized_jsd(student, teacher, beta=1e-5) / 1e-5
    torch.testing.assert_close(scaled, kd(student, teacher, temperature=1.0), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1, math.nan])
def test_jsd_refuses_the_ends_where_it_is_zero(pair, beta):
    with pytest.raises(ValueError, match=r"`beta` must lie in \(0, 1\)"):
        generalized_jsd(*pair, beta=beta)


def test_logit_mse_counts_a_shift_that_no_probability_shows(pair):
    student, _ = pair
    torch.testing.assert_close(logit_mse(student + 2, student), torch.full((5,), 4.0))
    assert float(kd(student + 2, student).max()) < 1e-5


def test_logit_mse_is_kds_limit_at_high_temperature_for_centred_scores(pair):
    """Hinton §2.1: T² KL tends to |gap|² / (2 C), so twice that over is the mean square."""
    student, teacher = (x - x.mean(-1, keepdim=True) for x in pair)
    limit = 2 * kd(student.double(), teacher.double(), temperature=1000.0)
    torch.testing.assert_close(logit_mse(student, teacher).double(), limit, rtol=0.02, atol=1e-4)


@pytest.mark.parametrize("function", [reverse_kl, generalized_jsd, logit_mse])
def test_gradient_reaches_the_student_alone_and_shapes_must_agree(pair, function):
    student, teacher = (x.requires_grad_() for x in pair)
    function(student, teacher).sum().backward()
    assert student.grad is not None
    assert teacher.grad is None
    with pytest.raises(ShapeMismatch, match=r"WB102.*\(5, 7\).*\(5, 6\)"):
        function(student, teacher[:, :6])
