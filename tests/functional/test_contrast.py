"""Contrastive losses against loops, chance levels and invariances."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from workbench.errors import ShapeMismatch
from workbench.functional.contrast import (
    counted_contrast,
    info_nce,
    memory_scores,
    moved_rows,
    noise_contrast,
    nt_xent,
    remembered,
)


def pair(n: int = 5, width: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, n, width, generator=generator, dtype=torch.float64)
    return first, second


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_info_nce_matches_a_loop():
    student, teacher = pair()
    s, t = unit(student.numpy()), unit(teacher.numpy())
    expected = np.mean(
        [-s[i] @ t[i] / 0.2 + math.log(sum(math.exp(s[i] @ v / 0.2) for v in t)) for i in range(5)]
    )
    assert float(info_nce(student, teacher, temperature=0.2)) == pytest.approx(expected)


def test_nt_xent_matches_a_loop():
    first, second = pair()
    rows = unit(torch.cat([first, second]).numpy())
    total = 0.0
    for i in range(10):
        others = sum(math.exp(rows[i] @ rows[j] / 0.3) for j in range(10) if j != i)
        total += math.log(others) - rows[i] @ rows[(i + 5) % 10] / 0.3
    assert float(nt_xent(first, second)) == pytest.approx(total / 10)
    assert float(nt_xent(second, first)) == pytest.approx(total / 10)


def test_chance_is_the_logarithm_of_the_candidates():
    same = torch.ones(6, 3)
    assert float(info_nce(same, same)) == pytest.approx(math.log(6))
    assert float(nt_xent(same, same)) == pytest.approx(math.log(11))


def test_scale_changes_nothing_and_the_right_partner_costs_nothing():
    student, teacher = pair()
    torch.testing.assert_close(info_nce(9 * student, 0.1 * teacher), info_nce(student, teacher))
    apart = 10 * torch.eye(4)
    assert float(info_nce(apart, apart, temperature=0.02)) == pytest.approx(0, abs=1e-6)


def test_only_info_nce_keeps_the_gradient_from_its_second_argument():
    student, teacher = (x.requires_grad_() for x in pair())
    assert torch.autograd.gradcheck(lambda s: info_nce(s, teacher.detach()), student)
    info_nce(student, teacher).backward()
    assert teacher.grad is None
    nt_xent(student, teacher).backward()
    assert teacher.grad is not None


def test_bad_input_is_refused():
    student, teacher = pair()
    with pytest.raises(ShapeMismatch, match="one width"):
        info_nce(student, teacher[:, :3])
    with pytest.raises(ValueError, match=r"`temperature` must be > 0, got 0.*0\.1 to 1"):
        nt_xent(student, teacher, temperature=0)


def test_noise_contrast_is_the_likelihood_of_knowing_data_from_noise():
    scores = torch.tensor([[3.0, 0.2, 0.7], [0.5, 2.0, 0.1]], dtype=torch.float64)
    noise = 2 / 50
    expected = -(scores[:, 0] / (scores[:, 0] + noise)).log()
    expected -= (noise / (scores[:, 1:] + noise)).log().sum(1)
    torch.testing.assert_close(noise_contrast(scores, 50), expected, rtol=1e-5, atol=0)


def test_memory_scores_are_exponentials_of_the_remembered_products():
    bank = torch.nn.functional.normalize(pair(6)[0], dim=1)
    rows = torch.nn.functional.normalize(pair(2)[1], dim=1)
    index = torch.tensor([[0, 3, 5], [4, 1, 2]])
    actual = memory_scores(rows, bank, index, temperature=0.5)
    for i in range(2):
        for j in range(3):
            product = float(rows[i] @ bank[index[i, j]])
            assert float(actual[i, j]) == pytest.approx(math.exp(product / 0.5))


def test_memory_moves_only_the_batch_and_keeps_its_norm():
    bank = torch.nn.functional.normalize(pair(6)[0], dim=1)
    rows = torch.nn.functional.normalize(pair(2)[1], dim=1)
    moved = remembered(bank, torch.tensor([4, 1]), rows)
    assert torch.equal(moved[[0, 2, 3, 5]], bank[[0, 2, 3, 5]])
    torch.testing.assert_close(moved.norm(dim=1), torch.ones(6, dtype=torch.float64))
    assert float(moved[4] @ rows[0]) > float(bank[4] @ rows[0])


def test_opposite_rows_move_to_zero_and_not_to_nan():
    row = torch.tensor([[0.6, 0.8]])
    assert torch.equal(moved_rows(row, -row), torch.zeros(1, 2))
    torch.testing.assert_close(
        moved_rows(row, torch.tensor([[0.8, 0.6]])).norm(), torch.tensor(1.0)
    )


def test_counting_draws_is_the_same_as_listing_them():
    generator = torch.Generator().manual_seed(0)
    scores = torch.rand(4, 7, generator=generator, dtype=torch.float64) + 0.1
    drawn = torch.randint(1, 7, (4, 20), generator=generator)
    listed = torch.cat([scores[:, :1], scores.gather(1, drawn)], dim=1)
    counts = torch.stack([torch.bincount(row - 1, minlength=6) for row in drawn])
    torch.testing.assert_close(
        counted_contrast(scores[:, 0], scores[:, 1:], counts, 20, 50), noise_contrast(listed, 50)
    )
