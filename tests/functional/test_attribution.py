"""Attribution maps obey their axioms; their similarities are read against a shuffled null."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from workbench.errors import ShapeMismatch
from workbench.functional.attribution import (
    attribute,
    completeness_gap,
    grad_cam,
    map_cosine,
    map_pearson,
    map_spearman,
    map_ssim,
    map_topk_iou,
    on_grid,
    shuffled_null,
)


@pytest.fixture
def net() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, padding=1),
        torch.nn.Softplus(),
        torch.nn.AdaptiveAvgPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 3),
    ).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(5, 2, 6, 6, generator=torch.Generator().manual_seed(0))


TARGETS = torch.tensor([0, 1, 2, 0, 1])


def test_integrated_gradients_add_up_to_the_change_of_the_logit(net, images):
    """Completeness: the map sums to logit(image) - logit(black)."""
    maps = attribute(net, images, TARGETS)
    with torch.no_grad():
        change = net(images) - net(torch.zeros_like(images))
    torch.testing.assert_close(
        maps.flatten(1).sum(1), change.gather(1, TARGETS[:, None]).squeeze(1), rtol=1e-3, atol=1e-4
    )


def test_gradient_maps_of_a_linear_model_are_its_weights(images):
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(72, 3))
    rows = linear[1].weight.detach()[TARGETS].view(5, 2, 6, 6)
    torch.testing.assert_close(attribute(linear, images, TARGETS, method="saliency"), rows.abs())
    by_input = attribute(linear, images, TARGETS, method="input_x_gradient")
    torch.testing.assert_close(by_input, rows * images)
    occluded = attribute(linear, images, TARGETS, method="occlusion", window=3)
    block = (rows * images)[0, :, :3, :3].sum()
    torch.testing.assert_close(occluded[0, 0, 0, 0], block, rtol=1e-4, atol=1e-6)


def test_maps_leave_no_gradient_behind(net, images):
    attribute(net, images, TARGETS)
    maps = grad_cam(net, net[0], images, TARGETS)
    assert maps.shape == (5, 1, 6, 6) and not maps.requires_grad
    assert not images.requires_grad
    assert all(parameter.grad is None for parameter in net.parameters())


def test_similarities_match_scipy():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 4, 1, 5, 5, generator=generator, dtype=torch.float64)
    x, y = a.flatten(1).numpy(), b.flatten(1).numpy()
    for i in range(4):
        assert float(map_pearson(a, b)[i]) == pytest.approx(stats.pearsonr(x[i], y[i])[0])
        assert float(map_spearman(a, b)[i]) == pytest.approx(stats.spearmanr(x[i], y[i])[0])
        expected = stats.spearmanr(abs(x[i]), abs(y[i]))[0]
        assert float(map_spearman(a, b, absolute=True)[i]) == pytest.approx(expected)
        best = (set(np.argsort(-abs(v[i]))[:5]) for v in (x, y))
        one, two = best
        assert float(map_topk_iou(a, b, k=5)[i]) == pytest.approx(len(one & two) / len(one | two))


def test_identical_maps_are_alike_in_every_reading_and_zero_maps_in_none():
    maps = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for similarity in (map_cosine, map_pearson, map_spearman, map_ssim):
        torch.testing.assert_close(similarity(maps, maps).float(), torch.ones(3))
    assert torch.isnan(map_cosine(maps, torch.zeros_like(maps))).all()
    assert torch.isnan(map_pearson(maps, torch.zeros_like(maps))).all()


def test_centre_bias_fools_a_similarity_but_not_its_null():
    """Maps share a bright centre and nothing else: cosine is high, AUC stays near a half."""
    generator = torch.Generator().manual_seed(0)
    centre = torch.zeros(12, 1, 8, 8)
    centre[..., 2:6, 2:6] = 5
    student, teacher = centre + torch.rand(2, 12, 1, 8, 8, generator=generator)
    paired, mismatched, auc = shuffled_null(student, teacher)
    assert float(paired.mean()) > 0.9
    assert mismatched.shape == (132,)
    assert 0.3 < auc < 0.7
    assert shuffled_null(student, student)[2] == 1


def test_common_grid_keeps_the_mean():
    maps = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    small = on_grid(maps, 4, 4)
    assert small.shape == (2, 1, 4, 4)
    torch.testing.assert_close(small.mean((1, 2, 3)), maps.sum(1).mean((1, 2)))
    assert on_grid(maps, 16, 16).shape == (2, 1, 16, 16)


def test_bad_input_says_what_to_do(net, images):
    with pytest.raises(ValueError, match=r"No attribution method 'lime'\. Known: saliency"):
        attribute(net, images, TARGETS, method="lime")
    with pytest.raises(ShapeMismatch, match="on_grid"):
        map_cosine(images, images[..., :3])
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        shuffled_null(images[:1], images[:1])
    with pytest.raises(ValueError, match=r"`k` must lie in 1\.\.72, got 0"):
        map_topk_iou(images, images, k=0)


def test_completeness_gap_is_small_for_many_steps_and_large_for_one(net, images):
    bright = 20 * images  # through the bend of the softplus
    fine, coarse = (
        completeness_gap(net, bright, TARGETS, attribute(net, bright, TARGETS, steps=steps))
        for steps in (50, 1)
    )
    assert float(fine.max()) < 1e-3 < 1e-2 < float(coarse.max())


def test_fewer_rows_at_once_give_the_same_map(net, images):
    whole = attribute(net, images, TARGETS, steps=10)
    parts = attribute(net, images, TARGETS, steps=10, rows_at_once=7)
    torch.testing.assert_close(parts, whole)


def test_opposite_channels_cancel_unless_magnitudes_are_summed():
    maps = torch.stack([torch.ones(2, 2), -torch.ones(2, 2)])[None]
    assert on_grid(maps, 2, 2).abs().max() == 0
    assert on_grid(maps, 2, 2, absolute=True).tolist() == [[[[2, 2], [2, 2]]]]
