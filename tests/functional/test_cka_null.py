"""The closed-form null of unbiased CKA against every permutation, and against real features."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from workbench.functional.cka import cka_map, normalised_grams
from workbench.functional.cka_null import (
    cka_null_band,
    cka_null_biased,
    cka_null_moments,
    cka_null_p95,
    cka_null_sd,
    cka_null_skewness,
)


def relabelled(teacher: torch.Tensor, student: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    n = len(order)
    moved = student.view(-1, n, n)[:, order][:, :, order]
    return cka_map(teacher, moved.flatten(1))


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_moments_equal_those_over_all_permutations(n):
    generator = torch.Generator().manual_seed(n)
    features = [torch.randn(n, d, generator=generator, dtype=torch.float64) ** 3 for d in (1, 2, 9)]
    teacher, student = normalised_grams(features[:2]), normalised_grams(features[1:])
    cells = torch.stack(
        [relabelled(teacher, student, torch.tensor(p)) for p in itertools.permutations(range(n))]
    )
    torch.testing.assert_close(cells.mean(0), torch.zeros(2, 2, dtype=torch.float64))
    sd = cells.square().mean(0).sqrt()
    torch.testing.assert_close(sd, torch.full_like(sd, cka_null_sd(n)))
    expected = cells.pow(3).mean(0) / sd.pow(3)
    actual = cka_null_skewness(cka_null_moments(teacher, n), cka_null_moments(student, n), n)
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-10)


def test_sd_is_one_over_the_root_of_the_dimension():
    """The three-term variance of the derivation collapses to 2 / (n (n - 3))."""
    for n in (4, 5, 17, 512):
        pairs = 2 / (n * (n - 1))
        touching = 4 / (n * (n - 1) * (n - 2))
        apart = 4 / (n * (n - 1) * (n - 2) * (n - 3))
        assert cka_null_sd(n) == pytest.approx(math.sqrt(pairs + touching + apart), rel=1e-12)


@pytest.fixture(scope="module")
def digit_layers() -> list[torch.Tensor]:
    """Real images, a random two-layer net on them, and a layer of few directions; n = 96."""
    n = 96
    generator = torch.Generator().manual_seed(0)
    pixels = torch.tensor(load_digits().data[:n], dtype=torch.float32)
    hidden = torch.relu(pixels @ torch.randn(64, 32, generator=generator))
    top = torch.relu(hidden @ torch.randn(32, 16, generator=generator))
    few = 5 * torch.randn(n, 1, generator=generator) + torch.randn(n, 3, generator=generator)
    return [pixels, hidden, top, few]


def test_level_is_right_on_real_features_where_the_normal_one_is_too_low(digit_layers):
    grams = normalised_grams(digit_layers)
    n = len(digit_layers[0])
    generator = torch.Generator().manual_seed(1)
    draws = torch.stack(
        [relabelled(grams, grams, torch.randperm(n, generator=generator)) for _ in range(8000)]
    )
    level = cka_null_p95(grams, grams, n)
    share_above = (draws.double() > level).double().mean(0)
    # 8000 draws: the standard error of a share of 0.05 is 0.0024
    np.testing.assert_allclose(share_above.numpy(), 0.05, atol=0.009)
    normal = (draws > 1.645 * cka_null_sd(n)).double().mean(0)
    assert float(normal[3, 3]) > 0.065


def test_kept_teacher_moments_give_the_same_level(digit_layers):
    grams = normalised_grams(digit_layers)
    n = len(digit_layers[0])
    kept = cka_null_p95(grams, grams[:2], n, teacher_moments=cka_null_moments(grams, n))
    assert torch.equal(kept, cka_null_p95(grams, grams[:2], n))


def test_undefined_layer_has_no_level():
    generator = torch.Generator().manual_seed(0)
    live = torch.randn(12, 4, generator=generator)
    grams = normalised_grams([live, torch.ones(12, 3)])
    level = cka_null_p95(grams, grams, 12)
    assert torch.isfinite(level[0, 0])
    assert torch.isnan(level[1]).all() and torch.isnan(level[:, 1]).all()


@pytest.mark.parametrize("n", [0, 3])
def test_too_few_examples_raise(n):
    with pytest.raises(ValueError, match=f"at least 4 examples, got {n}"):
        cka_null_sd(n)


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_biased_mean_and_sd_equal_those_over_all_permutations(n):
    generator = torch.Generator().manual_seed(n)
    features = [torch.randn(n, d, generator=generator, dtype=torch.float64) ** 3 for d in (1, 2, 9)]
    teacher = normalised_grams(features[:2], unbiased=False)
    student = normalised_grams(features[1:], unbiased=False)
    cells = torch.stack(
        [relabelled(teacher, student, torch.tensor(p)) for p in itertools.permutations(range(n))]
    )
    mean, sd = cka_null_biased(teacher, student, n)
    torch.testing.assert_close(mean, cells.mean(0), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(sd, cells.std(0, correction=0), rtol=1e-9, atol=1e-12)


def test_biased_null_of_wide_noise_is_nearly_one_and_unbiased_null_is_around_zero():
    """16 examples, 4096 features: 0.996 for layers that share nothing."""
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(16, 4096, generator=generator) for _ in "ab"]
    mean, sd = cka_null_biased(
        normalised_grams(noise[:1], unbiased=False), normalised_grams(noise[1:], unbiased=False), 16
    )
    assert 0.99 < float(mean) < 1 and float(sd) < 0.005
    low, high = cka_null_band(normalised_grams(noise[:1]), normalised_grams(noise[1:]), 16)
    assert float(low) < 0 < float(high)


def test_band_holds_its_share_of_relabellings_of_real_features(digit_layers):
    grams = normalised_grams(digit_layers)
    n = len(digit_layers[0])
    generator = torch.Generator().manual_seed(2)
    draws = torch.stack(
        [relabelled(grams, grams, torch.randperm(n, generator=generator)) for _ in range(4000)]
    ).double()
    low, high = cka_null_band(grams, grams, n, coverage=0.9)
    # 4000 draws: the standard error of a share of 0.05 is 0.0034
    np.testing.assert_allclose((draws > high).double().mean(0).numpy(), 0.05, atol=0.013)
    below = (draws < low).double().mean(0).numpy()
    np.testing.assert_allclose(below[:3, :3], 0.05, atol=0.013)
    assert below.max() < 0.11  # both layers with one strong direction: passed twice as often
    torch.testing.assert_close(high, cka_null_p95(grams, grams, n))


def test_biased_null_needs_four_examples():
    with pytest.raises(ValueError, match="at least 4 examples, got 3"):
        cka_null_biased(torch.zeros(1, 9), torch.zeros(1, 9), 3)
