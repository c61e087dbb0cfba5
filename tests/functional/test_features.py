"""Losses on one sample's features against numpy and their own laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.errors import ShapeMismatch
from workbench.functional.features import (
    cosine,
    disagreement_weight,
    hcl,
    hint,
    nd,
    vid,
    vid_initial_log_scale,
)


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(3, 4, 5, 5, generator=generator) for _ in range(2))


def test_hint_is_the_mean_squared_gap_of_each_sample(maps):
    student, teacher = (m.double().numpy() for m in maps)
    expected = ((student - teacher) ** 2).reshape(3, -1).mean(1)
    np.testing.assert_allclose(hint(*maps).numpy(), expected, rtol=1e-6)


def test_gradient_is_twice_the_gap_over_the_entries(maps):
    student = maps[0].requires_grad_()
    teacher = maps[1].requires_grad_()
    hint(student, teacher).sum().backward()
    torch.testing.assert_close(student.grad, (2 * (student - teacher) / 100).detach())
    assert teacher.grad is None


def test_other_shapes_are_refused_with_the_way_out(maps):
    with pytest.raises(ShapeMismatch, match=r"hint.*\(3, 4, 5, 5\).*\(3, 3, 5, 5\).*projector"):
        hint(maps[0], maps[1][:, :3])


def test_vid_is_the_gaussian_likelihood_up_to_a_constant(maps):
    student, teacher = (m.double() for m in maps)
    log_scale = torch.tensor([-1.0, 0.0, 2.0, 40.0], dtype=torch.float64)
    variance = np.log1p(np.exp(log_scale.numpy())) + 1e-5
    normal = torch.distributions.Normal(student, torch.tensor(variance).sqrt().view(1, 4, 1, 1))
    expected = -normal.log_prob(teacher).flatten(1).mean(1) - 0.5 * np.log(2 * np.pi)
    torch.testing.assert_close(vid(student, teacher, log_scale), expected)


def test_vid_is_least_where_its_variance_is_the_squared_gap(maps):
    gap = torch.full((1, 1, 2, 2), 3.0)
    values = [
        float(vid(gap, torch.zeros_like(gap), vid_initial_log_scale(1, variance=v).float()))
        for v in (4.0, 9.0, 20.0)
    ]
    assert min(values) == values[1]


def test_initial_log_scale_gives_the_variance_asked_for():
    log_scale = vid_initial_log_scale(3, variance=5.0)
    torch.testing.assert_close(
        torch.nn.functional.softplus(log_scale) + 1e-5, torch.full((3,), 5.0, dtype=torch.float64)
    )


def test_hcl_halves_each_coarser_level_and_skips_those_that_are_none(maps):
    student, teacher = (m.double() for m in maps)

    def at_side(side):
        pool = torch.nn.functional.adaptive_avg_pool2d
        return (pool(student, side) - pool(teacher, side)).square().flatten(1).mean(1)

    expected = hint(student, teacher) + at_side(4) / 2 + at_side(2) / 4 + at_side(1) / 8
    torch.testing.assert_close(hcl(student, teacher), expected / 1.875)
    small = hcl(student[..., :1, :1], teacher[..., :1, :1])
    torch.testing.assert_close(small, hint(student[..., :1, :1], teacher[..., :1, :1]))


def test_nd_spans_zero_to_two_and_rewards_norm_up_to_the_teachers():
    means = torch.tensor([[2.0, 0.0], [0.0, 5.0]])
    labels = torch.tensor([0, 0, 1, 1])
    student = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [4.0, 0.0]])
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 4.0], [0.0, 4.0]])
    torch.testing.assert_close(
        nd(student, teacher, means, labels), torch.tensor([0.0, 2.0, 0.75, 1.0])
    )
    hidden = nd(student, teacher, means, torch.tensor([0, 0, 1, -1]))
    assert torch.isfinite(hidden).all()


def test_disagreement_weighs_from_a_half_to_one():
    same, other = torch.tensor([[3.0, 0.0], [0.0, 0.0]]), torch.tensor([[3.0, 0.0], [3.0, 4.0]])
    weight = disagreement_weight(same.requires_grad_(), other)
    assert float(weight[0]) == pytest.approx(0.5, abs=1e-5)
    assert float(weight[1]) == pytest.approx(1 / (1 + np.exp(-5)), rel=1e-5)
    assert not weight.requires_grad


def test_cosine_is_taken_at_each_position_and_blind_to_scale(maps):
    student, teacher = (m.double().numpy().reshape(3, 4, 25) for m in maps)
    norms = np.linalg.norm(student, axis=1) * np.linalg.norm(teacher, axis=1)
    expected = 1 - ((student * teacher).sum(1) / norms).mean(1)
    np.testing.assert_allclose(cosine(*maps).numpy(), expected, rtol=1e-5)
    torch.testing.assert_close(cosine(5 * maps[0], maps[1]), cosine(*maps))
    torch.testing.assert_close(cosine(-maps[1], maps[1]), torch.full((3,), 2.0))
    assert cosine(maps[0][:, :, 0, 0], maps[1][:, :, 0, 0]).shape == (3,)
