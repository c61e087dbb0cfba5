"""The list of settable paths is complete, bounded as the file is, and what it lists can be set."""

from __future__ import annotations

import json

import pytest

from workbench.errors import InvalidExperiment, RefusedCommand
from workbench.registries import TERMS
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.interventions import get_path, reach
from workbench.specs.knobs import check_interventions, knobs, steered

from ..examples import term_data
from .test_interventions import SMALL

MAIN = "stages.main"
SPEC = ExperimentSpec.parse(SMALL)


def with_terms(**terms):
    return SPEC.replace({f"{MAIN}.terms": terms})


def test_each_knob_says_value_bounds_kind_and_help():
    found = knobs(SPEC)
    weight, temperature = found[f"{MAIN}.terms.kd.weight"], found[f"{MAIN}.terms.kd.temperature"]
    assert (weight.value, weight.min, weight.max, weight.kind) == (1.0, 0.0, 1e6, "number")
    assert (temperature.min, temperature.open, temperature.value) == (0.0, True, 4.0)
    decay = found[f"{MAIN}.optimiser.weight_decay"]
    assert (decay.value, decay.min, decay.max) == (0.01, 0, 10)
    assert found[f"{MAIN}.optimiser.beta1"].max == 1
    assert found[f"{MAIN}.rows.labels"].choices == ("all", "visible", "withheld")
    assert "cosine" in found[f"{MAIN}.schedule.use"].choices
    assert found[f"{MAIN}.freeze"].kind == "list"
    assert (found["teacher"].kind, found["teacher"].value["use"]) == ("model", "cnn-small")
    assert all(knob.help for knob in found.values())


@pytest.mark.parametrize("name", sorted(TERMS.names()))
def test_every_term_lists_its_weight_and_each_live_parameter(name):
    found = knobs(with_terms(one=term_data(name), ce={"use": "ce"}))
    for parameter in ("weight", *getattr(TERMS.get(name), "live", ())):
        knob = found[f"{MAIN}.terms.one.{parameter}"]
        assert knob.kind == "number" and knob.value is not None


def test_what_is_listed_is_live_and_takes_its_own_value_back():
    spec = SPEC.replace({f"{MAIN}.terms.hint": {"use": "hint"}, f"{MAIN}.rows.classes": ["3"]})
    plain = spec.full()
    for path, knob in knobs(spec).items():
        assert reach(path) == "live", path
        assert steered(spec, path, knob.value, run="r", step=3).full() == plain, path


def test_just_inside_the_bounds_is_taken_and_just_outside_is_refused_with_the_bound_named():
    for path, knob in knobs(SPEC).items():
        if knob.kind != "number":
            continue
        for bound, outside in ((knob.min, -1), (knob.max, 1)):
            if bound is None:
                continue
            wrong = bound + outside * max(1e-6, abs(bound) * 1e-6)
            with pytest.raises(InvalidExperiment, match=path.rpartition(".")[2]):
                steered(SPEC, path, wrong, run="r", step=3)
        if knob.min is not None:
            inside = knob.min + 1e-6
            changed = steered(SPEC, path, inside, run="r", step=3)
            assert get_path(changed.full(), path) == inside


def test_the_list_is_json():
    found = {path: knob.plain() for path, knob in knobs(SPEC).items()}
    again = json.loads(json.dumps(found, allow_nan=False))
    assert set(again) == set(found)


def test_an_option_of_what_was_chosen_by_default_can_be_set():
    changed = SPEC.replace({f"{MAIN}.optimiser.lr": 0.02, "teacher.train.optimiser.lr": 0.03})
    assert (changed.stage.optimiser.use, changed.stage.optimiser.lr) == ("adamw", 0.02)
    assert changed.teacher.train.optimiser.given() == {"use": "adamw", "lr": 0.03}
    assert SPEC.stage.optimiser.lr == 0.005


def test_a_schedule_of_a_number_is_a_value_like_any_other():
    ramp = {"use": "linear", "start": 1.0, "end": 0.0}
    changed = steered(SPEC, f"{MAIN}.terms.kd.weight", ramp, run="r", step=3)
    knob = knobs(changed)[f"{MAIN}.terms.kd.weight"]
    assert {key: knob.value[key] for key in ramp} == ramp
    with pytest.raises(InvalidExperiment, match="must be ≥ 0"):
        steered(SPEC, f"{MAIN}.terms.kd.weight", {**ramp, "end": -1}, run="r", step=3)


@pytest.mark.parametrize(
    ("path", "value", "at"),
    [
        (f"{MAIN}.batch_size", 8, 7),
        (f"{MAIN}.epochs", 3, 7),
        (f"{MAIN}.optimiser.use", "sgd", 7),
        ("data.augment", "shift", 7),
        ("name", "other", 7),
        ("control", True, 7),
        ("seed", 3, 0),
        ("student", "mlp", 0),
    ],
)
def test_what_cannot_change_in_place_offers_the_fork_that_can(path, value, at):
    with pytest.raises(RefusedCommand) as refused:
        steered(SPEC, path, value, run="small-123", step=7)
    assert f"workbench fork small-123 --at {at} --set {path}={value}" in str(refused.value)
    assert f"`{path}` cannot change while it trains" in str(refused.value)


def test_the_words_stay_short_whatever_was_given():
    with pytest.raises(RefusedCommand) as refused:
        steered(SPEC, "name", "x" * 200, run="r", step=7)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ([{"step": 4, "set": {"seed": 1}}], r"interventions\.0\.set: seed cannot change"),
        ([{"step": 0, "set": {"name": "x"}}], r"interventions\.0\.set: name cannot change"),
        (
            [
                {"step": 4, "set": {f"{MAIN}.freeze": []}},
                {"step": 3, "set": {f"{MAIN}.freeze": []}},
            ],
            r"interventions\.1\.step: must not lie before the entry above \(got 3\)",
        ),
        (
            [{"step": 4, "set": {f"{MAIN}.terms.kd.temperature": 0}}],
            r"interventions\.0\.set: .*temperature.*must be > 0",
        ),
        (
            [{"step": 4, "set": {f"{MAIN}.terms.kd.tau": 1}}],
            r"interventions\.0\.set: .*no such field",
        ),
    ],
)
def test_a_plan_that_could_not_be_carried_out_is_refused_at_the_start(plan, words):
    with pytest.raises(InvalidExperiment, match=words):
        check_interventions(SPEC.replace({"interventions": plan}))


def test_all_that_is_wrong_with_a_plan_is_told_at_once():
    plan = [{"step": 4, "set": {"seed": 1}}, {"step": 3, "set": {"student": "mlp"}}]
    with pytest.raises(InvalidExperiment) as refused:
        check_interventions(SPEC.replace({"interventions": plan}))
    assert len(refused.value.problems) == 3


def test_a_later_entry_is_read_with_the_ones_before_it_applied():
    plan = [
        {"step": 2, "set": {f"{MAIN}.terms.hint": {"use": "hint"}}},
        {"step": 4, "set": {f"{MAIN}.terms.hint.student_tap": "stage1"}},
        {"step": 4, "set": {f"{MAIN}.batch_size": 8}},
    ]
    check_interventions(SPEC.replace({"interventions": plan}))
