"""The space of a search: what a draw and a mutation may and must do."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from workbench.builders import Block, Space, StageChoices

STAGES = (
    StageChoices(widths=(4, 2, 6), kernels=(3, 1), depths=(2, 1)),
    StageChoices(widths=(8,), kernels=(5,), depths=(3,)),
    StageChoices(widths=(2, 4), kernels=(1, 5), depths=(1,)),
)
SPACE = Space(STAGES)
KEYS = st.integers(0, 2**62 - 1)


def test_size_counts_every_candidate_once():
    candidates = list(SPACE.candidates())
    assert len(candidates) == len(set(candidates)) == SPACE.size == 12 * 1 * 4


def test_smallest_has_the_least_of_every_field():
    assert SPACE.fields(SPACE.smallest()) == {
        "widths": [2, 8, 2],
        "kernels": [1, 5, 1],
        "depths": [1, 3, 1],
    }


def test_a_candidate_is_named_by_its_blocks():
    assert SPACE.blocks[1] == (Block(8, 5, 3),)
    assert SPACE.fields((0, 0, 3)) == {
        "widths": [4, 8, 4],
        "kernels": [3, 5, 5],
        "depths": [2, 3, 1],
    }


def test_random_draws_are_pure_and_reach_all_equally():
    assert SPACE.random(5) == SPACE.random(5)
    counts = Counter(SPACE.random(key) for key in range(4800))
    assert len(counts) == SPACE.size
    # 100 expected each, standard deviation 10
    assert min(counts.values()) > 55
    assert max(counts.values()) < 145


@settings(deadline=None)
@given(key=KEYS, start=KEYS, count=st.integers(1, 2))
def test_a_mutation_changes_exactly_so_many_stages(key, start, count):
    parent = SPACE.random(start)
    child = SPACE.mutate(parent, count, key)
    assert SPACE.holds(child)
    assert sum(a != b for a, b in zip(parent, child, strict=True)) == count
    assert child == SPACE.mutate(parent, count, key)


def test_a_mutation_changes_what_it_can_where_fewer_stages_have_a_choice():
    child = SPACE.mutate((0, 0, 0), 3, 9)
    assert child[1] == 0
    assert child[0] != 0
    assert child[2] != 0
    fixed = Space(STAGES[1:2])
    assert fixed.mutate((0,), 1, 9) == (0,)


def test_mutations_reach_every_other_block_of_every_stage():
    children = {SPACE.mutate((5, 0, 2), 1, key) for key in range(2000)}
    first = {(block, 0, 2) for block in range(12) if block != 5}
    last = {(5, 0, block) for block in range(4) if block != 2}
    assert children == first | last


@pytest.mark.parametrize(
    "entry", [(0, 0), (0, 1, 0), (12, 0, 0), (-1, 0, 0), (0.0, 0, 0), (True, 0, 0), "000", None]
)
def test_what_is_no_candidate_is_known(entry):
    assert SPACE.holds([11, 0, 3])
    assert not SPACE.holds(entry)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"widths": []}, "at least 1 item"),
        ({"widths": [4, 4]}, "each choice may stand there once"),
        ({"widths": [0]}, r"each width must be in 1\.\.512"),
        ({"kernels": [2]}, "Input should be 1, 3 or 5"),
        ({"depths": [9]}, r"each depth must be in 1\.\.8"),
        ({"width": [4]}, "Did you mean 'widths'"),
    ],
)
def test_wrong_choices_are_refused(options, text):
    with pytest.raises(ValidationError, match=text):
        StageChoices.model_validate(options)
