"""States and what opens under the audit: light and wide, dark and narrow; focus, Escape, no cut."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from workbench.recipes import open_experiment
from workbench.runs.launch import accept
from workbench.store import Store

from .conftest import copied
from .test_accessibility import PAGE, assert_clean

pytestmark = [pytest.mark.browser, pytest.mark.slow]

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 1024, "height": 768}
CUT = """(node) => node.scrollWidth > node.clientWidth"""
FOCUS = """() => {
  let at = document.activeElement;
  while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
  return at?.dataset?.do ?? at?.nodeName;
}"""
"""What the button with the focus does."""


@pytest.fixture(scope="module")
def states(finished, tmp_path_factory):
    """A store of its own: the finished run, one that failed, one that this process holds paused."""
    store = Store(str(copied(finished, tmp_path_factory.mktemp("states") / "store")))
    spec, recipe, base = open_experiment("quickstart")
    spec = spec.at_scale("smoke")
    made = {name: accept(store, spec, recipe=recipe, base=base) for name in ("failed", "paused")}
    error = {"code": "WB201", "message": "The loss became nan.", "last_good_step": 20}
    store.runs.claim(made["failed"])
    store.runs.update(made["failed"], status="failed", step=25, error=error)
    store.runs.claim(made["paused"])
    store.runs.update(made["paused"], status="paused", step=25)
    yield store, {**made, "finished": finished.run}
    store.close()


@pytest.fixture(scope="module")
def served(states, lasting_servers):
    """One server on that store."""
    return lasting_servers.start(states[0].path)


def drawn(page: Page) -> None:
    for view in PAGE:
        expect(page.locator(f'[data-view="{view}"][data-step]')).to_be_visible()


def audited(page: Page) -> None:
    """The audit of what is shown: light at 1440, dark at 1024, and light and wide again."""
    assert_clean(page)
    page.set_viewport_size(NARROW)
    page.locator('[data-do="theme"]').click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert_clean(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    box = page.locator('[data-do="theme"]').bounding_box()
    assert box["x"] + box["width"] <= NARROW["width"], "the bar is cut off"
    page.locator('[data-do="theme"]').click()
    page.set_viewport_size(WIDE)


def test_a_run_that_failed_and_one_that_stands_paused(page, served, states):
    for name, words in (("failed", "The loss became nan"), ("paused", "Paused at step 25")):
        page.goto(f"{served.url}/?run={states[1][name]}")
        notices = page.get_by_role("region", name="Notices")
        expect(notices).to_contain_text(words)
        if name == "paused":  # the mark that the next change gets
            expect(notices.locator(".mark")).to_have_text("1")
        else:
            expect(notices.locator("dd")).to_have_text(["step 20", "5", "WB201 NonFiniteLoss"])
        audited(page)


def test_a_question_in_the_bar_keeps_the_focus_of_the_keyboard(page, served, states):
    page.goto(f"{served.url}/?run={states[1]['paused']}")
    stop = page.get_by_role("button", name="Stop", exact=True)
    stop.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Stop at the next step?")).to_be_visible()
    assert page.evaluate(FOCUS) == "keep"
    page.set_viewport_size(NARROW)
    assert_clean(page)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Stop at the next step?")).to_be_hidden()
    assert page.evaluate(FOCUS) == "ask"


def test_a_link_that_only_looks_and_a_selection_looked_back_on(page, served, states):
    run = states[1]["finished"]
    page.goto(f"{served.url}/?run={run}")
    drawn(page)
    page.locator('[data-view="loyalty"] .wb-cell').first.click()
    page.locator('[data-do="person"]').click()
    link = page.locator("[data-link]").input_value()
    page.goto(f"{link}&step={states[0].snapshot_steps(run)[4]}")
    drawn(page)
    expect(page.get_by_text("View only")).to_be_visible()
    expect(page.locator('[data-view="trilateral"] .wb-chip')).to_be_visible()
    audited(page)


def test_menus_drawers_and_dialogs_open_clean_and_escape_closes_one_of_them(page, served, states):
    page.emulate_media(reduced_motion="reduce")  # a drawer that still comes is half transparent
    page.goto(f"{served.url}/?run={states[1]['finished']}")
    drawn(page)
    page.locator('[data-view="loyalty"] .wb-cell').first.click()
    expect(page).to_have_url(re.compile("select="))
    for opens in ("home", "take", "journal", "keys", "menu", "pair"):
        if opens in ("menu", "pair"):
            page.locator('[data-view="cka"]').focus()
            page.keyboard.press({"menu": "m", "pair": "p"}[opens])
        elif opens == "keys":
            page.keyboard.press("?")
        else:
            page.locator(f'[data-do="{opens}"]:visible').first.click()
        shown = {
            "home": page.locator("#top nav.menu"),
            "take": page.get_by_role("link", name="Script (.py)"),
            "journal": page.get_by_role("dialog", name="Journal"),
            "keys": page.get_by_role("dialog", name="Keys"),
            "menu": page.get_by_role("menu"),
            "pair": page.get_by_role("dialog", name="Pair two layers"),
        }[opens]
        expect(shown).to_be_visible()
        assert_clean(page)
        page.keyboard.press("Escape")
        expect(shown).to_be_hidden()
        assert "select=" in page.url, f"Escape closed {opens} and cleared the selection, too"


def test_a_press_elsewhere_closes_the_menu_of_files(page, served, states):
    page.goto(f"{served.url}/?run={states[1]['finished']}")
    drawn(page)
    page.locator('[data-do="take"]').click()
    expect(page.get_by_role("link", name="Script (.py)")).to_be_visible()
    page.locator('[data-view="cka"] .wb-read').click()
    expect(page.get_by_role("link", name="Script (.py)")).to_be_hidden()


def test_no_title_is_cut_off_beside_a_selection_and_its_colours(page, served, states):
    page.set_viewport_size({"width": 1280, "height": 800})
    page.goto(f"{served.url}/?run={states[1]['finished']}&trilateral=colour:class")
    drawn(page)
    page.locator('[data-view="loyalty"] .wb-cell').first.click()
    for width in (1280, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        for view in PAGE:
            card = page.locator(f'[data-view="{view}"]')
            expect(card.locator(".wb-chip")).to_be_visible()
            assert not card.locator(".wb-title").evaluate(CUT), (width, view)


def test_at_twice_the_size_curves_and_result_are_there_too(page, served, states):
    page.set_viewport_size({"width": 720, "height": 450})
    page.goto(f"{served.url}/?run={states[1]['finished']}")
    for place in ("#curves", "#result"):
        page.locator(place).scroll_into_view_if_needed()
        expect(page.locator(place)).to_be_visible()
    expect(page.locator('[data-view="curves"] .main-svg').first).to_be_visible()


def test_new_with_a_failed_check_and_a_fork(page, served, states):
    page.goto(f"{served.url}/?new=quickstart&set=loss={quote('0.9 * KD(T=2) + CE + Hnt')}")
    expect(page.locator(".squiggle")).to_have_text("Hnt")
    audited(page)
    page.goto(f"{served.url}/?fork={states[1]['finished']}&at=9")
    expect(page.get_by_text("Ready.")).to_be_visible()
    audited(page)


def test_places_where_there_is_nothing_yet(page, lasting_servers, tmp_path):
    """The dark and narrow half only: light and wide they are as in other tests."""
    Store(str(tmp_path / "workbench.db")).close()
    page.set_viewport_size(NARROW)
    page.add_init_script("localStorage.setItem('workbench-theme', 'dark')")
    empty = lasting_servers.start(tmp_path / "workbench.db")
    for place, words in (
        ("", "No runs yet"), ("?runs=", "No runs yet"), ("?models=", "No models yet"),
        ("?compare=", "No runs chosen"), ("?pair=", "The store keeps no model yet"),
        ("?run=none", "No run 'none'"),
    ):  # fmt: skip
        page.goto(f"{empty.url}/{place}")
        expect(page.get_by_text(words).first).to_be_visible()
        assert_clean(page)


def test_without_contact(browser: Browser, servers, states):
    """A page of its own: its console says that nobody answers."""
    server = servers.start(states[0].path)
    page = browser.new_page(viewport=WIDE)
    page.goto(f"{server.url}/?run={states[1]['finished']}")
    drawn(page)
    server.process.kill()
    expect(page.get_by_role("region", name="Notices")).to_contain_text("No contact")
    audited(page)
    page.close()
