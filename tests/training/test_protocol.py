"""What a run's protocol says of its numbers: at the last step, at their best, and lately."""

from __future__ import annotations

import json

import numpy as np
import pytest

from workbench.training.grid import grid
from workbench.training.looks import LATELY, numbers_of

COLUMNS = ["accuracy", "nll"]


def curve(steps, seed=0):
    drawn = np.random.default_rng(seed).uniform(0.1, 0.9, (len(steps), 2))
    return np.asarray(steps, np.int64), drawn


def test_last_best_and_mean_of_the_last_looks_are_those_of_the_curve():
    steps, values = curve([*range(0, 241, 4)])
    told = numbers_of(COLUMNS, steps, values, rows=99)
    assert (told["split"], told["n"], told["k"]) == ("probe", 99, LATELY)
    assert told["accuracy"]["last"] == {"value": values[-1, 0], "step": 240}
    best = int(values[:, 0].argmax())
    assert told["accuracy"]["best"] == {
        "value": values[best, 0], "step": int(steps[best]), "optimistic": True
    }  # fmt: skip
    lowest = int(values[:, 1].argmin())
    assert told["nll"]["best"]["step"] == int(steps[lowest])
    on_grid = [place for place, step in enumerate(steps) if step in grid(240)][-LATELY:]
    assert told["k_steps"] == steps[on_grid].tolist() == [160, 180, 200, 220, 240]
    assert told["nll"]["mean_of_last_k"] == pytest.approx(values[on_grid, 1].mean(), rel=1e-15)


def test_looks_between_the_grid_change_neither_the_last_nor_the_mean():
    """They come as the budget of time allows: two equal runs have others."""
    steps, values = curve([*range(0, 241, 4)])
    kept = np.isin(steps, sorted(grid(240)))
    many = numbers_of(COLUMNS, steps, values, rows=9)
    few = numbers_of(COLUMNS, steps[kept], values[kept], rows=9)
    for name in COLUMNS:
        assert many[name]["mean_of_last_k"] == few[name]["mean_of_last_k"]
        assert many[name]["last"] == few[name]["last"]


def test_a_short_curve_says_how_many_looks_it_has_and_an_empty_one_has_no_numbers():
    steps, values = curve([0, 1, 2])
    assert numbers_of(COLUMNS, steps, values, rows=9)["k"] == 3
    empty = numbers_of([], np.zeros(0, np.int64), np.zeros((0, 0)), rows=9)
    assert (empty["k"], empty["steps"]) == (0, [])
    assert "accuracy" not in empty


def test_a_value_that_is_not_finite_is_none_and_never_the_best():
    steps, values = curve([0, 1, 2])
    values[2, 1] = np.nan
    told = numbers_of(COLUMNS, steps, values, rows=9)
    assert told["nll"]["last"]["value"] is None
    assert told["nll"]["mean_of_last_k"] is None
    assert told["nll"]["best"]["step"] in (0, 1)
    values[:, 1] = np.inf
    told = numbers_of(COLUMNS, steps, values, rows=9)
    assert told["nll"] is None
    json.dumps(told, allow_nan=False)


def test_a_runs_protocol_holds_the_numbers_of_student_and_controls(train):
    run = train({"control": True, "plain_kd": True})
    protocol = run.row.protocol
    assert protocol["seeds"] == {"student": 0, "splits": 0, "teacher": 0}
    for part in ("student", "control", "plain_kd"):
        told = protocol["numbers"] if part == "student" else protocol["numbers"][part]
        series = run.series("probe", part)
        accuracy = series.column("accuracy")
        assert told["accuracy"]["last"] == {"value": accuracy[-1], "step": 14}
        assert told["accuracy"]["best"]["value"] == accuracy.max()
        assert told["n"] == protocol["splits"]["probe"]["rows"]
    assert protocol["probes"]["steps"] == run.series("probe").steps.tolist()
    share = protocol["probes"]["share_of_time"]
    assert 0 < share <= 1
    assert run.store.runs.get(run.run).probe_share == share, "the page says the same"
    assert protocol["teacher"]["accuracy"] == run.metrics["teacher"]["accuracy"]
    assert protocol["teacher"]["ece"] == run.metrics["teacher"]["ece"]
    assert protocol["batch_size"] == 32
    assert protocol["plain_kd"] == "same initial weights and data order"
    assert run.row.teacher is not None, "the cache's key, so that nobody throws it away"
    assert run.store.teacher(run.row.teacher).weights == protocol["teacher"]["hash"]
