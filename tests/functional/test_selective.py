"""Risk over coverage: against the definition, in any order of ties, at its ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.functional.selective import (
    area_under_risk_coverage,
    area_under_risk_coverage_from_logits,
)


def rows(count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(count, generator=generator, dtype=torch.float64)
    return confidence, torch.rand(count, generator=generator) < 0.7


def test_is_the_mean_error_rate_of_the_k_surest_over_all_k():
    confidence, correct = rows()
    order = sorted(range(len(confidence)), key=lambda row: -float(confidence[row]))
    right = [bool(correct[row]) for row in order]
    risks = [1 - sum(right[:k]) / k for k in range(1, len(right) + 1)]
    assert area_under_risk_coverage(confidence, correct) == pytest.approx(np.mean(risks))


@pytest.mark.parametrize(
    ("confidence", "right", "expected"),
    [
        ([0.9, 0.8, 0.7, 0.6], [1, 1, 1, 0], 1 / 16),  # the only error is the least sure
        ([0.6, 0.8, 0.7, 0.9], [1, 1, 1, 0], (1 + 1 / 2 + 1 / 3 + 1 / 4) / 4),  # the surest
        ([0.9, 0.5], [1, 1], 0.0),
        ([0.9, 0.5], [0, 0], 1.0),
        ([0.5], [0], 1.0),
        ([0.5, 0.5, 0.5, 0.5], [0, 1, 1, 1], 0.25),  # no order: the error rate
        ([0.9, 0.5, 0.5], [1, 0, 1], (0 + 0.25 + 1 / 3) / 3),
    ],
)
def test_by_hand(confidence, right, expected):
    found = area_under_risk_coverage(torch.tensor(confidence), torch.tensor(right).bool())
    assert found == pytest.approx(expected)


def test_rows_in_any_order_give_the_same_bits_ties_or_not():
    confidence, correct = rows()
    for values in (confidence, (confidence * 5).round()):
        expected = area_under_risk_coverage(values, correct)
        for seed in range(5):
            order = torch.randperm(len(values), generator=torch.Generator().manual_seed(seed))
            assert area_under_risk_coverage(values[order], correct[order]) == expected


def test_only_the_order_of_confidence_counts():
    confidence, correct = rows()
    assert area_under_risk_coverage(confidence**9, correct) == area_under_risk_coverage(
        confidence, correct
    )


def test_raw_scores_are_sorted_by_their_largest_probability():
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(50, 4, generator=generator)
    labels = torch.randint(4, (50,), generator=generator)
    top = logits.double().softmax(1).max(1)
    expected = area_under_risk_coverage(top.values, top.indices == labels)
    assert area_under_risk_coverage_from_logits(logits, labels) == pytest.approx(expected)
    assert area_under_risk_coverage_from_logits(1000 * logits, labels) >= 0.0


@pytest.mark.parametrize(
    ("confidence", "correct", "said"),
    [
        (torch.zeros(0), torch.zeros(0).bool(), "got no row"),
        (torch.zeros(3), torch.zeros(2).bool(), r"\(3,\), correct has \(2,\)"),
        (torch.zeros(3, 2), torch.zeros(3, 2).bool(), r"\(n,\), is needed"),
        (torch.tensor([0.5, float("nan")]), torch.ones(2).bool(), "a confidence is NaN"),
    ],
    ids=["empty", "unequal", "table", "nan"],
)
def test_what_has_no_area_is_refused(confidence, correct, said):
    with pytest.raises(ValueError, match=said):
        area_under_risk_coverage(confidence, correct)
