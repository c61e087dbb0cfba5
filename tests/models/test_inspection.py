from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from workbench.errors import BadModel
from workbench.models.inspection import inspect, logits_of, seeded


class ChannelsLast(nn.Module):
    """Convolution, then LayerNorm on the last axis, then back: 8 x 8 with 8 channels, ambiguous."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.LayerNorm(8)
        self.act = nn.GELU()
        self.back = nn.Identity()
        self.head = nn.Linear(8, 3)

    def forward(self, images):
        last = self.act(self.norm(self.stem(images).permute(0, 2, 3, 1)))
        return self.head(self.back(last).mean((1, 2)))


def test_the_axis_of_the_channels_is_found_where_shapes_cannot_tell():
    outputs = inspect(ChannelsLast(), (1, 8, 8)).outputs
    assert {path: output.channels_last for path, output in outputs.items() if path != "head"} == {
        "stem": False, "norm": True, "act": True, "back": True,
    }  # fmt: skip


def test_multiplications_match_torchs_own_counter(build):
    adapter = build("timm/test_coatnet").eval()
    size = adapter.facts.input_size
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        adapter.network(torch.zeros(1, *size))
    assert adapter.facts.macs == counter.get_total_flops() // 2


def test_norms_with_one_value_a_channel_are_found(build):
    network = build("timm/resnet10t").network
    assert "layer4.0.bn2" in inspect(network, (1, 32, 32)).lonely_norms
    assert inspect(network, (1, 64, 64)).lonely_norms == ()


def test_two_heads_of_a_distilled_transformer_count_as_their_mean():
    first, second = torch.tensor([[1.0, 3.0]]), torch.tensor([[3.0, 5.0]])
    assert torch.equal(logits_of((first, second)), torch.tensor([[2.0, 4.0]]))
    with pytest.raises(BadModel, match="gave str, not logits"):
        logits_of("logits")


def test_seeded_draws_are_a_function_of_the_seed_and_leave_no_trace():
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    draws = []
    for _ in range(2):
        with seeded(2**61 + 1):
            draws.append((torch.rand(1).item(), np.random.rand()))
    assert draws[0] == draws[1]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()


def test_a_small_seed_draws_what_torch_draws_and_high_bits_count():
    with seeded(5):
        small = torch.rand(3)
    with seeded(2**61 + 5):
        high = torch.rand(3)
    assert torch.equal(small, torch.rand(3, generator=torch.Generator().manual_seed(5)))
    assert not torch.equal(high, small)
