"""CKA against definitional numpy, its invariances and the cases where it is undefined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ShapeMismatch
from workbench.functional.cka import (
    cka_distance,
    cka_map,
    flattened,
    hsic_biased,
    hsic_unbiased,
    linear_cka,
    linear_gram,
    normalised_grams,
    pixels_as_samples,
    pooled,
    rbf_cka,
    rbf_gram,
    undefined_reason,
)


def layers(n: int, *widths: int, seed: int = 0, dtype=torch.float64) -> list[torch.Tensor]:
    """Layers that share a part, so that CKA is neither 0 nor 1."""
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(n, 3, generator=generator, dtype=dtype)
    return [
        shared @ torch.randn(3, width, generator=generator, dtype=dtype)
        + torch.randn(n, width, generator=generator, dtype=dtype)
        for width in widths
    ]


def numpy_hsic0(k: np.ndarray, m: np.ndarray) -> float:
    n = len(k)
    h = np.eye(n) - 1 / n
    return np.trace(k @ h @ m @ h) / (n - 1) ** 2


def numpy_hsic1(k: np.ndarray, m: np.ndarray) -> float:
    """Song et al. 2012, eq. 5, term by term."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    one = np.ones(n)
    total = (
        np.trace(k @ m)
        + one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (one @ k @ m @ one)
    )
    return total / (n * (n - 3))


@pytest.mark.parametrize("n", [4, 5, 32])
def test_hsic_matches_the_published_formulas(n):
    x, y = layers(n, 6, 9)
    gram_x, gram_y = x @ x.T, y @ y.T
    k, m = gram_x.numpy(), gram_y.numpy()
    np.testing.assert_allclose(float(hsic_biased(gram_x, gram_y)), numpy_hsic0(k, m), rtol=1e-10)
    np.testing.assert_allclose(float(hsic_unbiased(gram_x, gram_y)), numpy_hsic1(k, m), rtol=1e-9)


def test_hsic_does_not_care_whether_the_gram_is_centred():
    x, y = layers(16, 6, 9)
    raw = hsic_unbiased(x @ x.T, y @ y.T)
    torch.testing.assert_close(hsic_unbiased(linear_gram(x), linear_gram(y)), raw)


@pytest.mark.parametrize("unbiased", [True, False])
def test_linear_cka_is_the_normalised_hsic(unbiased):
    x, y = layers(20, 6, 30)
    hsic = numpy_hsic1 if unbiased else numpy_hsic0
    k, m = (x @ x.T).numpy(), (y @ y.T).numpy()
    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    np.testing.assert_allclose(float(linear_cka(x, y, unbiased=unbiased)), expected, rtol=1e-10)


def test_biased_form_flatters_independent_noise_and_unbiased_does_not():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(16, 4096, generator=generator) for _ in range(2))
    assert float(linear_cka(x, y, unbiased=False)) > 0.98
    assert abs(float(linear_cka(x, y))) < 0.4


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(4, 24),
    width=st.integers(1, 12),
    scale=st.floats(1e-6, 1e6),
    shift=st.floats(-1e3, 1e3),
    unbiased=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_invariant_to_rotation_scale_shift_and_order(n, width, scale, shift, unbiased, seed):
    x, y = layers(n, width, 7, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    rotation, _ = torch.linalg.qr(
        torch.randn(width, width, generator=generator, dtype=torch.float64)
    )
    order = torch.randperm(n, generator=generator)
    before = linear_cka(x, y, unbiased=unbiased)
    after = linear_cka((scale * x @ rotation + shift)[order], y[order], unbiased=unbiased)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    assert abs(float(before)) <= 1 + 1e-12
    assert float(linear_cka(x, x, unbiased=unbiased)) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e5])
def test_float32_keeps_its_digits_at_large_means(mean):
    x, y = layers(64, 32, 48)
    expected = float(linear_cka(x, y))
    shifted = (x + mean).float()
    exact = float(linear_cka(shifted.double(), y))  # what float32 storage left of the features
    assert float(linear_cka(shifted, y.float())) == pytest.approx(exact, abs=2e-6)
    assert mean > 1e4 or exact == pytest.approx(expected, abs=1e-3)


def test_scales_near_the_ends_of_float32_neither_overflow_nor_vanish():
    x, y = layers(16, 8, 8, dtype=torch.float32)
    expected = linear_cka(x, y)
    torch.testing.assert_close(linear_cka(x * 1e30, y * 1e-30), expected)


@pytest.mark.parametrize("unbiased", [True, False])
def test_map_holds_the_cka_of_every_pair(unbiased):
    teacher = layers(32, 5, 64, 300, dtype=torch.float32)
    student = layers(32, 7, 20, seed=1, dtype=torch.float32)
    cells = cka_map(
        normalised_grams(teacher, unbiased=unbiased), normalised_grams(student, unbiased=unbiased)
    )
    expected = torch.tensor(
        [
            [float(linear_cka(t.double(), s.double(), unbiased=unbiased)) for s in student]
            for t in teacher
        ]
    )
    torch.testing.assert_close(cells, expected, rtol=0, atol=2e-6)


def test_constant_layer_is_nan_with_a_reason_and_spoils_only_its_own_cells():
    x, y = layers(16, 5, 6, dtype=torch.float32)
    dead = torch.full((16, 4), 0.1)
    cells = cka_map(normalised_grams([x, dead]), normalised_grams([y, x]))
    assert torch.isnan(cells[1]).all() and torch.isfinite(cells[0]).all()
    assert torch.isnan(linear_cka(dead, x))
    assert undefined_reason(dead) == "constant layer"
    assert undefined_reason(x) is None


def test_layer_that_sets_one_example_apart_is_undefined_only_when_unbiased():
    spike = torch.zeros(16, 4)
    spike[3] = 2.0
    x = layers(16, 5, dtype=torch.float32)[0]
    assert torch.isnan(linear_cka(spike, x))
    assert torch.isnan(cka_map(normalised_grams([spike]), normalised_grams([x]))).all()
    assert undefined_reason(spike) == "only one example differs from the rest"
    assert torch.isfinite(linear_cka(spike, x, unbiased=False))


def test_reason_names_non_finite_values_and_too_few_examples():
    broken = layers(16, 5)[0]
    broken[2, 1] = torch.inf
    assert undefined_reason(broken) == "layer has NaN or infinite values"
    assert undefined_reason(broken[:3]) == "needs at least 4 examples, has 3"


@pytest.mark.parametrize("n", [1, 2, 3])
def test_too_few_examples_raise(n):
    x, y = layers(n, 5, 6)
    with pytest.raises(ValueError, match=rf"at least 4 examples, got {n}.*last batch"):
        linear_cka(x, y)


def test_feature_maps_must_be_reduced_by_choice():
    with pytest.raises(ValueError, match=r"\(n, d\), got \(4, 3, 2, 2\).*pooled.*flattened"):
        linear_cka(torch.zeros(4, 3, 2, 2), torch.zeros(4, 3))


def test_reductions_keep_what_their_names_say():
    maps = torch.arange(48.0).view(2, 3, 2, 4)
    assert torch.equal(pooled(maps), maps.mean((2, 3)))
    assert flattened(maps).shape == (2, 24)
    assert torch.equal(pixels_as_samples(maps)[1], maps[0, :, 0, 1])
    tokens = torch.arange(24.0).view(2, 3, 4)
    assert torch.equal(pooled(tokens), tokens.mean(1))
    assert pixels_as_samples(tokens).shape == (6, 4)


def test_different_examples_are_refused():
    x, y = layers(16, 5, 6)
    with pytest.raises(ShapeMismatch, match="same examples"):
        linear_cka(x, y[:-1])
    with pytest.raises(ShapeMismatch, match="probe examples"):
        cka_map(normalised_grams([x]), normalised_grams([y[:-1]]))


def test_wide_gaussian_kernel_tends_to_the_linear_one():
    x, y = layers(24, 6, 9)
    for unbiased in (True, False):
        wide = rbf_cka(x, y, unbiased=unbiased, scale=1e3)
        torch.testing.assert_close(wide, linear_cka(x, y, unbiased=unbiased), rtol=1e-4, atol=1e-5)


def test_gaussian_kernel_uses_the_median_of_pairs():
    x = torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64)  # squares 1, 4, 9: median 4
    expected = np.exp(-np.array([[0, 1, 9], [1, 0, 4], [9, 4, 0]]) / (2 * 4))
    np.testing.assert_allclose(rbf_gram(x).numpy(), expected, rtol=1e-12)
    full = rbf_gram(x, bandwidth="full")  # 0, 0, 0, 1, 1, 4, 4, 9, 9: median 1
    np.testing.assert_allclose(full.numpy(), expected**4, rtol=1e-12)


@pytest.mark.parametrize("unbiased", [True, False])
def test_distance_is_one_minus_cka_and_passes_gradcheck(unbiased):
    student, teacher = layers(6, 3, 5)
    student.requires_grad_()
    value = cka_distance(student, teacher, unbiased=unbiased)
    torch.testing.assert_close(
        value.detach(), 1 - linear_cka(student.detach(), teacher, unbiased=unbiased)
    )
    assert torch.autograd.gradcheck(lambda s: cka_distance(s, teacher, unbiased=unbiased), student)


def test_descending_the_distance_aligns_the_layers():
    student, teacher = layers(12, 4, 9)
    student.requires_grad_()
    optimiser = torch.optim.Adam([student], lr=0.05)
    first = float(cka_distance(student.detach(), teacher))
    for _ in range(80):
        optimiser.zero_grad()
        cka_distance(student, teacher).backward()
        optimiser.step()
    assert float(cka_distance(student.detach(), teacher)) < 0.5 * first


def test_dead_student_layer_is_at_distance_one_with_zero_gradient():
    student = torch.full((8, 3, 2, 2), 0.5, requires_grad=True)
    teacher = layers(8, 5, dtype=torch.float32)[0]
    value = cka_distance(student, teacher)
    value.backward()
    assert float(value.detach()) == 1
    assert torch.equal(student.grad, torch.zeros_like(student))
