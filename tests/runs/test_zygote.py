"""The process that forks workers outlives what a busy machine and its own starter do to it."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sys

import pytest

from workbench.runs import zygote


@pytest.fixture
def ordered(tmp_path, monkeypatch):
    """Let it follow one order here, in a process that may not fork; gives the worker's log."""

    def refuse() -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    log = tmp_path / "run" / "log.txt"
    order = {"store": "s.db", "run": "r", "log": str(log)}
    monkeypatch.setattr(os, "fork", refuse)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{json.dumps(order)}\n" * 2))
    before = signal.getsignal(signal.SIGCHLD)
    yield log
    signal.signal(signal.SIGCHLD, before)


def test_where_no_process_can_be_had_it_says_so_in_the_log_and_goes_on(ordered):
    zygote.serve()
    (line, again) = ordered.read_text().splitlines()
    assert line == again and "No worker could be started" in line and "resume" in line


def test_a_starter_that_ignores_its_children_does_not_keep_it_from_waiting(ordered):
    """A process inherits that, and then no exit code can be had: the first order would end it."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    zygote.serve()
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
