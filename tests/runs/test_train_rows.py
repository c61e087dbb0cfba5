"""Training rows in the loyalty view: gained and lost since when, and nothing under a selection."""

from __future__ import annotations

import numpy as np

from workbench.runs.train_rows import Learned, with_train_rows
from workbench.store import Snapshot

STEPS = (0, 40, 80)
RIGHT = np.array([[0, 0, 1, 1], [1, 0, 1, 0], [1, 1, 0, 0]], dtype=np.uint8)


def snapshot(place):
    right = RIGHT[place]
    table = np.array([[right.sum(), 0], [4 - right.sum(), 0]])
    arrays = {"loyalty.train_table": table, "loyalty.train_student_right": right}
    return Snapshot(STEPS[place], arrays, {"loyalty": {}})


def shown(**facts):
    learned = [Learned.of(snapshot(place)) for place in range(3)]
    arrays = {"table": np.eye(2), "train_table": np.eye(2), "train_student_right": RIGHT[2]}
    marks = [{"step": 50, "number": 1, "text": "lr"}]
    told = {"n": 4, "train": {"n": 4, "copied": 0}, **facts}
    return with_train_rows(learned, STEPS, marks, arrays, told)


def test_gained_and_lost_are_counted_since_the_start_and_each_mark():
    arrays, facts = shown()
    assert facts["train"]["changes"] == [{"gained": 2, "lost": 2}, {"gained": 1, "lost": 1}]
    assert (facts["train"]["gained"], facts["train"]["lost"]) == (2, 2)
    assert arrays["train_table_history"][:, 0, 0].tolist() == [2, 2, 2]


def test_under_a_selection_of_probe_rows_nothing_of_them_is_told():
    arrays, facts = shown(selected={"n": 2, "of": 4})
    assert list(arrays) == ["table"] and "train" not in facts


def test_a_snapshot_without_training_rows_is_passed_over_and_a_gap_leaves_no_history():
    assert Learned.of(Snapshot(0, {"loyalty.table": np.eye(2)}, {})) is None
    one = [Learned.of(snapshot(2))]
    arrays, facts = with_train_rows(
        one, STEPS, [], {"train_student_right": RIGHT[2]}, {"train": {"n": 4}}
    )
    assert "train_table_history" not in arrays and facts["train"] == {"n": 4}
    assert with_train_rows([], STEPS, [], {"table": 1}, {"n": 4}) == ({"table": 1}, {"n": 4})
