"""Seeds, controls and housekeeping from a shell: ``run --seeds``, ``show``, ``gc``, ``rm``."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ..waiting import until

SMOKE = ("--scale", "smoke", "--set", "data.limit=300", "--set", "data.labels_per_class=3")
RESULT = {"run", "status", "steps", "seconds", "weights", "metrics", "protocol"}


@pytest.fixture(scope="module")
def group(shell: Any) -> dict[str, Any]:
    """The JSON of five seeds with both controls."""
    found: dict[str, Any] = shell(
        "run", "quickstart", *SMOKE, "--seeds", "5", "--plain-kd", "--json"
    ).json
    return found


def test_five_seeds_are_five_runs_five_controls_and_one_teacher(shell, group):
    assert set(group) == RESULT | {"seeds", "summary"}
    assert [found["protocol"]["seed"] for found in group["seeds"]] == [0, 1, 2, 3, 4]
    assert {frozenset(found) for found in group["seeds"]} == {frozenset(RESULT)}
    assert {key: group[key] for key in RESULT} == group["seeds"][0]
    assert len({found["weights"] for found in group["seeds"]}) == 5
    assert len({found["protocol"]["teacher"]["hash"] for found in group["seeds"]}) == 1
    rows = [row for row in shell.rows("--all") if row["group"] == group["run"]]
    roles = [row["role"] for row in rows]
    counts = {role: roles.count(role) for role in set(roles)}
    assert counts == {"student": 5, "control": 5, "plain_kd": 5, "teacher": 1}
    students = {row["run"] for row in rows if row["role"] == "student"}
    assert students == {found["run"] for found in group["seeds"]}
    assert {row["of"] for row in rows if row["role"] == "control"} == students


@pytest.mark.parametrize("metric", ["accuracy", "nll", "ece", "aurc"])
@pytest.mark.parametrize(
    ("part", "difference"),
    [("control", "difference"), ("plain_kd", "difference_to_plain_kd")],
)
def test_difference_and_interval_are_what_a_reader_computes_from_the_rows(
    group, metric, part, difference
):
    pairs = np.asarray(
        [
            [found["metrics"]["student"][metric], found["metrics"][part][metric]]
            for found in group["seeds"]
        ]
    )
    told = group["summary"]
    gaps = pairs[:, 0] - pairs[:, 1]
    half = stats.t.ppf(0.975, 4) * gaps.std(ddof=1) / math.sqrt(5)
    found = told[difference][metric]
    assert found["n"] == 5
    np.testing.assert_allclose(
        [found["mean"], *found["interval"]],
        [gaps.mean(), gaps.mean() - half, gaps.mean() + half],
        rtol=1e-9,
        atol=1e-12,
    )
    for column, name in ((0, "student"), (1, part)):
        np.testing.assert_allclose(
            [told[name][metric]["mean"], told[name][metric]["sd"]],
            [pairs[:, column].mean(), pairs[:, column].std(ddof=1)],
            rtol=1e-9,
            atol=1e-12,
        )


@pytest.mark.soak
def test_one_seed_of_the_group_is_the_run_of_that_seed_alone(shell, group):
    alone = shell("run", "quickstart", *SMOKE, "--set", "seed=3", "--json").json
    assert alone["weights"] == group["seeds"][3]["weights"]
    assert alone["metrics"]["control"] == group["seeds"][3]["metrics"]["control"]
    row = shell.row(alone["run"])
    assert row["group"] == alone["run"]


def test_show_and_resume_of_one_run_speak_of_its_group(shell, group):
    second = group["seeds"][1]["run"]
    shown = shell("show", second, "--json").json
    assert shown["group"] == group["run"]
    assert list(shown["seeds"].values()) == [0, 1, 2, 3, 4]
    assert shown["summary"] == group["summary"]
    said = shell("show", second).out
    assert "5 runs of quickstart, seed by seed, one teacher" in said
    assert re.search(r"student - control, accuracy, %, paired: mean .* 95% interval \[", said)
    again = shell("resume", second, "--json").json
    assert again["run"] == second
    assert again["summary"] == group["summary"]


def test_plain_output_is_a_table_with_the_protocol_and_says_why_there_is_no_interval(shell):
    said = shell("run", "quickstart", *SMOKE, "--seeds", "2").out
    assert len(re.findall(r"^ +\d +\d+\.\d\d .*finished$", said, flags=re.MULTILINE)) == 2
    assert "2 seeds: an interval takes at least 3; run more (--seeds 5)" in said
    assert "test split, n = 66, read once, weights of the last step" in said
    assert "(optimistic)" in said


def test_a_group_that_cannot_be_carried_out_leaves_nothing(shell):
    before = {row["run"] for row in shell.rows("--all")}
    words = ("run", "quickstart", *SMOKE, "--seeds", "2", "--json")
    said = shell(*words, "--set", "stages.main.terms.hint={use: hint, layer: nowhere}", code=2)
    assert said.out == ""
    assert {row["run"] for row in shell.rows("--all")} == before
    for seeds in ("0", "1001", "many"):
        shell("run", "quickstart", *SMOKE, "--seeds", seeds, code=2)


@pytest.mark.soak
def test_detached_names_every_run(shell):
    names = shell("run", "quickstart", *SMOKE, "--seeds", "2", "--detach").out.split()
    assert len(names) == 2
    assert shell.peek(names[0]).cohort == shell.peek(names[1]).cohort == names[0]
    shell("resume", names[0], "--json", code=(0, 2))
    shell.until_ended(*names)


def test_rm_removes_a_run_unless_it_is_needed_and_only_when_told_so(shell, group):
    first, second = (found["run"] for found in group["seeds"][:2])
    child = shell("fork", second, "--at", "2", "--json").json["run"]
    refused = shell("rm", second, "--yes", code=2).err
    assert f"run {child} was forked from it" in refused
    assert "was left as it is. `--yes` removes it unasked." in shell("rm", first, code=2).err
    part = shell("rm", f"{first}-control", "--yes", code=2).err
    assert f"remove the whole run, {first}" in part
    shell("rm", child, "--yes")
    assert f"{second}: removed" in shell("rm", second, "--yes").out
    assert second not in {row["run"] for row in shell.rows("--all")}
    assert not [name for name in shell.folders() if name.startswith(second)]
    assert shell("show", first, "--json").json["summary"]["student"]["accuracy"]["n"] == 4


def test_gc_shows_what_it_would_free_then_frees_it_and_nothing_else(shell, group):
    runs = shell.rows("--all")
    place = shell.store.parent / "runs" / "gone-abc234"
    (place / "snapshots").mkdir(parents=True)
    (place / "snapshots" / "0.safetensors").write_bytes(b"x" * 2048)
    told = shell("gc", "--json").json
    assert (told["freed"], told["budget"]) == (0, 2 << 30)
    assert [(item["kind"], item["bytes"]) for item in told["items"]] == [("folder", 2048)]
    assert place.is_dir()
    said = shell("gc").out
    assert str(place) in said
    assert "Nothing was changed" in said
    assert place.is_dir()
    assert "Freed 2.0 KiB." in shell("gc", "--yes").out
    assert not place.exists()
    assert shell("gc", "--yes").out.strip() == "Nothing to free."
    assert shell.rows("--all") == runs
    again = shell("replay", group["run"], "--json").json
    assert again["equal"] is True


def test_a_budget_thins_and_a_wrong_one_is_refused(shell, group):
    shell.env = {"WORKBENCH_RUN_BUDGET": "1"}
    try:
        told = shell("gc", "--yes", "--json").json
        assert {item["kind"] for item in told["items"]} <= {"snapshot", "checkpoint"}
        assert told["freed"] == told["bytes"]
        again = shell("replay", group["run"], "--json").json
        assert again["equal"] is True
        shell.env = {"WORKBENCH_RUN_BUDGET": "plenty"}
        for words in (("gc",), ("run", "quickstart", *SMOKE)):
            assert "WORKBENCH_RUN_BUDGET='plenty' is no size" in shell(*words, code=2).err
    finally:
        shell.env = {}


def test_stop_with_group_ends_them_all_and_without_it_only_the_one(shell):
    slow = ("--set", "stages.main.epochs=100000", "--set", "control=false")
    names = shell("run", "quickstart", *SMOKE, *slow, "--seeds", "4", "--detach").out.split()
    until(lambda: shell.peek(names[0]).step > 0, "the first trains")
    assert f"{names[0]}: stopped at step" in shell("stop", names[0]).out
    until(lambda: shell.peek(names[1]).step > 0, "the second trains")
    said = shell("stop", names[1], "--group").out
    assert [line.split(":")[0] for line in said.splitlines()] == names[:0:-1]
    assert [shell.peek(name).status for name in names] == ["stopped"] * 4
    assert [shell.peek(name).pid is None for name in names] == [False, False, True, True]
    assert "is stopped" in shell("stop", names[1], code=2).err


def test_the_queue_lists_who_waits_for_whom_and_takes_one_back(shell):
    """The first stands paused, so that it holds the queue for as long as the test needs."""
    started = ("run", "quickstart", *SMOKE, "--queue", "--detach")
    first = shell(*started, "--pause-at", "1").out.strip()
    second, third = (shell(*started).out.strip() for _ in range(2))
    until(lambda: shell.peek(first).status == "paused", "it pauses")
    told = shell("queue", "--front", third, "--json").json
    assert [row["run"] for row in told["waiting"]] == [third, second]
    assert [row["after"] for row in told["waiting"]] == [first, third]
    assert told["trains"] == first
    past = shell("run", "quickstart", *SMOKE, "--detach", "--json")
    assert f"{first} stands paused, 2 runs wait" in past.err
    shell("stop", past.json["run"], code=(0, 1))
    assert f"{first} " in shell("queue", "--take-back", third).out
    assert shell("queue", "--front", third, code=2).err
    shell("queue", "--take-back", second)
    assert "Nothing waits" in shell("queue").out
    shell("stop", first, code=(0, 1))
