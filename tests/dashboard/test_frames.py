"""The five frames of a run that was really trained, against its own stored arrays and result."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from workbench_widgets.frame import VIEWS

from workbench.dashboard import summary
from workbench.dashboard.live import Live, pack, unpack
from workbench.recipes import open_experiment
from workbench.runs.frames import Frames, probe_rows
from workbench.runs.history import History


@pytest.fixture(scope="module")
def history(finished):
    return History.load(finished.store, finished.run)


@pytest.fixture(scope="module")
def last(finished):
    return finished.store.last_snapshot(finished.run)


def test_all_views_of_one_snapshot_show_its_step(history, last):
    frames = Frames(history)
    made = frames.of_snapshot(None)
    assert {view: frame.step for view, frame in made.items()} == {
        view: last.step for view in VIEWS if view != "curves"
    }
    assert frames.curves(None).step == history.row.steps == last.step


def test_a_run_without_probes_says_of_how_many_rows_its_accuracy_is(history, last):
    """Its snapshots hold nothing to count; the protocol knows."""
    bare = replace(last, facts={}, arrays={})
    asked = last.facts["loyalty"]["n"]
    assert (
        probe_rows(history.row, bare)
        == asked
        == probe_rows(replace(history.row, protocol=None), last)
    )
    assert probe_rows(replace(history.row, protocol=None), bare) == 0


def test_similarity_shows_the_stored_cells_and_their_history(history, last):
    frame = Frames(history).of_snapshot(None)["cka"]
    np.testing.assert_array_equal(frame.arrays["unbiased"], last.arrays["cka.unbiased"])
    assert frame.arrays["history"].shape == (
        len(history.steps),
        *last.arrays["cka.unbiased"].shape,
    )
    np.testing.assert_array_equal(frame.arrays["history"][-1], frame.arrays["unbiased"])


def test_loyalty_counts_what_was_gained_and_lost_since_the_first_snapshot(history, finished, last):
    first = finished.store.snapshots(finished.run)[0]
    before = first.arrays["loyalty.student_right"] > 0
    now = last.arrays["loyalty.student_right"] > 0
    text = str(Frames(history).of_snapshot(None)["loyalty"].parts)
    assert f"+{int((now & ~before).sum())}" in text
    assert int(last.arrays["loyalty.table"].sum()) == len(now)


def test_curves_hold_every_logged_step_of_each_term(history, finished):
    frame = Frames(history).curves(None)
    stored = finished.store.metrics.read(finished.run, "train")
    np.testing.assert_array_equal(frame.arrays["term_steps"], stored.steps)
    np.testing.assert_allclose(frame.arrays["terms"][0], stored.column("kd"), rtol=1e-6)
    control = finished.store.metrics.read(f"{finished.run}-control", "probe")
    np.testing.assert_allclose(
        frame.arrays["control_accuracy"], 100 * control.column("accuracy"), rtol=1e-6
    )


def test_the_rail_names_both_models_and_their_accuracy_on_probe(history, last):
    rail = summary.rail(history, Frames(history))
    student, teacher = rail["models"]
    right = last.arrays["loyalty.student_right"].mean()
    assert student["accuracy"] == f"{100 * right:.1f}\u00a0%"
    assert (student["name"], teacher["name"]) == ("cnn-tiny (width 8)", "cnn-small")
    n = len(last.arrays["loyalty.student_right"])
    assert student["of"] == teacher["of"] == f"probe, n = {n}"
    assert rail["journal"][0]["what"] == "Finished"


def test_the_curve_of_a_paused_run_ends_open_and_is_drawn_anew_when_it_pauses(finished):
    live = Live(finished.store, finished.run)
    history = live._history
    drawn = []
    for status in ("training", "paused", "training"):
        history.row = replace(history.row, status=status)
        drawn.append(live._show().views["curves"].packed)
        figure = Frames(history).curves(None).figure()
        (head,) = (one for one in figure.data if one.mode == "markers" and one.marker.size == 8)
        assert (head.marker.color == head.marker.line.color) is (status == "training")
    assert drawn[0] == drawn[2] != drawn[1]


def test_before_the_first_snapshot_every_view_says_what_it_waits_for(store):
    spec, _, _ = open_experiment("quickstart")
    run = store.runs.create(name="a", experiment=spec.given(), options={})
    store.runs.claim(run)
    store.runs.update(run, activity="Training the teacher", progress=0.47)
    shown = Live(store, run).shown
    for view in VIEWS:
        content, _ = unpack(shown.views[view].packed)
        assert content["step"] == -1
        assert content["waiting"] == (
            "Waits for the first snapshot. Now: training the teacher, 40\u00a0%."
        )
    assert shown.parts["rail"]["activity"] == {"text": "Training the teacher", "share": 0.47}


def test_a_view_that_the_experiment_does_not_measure_says_so(store):
    spec, _, _ = open_experiment("quickstart")
    given = spec.replace({"probes": ["loyalty"]}).given()
    run = store.runs.create(name="a", experiment=given, options={})
    store.runs.claim(run)
    views = Live(store, run).shown.views
    assert "does not name cka" in unpack(views["cka"].packed)[0]["waiting"]
    assert "does not name" not in unpack(views["loyalty"].packed)[0]["waiting"]


def test_a_frame_in_one_piece_is_the_frame(history):
    for frame in [*Frames(history).of_snapshot(None).values(), Frames(history).curves(None)]:
        content, buffers = frame.payload()
        told, arrays = unpack(pack(frame))
        assert told == json.loads(json.dumps(content))
        assert arrays == b"".join(buffers)
        assert (len(pack(frame)) - len(arrays)) % 4 == 0


def test_a_run_that_is_not_worked_on_never_waits(store):
    run = store.runs.create(name="a", experiment={"seed": 0}, options={})
    store.runs.update(run, status="stopped")
    content, _ = unpack(Live(store, run).shown.views["cka"].packed)
    assert content["waiting"] == "This run left no snapshot: it is stopped, at step 0."


def test_only_what_changed_is_made_anew(finished):
    live = Live(finished.store, finished.run)
    before = live.shown
    live._looked = 0.0
    assert live.look(stirred=True) is None  # another run may train meanwhile
    name = finished.store.runs.get(finished.run).name
    finished.store.runs.update(finished.run, name="renamed")
    after = live.look(stirred=True)
    finished.store.runs.update(finished.run, name=name)
    assert after is not None
    assert after.parts["top"]["name"] == "renamed"
    assert all(after.views[view] is before.views[view] for view in VIEWS)


@pytest.mark.parametrize(
    ("status", "pid", "shown"),
    [
        ("queued", None, []),
        ("preparing", 1, ["pause", "stop"]),
        ("training", 1, ["pause", "stop", "pace"]),
        ("paused", 1, ["resume", "stop", "pace"]),
        ("stopping", 1, []),
        ("stopped", 1, []),
        ("finished", 1, []),
        ("failed", 1, []),
        ("interrupted", 1, ["resume"]),
    ],
)
def test_a_button_is_shown_only_where_its_command_applies(history, status, pid, shown):

    row = replace(history.row, status=status, pid=pid, step=1)
    assert summary.buttons(row) == [*shown, "fork", "export"]
    waiting = replace(row, started_ns=None)
    assert summary.buttons(waiting) == shown  # nothing to fork or to take away yet
