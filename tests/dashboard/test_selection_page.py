"""One selection on the whole page: every view, the address, Back, a step of the past, a reload."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from workbench.dashboard.select_text import decode
from workbench.runs.frames import Frames
from workbench.runs.history import History

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FOLLOW = ("trilateral", "calibration", "loyalty")
TITLES = (*FOLLOW, "curves")
ALL_ELSE = "Change and history are of all samples only."


def view(page: Page, name: str) -> Locator:
    return page.locator(f'[data-view="{name}"]')


def see(page: Page, n: int | None, of: int, step: int) -> None:
    """All views show a step, and in all of it this selection; None: all samples."""
    for name in FOLLOW:
        expect(view(page, name)).to_have_attribute("data-step", str(step))
        words = f"n = {of} probe" if n is None else f"n = {n} of {of} selected, probe"
        expect(view(page, name).locator(".wb-footer")).to_have_text(re.compile(rf"^{words}"))
    for name in TITLES:
        chip = view(page, name).locator(".wb-chip")
        if n is None:
            expect(chip).to_have_count(0)
        else:
            expect(chip).to_have_text(f"n = {n} selected ✕")


def see_layers(page: Page, n: int, of: int, step: int, said: str) -> None:
    """The map shows a step and is of this selection, with these words."""
    cka = view(page, "cka")
    footer = re.compile(rf"^n = {n} of {of} selected, probe")
    expect(cka.locator(".wb-footer")).to_have_text(footer)
    expect(cka).to_have_attribute("data-step", str(step))
    expect(cka.locator(".wb-chip")).to_have_text(f"n = {n} selected ✕")
    expect(cka.locator(".wb-note")).to_have_text(said)


def selected(page: Page) -> tuple[int, ...]:
    """The ids that the address holds."""
    found = re.search(r"[?&]select=([^&]*)", page.url)
    return decode(found[1]) if found else ()


@pytest.fixture(scope="module")
def known(finished):
    """Ids and cells of the newest snapshot, from the store."""
    frames = Frames(History.load(finished.store, finished.run)).of_snapshot(None)
    return frames["loyalty"].arrays, finished.store.snapshot_steps(finished.run)


def test_a_cell_is_followed_everywhere_and_survives_back_a_past_step_and_a_reload(
    served, finished, known, page
):
    arrays, steps = known
    of, last = len(arrays["ids"]), steps[-1]
    page.goto(f"{served.url}/?run={finished.run}")
    see(page, None, of, last)
    page.evaluate(
        """() => { globalThis.heard = []; addEventListener("workbench-selected",
          ({ detail }) => heard.push([detail.ids.length, detail.how])); }"""
    )
    cell = sorted(arrays["ids"][arrays["cell"] == 2].tolist())
    view(page, "loyalty").get_by_role("button", name="still to learn").first.click()
    see(page, len(cell), of, last)
    assert selected(page) == tuple(cell)
    assert page.evaluate("heard") == [[len(cell), "still to learn"]]
    expect(view(page, "curves").locator(".wb-footer")).to_have_text(
        re.compile(rf"^n = {len(cell)} of {of} selected, probe · faint: all {of}")
    )
    chip = view(page, "cka").locator(".wb-chip")
    expect(chip).to_have_text(re.compile(rf"^n = {len(cell)} .*✕$"))
    see_layers(page, len(cell), of, last, ALL_ELSE)

    first = selected(page)
    known_class = sorted(arrays["ids"][arrays["labels"] == 3].tolist())
    view(page, "loyalty").get_by_role("button", name="class 3: 3", exact=True).click()
    see(page, len(known_class), of, last)
    page.go_back()
    see(page, len(cell), of, last)
    page.get_by_role("slider", name="Snapshot").focus()
    page.keyboard.press("ArrowLeft")
    see(page, len(cell), of, steps[-2])
    said = f"Student of step {last}, the nearest checkpoint. {ALL_ELSE}"
    see_layers(page, len(cell), of, steps[-2], said)
    assert selected(page) == first and f"step={steps[-2]}" in page.url
    page.reload()
    see(page, len(cell), of, steps[-2])
    page.keyboard.press("Escape")
    see(page, None, of, steps[-2])
    assert "select" not in page.url and f"step={steps[-2]}" in page.url
    page.go_back()
    see(page, len(cell), of, steps[-2])


def test_a_box_in_the_wedge_shift_and_too_few(served, finished, known, page):
    arrays, steps = known
    of, last = len(arrays["ids"]), steps[-1]
    page.goto(f"{served.url}/?run={finished.run}&select={arrays['ids'].min()}")
    see_few = view(page, "calibration")
    expect(see_few.locator(".wb-waiting")).to_contain_text("Not defined for n = 1.")
    expect(see_few.locator(".js-plotly-plot")).not_to_contain_text("ECE")
    few = view(page, "cka").locator(".wb-waiting")
    expect(few).to_contain_text("Unbiased CKA needs 4 samples or more.")
    box = view(page, "trilateral").locator(".nsewdrag").first.bounding_box()
    assert box is not None
    page.keyboard.down("Shift")
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.3 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"], box["y"] + box["height"], steps=4)
    expect(view(page, "trilateral").locator(".wb-veil")).to_be_visible()
    expect(view(page, "loyalty").locator(".wb-chip")).to_have_text("n = 1 selected ✕")
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(view(page, "loyalty").locator(".wb-chip")).not_to_have_text("n = 1 selected ✕")
    see(page, len(selected(page)), of, last)
    assert int(arrays["ids"].min()) in selected(page)
    expect(view(page, "trilateral").locator(".wb-veil")).to_be_hidden()
    page.goto(f"{served.url}/?run={finished.run}&select=4-1&step={steps[1]}")
    expect(page.get_by_text("has a range that ends before it begins")).to_be_visible()
    see(page, None, of, steps[1])
    page.goto(f"{served.url}/?run={finished.run}&select={arrays['ids'].min()}")
    view(page, "calibration").get_by_role("button", name=f"Use all {of}").click()
    see(page, None, of, last)
