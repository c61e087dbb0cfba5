"""Building blocks against torch's own layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from workbench.terms.blocks import (
    BatchNorm,
    PatchMerging,
    SelfAttention,
    TransformerBlock,
    heads_for,
    separable,
)


def test_the_norm_is_torchs_wherever_torch_has_one():
    maps = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    ours, torchs = BatchNorm(3), nn.BatchNorm2d(3)
    assert torch.equal(ours(maps), torchs(maps))
    assert torch.equal(ours.running_mean, torchs.running_mean)
    assert torch.equal(ours.eval()(maps[:1]), torchs.eval()(maps[:1]))


def test_a_single_value_a_channel_is_normed_by_what_was_seen_before():
    norm, one = BatchNorm(3), torch.tensor([2.0, -1.0, 0.5]).view(1, 3, 1, 1)
    with pytest.raises(ValueError, match="more than 1 value"):
        nn.BatchNorm2d(3)(one)
    norm.running_mean.fill_(0.5)
    norm.running_var.fill_(4.0)
    before = norm.running_mean.clone()
    torch.testing.assert_close(norm(one), (one - 0.5) / 2, rtol=1e-4, atol=1e-4)
    assert torch.equal(norm.running_mean, before)


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_is_torchs_multi_head_attention(heads):
    ours = SelfAttention(8, heads)
    torchs = nn.MultiheadAttention(8, heads, batch_first=True)
    with torch.no_grad():
        torchs.in_proj_weight.copy_(ours.qkv.weight)
        torchs.in_proj_bias.zero_()
        torchs.out_proj.weight.copy_(ours.proj.weight)
        torchs.out_proj.bias.copy_(ours.proj.bias)
    tokens = torch.randn(3, 5, 8)
    torch.testing.assert_close(
        ours(tokens), torchs(tokens, tokens, tokens)[0], rtol=1e-4, atol=1e-5
    )


def test_a_block_adds_to_its_input_and_mixes_tokens():
    block = TransformerBlock(8, 2)
    tokens = torch.randn(2, 5, 8, requires_grad=True)
    out = block(tokens)
    assert out.shape == tokens.shape
    out[:, 0].sum().backward()
    assert torch.count_nonzero(tokens.grad[:, 1:]) > 0
    with torch.no_grad():
        for name, parameter in block.named_parameters():
            if name.startswith(("attn.proj", "mlp.2")):
                parameter.zero_()
    assert torch.equal(block(tokens), tokens)


def test_merging_takes_neighbours_together_and_leaves_leading_tokens():
    merging = PatchMerging(3, 4, prefix=2)
    tokens = torch.randn(2, 2 + 16, 3)
    merged = merging(tokens)
    assert merged.shape == (2, 2 + 4, 3)
    assert torch.equal(merged[:, :2], tokens[:, :2])
    changed = tokens.clone()
    changed[:, 2 + 5] += 1.0  # row 1, column 1: the first of the four
    different = (merging(changed) != merged).any(-1).any(0)
    assert different.tolist() == [False, False, True, False, False, False]


def test_a_separable_block_halves_the_map():
    assert separable(4, 10)(torch.randn(2, 4, 9, 8)).shape == (2, 10, 5, 4)


@pytest.mark.parametrize(("width", "heads"), [(8, 4), (6, 3), (10, 2), (7, 1), (1, 1)])
def test_heads_divide_the_width(width, heads):
    assert heads_for(width) == heads
