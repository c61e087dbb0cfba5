"""Between two steps: what is written down first, and what it then does."""

from __future__ import annotations

from collections import deque

import pytest

from workbench.training import boundary as boundary_module
from workbench.training.boundary import Boundary
from workbench.training.journal import Command, Event


class Inbox:
    """A recorder that hands out commands one look at a time and writes down the order of things."""

    def __init__(self, *commands: Command | None) -> None:
        self.looks = deque(commands)
        self.happened: list[tuple] = []

    def commands(self) -> list[Command]:
        command = self.looks.popleft() if self.looks else None
        return [] if command is None else [command]

    def apply(self, command: Command, step: int, payload: dict) -> None:
        self.happened.append(("journal", command.kind, step, *payload.values()))

    def refuse(self, command: Command, reason: str) -> None:
        self.happened.append(("refuse", command.kind, reason))

    def event(self, event: Event) -> None:
        self.happened.append(("journal", event.kind, event.step, event.who))

    def update(self, **fields) -> None:
        self.happened.append(("status", *fields.values()))


def told(kind: str, **payload) -> Command:
    return Command(1, kind, "ada", payload)


@pytest.fixture
def at(monkeypatch):
    """A boundary that looks at every chance and never really sleeps."""
    clock = [0.0]

    def sleeps(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(boundary_module.time, "sleep", sleeps)
    monkeypatch.setattr(boundary_module.time, "perf_counter", lambda: clock[0])

    def make(*commands: Command | None, **options):
        inbox = Inbox(*commands)

        def save(step: int, reason: str) -> None:
            inbox.happened.append(("checkpoint", reason, step))

        boundary = Boundary(inbox, run=inbox, save=save, **options)
        return inbox, boundary, clock

    return make


def test_a_pause_is_journalled_then_kept_then_told_and_waits_for_its_end(at):
    inbox, boundary, _ = at(told("pause"), None, None, told("resume"))
    assert boundary.at(7) is True
    assert inbox.happened == [
        ("journal", "pause", 7),
        ("checkpoint", "pause", 7),
        ("status", "paused"),
        ("journal", "resume", 7),
        ("status", "training"),
    ]
    assert not boundary.stopped


def test_a_planned_pause_comes_once_at_its_step(at):
    inbox, boundary, clock = at(None, None, told("resume"), pause_at=5)
    assert boundary.at(4) is False
    clock[0] += 1
    assert boundary.at(5) is True
    assert inbox.happened[:3] == [
        ("journal", "pause", 5, "pause-at"),
        ("checkpoint", "pause", 5),
        ("status", "paused"),
    ]
    happened = len(inbox.happened)
    clock[0] += 1
    assert boundary.at(6) is False
    assert len(inbox.happened) == happened


def test_a_stop_is_journalled_before_it_is_followed_also_out_of_a_pause(at):
    inbox, boundary, _ = at(told("pause"), told("stop"))
    boundary.at(3)
    assert boundary.stopped
    assert inbox.happened[-2:] == [("journal", "stop", 3), ("status", "stopping")]


def test_slow_motion_is_journalled_with_before_and_after_and_stretches_the_step(at):
    inbox, boundary, clock = at(told("pace", seconds=2.0), pace=0.5)
    boundary.at(1)
    assert inbox.happened == [("journal", "pace", 1, 0.5, 2.0), ("status", 2.0)]
    begun = clock[0]
    boundary.wait(1)
    assert clock[0] - begun == pytest.approx(2.0)


def test_slow_motion_listens_while_it_waits(at):
    _, boundary, clock = at(None, None, told("stop"), pace=100.0)
    boundary.at(1)
    boundary.wait(1)
    assert boundary.stopped
    assert clock[0] < 1


def test_full_speed_does_not_wait(at):
    _, boundary, clock = at(pace=None)
    boundary.at(1)
    boundary.wait(1)
    assert clock[0] == 0.0


def test_the_inbox_is_not_asked_more_often_than_it_must(at):
    inbox, boundary, clock = at(*[None] * 100)
    for step in range(50):
        boundary.at(step)
        clock[0] += 0.001
    assert 100 - len(inbox.looks) == 1
    clock[0] += 0.1
    boundary.at(50)
    assert 100 - len(inbox.looks) == 2


def test_what_does_not_apply_is_refused_in_words(at):
    inbox, boundary, _ = at(told("resume"))
    boundary.at(2)
    assert inbox.happened == [("refuse", "resume", "The run is training; 'resume' does not apply.")]
