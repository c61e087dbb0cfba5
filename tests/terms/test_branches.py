"""Branches into the label space by the shape of a tap."""

from __future__ import annotations

import pytest
import torch

from workbench.terms.branches import MapBranch, TokenBranch, VectorBranch, branch


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((4, 8, 8), MapBranch),
        ((4, 1, 1), MapBranch),
        ((4, 7, 5), MapBranch),
        ((17, 8), TokenBranch),
        ((16, 6), TokenBranch),
        ((197, 12), TokenBranch),
        ((15, 7), TokenBranch),
        ((9,), VectorBranch),
    ],
)
@pytest.mark.parametrize("remaining", [0, 1, 3])
@pytest.mark.parametrize("rows", [1, 3])
def test_any_tap_comes_to_logits_and_every_weight_learns(shape, kind, remaining, rows):
    module = branch(shape, 5, remaining=remaining, width=11)
    assert isinstance(module, kind)
    scores = module(torch.randn(rows, *shape, generator=torch.Generator().manual_seed(0)))
    assert scores.shape == (rows, 5)
    scores.logsumexp(-1).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters())


def test_an_earlier_stage_gets_a_deeper_branch():
    for shape in ((4, 8, 8), (17, 8), (9,)):
        sizes = [
            sum(p.numel() for p in branch(shape, 5, remaining=r, width=11).parameters())
            for r in (1, 2, 3)
        ]
        assert sizes == sorted(set(sizes))


def test_a_class_token_is_read_where_there_is_one_and_the_mean_elsewhere():
    """Without blocks and merging, only what is read has a gradient."""
    for length, read in ((17, 1), (16, 16)):
        module = TokenBranch(length, 4, 3, remaining=0)
        module.body = torch.nn.Identity()
        tokens = torch.randn(1, length, 4, requires_grad=True)
        module(tokens).sum().backward()
        assert int((tokens.grad.abs().sum(-1) > 0).sum()) == read


def test_a_fine_grid_is_merged_to_at_most_seven_a_side():
    module = TokenBranch(197, 8, 3, remaining=1)  # 14 x 14 and a class token
    assert module.body[0](torch.randn(1, 197, 8)).shape == (1, 50, 8)
    odd = TokenBranch(226, 8, 3, remaining=1)  # 15 x 15 cannot be halved
    assert odd(torch.randn(1, 226, 8)).shape == (1, 3)
