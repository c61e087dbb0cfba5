"""The reduction of a term's values."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.terms.term import TermValue


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0, 1)), min_size=1, max_size=20))
def test_reduction_is_the_weighted_mean(units):
    values, weights = (np.array(column) for column in zip(*units, strict=True))
    weights = np.where(weights < 1e-3, 0.0, weights)
    found = TermValue(torch.tensor(values), torch.tensor(weights)).reduced()
    total = weights.sum()
    expected = (values * weights).sum() / total if total else 0.0
    np.testing.assert_allclose(found.item(), expected, rtol=1e-9, atol=1e-12)


def test_without_weights_every_unit_counts():
    assert TermValue(torch.tensor([1.0, 2.0, 6.0])).reduced().item() == 3.0
    assert TermValue(torch.tensor(5.0)).reduced().item() == 5.0


def test_a_value_that_does_not_count_may_be_anything():
    value = torch.tensor([1.0, float("nan"), float("inf"), 3.0], requires_grad=True)
    reduced = TermValue(value, torch.tensor([1.0, 0.0, 0.0, 1.0])).reduced()
    assert reduced.item() == 2.0
    reduced.backward()
    assert value.grad.tolist() == [0.5, 0.0, 0.0, 0.5]
