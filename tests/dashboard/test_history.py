"""What is read of a run is what the store holds, also after a resume has rewritten its end."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import UnknownRun
from workbench.runs.history import History, decimate
from workbench.training.journal import Event


@pytest.fixture
def run(store):
    made = store.runs.create(name="a", experiment={"seed": 0}, options={})
    store.runs.claim(made)
    return made


def arrays(step: int) -> dict[str, np.ndarray]:
    return {
        "cka.unbiased": np.full((2, 3), step / 10, np.float32),
        "loyalty.table": np.array([[step, 1], [2, 3]]),
        "loyalty.student_right": np.array([1, 0, 1], np.uint8),
        "trilateral.teacher_right": np.array([1, 1, 1, 0], np.uint8),
    }


def write(recorder, steps):
    numbers = np.asarray(steps, np.int64)
    values = np.column_stack([numbers * 1.0, numbers * 2.0])
    recorder.metrics("train", ["loss", "kd"], numbers, values, step=int(numbers[-1]))


def test_an_unknown_run_is_refused_with_the_nearest_name(store, run):
    with pytest.raises(UnknownRun, match=f"Did you mean '{run}'"):
        History.load(store, run[:-1])


def test_each_look_adds_what_is_new(store, run):
    recorder = store.recorder(run, token=store.runs.claim(run))
    recorder.snapshot(0, arrays(0), {"loyalty": {"n": 3}})
    write(recorder, range(1, 6))
    history = History.load(store, run)
    assert (history.steps, len(history.train.steps)) == ([0], 5)
    recorder.snapshot(5, arrays(5), {"loyalty": {"n": 3}})
    write(recorder, range(6, 601))
    history.refresh(store)
    assert history.steps == [0, 5]
    np.testing.assert_array_equal(history.train.steps, np.arange(1, 601))
    np.testing.assert_array_equal(history.train.column("kd"), 2.0 * np.arange(1, 601))
    assert [float(cells[0, 0]) for cells in history.similarity] == [0.0, 0.5]


def test_after_a_resume_nothing_of_the_rewritten_end_is_left(store, run):
    recorder = store.recorder(run, token=store.runs.claim(run))
    for step in (0, 10, 20):
        recorder.snapshot(step, arrays(step), {})
    write(recorder, range(1, 21))
    history = History.load(store, run)
    recorder.drop_metrics_after(10)
    recorder.event(Event(10, "resumed", "worker"))
    write(recorder, range(11, 15))
    recorder.snapshot(14, arrays(14), {})
    history.refresh(store)
    assert history.steps == [0, 10, 14]
    np.testing.assert_array_equal(history.train.steps, np.arange(1, 15))


def test_the_teachers_accuracy_is_that_of_the_probe_rows(store, run):
    store.runs.update(run, protocol={"teacher": {"probe": {"accuracy": 0.5}}})
    history = History.load(store, run)
    assert history.teacher_accuracy == 0.5
    store.recorder(run).snapshot(0, arrays(0), {})
    history.refresh(store)
    assert history.teacher_accuracy == 0.75


@pytest.mark.parametrize("total", [10, 2000, 2001, 50_000])
def test_thinning_keeps_both_ends_and_the_extremes(total):
    rng = np.random.default_rng(0)
    steps, values = np.arange(1, total + 1), rng.normal(size=(total, 2))
    peak = total // 3
    values[peak, 0] = 100.0
    values[peak + 1, 1] = -100.0
    kept_steps, kept_values = decimate(steps, values, 2000)
    assert len(kept_steps) == min(total, len(kept_steps)) <= 2000
    assert (kept_steps[0], kept_steps[-1]) == (1, total)
    assert (np.diff(kept_steps) > 0).all()
    np.testing.assert_array_equal(kept_values, values[kept_steps - 1])
    assert kept_values[:, 0].max() == 100.0
    np.testing.assert_array_equal(kept_values.min(axis=0), values.min(axis=0))
    np.testing.assert_array_equal(kept_values.max(axis=0), values.max(axis=0))


def test_thinning_keeps_a_spike_of_the_second_term_in_each_bucket():
    """A term that blows up for one step must be seen, whichever is drawn first."""
    steps, values = np.arange(40_000), np.ones((40_000, 3))
    spikes = np.arange(50, 40_000, 400)
    values[spikes, 1] = 9.0
    values[:100, 2] = np.nan
    kept_steps, kept_values = decimate(steps, values, 2000)
    assert len(kept_steps) <= 2000
    assert set(spikes) <= set(kept_steps)
    assert np.isnan(kept_values[0, 2]), "a gap stays a gap"
