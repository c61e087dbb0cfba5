"""Similarities of layers against scipy and their own laws; goldens hold the published values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.linalg import orthogonal_procrustes, subspace_angles

from workbench.errors import ShapeMismatch
from workbench.functional.similarity import (
    cca,
    cknna,
    knn_jaccard,
    mean_ranks,
    mutual_knn,
    pearson,
    procrustes_angle,
    procrustes_distance,
    pwcca,
    rsa,
    spearman,
    svcca,
)


def layers(n: int, *widths: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shared = torch.randn(n, 2, generator=generator, dtype=torch.float64)
    return [
        shared @ torch.randn(2, width, generator=generator, dtype=torch.float64)
        + torch.randn(n, width, generator=generator, dtype=torch.float64)
        for width in widths
    ]


def rotated(x: torch.Tensor, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    square = torch.randn(x.shape[1], x.shape[1], generator=generator, dtype=torch.float64)
    return 3 * x @ torch.linalg.qr(square)[0] + 7


def test_procrustes_distance_is_what_scipys_best_rotation_leaves():
    x, y = layers(20, 6, 6)
    unit = [(v - v.mean(0)) / (v - v.mean(0)).norm() for v in (x, y)]
    rotation, _ = orthogonal_procrustes(unit[0].numpy(), unit[1].numpy())
    left = np.linalg.norm(unit[0].numpy() @ rotation - unit[1].numpy())
    assert procrustes_distance(x, y) == pytest.approx(left, rel=1e-10)
    assert procrustes_angle(x, y) == pytest.approx(math.acos(1 - left**2 / 2))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(8, 20))
def test_rotation_scale_and_shift_change_nothing(seed, n):
    x, y = layers(n, 5, 4, seed=seed)
    moved = rotated(x, seed)
    assert procrustes_distance(moved, y) == pytest.approx(procrustes_distance(x, y), abs=1e-7)
    assert rsa(moved, y, inner="euclidean") == pytest.approx(rsa(x, y, inner="euclidean"), abs=1e-9)
    torch.testing.assert_close(cca(moved, y), cca(x, y), rtol=0, atol=1e-9)
    assert procrustes_angle(x, x) == pytest.approx(0, abs=1e-6)
    assert rsa(x, x) == pytest.approx(1)


def test_constant_layer_has_nothing_in_common_with_any():
    x = layers(10, 4)[0]
    found = procrustes_distance(x, torch.ones(10, 3, dtype=torch.float64))
    assert found == pytest.approx(math.sqrt(2), rel=1e-12)


def test_canonical_correlations_are_cosines_of_scipys_subspace_angles():
    x, y = layers(30, 5, 4)
    angles = subspace_angles((x - x.mean(0)).numpy(), (y - y.mean(0)).numpy())
    np.testing.assert_allclose(cca(x, y).numpy(), np.sort(np.cos(angles))[::-1], rtol=1e-9)
    assert svcca(x, y, kept=1.0) == pytest.approx(float(cca(x, y).mean()))


def test_svcca_drops_weak_directions_that_cca_counts_in_full():
    x, y = layers(40, 3, 3)
    noisy = torch.cat([x, 1e-3 * layers(40, 6, seed=5)[0]], 1)
    assert svcca(noisy, y) == pytest.approx(svcca(x, y), abs=0.02)
    assert float(cca(noisy, y).mean()) > svcca(noisy, y) + 0.02
    assert float(cca(noisy, x).mean()) == pytest.approx(1)


def test_pwcca_is_a_weighted_mean_that_depends_on_the_side():
    x, y = layers(30, 5, 4)
    correlations = cca(x, y)
    for value in (pwcca(x, y), pwcca(y, x)):
        assert float(correlations.min()) <= value <= float(correlations.max())
    assert pwcca(x, y) != pytest.approx(pwcca(y, x), abs=1e-3)
    assert pwcca(x, x) == pytest.approx(1)


def test_cca_is_refused_where_it_is_trivially_one():
    x, y = layers(6, 6, 3)
    with pytest.raises(ValueError, match=r"6 features on 6 examples.*svcca"):
        cca(x, y)


def test_neighbours_of_unrelated_layers_agree_at_chance_level():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(300, 20, generator=generator) for _ in range(2))
    assert mutual_knn(x, y, k=30) == pytest.approx(30 / 299, abs=0.02)
    assert mutual_knn(x, x, k=30) == 1
    assert knn_jaccard(x, x, k=30) == 1
    assert abs(cknna(x, y, k=30)) < 0.1
    assert cknna(x, x, k=30) == pytest.approx(1)


def test_neighbours_of_a_worked_example():
    angles = torch.tensor([0.0, 0.1, 1.0, 1.3])
    x = torch.stack([angles.cos(), angles.sin()], 1)
    y = x[[0, 2, 1, 3]]  # nearest: 0-2, 1-3, 2-0, 3-1 against 0-1, 1-0, 2-3, 3-2
    assert mutual_knn(x, y, k=1) == 0
    assert mutual_knn(x, y, k=3) == 1
    assert mutual_knn(x, y, k=2) == pytest.approx(knn_overlap(x, y, 2))


def knn_overlap(x: torch.Tensor, y: torch.Tensor, k: int) -> float:
    shared = 0
    for i in range(len(x)):
        named = []
        for z in (x, y):
            order = sorted((j for j in range(len(z)) if j != i), key=lambda j: -float(z[i] @ z[j]))
            named.append(set(order[:k]))
        shared += len(named[0] & named[1])
    return shared / (k * len(x))


def test_correlations_match_scipy_with_ties():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randint(0, 5, (2, 4, 30), generator=generator).double()
    for row in range(4):
        assert float(pearson(a, b)[row]) == pytest.approx(stats.pearsonr(a[row], b[row])[0])
        assert float(spearman(a, b)[row]) == pytest.approx(stats.spearmanr(a[row], b[row])[0])
    np.testing.assert_array_equal(mean_ranks(a).numpy(), stats.rankdata(a.numpy(), axis=1))


def test_constant_row_has_no_correlation():
    constant = torch.full((1, 8), 0.1)
    assert torch.isnan(pearson(constant, torch.arange(8.0)[None])).all()


def test_bad_input_is_refused():
    x, y = layers(6, 3, 3)
    with pytest.raises(ValueError, match=r"`k` must lie in 1\.\.5 for 6 examples, got 6"):
        mutual_knn(x, y, k=6)
    with pytest.raises(ShapeMismatch, match="same examples"):
        rsa(x, y[:5])
    with pytest.raises(ValueError, match=r"`kept` must lie in \(0, 1\]"):
        svcca(x, y, kept=0.0)
