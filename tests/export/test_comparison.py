"""The script of a comparison: it trains all runs again, compares, and says what is another."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import BadInput, RefusedCommand, UnknownRun
from workbench.export import export_comparison
from workbench.runs.comparison import compare
from workbench.store.runs import RunRow
from workbench.store.store import Store

from .test_kinds import workbench
from .test_script import assert_ours, constants

Fresh = Callable[..., subprocess.CompletedProcess[str]]
TEMPERATURE = "stages.main.terms.kd.temperature"
HOSTILE = "T = 2\x1b[31m\n# DATA\n\"\"\"'''"


def write(store: Store, runs: list[str], path: Path, **picked: str) -> Path:
    """The comparison of runs as a script."""
    return export_comparison(store, compare(store, runs, **picked), path)


@pytest.fixture(scope="module")
def runs(train: Callable[..., RunRow]) -> list[str]:
    """Two settings with three seeds each, as they would be compared; one is named by a villain."""
    return [
        train({TEMPERATURE: heat, "stages.main.steps": 5, "seed": seed, "name": name}).id
        for heat, name in ((4.0, "small"), (2.0, HOSTILE))
        for seed in range(3)
    ]


@pytest.fixture(scope="module")
def exported(store: Store, runs: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their comparison."""
    return write(store, runs, tmp_path_factory.mktemp("script") / "x.py")


def test_check_is_fine_in_another_process_at_the_root(
    exported: Path, python: Fresh, store: Store, runs: list[str]
):
    done = python(exported, "--check", folder=Path("/"))
    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = (row["difference"] for row in compare(store, runs)["settings"] if row["difference"])
    for value in (told["mean"], *told["interval"], *(pair["value"] for pair in told["pairs"])):
        shown = re.escape(f"{100 * value:+.4g}")  # recorded, and found again
        assert re.search(rf" {shown} +{shown}$", done.stdout, flags=re.MULTILINE)
    assert re.search(r"Equal: all \d+ numbers of 6 runs, bit for bit", done.stdout)
    assert "\x1b" not in done.stdout


def test_the_file_holds_each_setting_once_its_seeds_and_the_interval(
    exported: Path, store: Store, runs: list[str]
):
    held = constants(exported)
    assert [one["name"] for one in held["EXPERIMENTS"]] == ["small", HOSTILE]
    assert all("seed" not in one for one in held["EXPERIMENTS"])
    told = [(one["run"], one["of"], one["seed"]) for one in held["RUNS"]]
    seeds = [(of, seed) for of in (0, 1) for seed in range(3)]
    assert told == [(run, *where) for run, where in zip(runs, seeds, strict=True)]
    for one in held["RUNS"]:
        result = store.runs.get(one["run"]).result or {}
        assert (one["weights"], one["metrics"]) == (result["weights"], result["metrics"])
    row = compare(store, runs)["settings"][1]
    assert held["DIFFERENCES"] == [{"of": row["name"], **row["difference"]}]
    assert len(held["DIFFERENCES"][0]["interval"]) == 2
    assert held["STORE"] is held["BASE"] is None
    assert str(store.folder) not in exported.read_text(encoding="utf-8")


def test_what_is_another_is_named_and_ends_with_1(
    exported: Path,
    store: Store,
    runs: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
):
    """The program itself, with a training that gave another difference on another build."""
    program: dict[str, Any] = {"__name__": "exported"}
    exec(compile(exported.read_text(encoding="utf-8"), str(exported), "exec"), program)  # noqa: S102
    results = {}
    for run in runs:
        row = store.runs.get(run)
        results[run] = {**(row.result or {}), "protocol": json.loads(json.dumps(row.protocol))}
    results[runs[0]]["protocol"]["versions"]["torch"] = "9.9"
    differences = json.loads(json.dumps(program["DIFFERENCES"]))
    differences[0]["pairs"][1]["value"] += 0.25
    program["carry_out"] = lambda store, base: (results, differences)
    monkeypatch.setattr(sys, "argv", ["x.py", "--check"])
    assert program["main"]() == 1
    shown = capsys.readouterr().out
    assert "NOT equal: 1 of" in shown
    assert re.search(r"First .*seed 1: recorded .* \(\+0\.25\)", shown)
    assert re.search(r"torch: recorded with .*, here 9\.9: equal bits are not promised", shown)
    monkeypatch.setattr(sys, "argv", ["x.py", "--json"])
    assert program["main"]() == 0
    assert json.loads(capsys.readouterr().out)["equal"] is False


def test_a_control_is_a_baseline(store: Store, nasty: RunRow, tmp_path: Path):
    path = write(store, [nasty.id], tmp_path / "x.py")
    held = constants(path)
    assert held["COMPARED"]["against"] == (nasty.id, "control")
    assert [one["run"] for one in held["RUNS"]] == [nasty.id]
    assert held["EXPERIMENTS"][0]["control"] is True
    (told,) = held["DIFFERENCES"]
    metrics = (nasty.result or {})["metrics"]
    gap = metrics["student"]["accuracy"] - metrics["control"]["accuracy"]
    assert told["pairs"] == [{"seed": 0, "value": gap}]
    assert (told["interval"], "one seed" in told["why"]) == (None, True)


def test_what_cannot_be_compared_or_has_no_numbers_is_refused(
    store: Store, untouched: RunRow, runs: list[str], tmp_path: Path
):
    target = tmp_path / "x.py"
    with pytest.raises(RefusedCommand, match="nothing to compare it with"):
        write(store, [untouched.id], target)
    with pytest.raises(UnknownRun):
        write(store, [untouched.id, "nobody"], target)
    with pytest.raises(BadInput, match="Measure 'test-acc'"):
        write(store, runs, target, measure="test-acc")
    waiting = store.runs.create(name="w", experiment=untouched.experiment, options={})
    with pytest.raises(RefusedCommand, match=f"Run {waiting} has no final numbers"):
        write(store, [untouched.id, waiting], target)
    assert not target.exists()


def test_it_reads_as_our_own_code_does(
    store: Store, runs: list[str], untouched: RunRow, tmp_path: Path
):
    path = write(store, [*runs[:3], untouched.id], tmp_path / "plain.py")
    assert_ours(path)
    assert ast.parse(path.read_text(encoding="utf-8"))


def test_the_command_takes_several_runs_and_speaks_json(
    store: Store, runs: list[str], tmp_path: Path
):
    words = ("export", *runs, "--to", "script", "-o", str(tmp_path / "x.py"))
    code, said = workbench(store, *words, "--against", runs[4], "--measure", "test-nll", "--json")
    assert code == 0, said
    assert json.loads(said) == {"runs": runs, "kind": "script", "path": str(tmp_path / "x.py")}
    held = constants(tmp_path / "x.py")
    assert held["COMPARED"]["against"] == (runs[3], "student")
    assert (held["RECORDED"]["measure"], held["RECORDED"]["unit"]) == ("test NLL", "nats")
    code, said = workbench(store, *words, "--force")
    assert (code, "The comparison of 6 runs is in" in said, "trains them again" in said) == (
        0,
        True,
        True,
    )
    code, said = workbench(store, *words[:-3], "yaml", *words[-2:])
    assert (code, "Give --to script" in said) == (2, True)
