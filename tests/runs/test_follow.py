"""What a log is told of a run: each line once, one in five seconds while nothing new begins."""

from __future__ import annotations

import pytest

from workbench.runs import follow
from workbench.runs.follow import LINE_SECONDS, Progress

from .written import Written


@pytest.fixture
def clock(monkeypatch):
    """Seconds that the test sets."""
    now = [100.0]
    monkeypatch.setattr(follow.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def row(tmp_path):
    written = Written(tmp_path)
    run = written.run(0.5)
    yield lambda **told: (written.store.runs.update(run, **told), written.store.runs.get(run))[1]
    written.store.close()


def test_a_log_repeats_no_line_however_long_nothing_moves(row, clock, capsys):
    with Progress() as bar:
        for _ in range(10):
            bar.told(row(step=3))
            clock[0] += LINE_SECONDS
        bar.told(row(step=4))
    lines = capsys.readouterr().err.splitlines()
    steps = [line for line in lines if "step" in line]
    assert [line.partition("step ")[2].split()[0] for line in steps] == ["3", "4"]


def test_what_moves_is_told_once_in_five_seconds(row, clock, capsys):
    with Progress() as bar:
        for step in range(20):
            bar.told(row(step=step))
            clock[0] += 1.0
    steps = [line for line in capsys.readouterr().err.splitlines() if "step" in line]
    assert [line.partition("step ")[2].split()[0] for line in steps] == ["0", "5", "10", "15"]
