"""Figures of the place Compare as files: the picture with its protocol, the numbers behind it."""

from __future__ import annotations

import csv
import io
from xml.etree import ElementTree

import pytest
from PIL import Image
from playwright.sync_api import expect

from workbench.dashboard.address import Compared
from workbench.dashboard.compare import compare_page
from workbench.dashboard.compare_sheets import FIGURES, figure_sheets
from workbench.errors import BadInput

from ..runs.written import Written

TEMPERATURE = "stages.main.terms.kd.temperature"


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Three seeds of two settings and a fork, with the address that shows them."""
    made = Written(tmp_path_factory.mktemp("compared"))
    base = [made.run(0.5, seed=seed, control=0.3) for seed in (0, 1, 2)]
    hot = [made.run(0.52 + seed / 100, seed=seed, changes={TEMPERATURE: 8.0}) for seed in (0, 1, 2)]
    fork = made.run(0.6, changes={TEMPERATURE: 1.0}, parent=base[0], forked_at=20)
    yield made.store, Compared((*base, *hot, fork))
    made.store.close()


def test_each_look_of_each_run_is_in_the_table_of_the_curves(compared):
    store, asked = compared
    page = compare_page(store, asked)
    sheet, mean = figure_sheets(page, "curves")
    for run in asked.runs:
        series = store.metrics.read(run, "probe")
        rows = [row for row in sheet.rows if row[1] == run]
        assert [row[3] for row in rows] == series.steps.tolist()
        assert [row[-1] for row in rows] == series.column("accuracy").tolist()
    assert mean.columns == ("setting", "step", "mean", "lowest", "highest")
    assert any(note.startswith("equal in all: data") for note in sheet.notes)


def test_the_fork_stands_under_its_parent_and_answers_add_up(compared):
    store, asked = compared
    page = compare_page(store, asked)
    (tree, *_) = figure_sheets(page, "tree")
    rows = {row[0]: row for row in tree.rows}
    assert rows[asked.runs[-1]][3:5] == (asked.runs[0], 20)
    cells, classes = figure_sheets(page, "answers")
    n = page["answers"]["n"]
    assert sum(row[1] for row in cells.rows) == sum(row[1] for row in classes.rows) == n
    (paths,) = figure_sheets(page, "paths")
    assert TEMPERATURE in [row[0] for row in paths.rows]


@pytest.mark.parametrize("name", ["run", "../answers", ""])
def test_another_figure_is_refused_with_those_that_are(compared, name):
    store, asked = compared
    with pytest.raises(BadInput, match=", ".join(FIGURES)):
        figure_sheets(compare_page(store, asked), name)


def test_a_figure_without_runs_is_refused(compared):
    store, _ = compared
    with pytest.raises(BadInput, match="None of these runs"):
        figure_sheets(compare_page(store, Compared(("nothing",))), "curves")


@pytest.mark.browser
def test_a_figure_is_saved_by_its_menu(compared, servers, page):
    store, asked = compared
    served = servers.start(store.path)
    page.goto(f"{served.url}{asked.address}")
    title = page.locator('[data-figure="curves"]')
    title.press("m")
    menu = page.get_by_role("menu", name="Curves")
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(menu.get_by_role("menuitem").last).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).to_have_count(0)
    expect(title).to_be_focused()

    def saved(entry: str) -> tuple[str, bytes]:
        title.click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=entry, exact=True).click()
        expect(menu).to_have_count(0)
        return download.value.suggested_filename, download.value.path().read_bytes()

    name, svg = saved("Save SVG")
    assert name == "comparison-curves.svg"
    words = " ".join(ElementTree.fromstring(svg).itertext())  # noqa: S314 - ours, just made
    assert "probe accuracy, %" in words
    assert "equal in all: data" in words and "kd.temperature 8: test, n = 8, last step" in words
    assert b"foreignObject" not in svg and b"http" not in svg.replace(b"http://www.w3.org", b"")
    name, png = saved("Save PNG")
    card = page.locator(".card.curves").bounding_box()
    assert Image.open(io.BytesIO(png)).size[0] == pytest.approx(2 * card["width"], abs=4)
    name, text = saved("Save data as CSV")
    assert name == "comparison-curves.csv"
    rows = [row for row in csv.reader(text.decode().splitlines()) if row and row[0][:1] != "#"]
    steps = len(store.metrics.read(asked.runs[-1], "probe").steps)
    assert len([row for row in rows if row[1:2] == [asked.runs[-1]]]) == steps > 2
    assert page.locator(".card").count() == 5, "the copy that was measured is gone"
