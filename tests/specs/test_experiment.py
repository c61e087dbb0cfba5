"""The experiment as data: the fixed example, its identity through YAML, changes by path, diff."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import BadInput, InvalidExperiment
from workbench.registries import TERMS as TERM_REGISTRY
from workbench.specs.experiment import ExperimentSpec, set_path
from workbench.specs.files import dump_yaml, parse_yaml

from ..examples import term_data

FIXED = """
name: my-first
task: classification
data: {use: digits, labels_per_class: 10}      # splits train, val, test, probe, meta
teacher: {use: cnn-small, train: {epochs: 20}}  # trained first, once, cached by content hash
student: {use: cnn-tiny}
stages:
  main:
    terms:
      kd: {use: kd, weight: 0.9, temperature: 4.0}
      ce: {use: ce, weight: 0.1}
    optimiser: {use: sgd, lr: 0.05, momentum: 0.9, weight_decay: 0.0005}
    schedule: {use: cosine}
    batch_size: 64
    epochs: 20
probes: [cka, trilateral, calibration, loyalty]
seed: 0
device: auto
control: true
"""
TERMS = "stages.main.terms"


@pytest.fixture
def data() -> dict[str, Any]:
    return parse_yaml(FIXED, source="the example")


@pytest.fixture
def spec(data) -> ExperimentSpec:
    return ExperimentSpec.parse(data)


def problems(data: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidExperiment) as caught:
        ExperimentSpec.parse(data)
    return caught.value.problems


def changed(data: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The data with values at paths changed."""
    for path, value in changes.items():
        set_path(data, path, value)
    return data


# Identity


def test_the_fixed_example_loads_and_saves_back_to_the_same_data(data, spec):
    text = dump_yaml(spec.given())
    assert yaml.safe_load(text) == data
    assert ExperimentSpec.parse(parse_yaml(text, source="again")) == spec


def test_the_fixed_example_means_what_it_says(spec):
    assert spec.data.labels_per_class == 10
    assert spec.teacher.train.epochs == 20
    assert spec.stage.optimiser.lr == 0.05
    assert spec.stage.terms["kd"].temperature == 4.0
    assert spec.stage_name == "main"
    assert spec.control is True


NUMBERS = st.floats(0, 1e3, allow_nan=False).map(lambda value: round(value, 6))
VALUES = st.one_of(
    NUMBERS,
    st.fixed_dictionaries(
        {"use": st.sampled_from(["linear", "cosine", "step"]), "start": NUMBERS, "end": NUMBERS},
        optional={"begin": st.just(0.25), "until": st.just(0.75)},
    ),
    st.just({"import": "my.module:ramp"}),
)
KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
ANY_TERM = st.one_of(
    st.sampled_from(["kd", "ce", "cka", "hint", "dist"]),
    st.fixed_dictionaries({"use": st.just("kd"), "weight": VALUES}),
    st.fixed_dictionaries(
        {"use": st.just("hint")}, optional={"student_tap": st.text("ab.1", min_size=1)}
    ),
)
MODELS = st.one_of(
    st.sampled_from(["cnn-tiny", "cnn-small", "mlp", "timm/resnet18", "run:a-b2@best", "path:x/y"]),
    st.fixed_dictionaries(
        {"use": st.just("mlp"), "hidden": st.lists(st.integers(1, 64), min_size=1, max_size=3)}
    ),
)
EXPERIMENTS = st.fixed_dictionaries(
    {
        "name": st.text(min_size=1, max_size=40).filter(lambda text: "\x00" not in text),
        "data": st.one_of(
            st.just("digits"),
            st.fixed_dictionaries({"use": st.just("digits"), "limit": st.integers(2, 9)}),
        ),
        "teacher": MODELS,
        "student": MODELS,
        "stages": st.dictionaries(
            KEYS,
            st.fixed_dictionaries(
                {
                    "terms": st.dictionaries(KEYS, ANY_TERM, min_size=1, max_size=3),
                    "steps": st.integers(1, 10**9),
                },
                optional={
                    "optimiser": st.fixed_dictionaries({"use": st.just("adamw"), "lr": VALUES}),
                    "schedule": st.sampled_from(["constant", "cosine", "one-cycle"]),
                },
            ),
            min_size=1,
            max_size=1,
        ),
    },
    optional={
        "probes": st.lists(st.sampled_from(["cka", "loyalty"]), max_size=2),
        "seed": st.integers(0, 2**63 - 1),
        "device": st.sampled_from(["auto", "cpu", "cuda:1"]),
        "control": st.one_of(st.booleans(), st.just({"data.augment": "none"})),
    },
)  # fmt: skip


@settings(max_examples=60, deadline=None, derandomize=True)
@given(EXPERIMENTS)
def test_yaml_to_experiment_to_yaml_is_the_identity(given_data):
    spec = ExperimentSpec.parse(given_data)
    saved = dump_yaml(spec.given())
    assert parse_yaml(saved, source="saved") == given_data
    assert ExperimentSpec.parse(parse_yaml(saved, source="saved")) == spec


@pytest.mark.parametrize("name", TERM_REGISTRY.names())
def test_every_registered_term_survives_the_round_trip_with_all_its_defaults(data, name):
    term = ExperimentSpec.parse(changed(data, {TERMS: {"t": term_data(name)}})).stage.terms["t"]
    full = term.full()
    again = ExperimentSpec.parse(changed(data, {TERMS: {"t": full}}))
    assert again.stage.terms["t"].full() == full
    assert ExperimentSpec.parse(parse_yaml(dump_yaml(again.given()), source="again")) == again


# What is wrong, in words


WRONG = [
    ("seeed", 3, "no such field. Did you mean 'seed'? Known: allow, control, data"),
    ("seed", -1, "must be ≥ 0 (got -1)"),
    ("seed", "three", "must be a whole number (got 'three')"),
    ("seed", True, "must be a whole number (got 'true')"),
    ("seed", 2**63, f"must be < {2**63} (got {2**63})"),
    ("name", 5, "must be text; put it in quotes (got 5)"),
    ("name", "", "String should have at least 1 character (got '')"),
    ("device", "gpu", "must be auto, cpu, cuda, cuda:N or mps (got 'gpu')"),
    ("data", "digit", "No data set 'digit'. Did you mean 'digits'?"),
    ("data", 5, "must be a name, or a mapping with `use:` and options, not a int (got 5)"),
    ("data", {"limit": 5}, "needs `use: NAME`"),
    ("data.labels_class", 3, "no such field. Did you mean 'labels_per_class'?"),
    ("student", "cnn-tny", "No model 'cnn-tny'. Did you mean 'cnn-tiny'?"),
    ("student.width", 0, "must be ≥ 1 (got 0)"),
    ("student.train", {"epochs": 1}, "`train` belongs to the teacher"),
    ("probes", ["ckaa"], "No probe 'ckaa'. Did you mean 'cka'?"),
    ("probes", "cka", "must be a list (got 'cka')"),
    ("control", 3, "must be true, false, or a mapping of path to value (got 3)"),
    ("stages", {}, "must have at least 1 entry"),
    ("stages.main.epochs", True, "must be a whole number (got 'true')"),
    ("stages.main.steps", 5, "give exactly one of `epochs` and `steps`"),
    ("stages.main.batch_size", 2.5, "must be a whole number (got 2.5)"),
    ("stages.main.optimiser", {"use": "sgd"}, "lr: is missing; it is required"),
    ("stages.main.optimiser.momentum", 1.0, "must be < 1.0 (got 1.0)"),
    ("stages.main.optimiser.lr", True, "must be a number (≥ 0 and ≤ 1000)"),
    ("stages.main.schedule.use", "cosin", "No schedule 'cosin'. Did you mean 'cosine'?"),
    (
        "stages.two",
        {"terms": {"c": "ce"}, "steps": 1, "start": "mian"},
        "two.start: there is no stage 'mian'. Did you mean 'main'? Before it: main",
    ),
    (TERMS, {}, "must have at least 1 entry"),
    (f"{TERMS}.kd.use", "kdd", "No distillation term 'kdd'. Did you mean 'kd'?"),
    (f"{TERMS}.kd.temprature", 3, "no such field. Did you mean 'temperature'?"),
    (f"{TERMS}.kd.temperature", 0, "must be > 0"),
    (f"{TERMS}.kd.weight", -0.5, "must be ≥ 0 and ≤ 1e+06"),
    (f"{TERMS}.kd.weight", "heavy", "must be a number (≥ 0 and ≤ 1e+06), a schedule such as"),
    (f"{TERMS}.kd.weight", float("nan"), "must be a number"),
    (f"{TERMS}.kd.weight", float("inf"), "must be a number"),
    (f"{TERMS}.kd.weight", {"use": "liner"}, "linear, cosine, step. Did you mean 'linear'?"),
]


@pytest.mark.parametrize(("path", "value", "said"), WRONG)
def test_a_wrong_field_is_told_by_path_value_and_what_is_allowed(data, path, value, said):
    set_path(data, path, value)
    (problem,) = problems(data)
    assert said in problem
    told = problem.split(":")[0]
    assert path.startswith(told) or told.startswith(path)


def test_all_problems_are_told_at_once(data):
    wrong = changed(
        data, {"seed": -1, "student": "cnn-tny", "stages.main.batch_size": 0, "nme": "x"}
    )
    del wrong["name"]
    found = problems(wrong)
    assert len(found) == 5
    heads = sorted(problem.split(":")[0] for problem in found)
    assert heads == ["name", "nme", "seed", "stages.main.batch_size", "student.use"]


def test_keys_that_are_no_addresses_are_refused(data):
    terms = {"a.b": "ce", "1st": "ce", "": "ce"}
    for key in terms:
        data["stages"]["main"]["terms"] = {key: "ce"}
        (problem,) = problems(data)
        assert "a term's key is a word of letters, digits, '-' and '_'" in problem
        assert repr(key) in problem


def test_a_number_may_be_written_with_an_exponent_wherever_it_is_one(data):
    """YAML reads 5e-4 as text; a field that is a number takes it as one."""
    stage = parse_yaml(
        "optimiser: {use: sgd, lr: 5e-2, weight_decay: 5e-4}\n"
        "terms: {ce: {use: ce, weight: 1e0}}\nepochs: 3\n",
        source="text",
    )
    assert stage["optimiser"]["lr"] == "5e-2"
    spec = ExperimentSpec.parse(changed(data, {"stages.main": stage}))
    assert spec.stage.optimiser.lr == 0.05
    assert spec.stage.optimiser.weight_decay == 0.0005
    assert spec.given()["stages"]["main"]["optimiser"]["lr"] == 0.05


def test_a_spec_does_not_change(spec):
    with pytest.raises(Exception, match="frozen"):
        spec.seed = 4


# Changes by path


def test_replace_changes_one_value_and_leaves_the_rest(spec, data):
    other = spec.replace({f"{TERMS}.kd.weight": 0.5, "seed": 3})
    data["stages"]["main"]["terms"]["kd"]["weight"] = 0.5
    data["seed"] = 3
    assert other.given() == data
    assert spec.stage.terms["kd"].weight == 0.9


def test_an_option_of_a_bare_name_makes_it_a_mapping(spec):
    bare = spec.replace({"student": "cnn-tiny"})
    assert bare.given()["student"] == "cnn-tiny"
    assert bare.replace({"student.width": 9}).given()["student"] == {"use": "cnn-tiny", "width": 9}


@pytest.mark.parametrize(
    ("path", "value", "left"),
    [
        ("student.use", "mlp", {"use": "mlp", "input_size": 16}),
        ("teacher.use", "mlp", {"use": "mlp", "train": {"epochs": 20}}),
        (
            "stages.main.optimiser.use",
            "adamw",
            {"use": "adamw", "lr": 0.05, "weight_decay": 0.0005},
        ),
        ("stages.main.schedule.use", "one-cycle", {"use": "one-cycle"}),
        (f"{TERMS}.kd.use", "ce", {"use": "ce", "weight": 0.9}),
        (f"{TERMS}.kd.use", "dist", {"use": "dist", "weight": 0.9, "temperature": 4.0}),
    ],
)
def test_another_kind_keeps_the_options_it_knows_and_drops_the_rest(spec, path, value, left):
    rich = spec.replace(
        {"student": {"use": "cnn-tiny", "width": 5, "input_size": 16},
         "stages.main.schedule": {"use": "cosine", "warmup": 0.1}}
    )  # fmt: skip
    place = rich.replace({path: value}).given()
    for part in path.split(".")[:-1]:
        place = place[part]
    assert place == left


def test_a_path_that_leads_nowhere_is_refused_by_its_name(spec):
    with pytest.raises(InvalidExperiment, match=r"stages\.main\.term: no such field.*'terms'"):
        spec.replace({"stages.main.term.kd": 1})
    with pytest.raises(InvalidExperiment, match=r"probes: must be a list"):
        spec.replace({"probes.0": "cka"})


def test_scales_apply_their_changes_and_an_unknown_one_lists_the_known(data):
    recipe = {
        "paper": "p", "summary": "s", "watch": "w", "claim": "c",
        "scales": {"smoke": {"stages.main.epochs": 1}},
    }  # fmt: skip
    spec = ExperimentSpec.parse({**data, "recipe": recipe})
    assert spec.at_scale("smoke").stage.epochs == 1
    assert spec.at_scale("demo") is spec
    with pytest.raises(BadInput, match=r"--scale: 'paper' is not known\. Allowed: demo, smoke"):
        spec.at_scale("paper")


def test_a_diff_shows_what_changed_and_is_empty_for_equals(spec, data):
    assert spec.diff(ExperimentSpec.parse(data)) == ""
    lines = spec.diff(spec.replace({"stages.main.optimiser.lr": 0.1})).splitlines()
    assert [line.split() for line in lines if line[:2] in ("- ", "+ ")] == [
        ["-", "lr:", "0.05"],
        ["+", "lr:", "0.1"],
    ]


# Length


def test_an_epoch_is_as_many_steps_as_batches(spec):
    assert spec.stage.steps_per_epoch(100) == 2
    assert spec.stage.num_steps(100) == 40
    assert (
        spec.replace({"stages.main": {"terms": {"ce": "ce"}, "steps": 7}}).stage.num_steps(1) == 7
    )


def test_a_change_below_another_leaves_the_callers_mapping_as_it_was(spec):
    terms = {"kd": {"use": "kd", "weight": 0.9}}
    changes = {"stages.main.terms": terms, "stages.main.terms.kd.weight": 0.5}
    assert spec.replace(changes).stage.terms["kd"].weight == 0.5
    assert terms == {"kd": {"use": "kd", "weight": 0.9}}
