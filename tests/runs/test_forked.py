"""The process on the side, forked from the preloaded one: it answers and goes as a fresh one."""

from __future__ import annotations

import fcntl
import json
import os
import queue
import resource
import signal
import socket
import tempfile
from pathlib import Path

import psutil
import pytest

from workbench.runs import forked, launch
from workbench.runs.explainer import Answer, Explainer
from workbench.runs.forked import Forked, meet
from workbench.runs.launch import ZygoteStarter, accept
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.store import Store

from ..small import SMALL
from ..waiting import PATIENCE, until

pytestmark = pytest.mark.skipif(not forked.can_fork(), reason="needs pidfd, that is Linux")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(str(tmp_path_factory.mktemp("forked") / "workbench.db"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def run(store):
    run = accept(store, ExperimentSpec.parse({**SMALL, "probes": ["cka"]}), threads=1)
    assert work(str(store.path), run) == 0
    return run


@pytest.fixture
def explainer(store, workers):
    """One that forks from the preloaded process of all these tests."""
    pipe = workers._zygote.stdin

    def fork(path: Path) -> Forked | None:
        def order(at: str) -> bool:
            pipe.write(json.dumps({"explain": str(path), "at": at}) + "\n")
            pipe.flush()
            return True

        return meet(order, lambda: True)

    made = Explainer(store, fork)
    made.attach("page")
    yield made
    made.close()


def answered(ask, *given) -> Answer:
    ends: queue.Queue[Answer] = queue.Queue()
    ask(*given, lambda answer: ends.put(answer) if answer.ended else None)
    return ends.get(timeout=PATIENCE)


def is_gone(pid: int) -> bool:
    """Ended, whether or not whoever adopted it has taken its exit code."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def many_files():
    """As a server with many pages: this process may have 2048 files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("no process may have that many files here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_it_is_watched_whatever_the_number_of_its_file(many_files, monkeypatch):
    """``select`` refuses files from 1024 on."""
    opened = os.pidfd_open

    def late(pid: int) -> int:
        early = opened(pid)
        found = fcntl.fcntl(early, fcntl.F_DUPFD, 1500)
        os.close(early)
        return found

    monkeypatch.setattr(os, "pidfd_open", late)
    mine, theirs = socket.socketpair()
    watched = Forked(mine)
    assert watched._handle >= 1500 and watched.poll() is None
    os.close(watched._handle)
    theirs.close()


def test_it_answers_and_is_gone_with_the_last_reader(run, explainer, workers):
    found = answered(explainer.pictures, run)
    assert found.state == "done" and found.head["kind"] == "image"
    pid = explainer.pid
    with Path(f"/proc/{pid}/cmdline").open() as line:
        assert "explaining" not in line.read(), "a fresh interpreter was started"
    assert psutil.Process(pid).nice() >= 10 and os.getsid(pid) != os.getsid(workers._zygote.pid)
    layers = answered(explainer.layers, run, None, found.head["ids"][:8])
    assert layers.state == "done" and layers.head["step"] > 0
    assert explainer.pid == pid
    explainer.detach("page")
    until(lambda: is_gone(pid), "the process is gone")
    assert explainer.pid is None


def test_a_killed_one_is_told_and_the_next_question_forks_another(run, explainer):
    assert answered(explainer.pictures, run).state == "done"
    pid = explainer.pid
    os.kill(pid, signal.SIGSTOP)  # whatever is asked now is under way
    ends: queue.Queue[Answer] = queue.Queue()
    explainer.pictures(run, lambda answer: ends.put(answer) if answer.ended else None, [1])
    os.kill(pid, signal.SIGKILL)
    told = ends.get(timeout=PATIENCE)
    assert told.state == "refused"
    assert told.head["words"].startswith("The process that computes it is gone. Training goes on")
    assert (
        answered(
            explainer.pictures,
            run,
        ).state
        == "done"
    )  # known
    assert answered(lambda heard: explainer.pictures(run, heard, [2])).state == "done"
    assert explainer.pid not in (None, pid)


def test_where_none_comes_none_is_given_and_no_folder_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert meet(lambda at: False, lambda: True) is None
    assert meet(lambda at: True, lambda: False) is None
    monkeypatch.setattr(forked, "MEET_SECONDS", 0.01)
    assert meet(lambda at: True, lambda: True) is None
    assert not list(tmp_path.iterdir())
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert meet(lambda at: True, lambda: True) is None, "its name is too long for a socket"


def test_a_preloaded_process_that_still_preloads_is_not_waited_for(monkeypatch, store):
    monkeypatch.setattr(launch, "LEAVE_SECONDS", 0)
    starter = ZygoteStarter()
    assert starter.explain(store.path) is None
    starter.close()
    assert starter.explain(store.path) is None
