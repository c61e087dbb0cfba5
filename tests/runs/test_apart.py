"""By which settings runs of a list differ: in a group, at a fork, from the recipe."""

from __future__ import annotations

import pytest

from workbench.dashboard.queue_card import Queue
from workbench.dashboard.runs_place import RunsAsked, runs_page
from workbench.recipes import open_experiment
from workbench.runs.apart import apart
from workbench.runs.listing import Listing
from workbench.training.journal import Event

from .written import Written

HEAT = "stages.main.terms.kd.temperature"


@pytest.fixture
def written(tmp_path):
    made = Written(tmp_path)
    yield made
    made.store.close()


def told(written):
    return apart(Listing(written.store).lines())


def swept(written, *values):
    first = written.run(changes={HEAT: values[0]})
    written.store.runs.update(first, cohort=first)
    return [first, *(written.run(changes={HEAT: heat}, cohort=first) for heat in values[1:])]


def test_runs_of_a_sweep_say_only_what_not_all_have(written):
    runs = swept(written, 2.0, 4.0, 10.0)
    found = told(written)
    assert [found[run].parts for run in runs] == [
        ("kd.temperature = 2",),
        ("kd.temperature = 4",),
        ("kd.temperature = 10",),
    ]
    assert {found[run].than for run in runs} == {"in its group"}


def test_seeds_of_one_setting_are_as_their_recipe(written):
    spec = open_experiment("quickstart")[0]
    experiments = [spec.replace({"seed": seed}).given() for seed in (0, 1)]
    runs = written.store.runs.create_all(
        experiments, name="quickstart", options={}, recipe="quickstart"
    )
    found = told(written)
    assert {found[run].words for run in runs} == {"as the recipe"}


def test_a_single_run_says_what_its_recipe_does_not_and_at_which_scale(written):
    spec = open_experiment("quickstart")[0].at_scale("smoke").replace({HEAT: 2.0})
    run = written.store.runs.create(
        name="quickstart", experiment=spec.given(), options={}, recipe="quickstart"
    )
    found = told(written)[run]
    assert found.parts == ("kd.temperature = 2",)
    assert found.than == "the recipe at scale smoke"


def test_a_fork_says_what_was_changed_at_the_fork(written):
    parent = written.run()
    child, same = (written.run(parent=parent, forked_at=20) for _ in range(2))
    facts = {"parent": parent, "at": 20, "note": ""}
    written.store.journal.write(child, Event(20, "forked", "ada", {**facts, "set": {HEAT: 2.0}}))
    written.store.journal.write(same, Event(20, "forked", "ada", {**facts, "set": {}}))
    found = told(written)
    assert found[child].words == "kd.temperature = 2"
    assert found[same].words == "nothing changed"
    assert found[child].than == "at the fork, step 20"


def test_a_run_touched_by_hand_stands_apart_from_its_group(written):
    first = written.run()
    written.store.runs.update(first, cohort=first)
    touched = written.run(seed=1, cohort=first, status="training", told={})
    written.changed(touched, 5, HEAT, 4.0, 2.0)
    found = told(written)
    assert found[touched].parts == ("from step 5: kd.temperature = 2",)
    assert found[first].words == "untouched"


def test_a_run_of_no_recipe_has_nothing_to_be_compared_with(written):
    run = written.run()
    assert told(written)[run].words == ""


@pytest.mark.parametrize(
    ("find", "number"),
    [
        ("temperature=4", 1),  # not 40
        ("kd.temperature = 4", 1),
        ("kd.temperature=", 3),
        ("temperature=5", 0),
    ],
)
def test_the_table_is_filtered_by_what_differs(written, find, number):
    swept(written, 2.0, 4.0, 40.0)
    page = runs_page(Listing(written.store).lines(), RunsAsked(find=find), Queue())
    assert len(page["rows"]) == number


def test_the_table_is_ordered_by_what_differs_as_numbers(written):
    two, ten, four = swept(written, 2.0, 10.0, 4.0)
    alone = written.run()
    page = runs_page(Listing(written.store).lines(), RunsAsked(sort="apart"), Queue())
    assert [row["run"] for row in page["rows"]] == [two, four, ten, alone]
