"""The knobs of a run as the rail shows them: value, range, mark, undo, why nothing can be set."""

from __future__ import annotations

import pytest

from workbench.dashboard.controls import controls
from workbench.recipes import open_experiment
from workbench.runs.frames import Frames
from workbench.runs.history import History
from workbench.runs.launch import accept
from workbench.training.journal import Event

KD = "stages.main.terms.kd"


@pytest.fixture
def run(store) -> str:
    return accept(store, open_experiment("quickstart")[0])


def shown(store, run):
    history = History.load(store, run)
    return controls(history, Frames(history))


def changed(store, run, path, before, after, step=3):
    payload = {"path": path, "before": before, "after": after, "set": {path: after}}
    store.journal.write(run, Event(step, "set", "ada", payload))


def knob(found, path):
    return next(one for one in found["knobs"] if one["path"] == path)


def test_weights_parameters_and_the_rate_have_knobs_in_the_order_of_the_loss(store, run):
    assert [one["path"] for one in shown(store, run)["knobs"]] == [
        f"{KD}.weight",
        f"{KD}.temperature",
        "stages.main.terms.ce.weight",
        "stages.main.optimiser.lr",
    ]


def test_a_changed_knob_has_its_mark_its_start_and_the_way_back(store, run):
    changed(store, run, f"{KD}.temperature", 4.0, 2.0)
    changed(store, run, "stages.main.terms.ce.weight", 0.1, 0.3)
    found = knob(shown(store, run), f"{KD}.temperature")
    assert (found["text"], found["mark"], found["undo"], found["words"]) == ("2", 1, "4.0", "was 4")
    assert found["place"] < found["start"]
    assert knob(shown(store, run), "stages.main.terms.ce.weight")["mark"] == 2
    assert knob(shown(store, run), f"{KD}.weight")["mark"] is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(250000.0, "250000"), (2, "2"), (0.30000000000000004, "0.3"), (1.2345e-7, "1.2345e-07")],
)
def test_a_value_is_written_as_people_type_it_and_loses_no_digit_they_typed(
    store, run, value, text
):
    changed(store, run, f"{KD}.weight", 0.9, value)
    assert knob(shown(store, run), f"{KD}.weight")["text"] == text


def test_the_rate_stands_in_the_middle_of_a_logarithmic_slider(store, run):
    found = knob(shown(store, run), "stages.main.optimiser.lr")
    assert found["log"] and found["place"] == pytest.approx(0.5)
    assert (found["low"], found["high"]) == (pytest.approx(5e-5), pytest.approx(0.5))


def test_a_course_is_told_in_words_and_has_no_slider(store, run):
    ramp = {"use": "linear", "start": 0.9, "end": 0.1}
    changed(store, run, f"{KD}.weight", 0.9, ramp)
    found = knob(shown(store, run), f"{KD}.weight")
    assert found["text"] == "0.9 → 0.1, linear"
    assert found["place"] is None


@pytest.mark.parametrize(
    ("status", "live", "why"),
    [
        ("stopped", False, "has ended"),
        ("failed", False, "has ended"),
        ("interrupted", False, "Resume"),
    ],
)
def test_a_run_that_does_not_train_shows_values_and_why(store, run, status, live, why):
    store.runs.update(run, status=status)
    found = shown(store, run)
    assert found["live"] is live
    assert why in found["why"]
