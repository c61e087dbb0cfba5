"""The inbox and the journal."""

from __future__ import annotations

import json

from workbench.store.commands import Answer
from workbench.training.journal import Event


def test_commands_wait_in_the_order_they_were_sent_and_for_their_run_only(store, run):
    numbers = [store.journal.send(run, kind, who="ada") for kind in ("pause", "resume", "stop")]
    store.journal.send("another", "stop", who="ada")
    waiting = store.journal.waiting(run)
    assert [command.id for command in waiting] == numbers
    assert [command.kind for command in waiting] == ["pause", "resume", "stop"]
    assert store.journal.answer(numbers[0]) == Answer("waiting", None, None)


def test_applying_writes_event_and_answer_together(store, run):
    number = store.journal.send(run, "pace", who="ada", payload={"seconds": 0.5})
    (command,) = store.journal.waiting(run)
    assert command.payload == {"seconds": 0.5}
    store.journal.apply(run, command, 17, {"before": None, "after": 0.5})
    assert store.journal.answer(number) == Answer("applied", 17, None)
    assert store.journal.waiting(run) == []
    (event,) = store.journal.events(run)
    assert (event.step, event.kind, event.who, event.command) == (17, "pace", "ada", number)
    assert event.payload == {"before": None, "after": 0.5}


def test_a_refused_command_leaves_no_event(store, run):
    number = store.journal.send(run, "pause", who="ada")
    store.journal.refuse(store.journal.waiting(run)[0], 'It\'s "late".')
    assert store.journal.answer(number) == Answer("refused", None, 'It\'s "late".')
    assert store.journal.events(run) == []


def test_whatever_waits_when_a_run_ends_is_answered(store, run):
    numbers = [store.journal.send(run, "pause", who="ada") for _ in range(3)]
    store.journal.refuse_waiting(run, "The run has ended.")
    assert {store.journal.answer(number).state for number in numbers} == {"refused"}


def test_the_journal_is_in_order_of_step_then_of_writing(store, run):
    for step, kind in ((5, "b"), (0, "a"), (5, "c"), (9, "d")):
        store.journal.write(run, Event(step, kind, "worker", {"note": "Ü\n'"}))
    events = store.journal.events(run)
    assert [event.kind for event in events] == ["a", "b", "c", "d"]
    assert all(event.payload == {"note": "Ü\n'"} for event in events)
    assert json.dumps([dict(event.payload) for event in events])
