"""Journalled before it applies, once; refused without a trace; the control takes nothing new."""

from __future__ import annotations

import pytest

from workbench.errors import BadModel
from workbench.specs.experiment import ExperimentSpec
from workbench.training.intervening import AfterTheStudent, Intervening
from workbench.training.journal import Command, Event
from workbench.training.timeline import Change, timeline

from .conftest import SMALL

KD = "stages.main.terms.kd.weight"
PLAN = [{"step": 3, "set": {KD: 0.5}}, {"step": 3, "set": {KD: 0.6}}, {"step": 8, "set": {KD: 1}}]
SPEC = ExperimentSpec.parse({**SMALL, "interventions": PLAN})


class Log:
    """A recorder and a steering that write down what happens, in order."""

    run = "small-1"

    def __init__(self, *events: Event) -> None:
        self.journal = list(events)
        self.happened: list[tuple] = []
        self.applied, self.steps = 0, 14

    # as a recorder

    def events(self) -> list[Event]:
        return self.journal

    def event(self, event: Event) -> None:
        self.happened.append(("journal", event.step, event.who, event.payload["set"][KD]))

    def apply(self, command: Command, step: int, payload: dict) -> None:
        self.happened.append(("journal", step, command.who, payload["set"][KD]))

    def refuse(self, command: Command, reason: str) -> None:
        self.happened.append(("refuse", reason))

    def update(self, **fields) -> None:
        self.happened.append(("row", fields))

    # as a steering

    def set(self, path: str, value, step: int) -> Change:
        if value == "bad":
            raise BadModel("no such thing")
        return self._change(value)

    def follow(self, item) -> Change:
        return self._change(item.set[KD])

    def fast_forward(self, items) -> None:
        for item in items:
            self._change(item.set[KD]).commit()

    def _change(self, value) -> Change:
        def commit() -> None:
            self.applied += 1
            self.happened.append(("apply", value))

        return Change({KD: value}, None, value, {}, commit)


def ask(value, who="ada", **more) -> Command:
    return Command(9, "set", who, {"path": KD, "value": value, **more})


def test_what_is_planned_is_journalled_then_applied_at_its_step_in_order():
    log = Log()
    hands = Intervening(SPEC, log, log, hold=-1)
    hands.due(2)
    assert log.happened == []
    hands.due(3)
    assert log.happened == [
        ("journal", 3, "plan", 0.5),
        ("apply", 0.5),
        ("journal", 3, "plan", 0.6),
        ("apply", 0.6),
    ]
    hands.due(3)
    assert len(log.happened) == 4, "once"
    assert hands.applied == 2


def test_what_the_journal_has_is_applied_without_another_line():
    log = Log(Event(3, "set", "plan", {"set": {KD: 0.5}, "planned": 0}))
    hands = Intervening(SPEC, log, log, hold=5)
    hands.due(3)
    assert log.happened == [("apply", 0.5), ("journal", 3, "plan", 0.6), ("apply", 0.6)]


def test_a_checkpoint_says_how_many_have_applied_and_these_are_not_applied_again():
    log = Log(Event(3, "set", "plan", {"set": {KD: 0.5}, "planned": 0}))
    hands = Intervening(SPEC, log, log, hold=5)
    hands.fast_forward(1)
    hands.due(3)
    assert [what for what in log.happened if what[0] == "apply"] == [("apply", 0.5), ("apply", 0.6)]


def test_what_is_asked_is_journalled_before_it_applies():
    log = Log()
    hands = Intervening(SPEC, log, log, hold=-1)
    hands.due(3)
    log.happened.clear()
    hands.set(ask(0.7), 3)
    assert log.happened == [("journal", 3, "ada", 0.7), ("apply", 0.7)]
    hands.due(8)
    assert log.happened[2:] == [("journal", 8, "plan", 1), ("apply", 1)]


def test_what_is_refused_leaves_no_line_and_nothing_applied():
    log = Log()
    hands = Intervening(SPEC, log, log, hold=-1)
    hands.set(ask("bad"), 1)
    hands.set(Command(9, "set", "ada", {"path": KD}), 1)
    hands.set(ask(0.5, note="x" * 3000), 1)
    assert [what[0] for what in log.happened] == ["refuse"] * 3
    assert "no such thing" in log.happened[0][1]
    assert hands.applied == 0


def test_nothing_new_is_taken_for_steps_that_were_shown():
    hands = Intervening(SPEC, Log(), Log(), hold=6)
    assert [hands.takes(step) for step in (0, 5, 6, 7)] == [False, False, True, True]


def test_a_run_that_gets_longer_says_so():
    log = Log()

    def longer() -> None:
        log.steps, log.applied = 20, 9

    hands = Intervening(SPEC, log, log, hold=-1)
    log.follow = lambda item: Change({KD: 1}, None, 1, {}, longer)
    hands.due(3)
    assert ("row", {"steps": 20}) in log.happened


def test_a_control_follows_without_a_line_and_refuses_with_the_fork():
    log = Log()
    hands = AfterTheStudent(timeline(SPEC, []), log, log, "small-1")
    hands.due(3)
    assert log.happened == [("apply", 0.5), ("apply", 0.6)]
    assert hands.takes(0)
    hands.set(ask(0.7), 4)
    assert f"workbench fork small-1 --at STEP --set {KD}=VALUE" in log.happened[-1][1]
    hands.set(Command(9, "set", "ada", {}), 4)
    assert "`PATH`" in log.happened[-1][1]


@pytest.mark.parametrize("step", [0, 3, 14])
def test_a_run_journals_each_planned_change_once_at_its_step(train, step):
    run = train({"interventions": [{"step": step, "set": {KD: 0.5}, "who": "eve", "note": "n"}]})
    (event,) = [e for e in run.store.journal.events(run.run) if e.kind == "set"]
    assert (event.step, event.who, event.payload["note"]) == (step, "eve", "n")
    assert (event.payload["before"], event.payload["after"]) == (0.9, 0.5)
    assert event.payload["planned"] == 0
    column = run.series().column("kd")
    assert len(column) == 14
