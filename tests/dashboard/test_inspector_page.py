"""The sample inspector in a real browser: step through samples, follow a selection, see maps."""

from __future__ import annotations

import csv
import re
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def card(page: Page):
    return page.locator("#samples .samples")


def opened(page: Page, address: str):
    page.goto(address)
    page.get_by_role("tab", name="Samples", exact=True).click()
    expect(card(page).locator(".strip-of img").first).to_be_visible()
    return card(page)


def current(page: Page) -> int:
    shown = card(page).locator('.strip-of [aria-current="true"]')
    return int(shown.get_attribute("data-id") or -1)


@pytest.fixture(scope="module")
def answered(finished):
    """Who says what at the last snapshot."""
    arrays = finished.store.snapshots(finished.run)[-1].arrays
    return {
        name.removeprefix("answers."): values
        for name, values in arrays.items()
        if name.startswith("answers.")
    }


def surest(answered, student_right: bool, teacher_right: bool) -> list[int]:
    """Ids of a cell, the student surest of its answer first."""
    labels = answered["labels"]
    cell = ((answered["student_class"] == labels) == student_right) & (
        (answered["teacher_class"] == labels) == teacher_right
    )
    sure = answered["student"].astype(np.float32).max(1)
    rows = sorted(np.flatnonzero(cell), key=lambda row: (-sure[row], answered["ids"][row]))
    return [int(answered["ids"][row]) for row in rows]


def test_cells_keys_the_sentence_and_the_selection_agree_with_the_snapshot(
    finished, served, answered, page
):
    address = f"{served.url}/?run={finished.run}"
    page.goto(address)
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    expect(card(page)).to_be_hidden()
    shown = opened(page, address)
    expect(page.get_by_role("tab", name="Samples", exact=True)).to_be_focused()

    learn = surest(answered, student_right=False, teacher_right=True)
    shown.get_by_role("button", name="T only").click()
    expect(shown).to_contain_text(f"{len(learn)} samples, surest first")
    assert current(page) == learn[0]
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert current(page) == learn[2]
    page.keyboard.press("k")
    assert current(page) == learn[1]
    row = int(np.flatnonzero(answered["ids"] == learn[1])[0])
    said = {who: answered[f"{who}_class"][row] for who in ("student", "teacher")}
    expect(shown).to_contain_text(
        f"Teacher {said['teacher']}, as the label; student {said['student']}. Still to learn."
    )
    # as JavaScript: one half float in 250 lies exactly between two thousandths
    sure = Decimal(float(answered["student"][row].max()))
    shortened = sure.quantize(Decimal("0.001"), ROUND_HALF_UP)
    words = f"{said['student']}: student {shortened}"
    expect(shown.get_by_role("img", name=re.compile(r"^Class probability"))).to_have_attribute(
        "aria-label", re.compile(re.escape(words))
    )

    def saved(entry: str) -> tuple[str, str]:
        shown.get_by_role("button", name="Sample inspector").click()
        with page.expect_download() as download:
            page.get_by_role("menuitem", name=entry, exact=True).click()
        return download.value.suggested_filename, download.value.path().read_text()

    name, svg = saved("Save SVG")
    assert name.startswith(f"{finished.run}-step-") and name.endswith("-sample.svg")
    assert "Still to learn." in svg and f"run {finished.run}; probe, step" in svg
    assert svg.count("<image") == 1, "the input; maps were not asked for"
    assert "<pattern" in svg, "the teacher's bars stay hatched"
    assert "foreignObject" not in svg
    name, text = saved("Save data as CSV")
    head, *rows = [row for row in csv.reader(text.splitlines()) if row[0][:1] != "#"]
    assert head == ["class", "probability, student", "probability, teacher"]
    assert [float(row[1]) for row in rows] == pytest.approx(answered["student"][row], abs=1e-6)

    chosen = [learn[4], surest(answered, True, True)[0]]
    page.evaluate(
        """ids => dispatchEvent(new CustomEvent("workbench-select",
          { detail: { ids, how: "a test" } }))""",
        chosen,
    )
    expect(shown.get_by_role("button", name="selected 2")).to_have_attribute("aria-pressed", "true")
    assert current(page) in chosen
    page.evaluate(
        """() => dispatchEvent(new CustomEvent("workbench-select",
          { detail: { ids: [], how: "" } }))"""
    )
    expect(shown.get_by_role("button", name="neither")).to_have_attribute("aria-pressed", "true")

    page.get_by_role("slider", name="Snapshot").focus()
    page.keyboard.press("Home")
    expect(shown).to_contain_text("n = 252 probe · step 0 · raw, T = 1")
    page.get_by_role("tab", name="Result", exact=True).click()
    expect(page.get_by_role("tab", name="Result", exact=True)).to_be_focused()
    expect(card(page)).to_be_hidden()


def test_maps_come_on_a_press_then_follow_the_sample_and_name_their_checkpoint(
    finished, served, answered, page
):
    chosen = sorted(surest(answered, student_right=False, teacher_right=True)[3:9])
    link = f"{served.url}/?run={finished.run}&select={','.join(map(str, chosen))}"
    page.goto(link)
    shown = card(page)  # a selection opens the card by itself
    expect(shown.get_by_role("button", name="selected 6")).to_have_attribute("aria-pressed", "true")
    expect(shown.locator(".strip-of img")).to_have_count(6)
    assert current(page) in chosen
    shown.get_by_role("button", name="Show where both look").click()
    maps = shown.locator(".squares img")
    expect(maps).to_have_count(3)
    expect(shown).to_contain_text(re.compile(r"S–T map similarity−?\d\.\d\d.*p95 −?\d\.\d\d"))
    steps = finished.store.runs.get(finished.run).steps
    expect(shown).to_contain_text(
        re.compile(
            rf"gap ≤ 0\.\d+ logit.*\|integrated gradients\|, 50 steps, cosine "
            rf"· S of checkpoint {steps}"
        )
    )
    before = maps.nth(1).get_attribute("src")
    dark = page.evaluate(
        """() => { document.documentElement.dataset.theme = "dark";
          return getComputedStyle(document.documentElement).getPropertyValue("--wb-measure0"); }"""
    )
    assert dark.strip() == "#211B28"
    expect(maps.nth(1)).not_to_have_attribute("src", before or "")
    page.keyboard.press("j")
    expect(maps).to_have_count(3)
    after = current(page)
    expect(maps.nth(0)).to_have_attribute("alt", re.compile(rf"^Sample {after},"))
    shown.get_by_role("combobox", name="Method of attribution").select_option("saliency")
    expect(shown).to_contain_text("|saliency|, cosine · S of checkpoint")
