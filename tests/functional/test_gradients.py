"""Conflicting gradients: what is left never works against the main one."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import ShapeMismatch
from workbench.functional.gradients import aligned


def test_a_worked_conflict():
    main, other = torch.tensor([2.0, 0.0]), torch.tensor([-1.0, 3.0])
    assert aligned(main, other).tolist() == [2, 3]  # the part along -main is gone


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 8))
def test_progress_on_the_main_loss_is_never_slowed(seed, size):
    generator = torch.Generator().manual_seed(seed)
    main, other = torch.randn(2, size, generator=generator, dtype=torch.float64)
    merged = aligned(main, other)
    assert float(merged @ main) >= float(main @ main) - 1e-9
    if float(main @ other) >= 0:
        torch.testing.assert_close(merged, main + other)


def test_without_a_main_gradient_the_other_passes():
    other = torch.tensor([-1.0, 3.0])
    assert torch.equal(aligned(torch.zeros(2), other), other)
    with pytest.raises(ShapeMismatch, match="same parameters"):
        aligned(torch.zeros(3), other)
