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
from workbench.runs.frames import Frames
from workbench.runs.history import History
from workbench.training.card import caption


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


def test_the_result_is_the_one_on_test_with_its_difference_in_points(history):
    card = summary.result(history)
    metrics = history.row.result["metrics"]
    rows = {name: values for name, *values in card["rows"]}
    assert card["title"] == "Result"
    assert rows["test accuracy, %"] == [
        f"{100 * metrics[who]['accuracy']:.1f}" for who in ("student", "teacher", "control")
    ]
    gap = 100 * (metrics["student"]["accuracy"] - metrics["control"]["accuracy"])
    assert f"{abs(gap):.1f} percentage points" in card["notes"][0]
    assert "One seed" in card["notes"][0]


def test_the_result_stands_on_its_protocol(history):
    rows = history.row.protocol["splits"]["test"]["rows"]
    footer = summary.result(history)["footer"]
    assert footer == caption(history.row.protocol)
    assert footer.startswith(f"test, n = {rows}, last step; seed 0; teacher ")


def test_the_result_tells_what_all_seeds_of_its_group_say(history):
    told = {"mean": 0.0521, "sd": 0.01, "n": 5, "interval": [-0.002, 0.1064], "why": None}
    for difference, words in (
        (told, "Over 5 seeds: mean +5.2, 95 % interval \u22120.2 to +10.6."),
        ({**told, "n": 2, "interval": None, "why": "2 seeds: too few"}, "2 seeds: too few."),
        ({**told, "n": 1}, "One seed: run more"),
    ):
        card = summary.result(replace(history, over_seeds={"difference": {"accuracy": difference}}))
        assert words in card["notes"][0]


def test_a_second_control_has_a_column_of_its_own(history):
    metrics = history.row.result["metrics"]
    result = {**history.row.result, "metrics": {**metrics, "plain_kd": metrics["student"]}}
    card = summary.result(replace(history, row=replace(history.row, result=result)))
    assert card["columns"] == ["student", "teacher", "control", "plain KD"]
    assert all(values[3] == values[0] for _, *values in card["rows"])


def test_the_rail_names_both_models_and_their_accuracy_on_probe(history, last):
    rail = summary.rail(history, Frames(history))
    student, teacher = rail["models"]
    right = last.arrays["loyalty.student_right"].mean()
    assert student["accuracy"] == f"{100 * right:.1f}\u00a0%"
    assert (student["name"], teacher["name"]) == ("cnn-tiny (width 8)", "cnn-small")
    assert rail["journal"][0]["what"] == "Finished"


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
    from dataclasses import replace

    row = replace(history.row, status=status, pid=pid, step=1)
    assert summary.buttons(row) == [*shown, "fork", "export"]
    waiting = replace(row, started_ns=None)
    assert summary.buttons(waiting) == shown  # nothing to fork or to take away yet


def test_a_failure_shows_cause_code_and_last_good_step(store):
    run = store.runs.create(name="a", experiment={"seed": 0}, options={})
    store.runs.update(
        run,
        status="failed",
        step=612,
        error={"code": "WB201", "message": "kd became NaN.", "last_good_step": 600},
    )
    notice = Live(store, run).shown.parts["notice"]
    assert notice["kind"] == "bad"
    assert notice["head"] == "Failed at step 612: kd became NaN."
    assert notice["text"] == "Last good checkpoint: step 600; steps lost: 12."
    assert notice["code"] == "WB201"
