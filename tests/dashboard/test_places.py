"""Runs, Models and a pair as plain data: addresses that hold all state, order, filter, refusals."""

from __future__ import annotations

import time

import pytest

from workbench.dashboard.models_place import ModelsAsked, models_page
from workbench.dashboard.pair_place import PairAsked, pair_page, question
from workbench.dashboard.places import asked_place
from workbench.dashboard.queue_card import Queue, read_queue
from workbench.dashboard.runs_place import PAGE_ROWS, RunsAsked, runs_page
from workbench.errors import UnknownName, UnknownRun
from workbench.runs.kept_models import kept_models
from workbench.runs.listing import Listing
from workbench.store import Store

from ..runs.written import Written
from .conftest import copied


def arguments(address):
    from urllib.parse import parse_qs

    query = parse_qs(address.partition("?")[2], keep_blank_values=True)
    return {name: [value.encode() for value in values] for name, values in query.items()}


@pytest.fixture
def written(tmp_path):
    made = Written(tmp_path)
    yield made
    made.store.close()


def page_of(written, asked):
    lines = Listing(written.store).lines()
    return runs_page(lines, asked, read_queue(written.store, lines))


@pytest.mark.parametrize(
    "asked",
    [
        RunsAsked(),
        RunsAsked("kd 50 %", "failed", "ps-kd", "student", True, ("a-1", "b-2"), 3),
        ModelsAsked("cnn", "teacher", "teacher:00ff", "run:quick-1@best"),
        PairAsked("teacher:00ff", "run:quick-1@last", "run:quick-1", "val"),
    ],
)
def test_an_address_opens_what_it_was_made_of(asked):
    assert asked_place(arguments(asked.address)) == asked


def test_other_addresses_ask_for_other_places():
    assert asked_place(arguments("/?run=a")) is None
    assert asked_place(arguments("/?compare=a,b")) is None


@pytest.mark.parametrize(
    ("pasted", "read"),
    [
        ("/?runs=&sort=evil&pages=-4&turned=yes", RunsAsked()),
        ("/?runs=&pages=99999999999", RunsAsked()),
        (f"/?runs=&pages={'9' * 5000}", RunsAsked()),
        ("/?models=&role=admin", ModelsAsked()),
        ("/?pair=&split=test", PairAsked()),
    ],
)
def test_what_an_address_cannot_mean_is_left_out(pasted, read):
    assert asked_place(arguments(pasted)) == read


def test_rows_are_ordered_by_a_number_and_those_without_come_last_either_way(written):
    low, high = written.run(0.4), written.run(0.6, seed=1)
    none = written.run(0.5, seed=2, status="stopped")
    falling = page_of(written, RunsAsked(sort="student"))
    rising = page_of(written, RunsAsked(sort="student", turned=True))
    assert [row["run"] for row in falling["rows"]] == [high, low, none]
    assert [row["run"] for row in rising["rows"]] == [low, high, none]
    assert (falling["falling"], rising["falling"]) == (True, False)


def test_filters_meet_and_the_facets_count_all(written):
    written.run(0.4)
    stopped = written.run(0.5, seed=2, status="stopped")
    told = page_of(written, RunsAsked(find="SEED 2", status="stopped"))
    assert [row["run"] for row in told["rows"]] == [stopped]
    assert {one["value"]: one["count"] for one in told["statuses"]} == {"finished": 1, "stopped": 1}
    assert page_of(written, RunsAsked(find="seed 2", status="failed"))["rows"] == []


def test_a_second_press_turns_an_order_and_another_begins_anew():
    once = RunsAsked().followed({"do": "sort", "value": "student"})
    assert (once.sort, once.turned) == ("student", False)
    twice = once.followed({"do": "sort", "value": "student"})
    assert twice.turned
    assert not twice.followed({"do": "sort", "value": "name"}).turned
    assert twice.followed({"do": "sort", "value": "nonsense"}) == twice


def test_ticks_come_and_go_and_a_removed_run_is_not_compared(written):
    run = written.run(0.4)
    asked = RunsAsked().followed({"do": "choose", "value": run})
    gone = asked.followed({"do": "choose", "value": "gone-1"})
    assert page_of(written, gone)["compare"] == run
    assert asked.followed({"do": "choose", "value": run}).chosen == ()


def test_a_thousand_runs_are_listed_in_the_time_of_a_glance(written):
    experiment = written.spec().given()
    written.store.runs.create_all([experiment] * 1000, name="small", options={})
    listing = Listing(written.store)
    for row in written.store.runs.list():
        written.store.runs.update(row.id, durable=False, status="stopped", ended_ns=1)
    assert len(listing.lines()) == 1000
    began = time.process_time()
    told = runs_page(listing.lines(), RunsAsked(), Queue())
    assert time.process_time() - began < 1.0  # tens of milliseconds; a query a run takes seconds
    assert (len(told["rows"]), told["more"]) == (PAGE_ROWS, 1000 - PAGE_ROWS)


def test_models_say_what_they_were_measured_on(finished):
    models = kept_models(finished.store)
    rows = {row["role"]: row for row in models_page(models, ModelsAsked())["rows"]}
    metrics = finished.store.runs.get(finished.run).result["metrics"]
    for role, row in rows.items():
        assert row["accuracy"] == f"{100 * metrics[role]['accuracy']:.1f}\u00a0%"
        assert row["of"].startswith("test, n = ")
    assert rows["student"]["as_teacher"].startswith(f"?new={finished.run}&set=teacher%3Drun%3A")


def test_a_model_of_a_run_that_still_trains_says_of_how_many_rows_or_when_that_is_told(
    finished, tmp_path
):
    store, run = Store(str(copied(finished, tmp_path / "store"))), finished.run
    (store.runs.folder(run) / "student.safetensors").unlink()
    store.runs.update(run, protocol=None, result=None)
    (found,) = (model for model in kept_models(store) if model.id == f"run:{run}@last")
    n = finished.store.runs.get(run).protocol["splits"]["probe"]["rows"]
    assert found.score.of == f"probe, n = {n}"
    for path in (store.runs.folder(run) / "snapshots").iterdir():
        path.unlink()
    (found,) = (model for model in kept_models(store) if model.id == f"run:{run}@last")
    assert found.score.of == "probe, n is told at the run's end"
    store.close()


def test_a_pair_is_asked_for_once_both_are_picked(finished):
    models = kept_models(finished.store)
    ids = {model.role: model.id for model in models}
    assert models_page(models, ModelsAsked(teacher=ids["teacher"]))["inspect"] == ""
    both = models_page(models, ModelsAsked(**ids))["inspect"]
    asked = asked_place(arguments(both))
    made = question(finished.store, models, asked)
    assert made.student == ids["student"]
    assert made.data == finished.store.runs.get(finished.run).experiment["data"]
    assert question(finished.store, models, PairAsked(student=ids["student"])) is None
    page = pair_page(models, PairAsked(), None, "")
    assert page["kept"] == len(models)


@pytest.mark.parametrize("name", ["path:/etc/passwd", "hub:org/name", "teacher:unknown"])
def test_only_what_the_store_keeps_can_be_looked_at(finished, name):
    models = kept_models(finished.store)
    student = next(model.id for model in models if model.role == "student")
    with pytest.raises(UnknownName, match="kept model"):
        question(finished.store, models, PairAsked(name, student))
    with pytest.raises(UnknownName, match="data"):
        question(finished.store, models, PairAsked(student, student, data="/etc/passwd"))
    with pytest.raises(UnknownRun):
        question(finished.store, models, PairAsked(student, student, data="run:gone"))
