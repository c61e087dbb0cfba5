"""Which path may change when, and what a planned change must look like."""

from __future__ import annotations

import pytest

from workbench.errors import InvalidExperiment
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.interventions import Intervention, get_path, reach

SMALL = {
    "name": "small",
    "data": "digits",
    "teacher": {"use": "cnn-small", "train": {"epochs": 1}},
    "student": "cnn-tiny",
    "stages": {"main": {"terms": {"kd": {"use": "kd"}, "ce": {"use": "ce"}}, "epochs": 1}},
}


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("stages.main.terms.kd.weight", "live"),
        ("stages.main.terms.kd.use", "live"),
        ("stages.main.terms.hint", "live"),
        ("stages.main.terms", "start"),
        ("stages.main.optimiser.lr", "live"),
        ("stages.main.optimiser.weight_decay", "live"),
        ("stages.main.optimiser.use", "fork"),
        ("stages.main.optimiser", "fork"),
        ("stages.main.schedule", "live"),
        ("stages.main.schedule.use", "live"),
        ("stages.main.freeze", "live"),
        ("stages.main.rows.classes", "live"),
        ("stages.main.target.share", "live"),
        ("teacher", "live"),
        ("teacher.width", "live"),
        ("stages.main.batch_size", "fork"),
        ("stages.main.epochs", "fork"),
        ("stages.main.steps", "fork"),
        ("data.augment", "fork"),
        ("data.labels_per_class", "fork"),
        ("data.split_seed", "start"),
        ("data", "start"),
        ("student", "start"),
        ("seed", "start"),
        ("stages", "start"),
        ("stages.main", "start"),
        ("probes", "start"),
        ("device", "start"),
        ("interventions", "start"),
        ("name", "aside"),
        ("control", "aside"),
    ],
)
def test_when_a_path_may_change(path, kept):
    assert reach(path) == kept


def test_a_plan_comes_back_from_yaml_data_as_it_was_given():
    plan = [
        {"step": 3, "set": {"stages.main.terms.kd.weight": 0.5}, "who": "ada", "note": "why"},
        {"step": 3, "set": {"stages.main.freeze": ["stage1"]}},
    ]
    spec = ExperimentSpec.parse({**SMALL, "interventions": plan})
    assert spec.given()["interventions"] == plan
    assert ExperimentSpec.parse(spec.given()) == spec
    assert [item.who for item in spec.interventions] == ["ada", "plan"]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"step": -1, "set": {"a": 1}}, "must be ≥ 0"),
        ({"step": 1.5, "set": {"a": 1}}, "must be a whole number"),
        ({"step": 1, "set": {}}, "must have at least 1 entry"),
        ({"step": 1, "set": {"": 1}}, "needs dotted paths, not ''"),
        ({"step": 1, "set": {"a..b": 1}}, r"needs dotted paths, not 'a\.\.b'"),
        ({"step": 1, "set": {"a": 1}, "note": "x" * 2001}, "at most 2000 characters"),
        ({"step": 1, "set": {"a": 1}, "by": "ada"}, "no such field"),
    ],
)
def test_a_plan_that_is_none_is_refused(item, words):
    with pytest.raises(InvalidExperiment, match=words):
        ExperimentSpec.parse({**SMALL, "interventions": [item]})


def test_a_value_at_a_path_is_found_or_is_none():
    data = {"a": {"b": [1], "c": None}, "d": "word"}
    assert get_path(data, "a.b") == [1]
    assert get_path(data, "a.c") is None
    assert get_path(data, "a.x") is get_path(data, "d.e") is get_path(data, "x") is None


def test_an_intervention_does_not_change():
    with pytest.raises(Exception, match="frozen"):
        Intervention(step=1, set={"a": 1}).step = 2
