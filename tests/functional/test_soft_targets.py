"""Losses against a given soft target, and who gets to give it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special

from workbench.errors import ShapeMismatch
from workbench.functional.logits import ce
from workbench.functional.soft_targets import (
    jeffreys,
    mean_teacher_probs,
    most_trusted,
    past_target,
    soft_ce,
    squared_probs,
)


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    student, teacher = 3 * torch.randn(2, 5, 7, generator=generator, dtype=torch.float64)
    return student, teacher


def test_soft_ce_is_entropy_plus_divergence(pair):
    student, teacher = pair
    target = teacher.softmax(1)
    p, q = target.numpy(), student.softmax(1).numpy()
    expected = special.entr(p).sum(1) + special.rel_entr(p, q).sum(1)
    np.testing.assert_allclose(soft_ce(student, target).numpy(), expected, rtol=1e-10)


def test_soft_ce_of_a_one_hot_is_ce(pair):
    labels = torch.tensor([0, 6, 3, 2, 2])
    one_hot = torch.nn.functional.one_hot(labels, 7).double()
    torch.testing.assert_close(soft_ce(pair[0], one_hot), ce(pair[0], labels))


def test_jeffreys_is_symmetric_and_half_of_both_divergences(pair):
    student, teacher = pair
    q, p = student.softmax(1).numpy(), teacher.softmax(1).numpy()
    expected = (special.rel_entr(p, q) + special.rel_entr(q, p)).sum(1) / 2
    np.testing.assert_allclose(jeffreys(student, teacher, floor=0.0).numpy(), expected, rtol=1e-9)
    torch.testing.assert_close(jeffreys(student, teacher), jeffreys(teacher, student))


def test_jeffreys_floor_bounds_the_loss_of_opposite_certainties():
    certain = torch.tensor([[240.0, 0.0], [0.0, 240.0]], requires_grad=True)
    value = jeffreys(certain, certain.detach().flip(0))
    value.sum().backward()
    torch.testing.assert_close(value.detach(), torch.full((2,), -np.log(1e-12)).float())
    assert torch.isfinite(certain.grad).all()
    assert float(jeffreys(certain, certain.detach().flip(0), floor=0.0).detach()[0]) == 240


def test_squared_probs_is_brier_over_classes(pair):
    student, teacher = pair
    gap = student.softmax(1) - teacher.softmax(1)
    torch.testing.assert_close(squared_probs(student, teacher.softmax(1)), gap.square().mean(1))


def test_teachers_are_averaged_in_probability_not_in_score():
    teachers = torch.tensor([[[9.0, 0.0]], [[0.0, 9.0]]])
    torch.testing.assert_close(mean_teacher_probs(teachers), torch.full((1, 2), 0.5))


def test_the_surer_of_the_label_is_trusted_and_the_student_wins_ties():
    student = torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
    teacher = torch.tensor([[3.0, 0.0], [3.0, 0.0], [1.0, 1.0]])
    networks = torch.stack([student, teacher])
    assert most_trusted(networks, torch.tensor([0, 1, 0])).tolist() == [1, 0, 0]
    assert most_trusted(networks).tolist() == [1, 1, 0]  # unsupervised: the surer of anything


@pytest.mark.parametrize("function", [soft_ce, jeffreys, squared_probs])
def test_target_gets_no_gradient_and_other_labels_are_refused(pair, function):
    student, teacher = (x.requires_grad_() for x in pair)
    target = teacher if function is jeffreys else teacher.softmax(1)
    function(student, target).sum().backward()
    assert student.grad is not None and teacher.grad is None
    with pytest.raises(ShapeMismatch, match="Same label set"):
        function(student, target[:, :6])


def test_the_past_is_mixed_with_the_truth_and_alone_where_it_is_withheld():
    past = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]], dtype=torch.float64)
    mixed = past_target(torch.tensor([2, -1]), past, share=0.4)
    expected = torch.tensor([[0.2, 0.1, 0.7], [0.1, 0.2, 0.7]], dtype=torch.float64)
    torch.testing.assert_close(mixed, expected)
    torch.testing.assert_close(mixed.sum(1), torch.ones(2, dtype=torch.float64))
