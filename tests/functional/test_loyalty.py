"""Loyalty against scipy, mpmath-grade arithmetic and its laws."""

from __future__ import annotations

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from scipy.spatial import distance

from workbench.errors import ShapeMismatch
from workbench.functional.loyalty import (
    ensemble_log_probs,
    fidelity_kl,
    forward_kl,
    hellinger,
    label_loyalty,
    logit_spearman,
    probability_loyalty,
    reverse_kl,
    sqrt_js,
    topk_overlap,
    total_variation,
)


def rows(n: int = 20, classes: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, n, classes, generator=generator, dtype=torch.float64)
    student, teacher = logits.softmax(-1)
    return student, teacher


@pytest.mark.parametrize("base", [2.0, math.e])
def test_sqrt_js_matches_scipy_on_ordinary_rows(base):
    student, teacher = rows()
    expected = distance.jensenshannon(teacher.numpy(), student.numpy(), axis=1, base=base)
    np.testing.assert_allclose(
        sqrt_js(student, teacher, log_base=base).numpy(), expected, rtol=1e-10
    )


def exact_sqrt_js(student: torch.Tensor, teacher: torch.Tensor) -> float:
    """Sixty decimal digits, from the definition, in bits."""
    getcontext().prec = 60
    total = Decimal(0)
    for s, t in zip(student.tolist(), teacher.tolist(), strict=True):
        p, q = Decimal(s), Decimal(t)
        middle = (p + q) / 2
        total += (p * (p / middle).ln() + q * (q / middle).ln()) / 2
    return float((total / Decimal(2).ln()).sqrt())


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9])
def test_nearly_equal_rows_keep_nine_digits_and_are_never_nan(size):
    student, _ = rows()
    nudge = torch.rand(20, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    teacher = student * (1 + size * (nudge - (student * nudge).sum(1, keepdim=True)))
    actual = sqrt_js(student, teacher)
    expected = [exact_sqrt_js(s, t) for s, t in zip(student, teacher, strict=True)]
    # rows of doubles sum to 1 only to 1e-16, which the definition of JS sees too
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-6, atol=2e-8 * size)


def test_float32_is_never_nan_for_a_faithful_student():
    student = rows(500, 10)[0].float()
    nudge = torch.rand(500, 10, generator=torch.Generator().manual_seed(1))
    teacher = student * (1 + 1e-4 * (nudge - 0.5))
    assert torch.isfinite(sqrt_js(student, teacher)).all()
    assert float(sqrt_js(student, teacher).max()) < 1e-4


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 12), sharp=st.floats(0.1, 60))
def test_js_is_a_symmetric_bounded_metric_blind_to_the_order_of_classes(seed, classes, sharp):
    generator = torch.Generator().manual_seed(seed)
    logits = sharp * torch.randn(3, 4, classes, generator=generator, dtype=torch.float64)
    p, q, r = logits.softmax(-1)
    d = sqrt_js(p, q)
    assert torch.equal(d, sqrt_js(q, p))
    assert bool(((d >= 0) & (d <= 1 + 1e-12)).all())
    assert bool((sqrt_js(p, r) <= d + sqrt_js(q, r) + 1e-12).all())
    order = torch.randperm(classes, generator=generator)
    torch.testing.assert_close(sqrt_js(p[:, order], q[:, order]), d)
    assert torch.equal(sqrt_js(p, p), torch.zeros(4, dtype=torch.float64))


def test_opposite_certainties_are_at_distance_one_bit():
    assert sqrt_js(torch.eye(2), torch.eye(2).flip(0)).tolist() == [1, 1]


def test_probability_loyalty_spans_zero_to_one_in_bits_and_a_sixth_in_nats():
    student, teacher = torch.eye(3), torch.eye(3).roll(1, 0)
    assert probability_loyalty(student, student) == 1
    assert probability_loyalty(student, teacher) == pytest.approx(0)
    nats = probability_loyalty(student, teacher, log_base=math.e)
    assert nats == pytest.approx(1 - math.sqrt(math.log(2)))


def test_label_loyalty_is_the_share_of_equal_predictions():
    student = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    teacher = torch.tensor([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.1, 0.9]])
    assert label_loyalty(student, teacher) == 0.75


def test_divergences_match_scipy():
    student, teacher = rows()
    s, t = student.numpy(), teacher.numpy()
    np.testing.assert_allclose(forward_kl(student, teacher), special.rel_entr(t, s).sum(1))
    np.testing.assert_allclose(reverse_kl(student, teacher), special.rel_entr(s, t).sum(1))
    np.testing.assert_allclose(total_variation(student, teacher), abs(s - t).sum(1) / 2)
    expected = np.sqrt(((np.sqrt(s) - np.sqrt(t)) ** 2).sum(1) / 2)
    np.testing.assert_allclose(hellinger(student, teacher), expected)
    mean = fidelity_kl(student.log(), teacher.log())
    assert mean == pytest.approx(special.rel_entr(t, s).sum(1).mean())


def test_zero_of_the_student_is_infinite_in_probabilities_and_finite_from_logits():
    student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.5, 0.5]])
    assert torch.isinf(forward_kl(student, teacher)).all()
    assert reverse_kl(student, teacher).item() == pytest.approx(math.log(2))
    assert fidelity_kl(torch.tensor([[800.0, 0.0]]), torch.zeros(1, 2)) == pytest.approx(
        400 - math.log(2)
    )


def test_topk_overlap_breaks_ties_by_class_number():
    student = torch.tensor([[0.4, 0.3, 0.3, 0.0]])
    teacher = torch.tensor([[0.1, 0.4, 0.1, 0.4]])
    assert topk_overlap(student, teacher, 2) == 0.5  # {0, 1} and {1, 3}
    assert topk_overlap(student, teacher, 4) == 1
    with pytest.raises(ValueError, match=r"`k` must lie in 1\.\.4, got 5"):
        topk_overlap(student, teacher, 5)


@pytest.mark.parametrize("function", [sqrt_js, label_loyalty, fidelity_kl, hellinger])
def test_other_label_sets_are_refused(function):
    with pytest.raises(ShapeMismatch, match="one label set"):
        function(torch.ones(2, 3) / 3, torch.ones(2, 4) / 4)


def test_js_distance_in_chunks_equals_the_form_with_a_gradient():
    generator = torch.Generator().manual_seed(0)
    probs = (20 * torch.randn(2, 300, 900, generator=generator, dtype=torch.float64)).softmax(-1)
    probs[0, :3], probs[1, 2:5] = 0.0, 0.0  # one side or both without any mass in a class
    probs[:, :5, 0] = 1.0
    student, teacher = probs
    tracked = student.clone().requires_grad_()
    torch.testing.assert_close(
        sqrt_js(student, teacher), sqrt_js(tracked, teacher).detach(), rtol=1e-13, atol=0
    )
    assert torch.equal(sqrt_js(probs[0][None], probs[1][None])[0], sqrt_js(*probs))


def test_js_distance_pulls_probabilities_together():
    student, teacher = rows(3)
    tracked = student.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: sqrt_js(p, teacher), tracked)


def test_js_distance_of_half_precision_is_that_of_float32():
    student, teacher = (part.bfloat16() for part in rows())
    assert torch.equal(sqrt_js(student, teacher), sqrt_js(student.float(), teacher.float()))


def test_js_distance_of_an_undefined_row_is_undefined():
    student, teacher = rows(3)
    student[1, 2] = math.nan
    assert sqrt_js(student, teacher).isnan().tolist() == [False, True, False]


def test_ensemble_is_the_mean_of_probabilities_and_survives_wide_gaps():
    generator = torch.Generator().manual_seed(0)
    members = list(5 * torch.randn(3, 4, 6, generator=generator, dtype=torch.float64))
    mean = torch.stack(members).softmax(-1).mean(0)
    torch.testing.assert_close(ensemble_log_probs(members), mean.log())
    wide = [torch.tensor([[0.0, 2000.0]]), torch.tensor([[2000.0, 0.0]])]
    assert ensemble_log_probs(wide).tolist() == [[pytest.approx(-math.log(2))] * 2]
    with pytest.raises(ValueError, match="no member"):
        ensemble_log_probs([])


def test_logit_spearman_matches_scipy():
    student, teacher = rows()
    expected = [stats.spearmanr(s, t).statistic for s, t in zip(student, teacher, strict=True)]
    np.testing.assert_allclose(logit_spearman(student, teacher).numpy(), expected, rtol=1e-12)
