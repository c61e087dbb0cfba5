"""Every place, light and dark, under an automated accessibility audit (axe), and by what it misses."""

from __future__ import annotations

import json

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

READY = {
    "start": ("/", "Start"),
    "run": ("/?run={run}", None),
    "compare": ("/?compare={run}", None),
    "runs": ("/?runs=", "Student"),
    "models": ("/?models=", "Teachers 1"),
}
"""Place: its address, and the name of a button that is there once it is drawn."""

THEMES = ("light", "dark")


def opened(page: Page, served, finished, place: str, theme: str) -> None:
    address, name = READY[place]
    page.add_init_script(f"localStorage.setItem('workbench-theme', '{theme}')")
    page.goto(served.url + address.format(run=finished.run))
    if name:
        expect(page.get_by_role("button", name=name, exact=True)).to_be_visible()
    if place == "run":
        for view in ("cka", "trilateral", "calibration", "loyalty", "curves"):
            expect(page.locator(f'[data-view="{view}"][data-step]')).to_be_visible()
    if place == "compare":
        expect(page.get_by_role("table").first).to_be_visible()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("place", READY)
def test_the_audit_finds_nothing(page, served, finished, place, theme):
    opened(page, served, finished, place, theme)
    found = Axe().run(page).response["violations"]
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
