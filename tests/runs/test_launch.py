"""Accepting runs and starting their workers."""

from __future__ import annotations

import os
import signal
import sys
from types import SimpleNamespace

import psutil
import pytest

from workbench.errors import InvalidExperiment, RefusedCommand
from workbench.runs import launch
from workbench.runs.launch import FreshStarter, ZygoteStarter, accept
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.files import read_yaml

from ..waiting import until
from .conftest import SMALL, until_ended

TINY = {"student": "cnn-tiny", "stages.main.steps": 2, "control": False}
ENDLESS = {**TINY, "stages.main.steps": 100_000}


def test_an_accepted_run_stands_with_its_file_before_anything_trains(store, tmp_path):
    spec = ExperimentSpec.parse(SMALL)
    run = accept(store, spec, recipe="mine", base=tmp_path, pace=0.5, pause_at=7, threads=3)
    row = store.runs.get(run)
    assert (row.status, row.recipe, row.pace, row.pid) == ("queued", "mine", 0.5, None)
    assert row.options == {"base": str(tmp_path), "pause_at": 7, "threads": 3}
    assert row.experiment == spec.given()
    assert read_yaml(store.runs.folder(run) / "experiment.yaml") == SMALL


def test_a_control_with_nothing_to_train_is_refused_and_leaves_no_row(store):
    spec = ExperimentSpec.parse(SMALL).replace({"stages.main.terms": {"kd": "kd"}})
    before = len(store.runs.list())
    with pytest.raises(InvalidExperiment, match=r"control: every term of stages\.main needs the"):
        accept(store, spec)
    assert len(store.runs.list()) == before


def test_a_hostile_name_trains_like_any_other(store, accepted, workers):
    run = accepted({**TINY, "name": 'it\'s\n"{x}" ../.. %s'})
    workers.start(store, run)
    assert until_ended(store, run).status == "finished"


@pytest.fixture(params=[FreshStarter, ZygoteStarter])
def starter(request):
    made = request.param()
    yield made
    if isinstance(made, ZygoteStarter):
        made.close()


def test_a_worker_lives_in_a_session_of_its_own_below_the_page_and_logs(store, accepted, starter):
    run = accepted(ENDLESS, pace=0.05)
    starter.start(store, run)
    row = until(lambda: row if (row := store.runs.get(run)).step > 0 else None, "it trains")
    worker = psutil.Process(row.pid)
    assert os.getsid(row.pid) != os.getsid(0)
    assert worker.nice() > psutil.Process().nice()
    log = store.runs.folder(run) / "log.txt"
    assert os.readlink(f"/proc/{row.pid}/fd/1") == str(log)  # noqa: PTH115
    store.journal.send(run, "stop", who="test")
    assert until_ended(store, run).status == "stopped"


@pytest.mark.usefixtures("forked_helpers")
def test_workers_outlive_the_process_they_were_forked_from(store, accepted):
    starter = ZygoteStarter()
    run = accepted(ENDLESS, pace=0.02)
    starter.start(store, run)
    row = until(lambda: row if (row := store.runs.get(run)).step > 0 else None, "it trains")
    starter.close()
    until(lambda: store.runs.get(run).step > row.step + 5, "it goes on")
    store.journal.send(run, "stop", who="test")
    assert until_ended(store, run).status == "stopped"


@pytest.mark.usefixtures("forked_helpers")
def test_without_its_preloaded_process_a_worker_starts_afresh(store, accepted):
    starter = ZygoteStarter()
    os.kill(starter._process.pid, signal.SIGKILL)
    starter._process.wait()
    run = accepted(TINY)
    starter.start(store, run)
    assert until_ended(store, run).status == "finished"
    starter.close()


def test_a_fresh_and_a_forked_worker_give_the_same_bits(store, accepted, workers):
    fresh, forked = accepted(TINY), accepted(TINY)
    FreshStarter().start(store, fresh)
    until_ended(store, fresh)
    workers.start(store, forked)
    until_ended(store, forked)
    assert store.runs.get(fresh).result["weights"] == store.runs.get(forked).result["weights"]


def test_the_number_of_threads_is_written_down_by_the_first_worker(store, workers):
    run = accept(store, ExperimentSpec.parse(SMALL).replace(TINY))
    assert store.runs.get(run).options["threads"] is None
    workers.start(store, run)
    row = until_ended(store, run)
    assert row.options["threads"] == row.protocol["threads"]


@pytest.mark.parametrize("said", ["", "Epoch 3\n", "7\n"])
def test_the_answer_of_a_process_is_its_last_line_whatever_a_users_module_printed(
    monkeypatch, said
):
    told = f'{said}{{"equal": true}}\n'
    monkeypatch.setattr(
        launch, "module_command", lambda *_: [sys.executable, "-c", f"print({told!r}, end='')"]
    )
    assert launch.replay_in_fresh_process(SimpleNamespace(path="x"), "run") == {"equal": True}


def test_a_process_that_breaks_after_a_users_module_has_printed_is_refused_with_its_words(
    monkeypatch,
):
    broken = "print('Epoch 3'); raise ValueError('no such row')"
    monkeypatch.setattr(launch, "module_command", lambda *_: [sys.executable, "-c", broken])
    with pytest.raises(RefusedCommand, match="no such row"):
        launch.replay_in_fresh_process(SimpleNamespace(path="x"), "run")
