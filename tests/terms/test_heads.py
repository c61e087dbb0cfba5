"""Second heads and the discriminator."""

from __future__ import annotations

import math

import pytest
import torch

from workbench.terms.heads import (
    Discriminator,
    SecondHead,
    discrimination_loss,
    gradient_reversed,
)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("rows", [1, 4])
def test_a_second_head_scores_any_batch(kind, rows):
    scores = SecondHead(6, 5, kind)(torch.randn(rows, 6))
    assert scores.shape == (rows, 5)
    assert torch.isfinite(scores).all()


def test_the_published_widths_of_a_thousand_classes_and_no_layer_of_one_unit():
    wide = Discriminator(1000)
    assert [layer.out_features for layer in (wide.conv1, wide.conv2, wide.conv3)] == [125, 15, 2]
    small = Discriminator(10)
    assert [layer.out_features for layer in (small.conv1, small.conv2, small.conv3)] == [4, 4, 2]


def test_the_loss_is_low_for_a_judge_that_knows_and_ln_2_for_one_that_guesses():
    scores = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    for judge, expected in (
        (lambda x: 200 * x - 100, 0.0),
        (torch.zeros_like, math.log(2)),
        (lambda x: 100 - 200 * x, 100.0),
    ):
        assert float(discrimination_loss(judge, *scores)) == pytest.approx(expected, abs=1e-6)


def test_a_discriminator_learns_to_tell_two_networks_apart():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Discriminator(6)
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(64, 6, generator=generator)
    teacher = torch.randn(64, 6, generator=generator) + 2
    optimiser = torch.optim.Adam(module.parameters(), lr=0.02)
    losses = []
    for _ in range(150):
        optimiser.zero_grad()
        loss = discrimination_loss(module, student, teacher).mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.75 * losses[0]


def test_a_reversed_gradient_keeps_the_value():
    value = torch.tensor([1.0, -2.0], requires_grad=True)
    turned = gradient_reversed(value)
    assert torch.equal(turned.detach(), value.detach())
    (turned * torch.tensor([3.0, 5.0])).sum().backward()
    assert value.grad.tolist() == [-3.0, -5.0]
