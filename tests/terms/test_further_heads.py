"""DHKD's second head and MEAL V2's discriminator as terms."""

from __future__ import annotations

import pytest
import torch

from workbench.functional.binary import binary_kl_norm
from workbench.functional.soft_targets import soft_ce
from workbench.models.taps import Taps
from workbench.terms.heads import discrimination_loss


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_dhkd_spares_the_first_head(head, wire, example):
    wired = wire("dhkd", head=head)
    wired(example.student, example.teacher, example.batch).reduced().backward()
    assert example.student["logits"].grad is None
    assert torch.count_nonzero(example.student["stage2"].grad) > 0
    assert all(p.grad is not None for p in wired.term.module.parameters())


def test_dhkd_is_its_loss_of_a_linear_head_on_pooled_features(wire, example):
    wired = wire("dhkd", temperature=3.0)
    layer = wired.term.module.layers[0]
    scores = example.student["stage2"].mean((2, 3)) @ layer.weight.T + layer.bias
    expected = binary_kl_norm(scores, example.teacher["logits"], temperature=3.0)
    found = wired(example.student, example.teacher, example.batch).value
    torch.testing.assert_close(found, expected)


def test_meal_is_soft_cross_entropy_plus_the_discriminator(wire, example):
    wired = wire("meal-v2", discrimination=0.5)
    found = wired(example.student, example.teacher, example.batch)
    own, their = example.student["logits"], example.teacher["logits"]
    imitation = soft_ce(own, their.softmax(-1))
    apart = discrimination_loss(wired.term.module, own, their)
    torch.testing.assert_close(found.value, imitation + 0.5 * apart)
    torch.testing.assert_close(found.log["imitation"], imitation.detach())
    torch.testing.assert_close(found.log["told_apart"], apart.detach())


def test_an_adversarial_student_gets_the_opposite_of_the_discriminators_gradient(wire, example):
    """Without imitation the two gradients of the student cancel; the judge's are the same."""
    grads, judges = [], []
    for adversarial in (False, True):
        wired = wire("meal-v2", adversarial=adversarial)
        own = example.student["logits"].detach().clone().requires_grad_()
        alone = Taps({"logits": own})
        value = wired(alone, example.teacher, example.batch)
        imitation = soft_ce(own, example.teacher["logits"].softmax(-1))
        (value.reduced() - imitation.mean()).backward()
        grads.append(own.grad)
        judges.append([p.grad for p in wired.term.module.parameters()])
    assert torch.count_nonzero(grads[0]) > 0
    torch.testing.assert_close(grads[0], -grads[1], rtol=1e-3, atol=1e-6)
    for one, other in zip(*judges, strict=True):
        torch.testing.assert_close(one, other)
