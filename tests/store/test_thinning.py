"""Which snapshots and checkpoints go first, and which never go."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import BadInput
from workbench.store.thinning import (
    DEFAULT_BUDGET,
    SPREAD,
    VARIABLE,
    Kept,
    run_budget,
    surplus_checkpoints,
    surplus_snapshots,
)
from workbench.training.grid import grid

STEPS = st.sets(st.integers(0, 600), min_size=1, max_size=80)


def after(rows, gone):
    return [row.step for row in rows if row.step not in gone]


@given(steps=STEPS, over=st.integers(-50, 9000), marks=st.sets(st.integers(0, 600), max_size=4))
def test_snapshots_of_the_grid_the_ends_and_beside_a_mark_never_go(steps, over, marks):
    rows = [Kept(step, 100) for step in steps]
    gone = surplus_snapshots(rows, over=over, steps=600, marks=marks)
    left = sorted(after(rows, gone))
    assert len(gone) == len(set(gone))
    assert {min(steps), max(steps)} | (grid(600) & steps) <= set(left)
    for mark in marks:
        assert max((step for step in steps if step <= mark), default=left[0]) in left
        assert min((step for step in steps if step > mark), default=left[0]) in left
    if over <= 0:
        assert gone == []
    elif 100 * len(gone) >= over:
        assert 100 * (len(gone) - 1) < over, "no more goes than must"


def test_what_goes_leaves_an_even_spread():
    rows = [Kept(step, 1) for step in range(1201)]
    gone = surplus_snapshots(rows, over=1201 - 49, steps=1200, marks=[])
    left = after(rows, gone)
    gaps = [b - a for a, b in pairwise(left)]
    assert len(left) == 49
    assert max(gaps) <= 3 * min(gaps)


@given(
    steps=STEPS,
    over=st.integers(0, 9000),
    reasons=st.lists(st.sampled_from(["time", "pause", "asked", "stop"]), min_size=80, max_size=80),
    accuracies=st.lists(st.none() | st.floats(0, 1), min_size=80, max_size=80),
    needed=st.sets(st.integers(0, 600), max_size=3),
)
def test_the_last_the_best_and_the_needed_checkpoint_never_go(
    steps, over, reasons, accuracies, needed
):
    rows = [
        Kept(step, 100, reason, accuracy)
        for step, reason, accuracy in zip(sorted(steps), reasons, accuracies, strict=False)
    ]
    gone = surplus_checkpoints(rows, over=over, needed=needed)
    left = after(rows, gone)
    scored = [row.accuracy for row in rows if row.accuracy is not None]
    assert max(steps) in left
    assert needed & steps <= set(left)
    if scored:
        assert max(scored) in [row.accuracy for row in rows if row.step in left]
    if over == 0:
        timed = [row.step for row in rows if row.reason == "time"]
        assert {row.step for row in rows if row.reason != "time"} <= set(left)
        assert len(set(left) & set(timed)) <= SPREAD + 2 + len(needed)
    elif 100 * len(gone) < over:
        best = 1 if scored else 0
        assert len(left) <= 1 + best + len(needed & steps), "more could go"


def test_checkpoints_by_the_clock_go_before_those_that_somebody_asked_for():
    rows = [Kept(step, 100, "asked" if step % 4 == 0 else "time") for step in range(1, 13)]
    assert surplus_checkpoints(rows) == [1]
    gone = surplus_checkpoints(rows, over=700)
    assert {rows[step - 1].reason for step in gone} == {"time"}
    gone = surplus_checkpoints(rows, over=1000)
    assert {rows[step - 1].reason for step in gone[-2:]} == {"time", "asked"}
    assert len(gone) == 10


@pytest.mark.parametrize(
    ("text", "size"),
    [("", DEFAULT_BUDGET), ("1000", 1000), ("1.5GiB", 3 << 29), ("20 mb", 20_000_000)],
)
def test_the_budget_is_a_size_in_the_environment(monkeypatch, text, size):
    monkeypatch.setenv(VARIABLE, text)
    assert run_budget() == size


@pytest.mark.parametrize("text", ["much", "-5", "3 parsecs", "1e3"])
def test_a_budget_that_is_no_size_is_refused_with_a_way_out(monkeypatch, text):
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(BadInput, match=r"WORKBENCH_RUN_BUDGET=.* is no size. Write bytes, or"):
        run_budget()
