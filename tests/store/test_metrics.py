"""Metrics in blocks: what goes in comes out, bit for bit, quickly, while others write."""

from __future__ import annotations

import itertools
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.store.metrics import BLOCK_STEPS, MetricWriter
from workbench.store.store import Store


def write(store: Store, run: str, first: int, last: int, *, columns=("loss",), chunk=16) -> None:
    """Rows first..last in commits of ``chunk``; column i of step s holds s + i / 10."""
    writer = MetricWriter(store.database, run)
    append(writer, first, last, columns=columns, chunk=chunk)


def append(writer: MetricWriter, first: int, last: int, *, columns=("loss",), chunk=16) -> None:
    for start in range(first, last + 1, chunk):
        steps = np.arange(start, min(start + chunk, last + 1))
        writer.append("train", columns, steps, expected(steps, len(columns)))


def expected(steps: np.ndarray, width: int) -> np.ndarray:
    return steps[:, None] + np.arange(width) / 10


def test_every_bit_of_a_float_comes_back_nan_and_infinity_too(store, run):
    odd = np.array([[np.nan, np.inf, -np.inf, -0.0, 5e-324, 1 / 3]])
    MetricWriter(store.database, run).append("train", list("abcdef"), np.array([1]), odd)
    found = store.metrics.read(run, "train")
    assert found.values.tobytes() == odd.tobytes()
    assert found.columns == tuple("abcdef")


def test_rows_come_back_in_order_across_many_blocks(store, run):
    write(store, run, 1, 3 * BLOCK_STEPS + 7, columns=("loss", "kd"))
    found = store.metrics.read(run, "train")
    assert found.steps.tolist() == list(range(1, 3 * BLOCK_STEPS + 8))
    np.testing.assert_array_equal(found.values, expected(found.steps, 2))
    np.testing.assert_array_equal(found.column("kd"), found.steps + 0.1)


def test_a_block_holds_512_steps_in_one_row(store, run):
    write(store, run, 1, 2 * BLOCK_STEPS)
    with store.database.read() as connection:
        counts = connection.exec_driver_sql("select count from blocks order by first_step").all()
    assert [count for (count,) in counts] == [BLOCK_STEPS, BLOCK_STEPS]


@pytest.mark.parametrize("after", [-1, 0, 5, 511, 512, 513, 600, 700, 5000])
def test_reading_after_a_step_gives_the_rest_only(store, run, after):
    write(store, run, 1, 700)
    assert store.metrics.read(run, "train", after=after).steps.tolist() == [
        *range(max(after + 1, 1), 701)
    ]


@pytest.mark.parametrize("step", [0, 1, 37, 511, 512, 513, 699, 700, 900])
def test_dropping_cuts_a_block_where_the_step_falls_and_writing_goes_on(store, run, step):
    write(store, run, 1, 700)
    store.metrics.drop_after(run, step)
    kept = min(step, 700)
    assert store.metrics.last_step(run, "train") == (kept if kept else -1)
    write(store, run, kept + 1, 720)
    found = store.metrics.read(run, "train")
    assert found.steps.tolist() == list(range(1, 721))
    np.testing.assert_array_equal(found.values, expected(found.steps, 1))


def test_dropping_leaves_other_runs_alone(store, run):
    other = store.runs.create(name="other", experiment={}, options={})
    write(store, run, 1, 20)
    write(store, other, 1, 20)
    store.metrics.drop_after(run, 5)
    assert store.metrics.last_step(other, "train") == 20


def test_a_column_that_comes_later_is_nan_before(store, run):
    writer = MetricWriter(store.database, run)
    append(writer, 1, 3, columns=("loss",))
    append(writer, 4, 6, columns=("loss", "hint"))
    found = store.metrics.read(run, "train")
    assert found.columns == ("loss", "hint")
    assert np.isnan(found.column("hint")).tolist() == [True] * 3 + [False] * 3
    np.testing.assert_array_equal(found.column("loss"), found.steps)


def test_writing_a_block_twice_is_writing_it_once(store, run):
    """A retry after a commit that was never acknowledged."""
    write(store, run, 1, 40)
    write(store, run, 1, 40)
    assert store.metrics.read(run, "train").steps.tolist() == list(range(1, 41))


def test_an_empty_series_has_no_rows_and_no_columns(store, run):
    found = store.metrics.read(run, "nothing")
    assert (len(found.steps), found.columns, store.metrics.last_step(run, "nothing")) == (0, (), -1)


@settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.lists(st.integers(1, 300), min_size=1, max_size=8), st.data())
def test_any_sequence_of_commits_and_cuts_reads_back_as_one_series(store, sizes, data):
    run = store.runs.create(name="x", experiment={}, options={})
    writer, step, model = MetricWriter(store.database, run), 0, []
    for size in sizes:
        steps = np.arange(step + 1, step + size + 1)
        writer.append("train", ["v"], steps, steps[:, None] * 0.5)
        model += steps.tolist()
        step += size
        if data.draw(st.booleans()):
            step = data.draw(st.integers(0, step))
            store.metrics.drop_after(run, step)
            writer.forget()
            model = model[:step]
    found = store.metrics.read(run, "train")
    assert found.steps.tolist() == model
    np.testing.assert_array_equal(found.values.ravel(), np.asarray(model, float) * 0.5)


def test_a_million_points_are_read_within_a_second(store, run):
    steps = np.arange(1, 125_001)
    values = np.random.default_rng(0).normal(size=(len(steps), 8))
    writer = MetricWriter(store.database, run)
    for start in range(0, len(steps), BLOCK_STEPS):
        part = slice(start, start + BLOCK_STEPS)
        writer.append("train", list("abcdefgh"), steps[part], values[part])
    begun = time.process_time()  # not by the clock: others may have the processor meanwhile
    found = store.metrics.read(run, "train")
    spent = time.process_time() - begun
    assert found.values.size == 1_000_000
    np.testing.assert_array_equal(found.values, values)
    assert spent < 1.0


def test_a_reader_never_sees_half_a_commit(store, run):
    """The writer's rows hold step and 2 x step: whatever is read is whole, gapless, in order."""
    seen, done = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    def keep_writing() -> None:
        try:
            writer = MetricWriter(store.database, run)
            for step in itertools.count(1, 3):
                if step > 600 and seen.is_set():
                    return
                steps = np.arange(step, step + 3)
                writer.append(
                    "train", ["a", "b"], steps, np.column_stack([steps, 2 * steps]),
                    row_fields={"step": int(steps[-1])},
                )  # fmt: skip
        except BaseException as error:
            failures.append(error)
        finally:
            done.set()

    other = Store(str(store.path))
    thread = threading.Thread(target=keep_writing)
    thread.start()
    lengths: set[int] = set()
    while not done.is_set():
        row = other.runs.get(run)
        found = other.metrics.read(run, "train")
        lengths.add(len(found.steps))
        if len(lengths) > 20:
            seen.set()
        assert found.steps.tolist() == list(range(1, len(found.steps) + 1))
        assert len(found.steps) % 3 == 0
        assert len(found.steps) >= row.step, "the row is ahead of its metrics"
        if len(found.steps):
            np.testing.assert_array_equal(found.column("b"), 2 * found.column("a"))
    thread.join()
    other.close()
    assert failures == []
    assert len(lengths) > 20, "it read while the other wrote"
