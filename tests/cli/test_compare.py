"""``run --set path=1,2`` and ``compare`` from a shell, on runs that were really trained."""

from __future__ import annotations

from typing import Any

import pytest

SMOKE = ("--scale", "smoke", "--set", "data.limit=300", "--set", "data.labels_per_class=3")
TEMPERATURE = "stages.main.terms.kd.temperature"


@pytest.fixture(scope="module")
def swept(shell: Any) -> Any:
    """What a sweep of two values with two seeds each said."""
    return shell(
        *("run", "quickstart", *SMOKE, "--seeds", "2"), "--set", f"{TEMPERATURE}=1,8", "--json"
    )


def test_a_sweep_says_how_many_runs_it_starts_and_trains_them_as_one_group(shell, swept):
    words = f"4 runs, one after the other: {TEMPERATURE} = 1, 8 × 2 seeds"
    assert words in swept.err.splitlines()
    found = swept.json
    assert [setting["summary"]["seeds"] for setting in found["settings"]] == [[0, 1], [0, 1]]
    runs = [one["run"] for setting in found["settings"] for one in setting["seeds"]]
    assert found["run"] == runs[0]
    assert {shell.peek(run).cohort for run in runs} == {runs[0]}
    assert [shell.peek(run).status for run in runs] == ["finished"] * 4
    assert len({one["weights"] for setting in found["settings"] for one in setting["seeds"]}) == 4


def test_show_speaks_of_the_seeds_of_one_value_only(shell, swept):
    settings = swept.json["settings"]
    shown = shell("show", settings[1]["run"], "--json").json
    assert shown["summary"] == settings[1]["summary"]
    assert len(shown["seeds"]) == 4
    said = shell("show", settings[1]["run"]).out
    assert f"{TEMPERATURE} = 1\n" in said
    assert f"{TEMPERATURE} = 8\n" in said


def test_compare_prints_one_row_a_setting_with_its_paired_difference(shell, swept):
    first, second = swept.json["settings"]
    found = shell("compare", first["run"], "--group", "--json").json
    base, row = found["settings"]
    assert (base["run"], row["run"]) == (first["run"], second["run"])
    assert [pair["seed"] for pair in row["difference"]["pairs"]] == [0, 1]
    for pair, mine, its in zip(
        row["difference"]["pairs"], second["seeds"], first["seeds"], strict=True
    ):
        gap = mine["metrics"]["student"]["accuracy"] - its["metrics"]["student"]["accuracy"]
        assert pair["value"] == pytest.approx(gap)
    assert found["differences"]["paths"] == [{"path": TEMPERATURE, "values": ["1", "8"]}]
    assert all(condition["same"] for condition in found["conditions"])


def test_compare_in_words_names_n_split_protocol_and_why_there_is_no_interval(shell, swept):
    runs = [setting["run"] for setting in swept.json["settings"]]
    said = shell("compare", *runs, "--against", f"{runs[0]}-control", "--measure", "test-nll").out
    assert "minus control of quickstart, kd.temperature 1, test NLL, nats, by seed: 0: " in said
    assert "one seed: an interval takes at least 3" in said
    assert "probe split, n = 42: accuracy, %: last " in said
    assert "best (optimistic)" in said
    assert "test split, n = 66: accuracy, %: " in said
    assert "test, n = 66, last step; seed 0; teacher " in said
    assert "Where the experiments differ:" in said


def test_compare_as_csv_keeps_all_digits_and_as_latex_is_for_print(shell, swept):
    runs = [setting["run"] for setting in swept.json["settings"]]
    first = swept.json["settings"][0]["seeds"][0]
    said = shell("compare", *runs, "--csv").out
    assert repr(first["metrics"]["student"]["nll"]) in said, "the very float"
    assert "Comparison by setting" in said and "Comparison by run" in said
    paper = shell("compare", *runs, "--latex").out
    assert paper.count("\\begin{tabular}") == 1 and "\\toprule" in paper
    refused = shell("compare", *runs, "--csv", "--latex", code=2)
    assert "give one of them" in refused.err


def test_what_cannot_be_compared_or_swept_exits_with_2_and_leaves_nothing(shell, swept):
    run = swept.json["run"]
    before = len(shell.rows("--all"))
    for words, told in (
        (("compare",), "RUN"),
        (("compare", "nothing"), "No run 'nothing'"),
        (("compare", f"{run}-teacher"), "is a teacher"),
        (("compare", run, "--against", "nobody"), "Baseline 'nobody'"),
        (("compare", run, "--measure", "beauty"), "Measure 'beauty' is not known"),
        (("run", "quickstart", "--set", "seed=1,,2"), "a value is missing"),
        (("run", "quickstart", "--set", "stages.main.epochs=1,0"), "must be ≥ 1 (got 0)"),
        (("run", "quickstart", "--set", "seed=1,2", "--seeds", "51"), "would be 102 runs"),
        (("run", "quickstart", "--set", "seed=1,2", "--estimate"), "Give one value: --set seed=1"),
    ):
        assert told in shell(*words, code=2).err
    assert len(shell.rows("--all")) == before
