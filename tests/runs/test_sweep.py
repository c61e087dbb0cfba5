"""Which assignments are a sweep, and of which experiments."""

from __future__ import annotations

import pytest

from workbench.errors import BadInput, InvalidExperiment
from workbench.runs.launch import accept_all
from workbench.runs.sweep import MOST_RUNS, sweep
from workbench.specs.experiment import ExperimentSpec

from ..small import SMALL

MAIN = "stages.main"
TEMPERATURE = f"{MAIN}.terms.kd.temperature"


@pytest.fixture
def spec():
    return ExperimentSpec.parse(SMALL)


def test_a_comma_list_of_scalars_is_a_run_each(spec):
    made = sweep(spec, {TEMPERATURE: "1,2.5, 4"}, {})
    assert made.values == {TEMPERATURE: [1, 2.5, 4]}
    assert [one.stage.terms["kd"].temperature for one in made.specs] == [1, 2.5, 4]
    assert made.words() == f"3 runs, one after the other: {TEMPERATURE} = 1, 2.5, 4"


def test_two_paths_multiply_and_seeds_as_well(spec):
    texts = {f"{MAIN}.optimiser.lr": "0.01,0.1", f"{MAIN}.schedule.use": "cosine,constant"}
    made = sweep(spec, texts, {"seeds": 3})
    pairs = [(one.stage.optimiser.lr, one.stage.schedule.use) for one in made.specs]
    assert pairs == [(0.01, "cosine"), (0.01, "constant"), (0.1, "cosine"), (0.1, "constant")]
    assert made.num_runs == 12
    assert made.words().startswith("12 runs, one after the other: ")
    assert made.words().endswith(" × 3 seeds")


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("probes", "cka,loyalty", lambda one: [probe.use for probe in one.probes]),
        (f"{MAIN}.freeze", "stage1,stage2", lambda one: one.stage.freeze),
        ("name", "a, b", lambda one: one.name),
        ("name", '"a, b"', lambda one: one.name),
        (f"{MAIN}.freeze", "[stage1, stage2]", lambda one: one.stage.freeze),
    ],
)
def test_a_list_field_a_text_and_a_quoted_value_are_one_value(spec, path, text, found):
    made = sweep(spec, {path: text}, {})
    assert (made.values, made.num_runs) == ({}, 1)
    words = [word.strip('[]" ') for word in text.split(",")]
    told = found(made.specs[0])
    assert told == words or told == ", ".join(words)


def test_a_list_field_of_a_kind_that_is_chosen_beside_it_is_one_value(spec):
    texts = {f"{MAIN}.schedule.use": "step", f"{MAIN}.schedule.at": "0.2,0.6"}
    made = sweep(spec, texts, {})
    assert made.num_runs == 1
    assert made.specs[0].stage.schedule.at == [0.2, 0.6]


def test_without_a_comma_nothing_is_swept(spec):
    made = sweep(spec, {TEMPERATURE: "2"}, {"control": True})
    assert (made.values, len(made.specs)) == ({}, 1)
    assert made.specs[0].control is True
    assert sweep(spec, {}, {}).specs == [spec]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1,,2", "a value is missing between two commas"),
        ("1,2,", "a value is missing between two commas"),
        ("1,2,1", "1 is given twice"),
    ],
)
def test_a_gap_and_a_double_are_refused(spec, text, words):
    with pytest.raises(BadInput, match=words):
        sweep(spec, {TEMPERATURE: text}, {})


def test_too_many_runs_are_refused_with_their_number(spec):
    texts = {TEMPERATURE: ",".join(map(str, range(1, 12))), "seed": "0,1,2,3,4,5,6,7,8,9"}
    with pytest.raises(BadInput, match=rf"That would be 110 runs: .*at most {MOST_RUNS}"):
        sweep(spec, texts, {})
    with pytest.raises(BadInput, match="That would be 102 runs"):
        sweep(spec, {TEMPERATURE: "1,2"}, {"seeds": 51})
    with pytest.raises(BadInput, match="That would be 102 runs"):
        sweep(spec, {TEMPERATURE: "1,2", "seeds": "51"}, {})


def test_one_bad_value_refuses_the_whole_sweep(spec):
    with pytest.raises(InvalidExperiment, match=r"kd\.temperature.*-3"):
        sweep(spec, {TEMPERATURE: "1,2,-3"}, {})


def test_the_runs_of_a_sweep_are_one_group_in_their_order(spec, store):
    made = sweep(spec, {TEMPERATURE: "1,2"}, {"seeds": 2})
    first = accept_all(store, made.specs)
    rows = store.runs.cohort(first)
    assert [
        (row.experiment["stages"]["main"]["terms"]["kd"]["temperature"], row.experiment["seed"])
        for row in rows
    ] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert rows[0].id == first == rows[3].cohort
    assert all((store.runs.folder(row.id) / "experiment.yaml").is_file() for row in rows)
    for row in reversed(rows):
        assert store.runs.withdraw(row.id)
