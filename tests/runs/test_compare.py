"""Numbers are compared bit for bit, in the order of the training, and the first miss is kept."""

from __future__ import annotations

import math

import numpy as np
import pytest

from workbench.runs.compare import Difference, Ledger, Recorded
from workbench.store.metrics import Series, put_block
from workbench.store.store import Store
from workbench.training.journal import Event


@pytest.fixture
def store(tmp_path):
    opened = Store(str(tmp_path / "workbench.db"))
    yield opened
    opened.close()


def put(store: Store, columns, steps, rows, series="train") -> None:
    block = Series(tuple(columns), np.asarray(steps, np.int64), np.asarray(rows, np.float64))
    with store.database.write() as connection:
        put_block(connection, "run", series, block)


def compared(store, columns, steps, rows, role="student") -> Ledger:
    ledger = Ledger()
    Recorded(store, "run", role).compare(
        "train", columns, np.asarray(steps), np.asarray(rows, np.float64), ledger
    )
    return ledger


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (0.1 + 0.2, 0.3, False),
        (1.0, math.nextafter(1.0, 2.0), False),
        (math.nan, math.nan, True),
        (math.nan, 1.0, False),
        (math.inf, math.inf, True),
        (math.inf, -math.inf, False),
        (None, 0.0, False),
        ("a", "a", True),
        ([1.0, 2.0], [1.0, 2.0], True),
    ],
)
def test_equal_is_the_same_bits(one, other, same):
    ledger = Ledger()
    ledger.same(3, "loss", one, other)
    assert (ledger.first is None) is same
    assert (ledger.largest is None) is same
    assert ledger.compared == 1


def test_the_first_difference_and_the_largest_are_kept():
    ledger = Ledger()
    ledger.same(2, "a", 1.0, 1.0)
    ledger.same(3, "a", 1.0, 1.5)
    ledger.same(4, "b", 7.0, 9.0)
    ledger.same(5, "c", 0.0, 0.1)
    assert ledger.first == Difference(3, "a", 1.0, 1.5)
    assert ledger.largest == Difference(4, "b", 7.0, 9.0)
    assert ledger.compared == 4


def test_an_infinite_gap_is_the_largest_and_json_gets_words():
    ledger = Ledger()
    ledger.same(1, "a", 1.0, 100.0)
    ledger.same(2, "b", 1.0, math.nan)
    assert ledger.largest == Difference(2, "b", 1.0, "nan")


def test_each_cell_of_the_rows_both_have_is_compared(store):
    put(store, ["loss", "lr"], [1, 2, 3], [[1, 0.1], [2, 0.1], [3, 0.1]])
    assert compared(store, ["loss", "lr"], [1, 2, 3], [[1, 0.1], [2, 0.1], [3, 0.1]]).compared == 6
    ledger = compared(store, ["loss", "lr"], [1, 2, 3], [[1, 0.1], [2, 0.2], [4, 0.1]])
    assert ledger.first == Difference(2, "train.lr", 0.1, 0.2)
    assert ledger.largest == Difference(3, "train.loss", 3.0, 4.0)


def test_a_row_that_is_missing_among_the_recorded_is_told(store):
    put(store, ["loss"], [1, 3], [[1], [3]])
    assert compared(store, ["loss"], [1, 2, 3], [[1], [2], [3]]).first == Difference(
        2, "train", None, "a row"
    )


def test_rows_beyond_the_last_recorded_one_are_nobodys(store):
    put(store, ["loss"], [1, 2], [[1], [2]])
    ledger = compared(store, ["loss"], [1, 2, 3, 4], [[1], [2], [3], [4]])
    assert (ledger.first, ledger.compared) == (None, 2)


def test_a_column_that_only_one_of_them_has_differs_unless_it_is_nan(store):
    put(store, ["loss", "kd"], [1, 2], [[1, math.nan], [2, 0.5]])
    assert compared(store, ["loss"], [1], [[1]]).first is None
    assert compared(store, ["loss"], [2], [[2]]).first == Difference(2, "train.kd", 0.5, "nan")
    assert compared(store, ["loss", "ce"], [1], [[1, 3]]).first == Difference(
        1, "train.ce", "nan", 3.0
    )


def test_quantities_of_other_parts_carry_their_name(store):
    put(store, ["loss"], [1], [[1]])
    assert compared(store, ["loss"], [1], [[2]], role="control").first.quantity == (
        "control.train.loss"
    )


def test_a_series_that_was_not_recorded_is_not_compared(store):
    assert compared(store, ["loss"], [1], [[2]]).compared == 0


def test_arrays_are_compared_whole_with_their_largest_gap(store):
    recorder = store.recorder("run")
    recorded = {"cka.map": np.array([0.0, 0.5, np.nan]), "ids": np.array([1, 2])}
    recorder.snapshot(4, recorded, {})
    known, ledger = Recorded(store, "run", "student"), Ledger()
    known.compare_arrays(4, recorded, ledger)
    assert (ledger.first, ledger.compared) == (None, 5)
    known.compare_arrays(5, recorded, ledger)  # nothing was recorded there
    assert ledger.compared == 5
    known.compare_arrays(4, {**recorded, "cka.map": np.array([0.25, 1.5, np.nan])}, ledger)
    assert ledger.first == Difference(4, "cka.map", 0.5, 1.5)


@pytest.mark.parametrize("found", [{}, {"ids": np.array([1, 2, 3])}])
def test_an_array_that_is_missing_or_has_another_shape_differs(store, found):
    store.recorder("run").snapshot(4, {"ids": np.array([1, 2])}, {})
    ledger = Ledger()
    Recorded(store, "run", "student").compare_arrays(4, found, ledger)
    assert ledger.first == Difference(4, "ids", [2], None)


def line(step, after, number=0, **more) -> Event:
    payload = {"path": "a.b", "before": 1.0, "after": after, "planned": number, **more}
    return Event(step, "set", "ada", payload)


def test_a_change_is_compared_with_the_journals_line_for_it(store):
    store.journal.write("run", line(3, 2.0))
    store.journal.write("run", line(5, 4.0, teacher="abc"))
    ledger = Ledger()
    known = Recorded(store, "run", "student")
    known.compare_event(line(3, 2.0), ledger)
    known.compare_event(line(5, 4.0, 1, teacher="abc"), ledger)
    assert ledger.first is None
    known.compare_event(line(5, 4.0, 1, teacher="xyz"), ledger)
    assert ledger.first == Difference(5, "journal.a.b.teacher", "abc", "xyz")
    again = Ledger()
    known.compare_event(line(7, 9.0, 2), again)
    assert again.first == Difference(7, "journal", None, "a.b")


def test_what_is_no_change_has_no_line_to_differ_from(store):
    ledger = Ledger()
    Recorded(store, "run", "student").compare_event(Event(3, "pause", "ada"), ledger)
    assert ledger.compared == 0
