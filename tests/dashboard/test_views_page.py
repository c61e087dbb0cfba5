"""Toggles of the views on the page: kinds of bins, the control beside, kept over steps."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_bins_and_the_control_are_chosen_once_and_follow_every_step(served, finished, page: Page):
    steps = finished.store.snapshot_steps(finished.run)
    shared = finished.store.snapshot_steps(f"{finished.run}-control")
    page.goto(f"{served.url}/?run={finished.run}")
    cka, bins = (page.locator(f'[data-view="{name}"]') for name in ("cka", "calibration"))
    expect(cka).to_have_attribute("data-step", str(steps[-1]))
    cka.get_by_role("button", name="vs CE").click()
    note = cka.locator(".wb-note")
    expect(note).to_contain_text(f"(CE only), both at step {steps[-1]}; one seed, 0.")
    bins.get_by_role("button", name="equal mass").click()
    expect(bins.locator(".wb-footer")).to_contain_text("equal-mass (a, b]")
    page.get_by_role("slider", name="Snapshot").focus()
    page.keyboard.press("ArrowLeft")
    expect(cka).to_have_attribute("data-step", str(steps[-2]))
    found = f"both at step {steps[-2]}" if steps[-2] in shared else "has no snapshot at step"
    expect(note).to_contain_text(found)
    expect(bins.locator(".wb-footer")).to_contain_text("equal-mass (a, b]")
    keys = bins.get_by_label("Select the samples of a bin")
    words = keys.locator("option").nth(1).text_content() or ""
    keys.select_option(index=1)
    n = int(re.findall(r"n = (\d+)", words)[0])
    expect(bins.locator(".wb-chip")).to_have_text(re.compile(rf"^n = {n} "))
    expect(page.locator('[data-view="loyalty"] .wb-chip')).to_have_text(re.compile(rf"^n = {n} "))


def test_the_address_holds_what_is_toggled_and_a_pasted_link_opens_it(served, finished, page: Page):
    page.goto(f"{served.url}/?run={finished.run}&calibration=bins:huge")
    newest = str(finished.store.snapshot_steps(finished.run)[-1])
    cka, bins, curves = (
        page.locator(f'[data-view="{name}"]') for name in ("cka", "calibration", "curves")
    )
    expect(bins).to_have_attribute("data-step", newest)
    told = page.get_by_role("status").filter(has_text="`calibration=bins:huge` in the address")
    expect(told).to_contain_text("may be width, mass")
    expect(page).to_have_url(f"{served.url}/?run={finished.run}")  # what is refused goes
    entries = page.evaluate("history.length")
    bins.get_by_role("button", name="equal mass").click()
    expect(told).to_have_count(0)
    cka.get_by_role("button", name="vs CE").click()
    curves.get_by_role("button", name="epoch").click()
    toggles = "cka=mode:control&calibration=bins:mass&curves=x:epoch"
    expect(page).to_have_url(f"{served.url}/?run={finished.run}&{toggles}")
    assert page.evaluate("history.length") == entries
    keys = bins.get_by_label("Select the samples of a bin")
    keys.select_option(index=1)
    expect(page).to_have_url(re.compile(f"&select=[^&]+&{re.escape(toggles)}$"))
    with_toggles = page.url
    curves.get_by_role("button", name="step").click()
    page.go_back()  # before the selection, as it was then
    expect(page).to_have_url(f"{served.url}/?run={finished.run}&{toggles}")
    expect(curves.get_by_role("button", name="epoch")).to_have_attribute("aria-pressed", "true")

    page.goto(with_toggles)
    for view, name in ((bins, "equal mass"), (curves, "epoch")):
        expect(view.get_by_role("button", name=name)).to_have_attribute("aria-pressed", "true")
    expect(bins.locator(".wb-chip")).to_be_visible()
    expect(page).to_have_url(with_toggles)
    bins.locator(".wb-chip").click()  # the map of what is selected has no control beside it
    expect(cka.get_by_role("button", name="vs CE")).to_have_attribute("aria-pressed", "true")
