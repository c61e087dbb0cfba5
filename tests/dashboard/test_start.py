"""The start page: a pace that can be followed, and the newest runs."""

from __future__ import annotations

import pytest

from workbench.dashboard.start import WATCH_SECONDS, Quickstart, pace_of, recent_runs
from workbench.errors import UnknownName
from workbench.recipes import open_experiment

from .starters import Kept


def test_start_accepts_the_quickstart_in_slow_motion_and_starts_its_worker(store):
    starter = Kept()
    run = Quickstart(store).start("quickstart", starter, who="ada")
    row = store.runs.get(run)
    assert starter.runs == [run]
    assert (row.status, row.recipe) == ("queued", "quickstart")
    assert [event.who for event in store.journal.events(run)] == ["ada"]
    assert row.pace * 450 >= 30  # 30 epochs of 15 batches


def test_known_steps_decide_the_pace():
    spec, _, _ = open_experiment("quickstart")
    counted = spec.replace({"stages.main.epochs": None, "stages.main.steps": 1200})
    assert pace_of(counted, None) == pytest.approx(WATCH_SECONDS / 1200)


def test_an_unknown_recipe_offers_the_nearest(store):
    with pytest.raises(UnknownName, match="Did you mean 'quickstart'"):
        Quickstart(store).start("quickstar", Kept(), who="ada")


def test_recent_runs_are_newest_first_with_test_accuracy_once_done(finished):
    rows = recent_runs(finished.store)
    accuracy = finished.store.runs.get(finished.run).result["metrics"]["student"]["accuracy"]
    assert rows[0]["run"] == finished.run
    assert rows[0]["accuracy"] == f"{100 * accuracy:.1f}\u00a0%"
    assert rows[0]["word"] == "Done"
    splits = finished.store.runs.get(finished.run).protocol["splits"]
    assert rows[0]["of"] == f"test, n = {splits['test']['rows']}"


def test_without_an_earlier_run_the_hero_gives_names_and_no_numbers(store):
    empty = Quickstart(store).page()["hero"]
    assert [model["accuracy"] for model in empty["models"]] == ["", ""]
    assert [model["name"] for model in empty["models"]] == ["cnn-small", "cnn-tiny (width 8)"]
