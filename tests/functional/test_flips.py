"""Flips counted class by class, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from workbench.functional.flips import entropy_of, flips_by_class, num_covering, ranked_classes

BEFORE = torch.tensor([True, False, False, True, False, False])
AFTER = torch.tensor([False, True, True, True, False, True])
LABELS = torch.tensor([0, 1, 1, 2, 2, 3])


def test_won_and_lost_are_counted_in_the_class_of_the_label():
    won, lost = flips_by_class(BEFORE, AFTER, LABELS, num_classes=5)
    assert won.tolist() == [0, 2, 0, 1, 0]
    assert lost.tolist() == [1, 0, 0, 0, 0]


def test_swapping_before_and_after_swaps_won_and_lost():
    won, lost = flips_by_class(AFTER, BEFORE, LABELS, num_classes=5)
    assert (won.tolist(), lost.tolist()) == ([1, 0, 0, 0, 0], [0, 2, 0, 1, 0])


def test_classes_without_flips_are_in_no_ranking():
    assert ranked_classes(torch.tensor([0, 2, 0, 5, 2])).tolist() == [3, 1, 4]
    assert ranked_classes(torch.zeros(3, dtype=torch.int64)).tolist() == []


@pytest.mark.parametrize(
    ("share", "count"), [(0.01, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.76, 3), (1.0, 3)]
)
def test_the_fewest_classes_that_hold_a_share(share, count):
    """Of 8 flips: 4, 2 and 2; half of them lie in the first class, exactly."""
    assert num_covering(torch.tensor([2, 0, 4, 2]), share) == count


def test_no_flips_need_no_class_and_a_share_is_a_share():
    assert num_covering(torch.zeros(3, dtype=torch.int64), 0.5) == 0
    for share in (0.0, 1.5, math.nan):
        with pytest.raises(ValueError, match="`share` must lie in"):
            num_covering(torch.ones(3), share)


def test_entropy_is_0_in_one_class_and_ln_k_spread_over_k():
    assert float(entropy_of(torch.tensor([0, 7, 0]))) == 0.0
    assert float(entropy_of(torch.tensor([3, 3, 0, 3]))) == pytest.approx(math.log(3))
