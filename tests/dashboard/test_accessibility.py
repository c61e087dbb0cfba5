"""Every place, light and dark, under an automated audit (axe); keys, zoom and calm by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

READY = {
    "start": ("/", "Start"),
    "run": ("/?run={run}", None),
    "new": ("/?new=quickstart", "+ Add a term"),
    "compare": ("/?compare={run}", None),
    "runs": ("/?runs=", "Student"),
    "models": ("/?models=", "Teachers 1"),
    "pair": ("/?pair=", None),
}
"""Place: its address, and the name of a button that is there once it is drawn."""

OF_COLOUR = ("color-contrast", "link-in-text-block")
"""The rules to which a theme makes a difference."""
AXE = Axe().axe_script
PAGE = ("cka", "trilateral", "calibration", "loyalty")
PAGE_ORDER = ("cka", "trilateral", "calibration", "loyalty", "curves", "result")
AREA = """
() => {
  const at = document.activeElement;
  if (at?.classList.contains("skip")) return "skip";
  return at?.closest("#top, #rail, .slot, #scrubber")?.id;
}
"""
"""Where the focus is, by the piece of the page."""


def opened(page: Page, served, finished, place: str) -> None:
    address, name = READY[place]
    page.add_init_script("localStorage.setItem('workbench-theme', 'light')")
    page.goto(served.url + address.format(run=finished.run))
    if name:
        expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()
    if place == "run":
        for view in ("cka", "trilateral", "calibration", "loyalty", "curves"):
            expect(page.locator(f'[data-view="{view}"][data-step]')).to_be_visible()
    if place == "compare":
        expect(page.get_by_role("table").first).to_be_visible()
    if place == "new":
        expect(page.get_by_text("Class counts agree")).to_be_visible()
    if place == "pair":
        expect(page.get_by_text("Pick two models")).to_be_visible()


@pytest.mark.parametrize("place", READY)
def test_the_audit_finds_nothing(page, served, finished, place):
    opened(page, served, finished, place)
    assert_clean(page)
    page.get_by_role("button", name="Dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert_clean(page, rules=OF_COLOUR)


def test_the_audit_finds_nothing_in_a_pair_that_was_looked_at(page, served, finished):
    """One look for both themes: it takes a process with both networks."""
    row = finished.store.runs.get(finished.run)
    page.add_init_script("localStorage.setItem('workbench-theme', 'light')")
    page.goto(f"{served.url}/?pair=&teacher=teacher:{row.teacher}&student=run:{row.id}@last")
    expect(page.locator('[data-pair="done"]')).to_be_visible()
    for view in PAGE:
        expect(page.locator(f'[data-view="{view}"]')).to_be_visible()
    assert_clean(page)
    page.get_by_role("button", name="Dark theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert_clean(page, rules=OF_COLOUR)


def assert_clean(page: Page, *, rules: Sequence[str] = ()) -> None:
    """The automated audit has nothing to say about what is shown now.

    Args:
        page: What is audited; the audit is loaded into it once.
        rules: Those to ask; none for all.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    options = {"runOnly": {"type": "rule", "values": list(rules)}} if rules else {}
    options["resultTypes"] = ["violations"]
    found = page.evaluate("(options) => axe.run(options)", options)["violations"]
    said = [
        {
            "rule": rule["id"],
            "help": rule["help"],
            "where": [node["target"] for node in rule["nodes"]][:8],
            "why": rule["nodes"][0]["failureSummary"],
        }
        for rule in found
    ]
    assert not said, json.dumps(said, indent=1)


def test_twice_the_size_is_the_narrow_page_and_nothing_is_cut_off(served, finished, page):
    """200 % zoom of 1440 x 900 shows 720 x 450 of the page's own pixels: one view a row."""
    page.set_viewport_size({"width": 720, "height": 450})
    page.goto(f"{served.url}/?run={finished.run}")
    views = [page.locator(f'[data-view="{view}"][data-step]') for view in PAGE]
    for view in views:
        view.scroll_into_view_if_needed()
        box = view.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 720
    assert page.evaluate("document.documentElement.scrollWidth") <= 720


def test_with_reduced_motion_nothing_moves(served, finished, page):
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{served.url}/?run={finished.run}")
    expect(page.locator('[data-view="cka"][data-step]')).to_be_visible()
    page.get_by_role("button", name="open", exact=False).first.click()
    moving = page.evaluate("document.getAnimations({ subtree: true }).length")
    assert moving == 0


def test_the_keyboard_goes_from_the_bar_through_rail_and_views_to_the_scrubber(
    served, finished, page
):
    page.goto(f"{served.url}/?run={finished.run}")
    expect(page.locator('[data-view="cka"][data-step]')).to_be_visible()
    seen: list[str] = []
    for _ in range(120):
        page.keyboard.press("Tab")
        area = page.evaluate(AREA)
        if area and (not seen or seen[-1] != area):
            seen.append(area)
        if area == "scrubber":
            break
    order = [area for k, area in enumerate(seen) if area not in seen[:k]]
    assert order == ["skip", "top", "rail", *PAGE_ORDER, "scrubber"]
