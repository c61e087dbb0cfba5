"""Runs side by side: numbers from their rows, differences paired by seed, reasons for none."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from workbench.errors import BadInput
from workbench.runs.comparison import MEASURES, MOST_RUNS, compare

from .written import SPLITS, Written

TEMPERATURE = "stages.main.terms.kd.temperature"
HOT = {TEMPERATURE: 8.0}


@pytest.fixture
def written(tmp_path):
    made = Written(tmp_path)
    yield made
    made.store.close()


def rows_of(found):
    return {row["run"]: row for row in found["settings"]}


def test_a_difference_is_what_a_reader_computes_from_the_pairs(written):
    base = {seed: 0.5 + 0.01 * seed for seed in range(5)}
    hot = {seed: 0.55 + 0.02 * (seed % 3) for seed in (4, 2, 0, 1)}
    runs = [written.run(value, seed=seed) for seed, value in base.items()]
    others = [written.run(value, seed=seed, changes=HOT) for seed, value in hot.items()]
    found = compare(written.store, [*runs, *others])
    assert (found["against"], found["measure"]["name"]) == (runs[0], "test-accuracy")
    told = rows_of(found)[others[0]]["difference"]
    gaps = np.asarray([hot[seed] - base[seed] for seed in hot])
    half = stats.t.ppf(0.975, 3) * gaps.std(ddof=1) / math.sqrt(4)
    assert [pair["seed"] for pair in told["pairs"]] == list(hot)
    np.testing.assert_allclose([pair["value"] for pair in told["pairs"]], gaps)
    np.testing.assert_allclose(
        [told["mean"], *told["interval"]], [gaps.mean(), gaps.mean() - half, gaps.mean() + half]
    )
    numbers = rows_of(found)[runs[0]]["numbers"]["test-accuracy"]
    assert numbers["mean"] == pytest.approx(np.mean(list(base.values())))
    assert numbers["n"] == 5
    assert rows_of(found)[runs[0]]["difference"] is None


def test_two_common_seeds_are_too_few_for_an_interval(written):
    first = [written.run(0.5, seed=seed) for seed in (0, 1, 2)]
    second = [written.run(0.6, seed=seed, changes=HOT) for seed in (1, 2, 3)]
    told = rows_of(compare(written.store, [*first, *second]))[second[0]]["difference"]
    assert [pair["seed"] for pair in told["pairs"]] == [1, 2]
    assert told["interval"] is None
    assert "takes at least 3" in told["why"]


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"data": {"name": "mnist", "hash": "m" * 64}}, "other data (digits here, mnist there)"),
        (
            {"splits": {**SPLITS, "test": {"rows": 9, "hash": "else"}}},
            "other test rows: not subtracted",
        ),
    ],
)
def test_numbers_of_other_data_or_rows_stand_there_and_are_not_subtracted(written, told, words):
    base = written.run(0.5, told=told)
    run = written.run(0.6, changes=HOT)
    found = compare(written.store, [base, run])
    row = rows_of(found)[run]
    assert set(row["difference"]) == {"refused"}
    assert words in row["difference"]["refused"]
    assert row["numbers"]["test-accuracy"]["mean"] == 0.6
    assert any(not condition["same"] for condition in found["conditions"])


def test_other_test_rows_do_not_forbid_a_difference_on_equal_probe_rows(written):
    base = written.run(0.5, told={"splits": {**SPLITS, "test": {"rows": 9, "hash": "else"}}})
    run = written.run(0.6, changes=HOT)
    told = rows_of(compare(written.store, [base, run], measure="probe-last"))[run]["difference"]
    assert told["mean"] == pytest.approx(0.1)


def test_settings_without_a_common_seed_are_not_subtracted(written):
    base, run = written.run(0.5, seed=0), written.run(0.6, seed=1, changes=HOT)
    told = rows_of(compare(written.store, [base, run]))[run]["difference"]
    assert told["refused"] == "no seed in common: seed 1 here, seed 0 in the baseline"


def test_a_run_that_still_trains_has_its_numbers_on_probe_so_far(written):
    base = written.run(0.5)
    run = written.run(0.6, changes=HOT, steps=[0, 10, 20], status="interrupted")
    found = compare(written.store, [base, run])
    row = rows_of(found)[run]
    assert found["measure"]["name"] == "probe-last"
    (told,) = row["runs"]
    assert (told["status"], told["step"], told["test"]) == ("interrupted", 20, None)
    assert told["probe"]["n"] == 8
    assert told["probe"]["accuracy"]["last"] == {"value": pytest.approx(0.2), "step": 20}
    assert told["probe"]["accuracy"]["mean_of_last_k"] is None
    assert "probe-lately" not in row["numbers"]
    assert "test-accuracy" not in row["numbers"]
    assert row["difference"]["mean"] == pytest.approx(0.2 - 0.5)
    on_test = rows_of(compare(written.store, [base, run], measure="test-nll"))[run]
    assert on_test["difference"]["refused"] == "no seed has test NLL on both sides yet"


def test_a_run_that_still_trains_is_subtracted_where_both_were_looked_at_last(written, monkeypatch):
    base = written.run(0.5)
    run = written.run(0.6, changes=HOT, steps=[0, 10, 20], status="interrupted")
    level = written.run(0.7, changes=HOT, seed=1, status="interrupted")
    other = written.run(0.5, seed=1)
    monkeypatch.setattr("workbench.store.runs.RunRow.active", True)
    found = compare(written.store, [base, other, run, level], measure="probe-last")
    told = rows_of(found)[run]["difference"]
    assert [pair["seed"] for pair in told["pairs"]] == [1], "seed 0 is at step 20 of 60"
    alone = rows_of(compare(written.store, [base, run], measure="probe-last"))[run]["difference"]
    assert alone["refused"] == "still trains: not subtracted from a look at another step"


def test_last_best_and_mean_of_the_last_looks_are_those_of_the_protocol(written):
    run = written.run(0.6)
    (row,) = compare(written.store, [run])["settings"]
    numbers = written.store.runs.get(run).protocol["numbers"]["accuracy"]
    assert row["numbers"]["probe-last"]["mean"] == numbers["last"]["value"]
    assert row["numbers"]["probe-best"]["mean"] == numbers["best"]["value"]
    assert row["numbers"]["probe-lately"]["mean"] == numbers["mean_of_last_k"]
    assert "probe-best" not in MEASURES, "the best look is optimistic: no difference is of it"


def test_the_control_of_a_single_run_is_its_baseline_and_any_control_can_be_picked(written):
    run = written.run(0.6, control=0.4)
    found = compare(written.store, [run])
    assert found["against"] == f"{run}-control"
    assert rows_of(found)[run]["difference"]["mean"] == pytest.approx(0.2)
    other = written.run(0.7, changes=HOT)
    found = compare(written.store, [run, other], against=f"{run}-control")
    assert rows_of(found)[other]["difference"]["mean"] == pytest.approx(0.3)
    assert [one["run"] for one in found["baselines"]] == [run, other, f"{run}-control"]
    assert list(rows_of(compare(written.store, [run, other]))) == [run, other]


def test_a_single_run_without_a_control_has_no_baseline(written):
    run = written.run(0.6)
    found = compare(written.store, [run, run])
    assert (found["against"], len(found["settings"])) == (None, 1)
    assert found["settings"][0]["difference"] is None


def test_a_wrong_baseline_or_measure_or_too_many_runs_are_refused(written):
    run, other = written.run(), written.run(changes=HOT)
    with pytest.raises(BadInput, match=f"Allowed: {run}, {other}"):
        compare(written.store, [run, other], against="nobody")
    with pytest.raises(BadInput, match="Did you mean 'test-nll'"):
        compare(written.store, [run, other], measure="test-nl")
    with pytest.raises(BadInput, match=f"at most {MOST_RUNS}"):
        compare(written.store, [f"run-{k}" for k in range(MOST_RUNS + 1)])


def test_what_the_command_line_prints_is_json(written):
    runs = [written.run(0.5, control=0.4), written.run(0.6, changes=HOT, status="failed")]
    found = compare(written.store, runs)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all("test, n = 8, last step; seed 0" in row["caption"] for row in found["settings"][:1])
