"""Fusions: shapes on any grids, what reaches what, and the gates at their limits."""

from __future__ import annotations

import pytest
import torch

from workbench.functional.features import hcl
from workbench.terms.fusion import (
    ChannelGate,
    EmbeddingAssistant,
    Fusion,
    GlobalLocalMixer,
    PositionGate,
    context_loss,
)

STUDENT = [(3, 8, 6), (4, 4, 3), (5, 1, 1)]
TEACHER = [(7, 16, 12), (6, 4, 3), (9, 2, 2)]


def maps(shapes, *, seed=0, rows=2):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, *shape, generator=generator).requires_grad_() for shape in shapes]


@pytest.mark.parametrize("gate", ["position", "channel"])
@pytest.mark.parametrize("rows", [1, 2])
def test_a_guess_has_the_shape_of_the_teachers_map(gate, rows):
    guesses = Fusion(STUDENT, TEACHER, gate=gate)(maps(STUDENT, rows=rows))
    assert [tuple(guess.shape) for guess in guesses] == [(rows, *shape) for shape in TEACHER]
    assert all(torch.isfinite(guess).all() for guess in guesses)


@pytest.mark.parametrize("gate", ["position", "channel"])
def test_a_stage_sees_itself_and_deeper_ones_only(gate):
    """Review: knowledge flows from deep to shallow."""
    module = Fusion(STUDENT, TEACHER, gate=gate)
    for stage in range(3):
        given = maps(STUDENT)
        module(given)[stage].square().sum().backward()
        reached = [each.grad is not None for each in given]
        assert reached == [False] * stage + [True] * (3 - stage)


def test_fused_maps_have_the_deepest_width_up_to_512_or_what_is_asked_for():
    assert Fusion(STUDENT, TEACHER, gate="position").steps[0].conv1[0].out_channels == 5
    wide = [(3, 2, 2), (600, 1, 1)]
    assert Fusion(wide, wide, gate="position").steps[0].conv1[0].out_channels == 512
    asked = Fusion(STUDENT, TEACHER, gate="channel", middle=64)
    assert asked.steps[0].conv1[0].out_channels == 64


def test_a_position_gate_weighs_each_map_by_its_own_sigmoid():
    gate = PositionGate(2)
    own, below = torch.ones(1, 2, 2, 2), 2 * torch.ones(1, 2, 2, 2)
    with torch.no_grad():
        gate.att_conv.weight.zero_()
        gate.att_conv.bias.copy_(torch.tensor([100.0, -100.0]))
    assert torch.equal(gate(own, below), own)
    with torch.no_grad():
        gate.att_conv.bias.copy_(torch.tensor([100.0, 100.0]))  # two sigmoids, no softmax
    assert torch.equal(gate(own, below), own + below)


def test_a_channel_gate_shares_each_channel_between_the_two():
    gate = ChannelGate(2)
    own, below = torch.ones(2, 2, 2, 2), 3 * torch.ones(2, 2, 2, 2)
    with torch.no_grad():
        for branch, bias in zip(gate.fcs, ([100.0, 0.0], [-100.0, 0.0]), strict=True):
            branch.weight.zero_()
            branch.bias.copy_(torch.tensor(bias))
    mixed = gate(own, below)
    assert torch.equal(mixed[:, 0], own[:, 0])
    torch.testing.assert_close(mixed[:, 1], 2 * torch.ones(2, 2, 2))


def test_the_loss_is_the_sum_over_stages_of_each_sample():
    guesses, wanted = maps(TEACHER), maps(TEACHER, seed=1)
    found = context_loss(guesses, wanted)
    assert found.shape == (2,)
    torch.testing.assert_close(found, sum(hcl(a, b) for a, b in zip(guesses, wanted, strict=True)))


def test_a_mixer_starts_from_weights_of_1_and_not_from_memory():
    mixer = GlobalLocalMixer(8)
    assert (mixer.global_weight.item(), mixer.local_weight.item()) == (1.0, 1.0)
    tokens = torch.randn(2, 5, 8)
    with torch.no_grad():
        mixer.local_weight.zero_()
    assert torch.equal(mixer(tokens), mixer.attention(tokens))


@pytest.mark.parametrize(("size", "stride", "side"), [(7, 4, 8), (3, 2, 16)])
def test_an_assistant_embeds_on_its_own_grid(size, stride, side):
    tokens = EmbeddingAssistant(3, 5, size=size, stride=stride)(torch.randn(2, 3, 32, 32))
    assert tokens.shape == (2, side * side, 5)
