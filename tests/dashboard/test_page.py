"""The page as a newcomer uses it, in a real browser, against a real server and real training."""

from __future__ import annotations

import os
import re
import signal

import pytest
from playwright.sync_api import Browser, Page, expect

from workbench.store import Store

from ..waiting import PATIENCE, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

VIEWS = ("cka", "trilateral", "calibration", "loyalty", "curves")


FITS = "node => node.scrollWidth <= node.clientWidth"
STEPS = "nodes => nodes.map(node => [node.dataset.view, Number(node.dataset.step ?? -1)])"


def steps(page: Page) -> dict[str, int]:
    """Last step drawn of each view that is on the page: one question, since it is asked often."""
    told = page.locator("[data-view]").evaluate_all(STEPS)
    names = [view for view, _ in told]
    return {view: step for view, step in told if view in VIEWS and names.count(view) == 1}


def drawn(page: Page) -> bool:
    found = steps(page)
    return len(found) == len(VIEWS) and min(found.values()) >= 0


def press_start(page: Page, url: str) -> str:
    page.goto(url)
    expect(page.get_by_role("button", name="Start", exact=True)).to_have_count(1)
    page.get_by_role("button", name="Start", exact=True).click()
    until(lambda: drawn(page), f"views after Start: {steps(page)}", every=0.1)
    return str(page.locator("[data-run]").get_attribute("data-run"))


def test_a_newcomer_starts_pauses_resumes_and_stops_the_quickstart(quiet_end, page):
    served = quiet_end()
    assert served.said == f"Workbench: {served.url}\n"
    run = press_start(page, served.url)
    assert page.url == f"{served.url}/?run={run}"
    assert page.locator("[data-run][data-status]").count() == 1
    seen = {view: {step} for view, step in steps(page).items()}

    def all_changed_twice() -> bool:
        for view, step in steps(page).items():
            seen[view].add(step)
        return all(len(found) >= 3 for found in seen.values())

    until(all_changed_twice, f"steps seen: {seen}", every=0.1)
    snapshot_steps = {step for view, step in steps(page).items() if view != "curves"}
    assert len(snapshot_steps) == 1, "views of one snapshot show one step"

    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator('[data-status="paused"]')).to_have_count(1)
    expect(page.get_by_role("button", name="Pause", exact=True)).to_have_count(0)
    store = Store(str(served.store))
    at = store.runs.get(run).step
    until(
        lambda: steps(page).get("curves", -1) == at, "curves show the step of the pause", every=0.1
    )
    page.get_by_role("button", name="Resume", exact=True).click()
    until(lambda: steps(page).get("curves", -1) > at, "training goes on after Resume", every=0.1)
    for width in (1024, 1100, 1200, 1440):  # with all that a running run has to say
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(f"innerWidth === {width}")
        assert page.locator("[data-run]").evaluate(FITS), f"the top bar at {width}"
        assert page.locator("[data-run] .name").evaluate(FITS), f"the run's name at {width}"

    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("Stop at the next step?")).to_be_visible()
    page.get_by_role("button", name="Keep going").click()
    expect(page.get_by_text("Stop at the next step?")).to_have_count(0)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator('[data-status="stopped"]')).to_have_count(1)
    journalled = [event.kind for event in store.journal.events(run) if event.who == "page"]
    assert journalled == ["accepted", "pause", "resume", "stop"]
    store.close()

    page.goto(f"{served.url}/?run={run}")
    until(lambda: drawn(page), "a stopped run comes back after a reload", every=0.1)
    for size in ({"width": 1440, "height": 900}, {"width": 1024, "height": 768}):
        page.set_viewport_size(size)
        page.wait_for_function(f"innerWidth === {size['width']}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_two_browsers_see_one_run_and_training_outlives_them_and_the_server(
    quiet_end, page, browser: Browser
):
    served = quiet_end()
    run = press_start(page, served.url)
    other = browser.new_context(viewport={"width": 1440, "height": 900})
    second = other.new_page()
    second.goto(f"{served.url}/?run={run}")
    until(lambda: drawn(second), "the second browser draws", every=0.1)
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(second.locator('[data-status="paused"]')).to_have_count(1)
    until(lambda: steps(page) == steps(second), f"{steps(page)} and {steps(second)}", every=0.1)
    second.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator('[data-status="training"]')).to_have_count(1)
    other.close()
    page.goto("about:blank")
    served.process.send_signal(signal.SIGKILL)
    served.process.wait(timeout=PATIENCE)
    store = Store(str(served.store))
    before = store.runs.get(run)
    assert before.status == "training"
    until(lambda: store.runs.get(run).step >= before.step + 5, "the step goes on rising")
    store.close()


def test_enter_starts_and_full_speed_reaches_the_result(quiet_end, page):
    served = quiet_end()
    page.goto(served.url)
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_visible()
    page.keyboard.press("Enter")
    page.get_by_role("button", name=re.compile(r"^Slow motion: \d+ ms")).click()
    expect(page.locator('[data-status="finished"]')).to_have_count(1)
    expect(page.get_by_text("percentage points")).to_be_visible()
    until(lambda: set(steps(page).values()) == {450}, f"last step drawn: {steps(page)}", every=0.1)
    for name in ("Pause", "Resume", "Stop"):
        expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)


def test_an_unknown_run_is_said_in_words_with_a_way_back(served, page):
    page.goto(f"{served.url}/?run=nothing-here<b>")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("No run 'nothing-here<b>'")
    assert page.locator("[data-run]").count() == 0
    alert.get_by_role("link").click()
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_visible()
    assert page.url == f"{served.url}/"


def test_the_theme_is_remembered_and_follows_in_every_view(finished, served, page):
    page.goto(f"{served.url}/?run={finished.run}")
    until(lambda: drawn(page), "views of a finished run", every=0.1)
    page.get_by_role("button", name="Dark theme").click()
    for view in VIEWS:
        expect(page.locator(f'[data-view="{view}"]')).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.get_by_role("button", name="Light theme")).to_be_visible()


def test_a_page_without_its_server_says_so(finished, servers, browser: Browser):
    served = servers.start(finished.store.path)
    context = browser.new_context()
    lonely = context.new_page()
    lonely.goto(f"{served.url}/?run={finished.run}")
    until(lambda: drawn(lonely), "views of a finished run", every=0.1)
    os.kill(served.process.pid, signal.SIGKILL)
    expect(lonely.get_by_text("No contact with the server")).to_be_visible()
    expect(lonely.get_by_text("Not connected")).to_be_visible()
    context.close()


def test_nothing_on_the_page_is_smaller_than_the_smallest_type(finished, served, page):
    page.goto(f"{served.url}/?run={finished.run}")
    until(lambda: drawn(page), "views of a finished run", every=0.1)
    smallest = page.locator(".root").evaluate_all(
        """roots => Math.min(...roots.flatMap(root => [...root.querySelectorAll('*')])
          .filter(node => [...node.childNodes].some(c => c.nodeType === 3 && c.data.trim()))
          .filter(node => !node.closest('.icon'))
          .map(node => parseFloat(getComputedStyle(node).fontSize)))"""
    )
    assert smallest >= 11
