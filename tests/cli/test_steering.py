"""A hand on a running run: pause, resume, stop, kill, Ctrl-C. Bits never notice."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from typing import Any

import psutil
import pytest

from workbench.store import Store

from ..waiting import PATIENCE, until

SMALL = ("--set", "data.limit=300", "--set", "data.labels_per_class=3", "--set", "control=false")
SMALL += ("--set", "teacher.train.epochs=1")
ENDLESS = (*SMALL, "--set", "stages.main.epochs=100000")
FEW = (*SMALL, "--set", "stages.main.epochs=3")


def training(shell: Any, run: str) -> dict[str, Any]:
    """The row of a run once it trains its student."""
    until(lambda: shell.peek(run).status == "training" and shell.peek(run).step > 0, "training")
    found: dict[str, Any] = shell.row(run)
    return found


def killed(shell: Any, row: dict[str, Any]) -> None:
    """kill -9 its worker; returns when the system has done it."""
    os.kill(row["pid"], signal.SIGKILL)
    until(lambda: not shell.peek(row["run"]).active, "its worker is dead")


def test_pause_at_stands_at_that_step_and_resume_gives_the_bits_of_a_straight_run(shell):
    straight = shell("run", "quickstart", *FEW, "--json").json
    paused = shell("run", "quickstart", *FEW, "--pause-at", "3", "--json").json
    assert (paused["status"], paused["steps"]) == ("paused", 3)
    assert paused["weights"] is None
    row = shell.row(paused["run"])
    assert row["status"] == "paused"
    assert psutil.pid_exists(row["pid"])
    done = shell("resume", paused["run"], "--json").json
    assert done["status"] == "finished"
    assert done["weights"] == straight["weights"]
    assert done["metrics"] == straight["metrics"]
    kinds = [event["kind"] for event in shell("journal", paused["run"], "--json").json]
    assert kinds == ["started", "pause", "resume", "finished"]


def test_detach_returns_with_a_queued_row_and_the_run_can_be_steered(shell):
    run = shell.detach(*ENDLESS)
    training(shell, run)
    said = shell("resume", run, code=2)
    assert f"already running, pid {shell.row(run)['pid']}" in said.err

    said = shell("pause", run)
    row = shell.row(run)
    assert row["status"] == "paused"
    assert said.out == f"{run}: paused at step {row['step']}\n"
    # two answers from its inbox: it listens, and has taken no step between them
    for _ in range(2):
        assert shell("checkpoint", run).out == f"{run}: checkpoint at step {row['step']}\n"
    assert shell.peek(run).step == row["step"]
    assert "paused" in shell("pause", run, code=2).err

    follower = shell.spawn("resume", run, "--json")
    until(lambda: shell.peek(run).step > row["step"], "steps after resume")
    said = shell("stop", run)
    step = shell.row(run)["step"]
    assert said.out == f"{run}: stopped at step {step}\n"
    out, err = follower.communicate(timeout=PATIENCE)
    assert follower.returncode == 1, err
    assert f'"steps": {step}' in out
    assert '"status": "stopped"' in out
    assert "is stopped" in shell("resume", run, code=2).err
    assert "is stopped" in shell("stop", run, code=2).err


def test_killed_worker_is_interrupted_at_once_and_resume_ends_like_a_straight_run(shell):
    """Killed in a pause, so that it is on the way on any machine."""
    straight = shell("run", "quickstart", *FEW, "--json").json
    run = shell.detach(*FEW, "--pause-at", "3")
    until(lambda: shell.peek(run).status == "paused", "it pauses")
    killed(shell, shell.row(run))
    assert shell.row(run)["status"] == "interrupted"
    said = shell("pause", run, code=2)
    assert "is interrupted" in said.err
    assert "resume" in said.err
    done = shell("resume", run, "--json").json
    assert done["status"] == "finished"
    assert done["weights"] == straight["weights"]
    assert done["metrics"] == straight["metrics"]


@pytest.mark.soak
def test_follower_of_a_killed_worker_exits_1_with_json_and_a_way_out(shell):
    known = {row["run"] for row in shell.rows()}
    child = shell.spawn("run", "quickstart", *ENDLESS, "--json")
    until(lambda: len(shell.rows()) > len(known), "a new run")
    run = next(row["run"] for row in shell.rows() if row["run"] not in known)
    os.kill(training(shell, run)["pid"], signal.SIGKILL)
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 1
    assert '"status": "interrupted"' in out
    assert f"workbench resume {run}" in err
    assert "Traceback" not in err


def test_of_two_resumes_one_goes_on_and_the_other_names_its_pid(shell):
    run = shell.detach(*ENDLESS)
    killed(shell, training(shell, run))
    pair = [shell.spawn("resume", run, "--json") for _ in range(2)]
    until(lambda: any(child.poll() is not None for child in pair), "one of two resumes refused")
    (refused,) = [child for child in pair if child.poll() is not None]
    (going,) = [child for child in pair if child is not refused]
    out, err = refused.communicate()
    row = shell.row(run)
    assert refused.returncode == 2, err
    assert f"pid {row['pid']}" in err
    assert out == ""
    assert row["status"] in ("preparing", "training")
    shell("stop", run)
    going.communicate(timeout=PATIENCE)
    assert going.returncode == 1


@pytest.mark.soak
def test_interrupt_leaves_the_worker_training(shell):
    known = {row["run"] for row in shell.rows()}
    # A shell's background job ignores Ctrl-C, and so would all that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    child = shell.spawn("run", "quickstart", *ENDLESS)
    signal.signal(signal.SIGINT, before)
    until(lambda: len(shell.rows()) > len(known), "a new run")
    run = next(row["run"] for row in shell.rows() if row["run"] not in known)
    step = training(shell, run)["step"]
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert f"workbench stop {run}" in err
    assert f"workbench resume {run}" in err
    assert "Traceback" not in out + err
    until(lambda: shell.peek(run).step > step, "steps after Ctrl-C")
    shell("stop", run)


@pytest.mark.soak
def test_stop_while_the_teacher_trains_ends_the_run(fresh):
    run = fresh.detach("--set", "teacher.train.epochs=10000")
    until(
        lambda: any(row["role"] == "teacher" and row["step"] for row in fresh.rows("--all")),
        "a step of the teacher",
    )
    assert fresh.row(run)["status"] == "preparing"
    assert "stopped at step" in fresh("stop", run).out
    assert {row["status"] for row in fresh.rows("--all")} == {"stopped"}


@pytest.mark.parametrize("command", ["pause", "stop", "resume", "show", "journal"])
def test_unknown_run_is_named_with_its_neighbour(fresh, command):
    with closing(Store(str(fresh.store))) as store:
        run = store.runs.create(name="known", experiment={}, options={})
    said = fresh(command, run[:-1], code=2)
    assert "WB111" in said.err
    assert f"Did you mean {run!r}" in said.err
