"""Losses on where a layer looks against numpy and their laws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.errors import ShapeMismatch
from workbench.functional.attention import at, averaged_to, cwd, nearest_to, same_size


def maps(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_attention_transfer_matches_numpy():
    student, teacher = maps(3, 4, 5, 6), maps(3, 7, 5, 6, seed=1)

    def attention(f: np.ndarray) -> np.ndarray:
        flat = (f**2).mean(1).reshape(len(f), -1)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True)

    expected = ((attention(student.numpy()) - attention(teacher.numpy())) ** 2).mean(1)
    np.testing.assert_allclose(at(student, teacher).numpy(), expected, rtol=1e-10)


def test_attention_is_blind_to_scale_channels_and_their_order():
    student = maps(3, 4, 5, 5)
    assert float(at(3 * student[:, [2, 0, 3, 1]], student).max()) < 1e-24
    doubled = torch.cat([student, student], 1)
    assert float(at(doubled, student).max()) < 1e-24


@pytest.mark.parametrize(("mine", "theirs"), [((8, 8), (4, 4)), ((4, 4), (8, 8))])
def test_larger_map_is_averaged_down(mine, theirs):
    student, teacher = same_size("at", maps(2, 3, *mine), maps(2, 3, *theirs, seed=1))
    assert student.shape == teacher.shape == (2, 3, 4, 4)
    large = maps(2, 3, 8, 8, seed=0 if mine == (8, 8) else 1)
    block = large[:, :, :2, :2].mean((2, 3))
    smaller = student if mine == (8, 8) else teacher
    torch.testing.assert_close(smaller[:, :, 0, 0], block)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (4, 5), (7, 5), (3, 3)])
def test_averaging_equals_torchs_adaptive_pooling(height, width):
    large = maps(2, 3, 7, 5)
    expected = torch.nn.functional.adaptive_avg_pool2d(large, (height, width))
    torch.testing.assert_close(averaged_to(large, height, width), expected)


def test_channel_distributions_match_numpy():
    student, teacher = maps(2, 3, 4, 4), maps(2, 3, 4, 4, seed=1)

    def softmax(f: np.ndarray) -> np.ndarray:
        e = np.exp(f.reshape(2, 3, -1) / 4)
        return e / e.sum(-1, keepdims=True)

    p, q = softmax(teacher.numpy()), softmax(student.numpy())
    expected = 16 * (p * np.log(p / q)).sum(-1).mean(-1)
    np.testing.assert_allclose(cwd(student, teacher).numpy(), expected, rtol=1e-9)
    shifted = teacher + maps(2, 3, 1, 1)  # a constant a channel changes no distribution
    assert float(cwd(shifted, teacher).abs().max()) < 1e-12


@pytest.mark.parametrize("function", [at, cwd])
def test_gradient_flows_to_the_student_alone(function):
    student, teacher = (maps(2, 3, 4, 4, seed=s).requires_grad_() for s in (0, 1))
    assert torch.autograd.gradcheck(lambda s: function(s, teacher.detach()), student)
    function(student, teacher).sum().backward()
    assert teacher.grad is None


def test_extreme_maps_stay_finite_in_float32():
    student = (240 * maps(2, 3, 4, 4)).float().requires_grad_()
    (at(student, student.detach() * -1) + cwd(student, -student.detach())).sum().backward()
    assert torch.isfinite(student.grad).all()


def test_tokens_and_vectors_are_refused():
    with pytest.raises(ShapeMismatch, match=r"at.*\(B, C, H, W\)"):
        at(maps(2, 5), maps(2, 5))
    with pytest.raises(ShapeMismatch, match="projector"):
        cwd(maps(2, 3, 4, 4), maps(2, 4, 4, 4))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 6), (3, 4), (9, 7), (10, 12)])
def test_nearest_equals_torchs_interpolation(height, width):
    given = maps(2, 3, 5, 6)
    expected = torch.nn.functional.interpolate(given, (height, width), mode="nearest")
    assert torch.equal(nearest_to(given, height, width), expected)


def test_an_odd_power_counts_size_and_not_sign():
    student, teacher = maps(3, 4, 5, 6), maps(3, 7, 5, 6, seed=1)
    for power in (1.0, 2.5, 3.0):
        torch.testing.assert_close(
            at(-student, teacher, power=power), at(student, teacher, power=power)
        )
