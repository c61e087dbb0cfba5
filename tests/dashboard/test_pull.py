"""The rail's words on the terms' pull, the checks and the cost, against the stored run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from workbench.dashboard import summary, wording
from workbench.dashboard.pull import checks, cost, directions, pull, pull_over_training, ratios
from workbench.runs.frames import Frames
from workbench.runs.history import History


@pytest.fixture(scope="module")
def history(finished):
    return History.load(finished.store, finished.run)


def test_a_bar_has_the_stored_share_in_the_colour_of_what_its_term_pulls_towards(history):
    rail = summary.rail(history, Frames(history))
    bars = rail["pull"]["bars"]
    shares = history.latest.arrays["balance.share"]
    assert [bar["share"] for bar in bars] == shares.tolist()
    assert [(bar["name"], bar["colour"], bar["hatched"]) for bar in bars] == [
        ("KD", "teacher", False),
        ("CE", "truth", True),
    ]
    assert (
        bars[0]["text"]
        .replace("\u2009", "")
        .replace("\u202f", "")
        .startswith(f"{round(100 * shares[0])}")
    )
    footer = rail["pull"]["footer"]
    assert "n = 64 training samples, 32 with a label" in footer
    assert footer.endswith(f"step {history.latest.step}")


def test_directions_are_told_in_words_with_their_cosine():
    cosines = np.array([[1.0, 0.73, -0.31], [0.73, 1.0, 0.1], [-0.31, 0.1, 1.0]])
    assert directions(["kd", "ce"], cosines[:2, :2]) == "Directions: KD and CE agree, cos 0.73"
    assert directions(["kd", "ce", "hint"], cosines) == (
        "Directions: KD and CE agree, cos 0.73; KD and HINT conflict, cos −0.31; "
        "CE and HINT are independent, cos 0.10"
    )
    four = np.eye(4)
    four[1, 3] = four[3, 1] = -0.5
    told = directions(["a", "b", "c", "d"], four)
    assert told == "Most opposed: B and D, conflict, cos −0.50"
    assert directions(["kd", "ce"], np.full((2, 2), np.nan)) == ""


def test_two_terms_with_one_target_differ_by_hatch(history):
    facts = {**history.latest.facts["balance"], "terms": ["kd", "kd"]}
    latest = replace(history.latest, facts={**history.latest.facts, "balance": facts})
    told = pull(replace(history, latest=latest), Frames(history).spec, None)
    assert [bar["hatched"] for bar in told["bars"]] == [False, True]


def test_without_a_snapshot_it_says_what_it_waits_for(history):
    empty = replace(history, latest=None)
    spec = Frames(history).spec
    assert pull(empty, spec, "Waits for the first snapshot.")["waits"] == (
        "Waits for the first snapshot."
    )
    less = spec.replace({"probes": ["cka"]})
    assert pull(empty, less, "Waits.")["waits"].startswith("Not measured: `probes`")


def test_a_term_without_a_gradient_has_no_number(history):
    arrays = {**history.latest.arrays, "balance.share": np.array([np.nan, np.nan])}
    latest = replace(history.latest, arrays=arrays)
    told = pull(replace(history, latest=latest), Frames(history).spec, None)
    assert [(bar["share"], bar["text"]) for bar in told["bars"]] == [(0.0, "no pull")] * 2


def test_the_journal_counts_the_checks_that_passed(history):
    lines = wording.journal(history.events)
    assert lines[-1]["what"] == "Started, 13 checks passed"


def test_findings_are_shown_stops_first(history):
    found = [
        {"check": "share", "severity": "warn", "subject": "terms.ce", "message": "hardly counts"},
        {"check": "tap", "severity": "stop", "subject": "student", "message": "constant"},
    ]
    row = replace(history.row, protocol={"checks": {"passed": [], "found": found}})
    assert [item["text"] for item in checks(row)] == [
        "student: constant",
        "terms.ce: hardly counts",
    ]
    assert checks(history.row) == []


def test_cost_is_told_as_estimated_and_then_as_taken(history):
    estimate = {"seconds": 11.0, "memory_bytes": 750 * 2**20, "disk_bytes": 2**20}
    row = replace(history.row, protocol={"estimate": estimate})
    assert cost(row) == [
        ["time", "about 11 s"], ["memory", "about 750 MiB"], ["disk", "about 1.0 MiB"]
    ]  # fmt: skip
    ended = replace(row, protocol={"estimate": estimate, "spent": {"seconds": 14.2}})
    assert cost(ended)[0] == ["time", "14 s, estimated 11 s"]
    assert {name for name, _ in cost(history.row)} == {"time", "memory", "disk"}


def test_time_left_comes_from_the_estimate_before_the_speed_is_known(history):
    estimate = {"parts": {"student": 90.0, "probes": 10.0}}
    row = replace(
        history.row, status="training", step=0, steps=100, rate=None, started_ns=10**9,
        protocol={"estimate": estimate},
    )  # fmt: skip
    assert wording.time_left(row, 2.0) == "about 2 min left"
    assert wording.time_left(replace(row, protocol=None), 2.0) == ""


def test_the_time_of_a_run_in_slow_motion_is_named_as_that_of_full_speed(history):
    told = {"seconds": 3.5, "memory_bytes": 5e8, "disk_bytes": 6e5}
    slow = replace(history.row, pace=0.08, protocol={"estimate": told})
    assert dict(cost(slow))["time"].endswith(" at full speed")
    assert "full speed" not in dict(cost(replace(slow, pace=None)))["time"]


def test_the_ratio_of_a_mix_is_told_where_the_teacher_is_right_and_where_it_is_wrong(history):
    told = {"fuse": {"mean": 0.421, "right": [0.604, 1170], "wrong": [0.051, 81]}}
    latest = replace(history.latest, facts={**history.latest.facts, "ratio": {"terms": told}})
    assert ratios(latest) == (
        "FUSE's ratio: mean 0.42, 0.60 where the teacher is right (n = 1\u2009170), "
        "0.05 where it is wrong (n = 81)"
    )
    told["fuse"]["wrong"] = [None, 0]
    assert ratios(latest).endswith("0.60 where the teacher is right (n = 1\u2009170)")
    assert ratios(history.latest) == ratios(None) == ""
    shown = pull(replace(history, latest=latest), Frames(history).spec, None)
    assert shown["ratio"] == ratios(latest)


def test_norms_and_cosines_over_training_are_those_of_the_snapshots(history):
    told = pull_over_training(history, Frames(history).spec)
    assert told["steps"][0] == 0 and told["steps"][-1] == history.latest.step
    assert [line["name"] for line in told["norms"]] == ["KD", "CE"]
    norms = history.latest.arrays["balance.norm"]
    for line, norm in zip(told["norms"], norms, strict=True):
        assert len(line["values"]) == len(told["steps"])
        assert line["values"][-1] == pytest.approx(float(norm), rel=6e-3)
    (pair,) = told["cosines"]
    assert pair["name"] == "KD and CE"
    cosine = float(history.latest.arrays["balance.cosine"][0, 1])
    assert pair["values"][-1] == pytest.approx(cosine, rel=6e-3, abs=1e-3)


def test_a_term_that_came_later_has_no_line_before_and_long_runs_are_thinned(history):
    one, two = np.array([1.0]), np.array([2.0, 3.0])
    looks = [(step, ["kd"], one, np.eye(1)) for step in range(100)]
    looks += [(step, ["kd", "hint"], two, np.eye(2)) for step in range(100, 200)]
    told = pull_over_training(replace(history, pulls=looks), None)
    assert len(told["steps"]) <= 60 and told["steps"][-1] == 199
    kd, hint = told["norms"]
    assert None not in kd["values"]
    assert [value is None for value in hint["values"]] == [step < 100 for step in told["steps"]]
    assert pull_over_training(replace(history, pulls=looks[:1]), None) is None


def test_who_listens_hears_step_and_accuracy_while_a_run_trains(history):
    assert summary.top(history)["spoken"] == ""  # it has ended
    half = replace(history.row, status="training", step=7, steps=1200)
    told = summary.top(replace(history, row=half), per_epoch=4)
    assert told["spoken"] == (
        f"Step 7 of 1200, accuracy {100 * history.student_accuracy:.1f} percent"
    )
    assert told["epoch"] == "epoch 1.8 / 300"


def test_an_experiment_that_cannot_be_read_says_why(history):
    broken = replace(history.row, experiment={**history.row.experiment, "modules": ["not_here"]})
    read = replace(history, row=broken)
    rail = summary.rail(read, Frames(read))
    assert rail["controls"] is None and "not_here" in rail["unread"]
    assert summary.rail(history, Frames(history))["unread"] == ""
