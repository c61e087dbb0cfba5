"""``set``, ``fork``, ``replay`` and their kin as a stranger types them."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import time
from typing import Any

import pytest

from ..waiting import until

SMALL = ("--set", "data.limit=300", "--set", "data.labels_per_class=3", "--set", "control=false")
SMALL += ("--set", "teacher.train.epochs=1", "--set", "stages.main.epochs=20")
KD = "stages.main.terms.kd"
STEP = 20
"""At which runs pause by themselves, so that there is time to touch them."""


def paused(shell: Any) -> str:
    """A run that waits at the step."""
    run: str = shell.detach(*SMALL, "--pause-at", str(STEP))
    until(lambda: shell.peek(run).status == "paused", "it pauses")
    return run


def events(shell: Any, run: str) -> list[dict[str, Any]]:
    """What was set, as ``journal --json`` says it."""
    return [event for event in shell("journal", run, "--json").json if event["kind"] == "set"]


@pytest.fixture(scope="module")
def straight(shell) -> dict[str, Any]:
    """The run that nobody touched."""
    found: dict[str, Any] = shell("run", "quickstart", *SMALL, "--json").json
    return found


@pytest.fixture(scope="module")
def touched(shell) -> dict[str, Any]:
    """Three sets in a pause, then to the end."""
    run = paused(shell)
    said = shell("set", run, f"{KD}.temperature=2.5", "--note", "softer 'for now'")
    assert said.out == f"{run}: {KD}.temperature = 2.5 from step {STEP} on\n"
    said = shell("set", run, "stages.main.freeze=[stage1]", "--json")
    assert said.json == {
        "run": run,
        "step": STEP,
        "path": "stages.main.freeze",
        "value": ["stage1"],
    }
    shell("set", run, "stages.main.optimiser.lr={use: linear, start: 0.005, end: 0.001}")
    found: dict[str, Any] = shell("resume", run, "--json").json
    return found


def test_the_journal_has_every_set_with_before_after_and_note(shell, touched):
    first, second, third = events(shell, touched["run"])
    assert {first["step"], second["step"], third["step"]} == {STEP}
    assert (first["path"], first["before"], first["after"]) == (f"{KD}.temperature", 4.0, 2.5)
    assert first["note"] == "softer 'for now'"
    assert (second["before"], second["after"]) == ([], ["stage1"])
    assert third["after"]["end"] == 0.001
    assert first["time"] <= second["time"] <= third["time"] <= time.time()
    assert first["who"]


def test_a_replay_is_equal_and_exits_0(shell, straight, touched):
    assert touched["weights"] != straight["weights"]
    said = shell("replay", touched["run"], "--json")
    assert said.json["equal"] is True
    assert said.json["first_difference"] is None
    assert said.json["weights"] == touched["weights"]
    assert said.json["metrics"] == touched["metrics"]


def test_a_changed_journal_makes_replay_exit_1_with_step_and_quantity(shell, touched):
    number, payload = _line(shell, touched["run"])
    _write(shell, number, {**payload, "after": 2.6})
    try:
        words = shell("replay", touched["run"], code=1).out
        found = f"First at step {STEP}: journal.{KD}.temperature.after was 2.6, is 2.5."
        assert f"{touched['run']}: not equal. {found}" in words
    finally:
        _write(shell, number, payload)


def _line(shell: Any, run: str) -> tuple[int, dict[str, Any]]:
    connection = sqlite3.connect(shell.store)
    query = "SELECT id, payload FROM events WHERE run = ? AND kind = 'set' ORDER BY id"
    number, payload = connection.execute(query, (run,)).fetchone()
    connection.close()
    return number, json.loads(payload)


def _write(shell: Any, number: int, payload: dict[str, Any]) -> None:
    connection = sqlite3.connect(shell.store)
    with connection:
        connection.execute(
            "UPDATE events SET payload = ? WHERE id = ?", (json.dumps(payload), number)
        )
    connection.close()


def test_what_is_refused_exits_2_says_why_and_changes_nothing(shell, straight):
    run = paused(shell)
    said = shell("set", run, f"{KD}.temperature=-1", code=2)
    assert "must be > 0" in said.err
    assert f"{KD}.temperature" in said.err
    assert "-1" in said.err
    said = shell("set", run, "stages.main.batch_size=8", code=2)
    offered = f"workbench fork {run} --at {STEP} --set stages.main.batch_size=8"
    assert offered in said.err
    for words in ("a..b=1", "x'\"y=1"):
        assert shell("set", run, words, code=2).out == ""
    assert events(shell, run) == []
    done = shell("resume", run, "--json").json
    assert done["weights"] == straight["weights"], "a pause and refusals leave no trace"
    child = shell(*shlex.split(offered)[1:], "--json").json
    assert child["status"] == "finished"
    assert child["weights"] != straight["weights"]


def test_show_lists_every_path_with_its_bounds(shell, touched):
    knobs = shell("show", touched["run"], "--json").json["knobs"]
    temperature = knobs[f"{KD}.temperature"]
    assert (temperature["value"], temperature["min"], temperature["open"]) == (2.5, 0.0, True)
    assert knobs["stages.main.freeze"]["value"] == ["stage1"]
    assert {"teacher", "stages.main.target", "stages.main.rows.labels"} <= set(knobs)


@pytest.mark.soak
def test_killed_between_a_set_and_the_next_checkpoint_resume_equals_replay(shell):
    run = paused(shell)
    shell("set", run, f"{KD}.weight=0.3")
    os.kill(shell.row(run)["pid"], signal.SIGKILL)
    until(lambda: shell.peek(run).status == "interrupted", "it is interrupted")
    done = shell("resume", run, "--json").json
    assert done["status"] == "finished"
    (event,) = events(shell, run)
    assert (event["step"], event["after"]) == (STEP, 0.3)
    replayed = shell("replay", run, "--json").json
    assert replayed["equal"]
    assert replayed["weights"] == done["weights"]


def test_a_fork_says_its_parent_and_shares_its_steps(shell, touched):
    run = touched["run"]
    same = shell("fork", run, "--at", "30", "--json").json
    assert same["weights"] == touched["weights"]
    other = shell(
        "fork", run, "--at", "30", "--set", f"{KD}.weight=0.1", "--name", "a\nb", "--json"
    ).json  # fmt: skip
    assert other["weights"] != touched["weights"]
    row = shell.row(other["run"])
    assert (row["parent"], row["forked_at"], row["name"]) == (run, 30, "a\nb")
    assert shell.row(run)["parent"] is None
    assert other["run"] in shell("show", run, "--json").json["children"]
    assert "has steps 0 to" in shell("fork", run, "--at", "100000", code=2).err


def test_an_ended_run_takes_no_set_and_offers_the_fork(shell, straight):
    said = shell("set", straight["run"], f"{KD}.weight=0.5", code=2)
    assert f"workbench fork {straight['run']} --at" in said.err
    assert "is finished" in shell("checkpoint", straight["run"], code=2).err


def test_checkpoint_and_probe_say_their_step(shell):
    run = paused(shell)
    assert shell("checkpoint", run).out == f"{run}: checkpoint at step {STEP}\n"
    assert shell("probe", run).out == f"{run}: snapshot at step {STEP}\n"
    words = shell("replay", run).out  # as far as it came
    assert f"{run}: equal." in words
    assert f"numbers of {STEP} steps" in words
    shell("stop", run)


@pytest.mark.parametrize("command", ["set", "fork", "replay"])
def test_a_run_that_is_not_there_is_told(shell, straight, command):
    more = {"set": ["a=1"], "fork": ["--at", "0"]}.get(command, [])
    assert "WB111" in shell(command, "nobody", *more, code=2).err
