"""What was planned and what was done are one list, each change once, in the order it applies."""

from __future__ import annotations

import pytest

from workbench.errors import BadInput
from workbench.specs.experiment import ExperimentSpec
from workbench.training.journal import Command, Event
from workbench.training.timeline import (
    Change,
    as_interventions,
    asked,
    played,
    stands,
    timeline,
    values_at,
)

from .conftest import SMALL

KD = "stages.main.terms.kd"
PLAN = [
    {"step": 2, "set": {f"{KD}.weight": 0.5}},
    {"step": 6, "set": {f"{KD}.temperature": 2.0}, "who": "bob", "note": "later"},
]
SPEC = ExperimentSpec.parse({**SMALL, "interventions": PLAN})


def done(step, path, value, *, who="ada", **more) -> Event:
    return Event(step, "set", who, {"path": path, "set": {path: value}, **more})


def order(items):
    return [(item.step, next(iter(item.set.items())), item.journalled) for item in items]


def test_without_a_journal_it_is_the_plan():
    assert order(timeline(SPEC, [])) == [
        (2, (f"{KD}.weight", 0.5), False),
        (6, (f"{KD}.temperature", 2.0), False),
    ]
    assert [(item.planned, item.who, item.note) for item in timeline(SPEC, [])] == [
        (0, "plan", ""),
        (1, "bob", "later"),
    ]


def test_a_planned_change_that_was_journalled_comes_once():
    items = timeline(SPEC, [done(2, f"{KD}.weight", 0.5, who="plan", planned=0)])
    assert order(items) == [
        (2, (f"{KD}.weight", 0.5), True),
        (6, (f"{KD}.temperature", 2.0), False),
    ]


def test_done_by_hand_lies_among_the_planned_by_step():
    items = timeline(
        SPEC,
        [
            done(2, f"{KD}.weight", 0.5, planned=0),
            done(4, f"{KD}.weight", 0.7, note="up"),
        ],
    )
    assert [item.step for item in items] == [2, 4, 6]
    assert (items[1].who, items[1].note, items[1].planned) == ("ada", "up", None)


def test_at_one_step_the_journal_comes_first_in_its_own_order():
    """What is journalled has applied already; what is planned has not."""
    items = timeline(
        SPEC,
        [
            done(2, f"{KD}.weight", 0.5, planned=0),
            done(6, f"{KD}.temperature", 3.0),
            done(6, f"{KD}.temperature", 5.0),
        ],
    )
    assert order(items)[1:] == [
        (6, (f"{KD}.temperature", 3.0), True),
        (6, (f"{KD}.temperature", 5.0), True),
        (6, (f"{KD}.temperature", 2.0), False),
    ]


def test_other_events_are_nothing_to_it():
    events = [Event(1, "pause", "ada"), Event(1, "resume", "ada"), Event(0, "started", "worker")]
    assert timeline(SPEC, events) == timeline(SPEC, [])


def test_the_experiment_it_makes_is_the_same_timeline_without_a_journal():
    events = [
        done(2, f"{KD}.weight", 0.5, planned=0, who="plan"),
        done(4, f"{KD}.weight", 0.7, note="up"),
    ]
    whole = played(SPEC, events)
    assert order(timeline(whole, [])) == [
        (s, c, False) for s, c, _ in order(timeline(SPEC, events))
    ]
    assert as_interventions(timeline(whole, [])) == whole.given()["interventions"]
    assert played(whole, []) == whole
    assert ExperimentSpec.parse(whole.given()) == whole


def test_the_experiment_as_it_stands_has_the_last_of_each():
    items = timeline(SPEC, [done(4, f"{KD}.weight", 0.7), done(4, f"{KD}.weight", 0.8)])
    found = stands(SPEC, items).stage.terms["kd"]
    assert (found.weight, found.temperature) == (0.8, 2.0)


def test_values_at_one_path_are_bare_and_at_several_by_path():
    assert values_at(SPEC, [f"{KD}.weight"]) == 0.9
    assert values_at(SPEC, [f"{KD}.weight", "stages.main.terms.none"]) == {
        f"{KD}.weight": 0.9,
        "stages.main.terms.none": None,
    }


def test_the_journals_line_has_the_paths_before_after_and_facts():
    change = Change({"a": 1, "b": 2}, {"a": 0}, {"a": 1}, {"teacher": "abc"}, lambda: None)
    assert change.payload() == {
        "path": "a, b",
        "before": {"a": 0},
        "after": {"a": 1},
        "set": {"a": 1, "b": 2},
        "teacher": "abc",
    }


def test_what_is_asked_is_read_or_refused():
    command = Command(1, "set", "ada", {"path": "a.b", "value": None})
    assert asked(command) == ("a.b", None, "")
    for payload in ({}, {"path": "a"}, {"value": 1}):
        with pytest.raises(BadInput, match="has a path and a value"):
            asked(Command(1, "set", "ada", payload))
    with pytest.raises(BadInput, match="name of who sets it has 201 characters; at most 200"):
        asked(Command(1, "set", "a" * 201, {"path": "a", "value": 1}))
