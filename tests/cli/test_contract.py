"""What scripts rely on: commands, exit codes, JSON, equal bits."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from workbench.store.store import Store

from ..waiting import PATIENCE

# conftest's helpers reach tests through fixtures; the constants are arguments of commands
SMOKE = ("--scale", "smoke", "--set", "data.limit=300", "--set", "data.labels_per_class=3")
COMMANDS = [
    "run",
    "check",
    "resume",
    "queue",
    "pause",
    "stop",
    "set",
    "note",
    "checkpoint",
    "probe",
    "fork",
    "replay",
    "anneal",
    "compare",
    "inspect",
    "export",
    "gc",
    "rm",
    "runs",
    "show",
    "journal",
    "recipes",
    "terms",
    "probes",
    "models",
    "data",
    "doctor",
    "serve",
]
RESULT = {"run", "status", "steps", "seconds", "weights", "metrics", "protocol"}
LISTED = {"run", "name", "role", "status", "step", "steps", "pid", "started", "parent"}
BY_HAND = """\
name: my-first
task: classification
data: {use: digits, labels_per_class: 3, limit: 300}
teacher: {use: cnn-small, train: {epochs: 1}}
student: {use: cnn-tiny}
stages:
  main:
    terms:
      kd: {use: kd, weight: 0.9, temperature: 4.0}
      ce: {use: ce, weight: 0.1}
    optimiser: {use: sgd, lr: 0.05, momentum: 0.9, weight_decay: 5e-4}
    schedule: {use: cosine}
    batch_size: 64
    epochs: 1
probes: [cka, trilateral, calibration, loyalty]
seed: 0
device: auto
"""
HEX = re.compile(r"[0-9a-f]{64}")


@pytest.fixture(scope="module")
def finished(shell: Any) -> dict[str, Any]:
    """The JSON of one finished run with a control."""
    found: dict[str, Any] = shell("run", "quickstart", *SMOKE, "--json").json
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_ends_with_an_example_and_knows_the_store(shell, command):
    said = shell(command, "--help", store=False).out
    assert f"Example: workbench {command}" in said
    assert "--store URL" in said


def test_help_lists_every_command_and_no_other(shell):
    said = shell("--help", store=False).out
    listed = re.findall(r"^  (\w+) ", said.split("Commands:")[1], flags=re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


def test_run_json_has_the_fixed_keys_and_nothing_else_is_on_the_output(finished):
    assert set(finished) == RESULT
    assert finished["status"] == "finished"
    assert HEX.fullmatch(finished["weights"])
    assert finished["steps"] > 0
    assert finished["seconds"] > 0
    assert set(finished["metrics"]) == {"teacher", "student", "control"}
    for part in finished["metrics"].values():
        assert 0 <= part["accuracy"] <= 1
        assert 0 <= part["ece"] <= 1
        assert part["nll"] > 0


def test_protocol_names_seed_splits_teacher_and_machine(finished):
    protocol = finished["protocol"]
    assert protocol["seed"] == 0
    assert set(protocol["splits"]) == {"train", "val", "test", "probe", "meta"}
    assert sum(part["rows"] for part in protocol["splits"].values()) == 300
    assert HEX.fullmatch(protocol["teacher"]["hash"])
    assert protocol["versions"]["torch"]


def test_accuracy_counts_whole_test_rows(finished):
    """An accuracy over n rows is k/n: the reported n is the n it was measured on."""
    rows = finished["protocol"]["splits"]["test"]["rows"]
    for part in finished["metrics"].values():
        assert part["accuracy"] * rows == pytest.approx(round(part["accuracy"] * rows), abs=1e-9)


def test_equal_experiments_have_equal_weights_and_another_seed_has_others(shell, finished):
    again = shell("run", "quickstart", *SMOKE, "--json").json
    assert again["weights"] == finished["weights"]
    assert again["metrics"] == finished["metrics"]
    assert again["run"] != finished["run"]
    assert again["protocol"]["teacher"]["source"] == "from the cache"
    other = shell("run", "quickstart", *SMOKE, "--set", "seed=1", "--json").json
    assert other["weights"] != finished["weights"]
    assert other["protocol"]["teacher"]["hash"] == finished["protocol"]["teacher"]["hash"]


def test_a_fresh_store_trains_the_same_teacher_and_student(fresh, finished):
    again = fresh("run", "quickstart", *SMOKE, "--json").json
    assert again["protocol"]["teacher"]["source"] == "trained for this run"
    assert again["weights"] == finished["weights"]


def test_file_and_recipe_are_one_experiment(shell, finished, tmp_path):
    """The run's own experiment.yaml, run as a file, gives the same bits."""
    file = shell.store.parent / "runs" / finished["run"] / "experiment.yaml"
    again = shell("run", str(file), "--json").json
    assert again["weights"] == finished["weights"]


def test_runs_lists_students_newest_first_and_all_lists_the_parts(shell, finished):
    rows = shell.rows()
    assert all(set(row) >= LISTED for row in rows)
    assert {row["role"] for row in rows} == {"student"}
    assert [row["started"] for row in rows] == sorted(
        (row["started"] for row in rows), reverse=True
    )
    row = next(row for row in rows if row["run"] == finished["run"])
    assert (row["status"], row["step"]) == ("finished", row["steps"])
    mine = [row for row in shell.rows("--all") if row["group"] == finished["run"]]
    assert {row["role"] for row in mine} == {"student", "teacher", "control"}
    assert {row["status"] for row in mine} == {"finished"}


def test_runs_prints_whole_names_into_a_pipe(shell, finished):
    lines = shell("runs", "--all").out.splitlines()
    assert any(line.split()[:1] == [f"{finished['run']}-control"] for line in lines)


def test_show_and_journal_speak_of_the_run(shell, finished):
    shown = shell("show", finished["run"], "--json").json
    assert {key: shown[key] for key in ("weights", "metrics", "status")} == {
        key: finished[key] for key in ("weights", "metrics", "status")
    }
    assert f"run: {finished['run']}" in shell("show", finished["run"]).out
    events = shell("journal", finished["run"], "--json").json
    assert [event["kind"] for event in events] == ["started", "finished"]
    assert events[-1]["step"] == finished["steps"]
    assert "finished" in shell("journal", finished["run"]).out


def test_resume_on_a_finished_run_prints_its_json(shell, finished):
    assert shell("resume", finished["run"], "--json").json == finished


def test_stop_and_pause_on_a_finished_run_are_refused(shell, finished):
    for command in ("stop", "pause"):
        said = shell(command, finished["run"], code=2)
        assert "is finished" in said.err
        assert said.out == ""


def test_plain_output_shows_numbers_with_n_and_words_go_to_the_error_stream(shell):
    said = shell("run", "quickstart", *SMOKE)
    assert re.search(r"student +accuracy +\d+\.\d\d%", said.out)
    assert "n = 66" in said.out
    assert "Training the student" in said.err
    assert "Training the student" not in said.out


def test_a_file_by_hand_runs_without_control_and_the_option_adds_one(shell, tmp_path):
    file = tmp_path / "my first.yaml"
    file.write_text(BY_HAND)
    off = shell("run", str(file), "--json").json
    assert off["metrics"]["control"] is None
    on = shell("run", str(file), "--control", "--json").json
    assert on["metrics"]["control"]["nll"] > 0
    assert on["weights"] == off["weights"]


def test_catalogue_is_json_and_complete(shell):
    terms = {row["term"]: row for row in shell("terms", "--json").json}
    assert terms["kd"]["parameters"]["temperature"] == {
        "default": 4.0,
        "allowed": "> 0 and ≤ 100",
        "help": terms["kd"]["parameters"]["temperature"]["help"],
    }
    assert "1503.02531" in terms["kd"]["paper"]
    assert {row["probe"] for row in shell("probes", "--json").json} >= {
        "cka", "trilateral", "calibration", "loyalty"
    }  # fmt: skip
    assert {row["model"] for row in shell("models", "--json").json} >= {
        "cnn-small", "cnn-tiny", "timm/", "hub:", "path:", "run:"
    }  # fmt: skip
    kinds = {row["data"]: row["options"] for row in shell("data", "--json").json}
    assert list(kinds["folder"])[:3] == ["path", "size", "channels"]  # its own come first
    assert kinds["folder"]["path"]["required"] and kinds["folder"]["size"]["default"] == 32
    (quickstart,) = [r for r in shell("recipes", "--json").json if r["recipe"] == "quickstart"]
    assert "5 percentage points" in quickstart["claim"]


def test_doctor_names_versions_device_and_store(shell):
    facts = shell("doctor", "--json").json
    assert facts["store"] == str(shell.store)
    assert facts["store_integrity"] == "ok"
    assert facts["python"] == sys.version.split()[0]
    assert facts["versions"]["torch"]
    assert facts["device"] in {"cpu", "cuda", "mps"}


def test_home_variable_is_the_default_store(fresh, tmp_path):
    fresh.env = {"WORKBENCH_HOME": str(tmp_path / "home")}
    assert fresh("runs", "--json", store=False).json == []
    assert (tmp_path / "home" / "workbench.db").is_file()


def test_a_file_of_the_working_folder_stands_in_for_no_library(fresh):
    """A student's own random.py beside the experiment once kept every worker from starting."""
    (fresh.folder / "random.py").write_text("raise SystemExit('imported by mistake')\n")
    script = Path(sys.executable).with_name("workbench")
    if not script.is_file():
        pytest.skip("the package is not installed here, so there is no console script")
    words = [script, "run", "quickstart", *SMOKE, "--set", "control=false", "--json"]
    done = subprocess.run(
        [*map(str, words), "--store", str(fresh.store)],
        cwd=fresh.folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [row.status for row in Store(str(fresh.store)).runs.list()] == ["finished"]
