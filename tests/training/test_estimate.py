"""What a run will cost: sums that hold, parts that scale, and what is kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workbench.runs.estimate import (
    before_words,
    estimate_in_fresh_process,
    of_rest,
    size,
    span,
)
from workbench.runs.keeper import StoreKeeper
from workbench.specs.experiment import ExperimentSpec
from workbench.training.before import looked_ahead
from workbench.training.estimate import folder_bytes

SPEC = {
    "name": "priced",
    "data": {"use": "digits", "limit": 400, "labels_per_class": 4},
    "teacher": {"use": "cnn-small", "width": 4, "train": {"steps": 20}},
    "student": {"use": "cnn-tiny", "width": 4},
    "stages": {
        "main": {
            "terms": {"kd": {"use": "kd", "weight": 0.9}, "ce": {"use": "ce", "weight": 0.1}},
            "batch_size": 32,
            "steps": 100,
        }
    },
    "probes": ["loyalty", "balance"],
}


@pytest.fixture
def ahead(store):
    def look(**changes):
        spec = ExperimentSpec.parse({**SPEC, **changes})
        with torch.random.fork_rng(devices=[]):
            return looked_ahead(spec, StoreKeeper(store, ""), base=Path.cwd())["estimate"]

    return look


def test_the_parts_sum_to_the_whole_and_each_is_there(ahead):
    told = ahead(control=True)
    assert set(told["parts"]) == {"prepare", "teacher", "student", "probes", "controls", "test"}
    assert all(seconds > 0 for seconds in told["parts"].values())
    assert told["seconds"] == pytest.approx(sum(told["parts"].values()))
    assert told["parts"]["student"] == pytest.approx(100 * told["step_seconds"])


def test_of_a_fork_only_what_is_left_is_priced(ahead):
    whole = ahead(control=True)
    half, end = of_rest(whole, 50), of_rest(whole, 100)
    parts, left = whole["parts"], half["parts"]
    for name in ("student", "probes"):
        assert left[name] == pytest.approx(parts[name] / 2)
    for name in ("prepare", "teacher", "controls", "test"):  # the control trains from step 0
        assert left[name] == parts[name]
    assert half["seconds"] == pytest.approx(whole["seconds"] - left["student"] - left["probes"])
    assert 0 < whole["snapshot_bytes"] < whole["disk_bytes"]
    saved = whole["disk_bytes"] - half["disk_bytes"]
    assert saved == pytest.approx(whole["snapshot_bytes"] / 2, abs=1)
    assert end["parts"]["student"] == pytest.approx(0, abs=1e-9)
    assert of_rest(whole, 0) == whole
    assert of_rest(None, 50) is None
    assert "search" not in of_rest({**whole, "parts": {**parts, "search": 9.0}}, 50)["parts"]


def test_without_a_control_no_time_is_planned_for_one_and_less_disk(ahead):
    alone, both = ahead(), ahead(control=True)
    assert alone["parts"]["controls"] == 0.0
    assert alone["disk_bytes"] < both["disk_bytes"]


def test_a_stored_teacher_costs_no_training(ahead, plain):
    told = ahead(teacher={"use": f"run:{plain.run}@last"}, allow=["teacher-skill"])
    assert told["parts"]["teacher"] == 0.0


def test_it_trains_and_writes_nothing(ahead, store):
    before = [row.id for row in store.runs.list(roles=("student", "teacher", "control"))]
    files = folder_bytes(store.folder / "teachers") if (store.folder / "teachers").exists() else 0
    ahead(teacher={"use": "cnn-small", "width": 5, "train": {"steps": 20}})
    assert [r.id for r in store.runs.list(roles=("student", "teacher", "control"))] == before
    after = folder_bytes(store.folder / "teachers") if (store.folder / "teachers").exists() else 0
    assert after == files


def test_a_run_keeps_its_estimate_and_how_far_off_it_was(train):
    ended = train({"teacher.train.seed": 5})
    protocol = ended.row.protocol
    told, spent, error = (protocol[key] for key in ("estimate", "spent", "estimate_error"))
    for name in ("seconds", "memory_bytes", "disk_bytes"):
        assert error[name] == pytest.approx(spent[name] / told[name])
    assert spent["seconds"] == pytest.approx(protocol["seconds"])
    assert 0.5 < error["disk_bytes"] < 2.0 and 0.9 < error["memory_bytes"] < 1.5
    assert told["parts"]["teacher"] > 0


def test_a_run_in_slow_motion_is_not_compared_in_time(train, monkeypatch):
    from workbench.training.journal import Event

    ended = train()
    assert "seconds" in ended.row.protocol["estimate_error"]
    keep = StoreKeeper.recorder

    def slowed(self, role):
        recorder = keep(self, role)
        if role == "student" and not any(e.kind == "pace" for e in recorder.events()):
            recorder.event(Event(0, "pace", "someone", {"after": None}))
        return recorder

    monkeypatch.setattr(StoreKeeper, "recorder", slowed)
    assert "seconds" not in train().row.protocol["estimate_error"]


def test_a_fresh_process_tells_the_same_and_refuses_in_the_same_words(store):
    from workbench.errors import BadInput

    told = estimate_in_fresh_process(store, ExperimentSpec.parse(SPEC), Path.cwd())
    assert told["checks"]["found"] == [] and told["estimate"]["seconds"] > 0
    assert before_words(told)[0].startswith("Estimate: ")
    wrong = ExperimentSpec.parse({**SPEC, "allow": ["nothing"]})
    with pytest.raises(BadInput, match="no check 'nothing'"):
        estimate_in_fresh_process(store, wrong, Path.cwd())


@pytest.mark.parametrize(
    ("number", "words", "make"),
    [
        (0.42, "0.4 s", span), (11.2, "11 s", span), (240, "4 min", span), (9000, "2.5 h", span),
        (800_000, "0.8 MiB", size), (786_432_000, "750 MiB", size), (2.5e9, "2.3 GiB", size),
    ],
)  # fmt: skip
def test_words(number, words, make):
    assert make(number) == words
