"""What the run page shows on narrow screens, while looking back and to the keyboard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from workbench.runs.history import History

pytestmark = [pytest.mark.browser, pytest.mark.slow]

OVERLAPS = """(view) => {
  const all = [...view.querySelectorAll(".main-svg text")];
  const texts = all.filter((text) => text.textContent.trim());
  const boxes = texts.map((text) => text.getBoundingClientRect());
  const found = [];
  for (let a = 0; a < boxes.length; a++) for (let b = a + 1; b < boxes.length; b++) {
    const [x, y] = [boxes[a], boxes[b]];
    const wide = Math.min(x.right, y.right) - Math.max(x.left, y.left);
    const high = Math.min(x.bottom, y.bottom) - Math.max(x.top, y.top);
    if (wide > 2 && high > 4) found.push(`${texts[a].textContent} on ${texts[b].textContent}`);
  }
  const frame = view.querySelector(".wb-plot").getBoundingClientRect();
  const cut = texts.filter((_, k) => boxes[k].right > frame.right + 2);
  found.push(...cut.map((text) => `${text.textContent} is cut`));
  return found;
}"""


@pytest.fixture(scope="module")
def page(browser: Browser, served, finished):
    """The finished run, opened once for all tests here."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.goto(f"{served.url}/?run={finished.run}")
    drawn(page, finished)
    yield page
    context.close()


def drawn(page: Page, finished: Any) -> None:
    newest = str(finished.store.snapshot_steps(finished.run)[-1])
    for view in ("cka", "calibration", "curves"):
        expect(page.locator(f'[data-view="{view}"]')).to_have_attribute("data-step", newest)
        expect(page.locator(f'[data-view="{view}"] .main-svg').first).to_be_visible()


@pytest.mark.parametrize("view", ["cka", "calibration", "curves"])
def test_at_the_narrowest_of_four_columns_no_label_lies_on_another(page: Page, view: str):
    expect(page.locator(f'[data-view="{view}"] .main-svg text').first).to_be_visible()
    assert page.locator(f'[data-view="{view}"]').evaluate(OVERLAPS) == []


def test_the_name_of_a_phase_has_room_beside_all_else_in_the_curves(page: Page):
    page.set_viewport_size({"width": 1440, "height": 900})
    view = page.locator('[data-view="curves"]')
    expect(view.locator(".main-svg text").get_by_text("cosine decay")).to_be_visible()
    assert view.evaluate(OVERLAPS) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(view.locator(".main-svg text").get_by_text("cosine decay")).to_have_count(0)


@pytest.mark.parametrize("width", [1280, 1024, 900, 800, 600])
def test_the_top_bar_says_what_the_run_is_at_any_width_and_cuts_nothing_off(page: Page, width: int):
    page.set_viewport_size({"width": width, "height": 800})
    top = page.locator("#top .top")
    for what in (".what .name", ".what .by", '[role="status"]', ".progress", '[data-do="theme"]'):
        expect(top.locator(what)).to_be_visible()
    rights = """(top) => [...top.querySelectorAll("*")]
      .map((one) => one.getBoundingClientRect().right)"""
    assert max(top.evaluate(rights)) <= width
    page.set_viewport_size({"width": 1280, "height": 800})


def test_forced_colours_leave_bars_and_pressed_buttons_what_they_say(page: Page):
    colour = "(node) => getComputedStyle(node).backgroundColor"
    page.emulate_media(forced_colors="active")
    for bar in ("#top .progress .bar", "#rail .pulls"):
        filled = page.locator(f"{bar} > div").first.evaluate(colour)
        assert filled != page.locator(bar).evaluate(colour)
    for card, said in (('[data-view="cka"]', "pressed"), ("#result", "selected")):
        pressed, other = (f'{card} button[aria-{said}="{now}"]' for now in ("true", "false"))
        colours = {page.locator(button).first.evaluate(colour) for button in (pressed, other)}
        assert len(colours) == 2
    page.emulate_media(forced_colors="none")


def test_curves_name_the_accuracy_of_the_step_that_is_shown(page: Page, finished):
    probe = History.load(finished.store, finished.run).probe
    legend = page.locator('[data-view="curves"] .wb-note').first
    expect(legend).not_to_contain_text("step")
    page.get_by_role("slider", name="Snapshot").focus()
    page.keyboard.press("Home")
    expect(legend).to_contain_text(f"step {probe.steps[0]}")
    expect(legend).to_contain_text(f"S {100 * np.float32(probe.column('accuracy')[0]):.1f}")
    page.keyboard.press("l")
    expect(legend).to_contain_text(f"S {100 * np.float32(probe.column('accuracy')[-1]):.1f}")
    expect(legend).not_to_contain_text("step")


def test_the_bar_of_pulls_tells_the_keyboard_their_norms_over_training(page: Page):
    over = page.locator("#rail .pulled-over")
    expect(over).to_be_hidden()
    page.locator("#rail .pulls").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(over).to_contain_text("Norm of each gradient")
    expect(over).to_contain_text("KD and CE")
    page.keyboard.press("Tab")
    expect(over).to_be_hidden()


def test_the_folded_rail_keeps_what_can_be_set_and_the_journal_its_button(page: Page):
    page.set_viewport_size({"width": 1024, "height": 768})
    strip = page.locator("#rail .strip")
    for words in ("KD", "CE", "LR", "0.005", "share"):
        expect(strip).to_contain_text(words)
    page.get_by_role("button", name="Journal", exact=True).click()
    expect(page.locator("#journal")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#journal")).to_be_hidden()
