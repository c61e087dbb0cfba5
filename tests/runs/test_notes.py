"""Notes: words in a journal that change nothing."""

from __future__ import annotations

import ast

import pytest

from workbench.dashboard import journal
from workbench.errors import BadInput
from workbench.recipes import open_experiment
from workbench.runs.fork import fork
from workbench.runs.history import History
from workbench.runs.notes import note
from workbench.runs.run import Run
from workbench.store import Store
from workbench.training.journal import NOTE_LENGTH, Event
from workbench.training.timeline import played


@pytest.fixture
def run(tmp_path):
    store = Store(str(tmp_path / "workbench.db"))
    spec, recipe, _ = open_experiment("quickstart")
    name = store.runs.create(name="a", experiment=spec.given(), options={}, recipe=recipe)
    store.runs.update(name, step=40, steps=60)
    yield store, name
    store.close()


def test_a_note_stands_at_its_step_and_is_one_line(run):
    store, name = run
    assert note(store, name, "  the jump\n is the warm-up ", who="mira", step=12) == 12
    assert Run(name, store).note("now") == 40
    told = [(e.step, e.kind, e.payload) for e in store.journal.events(name)]
    assert told == [
        (12, "note", {"note": "the jump is the warm-up"}),
        (40, "note", {"note": "now"}),
    ]


@pytest.mark.parametrize(
    ("text", "step", "words"),
    [
        (" \n ", 0, "needs words"),
        ("x" * (NOTE_LENGTH + 1), 0, f"has {NOTE_LENGTH + 1} characters"),
        ("bell\x07", 0, "plain text"),
        ("late", 61, "steps 0 to 60"),
        ("early", -1, "steps 0 to 60"),
    ],
)
def test_what_is_no_note_is_refused_in_words(run, text, step, words):
    store, name = run
    with pytest.raises(BadInput, match=words):
        note(store, name, text, who="mira", step=step)
    assert store.journal.events(name) == []


def test_a_note_changes_nothing_of_what_is_trained_again(run):
    store, name = run
    spec, _, _ = open_experiment("quickstart")
    note(store, name, "only words", who="mira", step=3)
    assert played(spec, store.journal.events(name)).given() == played(spec, []).given()


def test_a_note_has_no_number_and_does_not_shift_those_of_changes(run):
    store, name = run
    change = {"path": "stages.main.terms.kd.weight", "before": 0.9, "after": 0.5, "set": {}}
    store.journal.write(name, Event(5, "set", "mira", change))
    note(store, name, "between", who="mira", step=6)
    store.journal.write(name, Event(7, "set", "mira", change))
    lines = journal.lines(History.load(store, name))
    assert [(line["number"], line["sort"], line["at"]) for line in lines] == [
        (2, "changes", 7),
        (None, "notes", 6),
        (1, "changes", 5),
    ]
    assert lines[1]["what"] == "between"


def test_the_copied_script_plans_the_changes_and_holds_what_people_typed_as_data(run):
    store, name = run
    evil = '"""; import os #'
    path = "stages.main.terms.kd.weight"
    payload = {"path": path, "before": 0.9, "after": 0.5, "set": {path: 0.5}, "note": evil}
    store.journal.write(name, Event(5, "set", "mira", payload))
    note(store, name, evil, who="mira", step=6)
    tree = ast.parse(journal.drawer(History.load(store, name))["script"])
    names = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    assert [type(node) for node in tree.body] == [ast.ImportFrom, *[ast.Assign] * 4]
    plan = ast.literal_eval(names["interventions"])
    assert plan == [{"step": 5, "set": {path: 0.5}, "who": "mira", "note": evil}]
    assert ast.literal_eval(names["notes"]) == [{"step": 6, "text": evil, "who": "mira"}]


def test_a_fork_passes_over_notes(run):
    store, name = run
    note(store, name, "here", who="mira", step=0)
    child = fork(store, name, 0, {}, who="mira")
    assert [event.kind for event in store.journal.events(child)] == ["forked"]
    assert store.runs.get(child).experiment.get("interventions", []) == []
