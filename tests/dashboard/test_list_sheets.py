"""The lists Runs and Models as files: what the address finds, in its order, every digit."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from workbench.cli.control import brief
from workbench.dashboard.list_sheets import models_sheet, runs_sheet
from workbench.dashboard.models_place import ModelsAsked
from workbench.dashboard.runs_place import PAGE_ROWS, RunsAsked
from workbench.runs.kept_models import kept_models
from workbench.runs.listing import Listing

from ..runs.written import Written


@pytest.fixture
def written(tmp_path):
    made = Written(tmp_path)
    yield made
    made.store.close()


def table(text: str) -> list[dict[str, str]]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(io.StringIO("\n".join(lines))))


def runs(store, asked: RunsAsked) -> list[dict[str, str]]:
    return table(runs_sheet(Listing(store).lines(), asked, "csv").csv())


def test_a_file_holds_what_the_filters_leave_in_the_order_of_the_list(written):
    low, high = written.run(1 / 3), written.run(2 / 3, seed=1)
    stopped = written.run(0.5, seed=2, status="stopped")
    rows = runs(written.store, RunsAsked(sort="student"))
    assert [row["run"] for row in rows] == [high, low, stopped]
    assert [row["student accuracy"] for row in rows] == [repr(2 / 3), repr(1 / 3), ""]
    only = RunsAsked(find="seed 2", status="stopped")
    assert [row["run"] for row in runs(written.store, only)] == [stopped]
    notes = runs_sheet(Listing(written.store).lines(), only, "csv").notes
    assert notes[0] == "1 of 3 runs, filter seed 2, status stopped"
    assert notes[1] == "ordered by accepted, falling"


def test_it_holds_more_rows_than_the_page_draws(written):
    number = PAGE_ROWS + 7
    written.store.runs.create_all([written.spec().given()] * number, name="small", options={})
    assert len(runs(written.store, RunsAsked())) == number


def test_what_the_command_line_calls_the_same_is_the_same(finished):
    (row,) = runs(finished.store, RunsAsked())
    told = brief(finished.store.runs.get(finished.run))
    same = {name: "" if value is None else str(value) for name, value in told.items()}
    assert {name: row[name] for name in same if name in row} == {
        name: same[name]
        for name in ("run", "name", "status", "step", "steps", "group", "parent", "forked_at")
    }
    metrics = finished.store.runs.get(finished.run).result["metrics"]
    for part in ("student", "teacher", "control"):
        assert float(row[f"{part} accuracy"]) == metrics[part]["accuracy"]


def test_models_keep_the_names_and_digits_of_the_command_line(finished):
    models = kept_models(finished.store)
    rows = table(models_sheet(models, ModelsAsked(role="student"), "csv").csv())
    students = [model for model in models if model.role == "student"]
    assert [row["id"] for row in rows] == [model.id for model in students]
    for row, model in zip(rows, students, strict=True):
        plain = model.plain()
        for name in ("name", "which", "step", "parameters", "bytes", "data", "hash", "file_hash"):
            assert row[name] == str(plain[name])
        assert json.loads(row["options"] or "{}") == plain["options"]
        assert float(row["accuracy"]) == plain["score"]["accuracy"]
        assert (row["split"], int(row["n"])) == (plain["score"]["split"], plain["score"]["n"])


def test_the_files_for_print_have_the_columns_of_the_page(written, finished):
    written.run(2 / 3, seed=1)
    text = runs_sheet(Listing(written.store).lines(), RunsAsked(), "tex").latex()
    assert r"student, \% & teacher, \%" in text
    assert " & 1 & Done & " in text and " & 66.67 & " in text
    models = kept_models(finished.store)
    text = models_sheet(models, ModelsAsked(), "tex").latex()
    assert r"weights & KiB & accuracy, \% & ECE, \% & split & n & hash \\" in text
    assert text.count(r"\\") == len(models) + 1


@pytest.mark.browser
def test_the_head_of_a_list_saves_what_it_shows(finished, served, page):
    page.goto(f"{served.url}/?runs=&find=seed+0")
    page.locator(f'[data-row="{finished.run}"] a.open').focus()
    page.keyboard.press("m")
    menu = page.get_by_role("menu", name="Runs")
    expect(menu.get_by_role("menuitem")).to_have_text(["Save data as CSV", "Save data as LaTeX"])
    with page.expect_download() as waits:
        page.keyboard.press("Enter")
    assert waits.value.suggested_filename == "runs.csv"
    text = Path(waits.value.path()).read_text()
    assert "# 1 of 1 runs, filter seed 0" in text
    assert [row["run"] for row in table(text)] == [finished.run]
    expect(menu).to_be_hidden()
    expect(page.get_by_role("button", name="Runs", exact=True)).to_be_focused()
    page.goto(f"{served.url}/?models=&role=teacher")
    page.get_by_role("button", name="Models", exact=True).click()
    with page.expect_download() as waits:
        page.get_by_role("menuitem", name="Save data as LaTeX").click()
    assert waits.value.suggested_filename == "models.tex"
    assert r"\toprule" in Path(waits.value.path()).read_text()
