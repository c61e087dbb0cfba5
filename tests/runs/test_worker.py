"""What a worker does when it is told something, and when something breaks."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import ClassVar

import numpy as np
import psutil
import pytest
import torch

from workbench.errors import DiskFull, RefusedCommand
from workbench.functional import LOSSES
from workbench.registries import TERMS
from workbench.runs.launch import accept, command, resume
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store
from workbench.terms.losses import LossModule
from workbench.terms.term import TermContext, TermKind, TermValue
from workbench.training.loop import Part

from ..waiting import PATIENCE, until
from .conftest import (
    SMALL,
    Workers,
    assert_sound,
    go_on,
    has_left,
    inline,
    kill,
    until_ended,
    until_status,
)

SLOW = {"stages.main.steps": 100_000, "control": False, "student": "cnn-tiny"}


@pytest.fixture
def here():
    """Work in this process, leaving torch's global state as it was."""
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        yield lambda store, run: work(str(store.path), run)
    torch.use_deterministic_algorithms(deterministic)
    torch.set_num_threads(threads)


@pytest.fixture
def running(store, workers, accepted):
    """A long run in slow motion, in its worker; stopped in the end."""
    run = accepted(SLOW, pace=0.01)
    workers.start(store, run)
    until(lambda: store.runs.get(run).step >= 3, "it trains")
    yield run
    if store.runs.get(run).active:
        command(store, run, "stop", who="test")
        until_ended(store, run)


def applied(store: Store, number: int):
    """Wait for the answer to a command."""
    return until(
        lambda: answer if (answer := store.journal.answer(number)).state != "waiting" else None,
        f"command {number} is answered",
    )


# Commands


def test_pause_is_journalled_at_its_step_with_a_checkpoint_and_training_waits(store, running):
    answer = applied(store, command(store, running, "pause", who="ada"))
    row = until_status(store, running, "paused")
    assert answer.state == "applied"
    assert answer.step == store.checkpoints(running)[0].step == store.runs.get(running).step
    assert store.checkpoints(running)[0].reason == "pause"
    assert store.metrics.last_step(running, "train") == answer.step
    journalled = [event for event in store.journal.events(running) if event.kind == "pause"]
    assert [(event.who, event.step) for event in journalled] == [("ada", answer.step)]
    later = applied(store, command(store, running, "pace", who="ada", seconds=0.01))
    assert later.step == answer.step, "it listens, but does not step"
    applied(store, command(store, running, "resume", who="ada"))
    until(lambda: store.runs.get(running).step > answer.step, "it goes on")
    assert store.runs.get(running).status == "training"
    assert store.runs.get(running).pid == row.pid


def test_a_command_is_journalled_before_it_acts(store, accepted, workers):
    """The pause is seen in the journal no later than in the status, at every look."""
    run = accepted(SLOW, pause_at=5)
    workers.start(store, run)

    def status_then_journal():
        status = store.runs.get(run).status
        kinds = [event.kind for event in store.journal.events(run)]
        assert status != "paused" or "pause" in kinds
        return status == "paused"

    until(status_then_journal, "it pauses by itself")
    assert store.runs.get(run).step == 5
    command(store, run, "stop", who="test")
    assert until_ended(store, run).status == "stopped"


def test_stop_ends_the_run_with_a_checkpoint_and_its_worker_leaves(store, running):
    pid = store.runs.get(running).pid
    answer = applied(store, command(store, running, "stop", who="ada"))
    row = until_ended(store, running)
    assert (answer.state, row.status) == ("applied", "stopped")
    assert row.result is not None
    assert set(row.result) == {"steps", "weights"} and row.result["steps"] == answer.step
    assert store.checkpoints(running)[0].reason == "stop"
    assert store.checkpoints(running)[0].step == answer.step
    until(lambda: has_left(pid), "its worker has left")
    with pytest.raises(RefusedCommand, match=r"is stopped; 'pause' does not apply\. It has ended"):
        command(store, running, "pause", who="ada")
    with pytest.raises(RefusedCommand, match="is stopped; a run can be resumed that is paused"):
        resume(store, running, Workers.__new__(Workers), who="ada")


def test_stop_reaches_a_paused_run_and_a_teacher_in_training(store, workers, accepted):
    run = accepted({**SLOW, "teacher.train.steps": 5000})
    workers.start(store, run)
    until(
        lambda: any(row.step for row in store.runs.list(roles=("teacher",), group=run)),
        "the teacher trains",
    )
    applied(store, command(store, run, "pause", who="ada"))
    assert until_status(store, run, "paused").step == 0
    applied(store, command(store, run, "stop", who="ada"))
    assert until_ended(store, run).status == "stopped"
    (teacher,) = store.runs.list(roles=("teacher",), group=run)
    assert teacher.status == "stopped"
    assert 0 < teacher.step < 5000


def test_slow_motion_can_be_changed_while_it_trains(store, running):
    answer = applied(store, command(store, running, "pace", who="ada", seconds=0.05))
    (event,) = [event for event in store.journal.events(running) if event.kind == "pace"]
    assert event.payload == {"before": 0.01, "after": 0.05}
    until(lambda: store.runs.get(running).pace == 0.05, "the row has the new pace")
    until(lambda: store.runs.get(running).step >= answer.step + 6, "six steps")
    applied(store, command(store, running, "checkpoint", who="ada"))
    last = next(e for e in store.journal.events(running) if e.kind == "checkpoint")
    # By the worker's own clock: whoever looks on may be late.
    assert (last.created_ns - event.created_ns) > 0.045e9 * (last.step - event.step - 1)


def test_what_does_not_apply_is_refused_with_the_reason(store, running):
    answer = applied(store, command(store, running, "resume", who="ada"))
    assert answer.state == "refused"
    assert answer.reason == "The run is training; 'resume' does not apply."
    answer = applied(store, command(store, running, "dance", who="ada"))
    assert "'dance' does not apply" in answer.reason
    assert [event.kind for event in store.journal.events(running)] == ["started"]


def test_a_command_still_waiting_when_the_run_ends_is_refused(store, accepted, here):
    run = accepted({"stages.main.steps": 2, "control": False})
    store.journal.send(run, "pause", who="ada")
    number = store.journal.send(run, "stop", who="ada")
    last = store.journal.send(run, "pause", who="ada")
    assert here(store, run) == 0
    assert store.runs.get(run).status == "stopped"
    assert store.journal.answer(number).state == "applied"
    assert store.journal.answer(last).state == "refused"


# One writer


def test_a_second_worker_is_refused_and_names_the_first(store, running):
    row = store.runs.get(running)
    second = subprocess.run(
        [sys.executable, "-m", "workbench.runs.worker", str(store.path), running],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert second.returncode == 2
    assert f"is already running, pid {row.pid} on {row.host}" in second.stdout
    assert store.runs.get(running).pid == row.pid
    with pytest.raises(RefusedCommand, match=f"already running, pid {row.pid}"):
        resume(store, running, Workers.__new__(Workers), who="ada")


def test_an_ended_run_is_not_trained_again(store, accepted, here, capfd):
    run = accepted({"stages.main.steps": 2, "control": False})
    assert here(store, run) == 0
    before = store.runs.get(run)
    assert here(store, run) == 2
    assert "is finished; nothing of it is left to train" in capfd.readouterr().out
    assert store.runs.get(run) == before


def test_a_dead_worker_is_interrupted_at_once_and_a_command_says_the_way(store, workers, accepted):
    run = accepted(SLOW, pace=0.01)
    workers.start(store, run)
    kill(until_status(store, run, "training"))
    assert store.runs.get(run).status == "interrupted"
    with pytest.raises(RefusedCommand, match=r"is interrupted.*`workbench resume` lets it go on"):
        command(store, run, "pause", who="ada")


def test_a_zombie_counts_as_dead(store, accepted):
    """A killed worker whose starter never asks for its exit code."""
    run = accepted(SLOW, pace=0.01)
    child = subprocess.Popen(
        [sys.executable, "-m", "workbench.runs.worker", str(store.path), run],
        stdout=subprocess.DEVNULL,
    )
    until_status(store, run, "preparing", "training")
    child.kill()
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, "a zombie")
    assert store.runs.get(run).status == "interrupted"
    child.wait()


# Faults


@pytest.fixture
def poisoned():
    """A term that is cross-entropy but for two samples, where it is NaN from step 6 on.

    Calls count once a test has put ones into ``calls``: checks before step 0 call it, too.
    """
    calls: list[int] = []
    bad: set[int] = set()

    class Poisoned(LossModule):
        def __call__(self, student, target, batch, values) -> TermValue:
            calls.append(calls[0] if calls else 0)
            found = super().__call__(student, target, batch, values)
            if calls[0] == 0 or len(calls) <= 6:
                return found
            ids = batch.ids[batch.labelled][:2].tolist()
            bad.update(ids)
            hit = torch.isin(batch.ids, torch.tensor(ids))
            return TermValue(found.value.masked_fill(hit, float("nan")), found.weight)

    @TERMS.register("poisoned", replace=True)
    class PoisonedTerm(TermKind):
        summary: ClassVar[str] = "NaN for two samples."
        paper: ClassVar[str] = "none"
        needs: ClassVar[tuple[str, ...]] = ("student.logits", "labels")
        pull: ClassVar[str] = "labels"

        def build(self, context: TermContext) -> LossModule:
            return Poisoned(LOSSES["ce"], {}, None)

    yield bad, calls
    del TERMS._entries["poisoned"]


def test_nan_in_a_loss_stops_the_run_and_names_term_step_and_samples(
    store, accepted, here, poisoned, capfd
):
    bad, calls = poisoned
    run = accepted(
        {
            "stages.main.terms.bad": {"use": "poisoned"},
            "stages.main.steps": 100,
            "data.labels_per_class": None,
            "control": False,
        },
        pause_at=4,
    )
    store.journal.send(run, "resume", who="ada")  # refused: not yet paused
    thread = threading.Thread(target=lambda: codes.append(here(store, run)))
    codes: list[int] = []
    thread.start()
    until_status(store, run, "paused")
    calls.clear()
    calls.extend([1] * 4)
    command(store, run, "resume", who="ada")
    thread.join(timeout=PATIENCE)
    row = store.runs.get(run)
    assert codes == [1]
    assert row.status == "failed"
    assert row.error["code"] == "WB201"
    message = row.error["message"]
    assert "became nan at step 6, first in the term 'bad'" in message
    assert all(str(sample) in message.split("Sample ids: ")[1] for sample in bad)
    assert row.error["last_good_step"] == 4
    assert store.checkpoints(run)[0].step == 4
    assert store.metrics.last_step(run, "train") <= 6
    assert np.isfinite(store.metrics.read(run, "train").values).all()
    assert "[WB201]" in capfd.readouterr().out
    with pytest.raises(RefusedCommand, match="is failed; a run can be resumed that is paused"):
        resume(store, run, Workers.__new__(Workers), who="ada")


def test_a_failing_teacher_fails_the_run_and_its_own_row(store, accepted, here):
    wild = {"use": "mlp", "train": {"steps": 50, "optimiser": {"use": "sgd", "lr": 1000.0}}}
    run = accepted({"teacher": wild, "control": False})
    assert here(store, run) == 1
    (teacher,) = store.runs.list(roles=("teacher",), group=run)
    assert (store.runs.get(run).status, teacher.status) == ("failed", "failed")
    assert "in the term 'ce'" in store.runs.get(run).error["message"]


def test_bad_input_found_by_the_worker_is_exit_code_two(store, accepted, here):
    run = accepted({"teacher": {"use": "cnn-small"}})
    assert here(store, run) == 2
    assert store.runs.get(run).error["code"] == "WB106"


def test_a_fault_of_ours_is_told_with_the_place_of_the_report(store, accepted, here, monkeypatch):
    monkeypatch.setattr("workbench.training.session.build_data", lambda *_, **__: 1 / 0)
    run = accepted()
    assert here(store, run) == 1
    error = store.runs.get(run).error
    assert error["message"].startswith("ZeroDivisionError: division by zero")
    assert str(store.runs.folder(run) / "log.txt") in error["message"]


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
import workbench.training.loop as loop
loop.CHECKPOINT_SECONDS = 1e9
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
sys.exit(work(sys.argv[1], sys.argv[2]))
"""


@pytest.fixture
def limited(forks):
    """Run a worker that may write at most ``limit`` bytes into a file; its exit code, its words."""

    def run_limited(store: Store, run: str, limit: int) -> tuple[int, str, str]:
        pipe = subprocess.PIPE
        words = (LIMITED.format(limit=limit), str(store.path), run)
        worker = inline(forks, *words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        with worker.stdout as out, worker.stderr as err:  # a few lines: they fit into the pipes
            return worker.wait(timeout=PATIENCE), out.read(), err.read()

    return run_limited


@pytest.fixture
def own_store(tmp_path):
    """A store with nothing in it but what the test puts there."""
    opened = Store(str(tmp_path / "workbench.db"))
    yield opened
    opened.close()


def accept_small(store: Store, changes: dict[str, object]) -> str:
    spec = ExperimentSpec.parse(SMALL).replace(changes)
    return accept(store, spec, base=Path.cwd(), threads=1)


WIDE = {"student": {"use": "cnn-tiny", "width": 220}, "stages.main.steps": 3, "control": False}
"""A student whose checkpoint takes 10 MB."""


def test_a_checkpoint_without_space_fails_the_run_which_goes_on_when_there_is_some(
    own_store, workers, limited
):
    run, whole = accept_small(own_store, WIDE), accept_small(own_store, WIDE)
    code, out, err = limited(own_store, run, limit=3 << 20)
    row = own_store.runs.get(run)
    assert code == 1, out + err
    assert "Traceback" not in err
    assert (row.status, row.error["code"]) == ("failed", DiskFull.code)
    assert re.search(r"000003\.safetensors: no space for \d{8} bytes; ", row.error["message"])
    assert not list(own_store.runs.folder(run).rglob("*.tmp"))
    assert not (own_store.runs.folder(run) / "ballast").exists()
    go_on(own_store, run, workers)
    assert until_ended(own_store, run).status == "finished"
    workers.start(own_store, whole)
    untouched = until_ended(own_store, whole)
    assert untouched.result["weights"] == own_store.runs.get(run).result["weights"]


def test_a_store_without_space_ends_the_worker_with_words_and_stays_sound(own_store, limited):
    run = accept_small(own_store, SLOW)
    own_store.journal.send("another", "pause", who="ada", payload={"filler": "x" * (2 << 20)})
    log = own_store.path.with_name(own_store.path.name + "-wal")
    code, out, err = limited(own_store, run, limit=log.stat().st_size + (1 << 17))
    assert code == 1
    assert "[WB202]" in out, out + err
    assert "Traceback" not in err
    row = own_store.runs.get(run)
    assert row.status in ("failed", "interrupted")
    assert row.resumable
    assert_sound(own_store)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MB, where the system lets us mount one.

    Two checkpoints, a third that is written and the store have room on it.
    """
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_fails_the_run_keeps_the_store_and_lets_the_run_go_on(small_disk, workers):
    full = Store(str(small_disk / "workbench.db"))
    run = accept_small(full, WIDE)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(41 << 20))
    workers.start(full, run)
    row = until_ended(full, run)
    assert (row.status, row.error["code"]) == ("failed", DiskFull.code), row.error
    assert re.search(r"no space for \d+ bytes; \d+ bytes are free", row.error["message"])
    assert_sound(full)
    filler.unlink()
    go_on(full, run, workers)
    ended = until_ended(full, run)
    assert ended.status == "finished", ended.error
    full.close()


@pytest.mark.parametrize("role", ["teacher", "student"])
def test_a_model_that_breaks_in_its_last_step_fails_and_is_not_kept(
    store, accepted, here, monkeypatch, role
):
    """There is no next loss to tell: the weights are looked at before they are written."""
    real = Part.set_rate

    def boundless(part: Part, step: int) -> float:
        rate = real(part, step)
        if part.see_all_labels == (role == "teacher") and step == part.steps - 1:
            for group in part.optimiser.param_groups:
                group["lr"] = float("inf")
        return rate

    monkeypatch.setattr(Part, "set_rate", boundless)
    seed = {"teacher.train.seed": 77, "stages.main.steps": 4}
    run = accepted({**seed, "control": False, "probes": ["calibration", "cka", "loyalty"]})
    assert here(store, run) == 1
    broken = run if role == "student" else f"{run}-teacher"
    error = store.runs.get(run).error
    assert error["code"] == "WB201"
    last = 4 if role == "student" else 20
    assert f"The weights became NaN or infinite by step {last}, first in " in error["message"]
    assert store.runs.get(broken).status == "failed"
    assert last not in [row.step for row in store.checkpoints(broken)]
    monkeypatch.undo()
    again = accepted({**seed, "control": False})
    assert here(store, again) == 0
    trained = store.runs.list(roles=("teacher",), group=again)
    assert bool(trained) is (role == "teacher"), "a broken teacher was kept"
