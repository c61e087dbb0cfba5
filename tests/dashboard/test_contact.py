"""The server goes and comes back: the page says so, keeps what was typed, and returns by itself."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

NO_HEARTBEAT = """
const real = window.setInterval;
window.setInterval = (act, every, ...more) =>
  every === 5000 ? (window.beatless = true)
  : window.patient && every === 1000 ? 0
  : real(act, every, ...more);
"""
"""Without its question every 5 s a page hears of the end of its server by its websocket only.

One that is ``patient`` does not try again by itself, so that somebody can press "Try now" first.
"""


@pytest.fixture(scope="module")
def page(browser):
    """One for all; its console is not watched: a server that is gone is an error there."""
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    opened.add_init_script(NO_HEARTBEAT)
    yield opened
    opened.close()


def test_the_page_outlives_its_server_and_comes_back_to_where_it_was(page, finished, servers):
    first = servers.start(finished.store.path)
    page.goto(f"{first.url}?run={finished.run}&step=0")
    expect(page.locator("[data-run]")).to_have_attribute("data-run", finished.run)
    expect(page.locator("#cka .main-svg").first).to_be_attached()
    before = page.url
    page.locator("[data-note]").fill("half a thought")
    page.wait_for_function("window.beatless")

    first.process.kill()
    notice = page.locator("#notice")
    expect(notice).to_contain_text(re.compile(r"No contact with the server for \d+ s\."))
    expect(notice).to_contain_text(re.compile(r"Values below are \d+ s old\. Next try in \d+ s\."))
    expect(notice).to_contain_text("The run has ended; nothing of it is lost.")
    expect(page.locator("#top")).to_contain_text("Not connected")
    expect(page.locator("#top")).to_contain_text("last seen: step")
    expect(page.locator('[data-do="try"]')).to_be_enabled()
    expect(page.locator('[data-do="fork"], [data-do="where"]')).to_have_count(0)
    look = page.locator("#curves .cartesianlayer .lines").first
    assert look.evaluate("node => getComputedStyle(node).opacity") == "0.8"
    edge = page.locator("#curves .wb-view")
    assert edge.evaluate("node => getComputedStyle(node).borderTopStyle") == "dashed"
    page.locator("[data-note]").evaluate("node => node.focus()")
    assert page.locator("[data-note]").evaluate("node => node.getRootNode().activeElement") is None
    assert page.locator("[data-note]").input_value() == "half a thought"

    port = int(first.url.rsplit(":", 1)[1])
    servers.start(finished.store.path, port=port)
    expect(page.locator("#top")).not_to_contain_text("Not connected")
    expect(page.locator("[data-run]")).to_have_attribute("data-run", finished.run)
    assert page.url == before
    expect(page.locator("[data-note]")).to_have_value("half a thought")
    assert page.evaluate("sessionStorage.getItem('workbench-typed')") is None
    assert page.evaluate("document.documentElement.dataset.contact") is None


def test_a_network_that_is_gone_for_a_while_costs_nothing(page, finished, served):
    page.goto(f"{served.url}?run={finished.run}")
    expect(page.locator("[data-run]")).to_have_attribute("data-run", finished.run)
    page.wait_for_function("window.beatless")  # it listens by now
    page.evaluate("window.same = window.patient = true")
    page.evaluate("dispatchEvent(new Event('offline'))")
    expect(page.locator("#notice")).to_contain_text("No contact with the server")
    page.get_by_role("button", name="Try now").click()
    expect(page.locator("#top")).not_to_contain_text("Not connected")
    assert page.evaluate("window.same"), "not loaded anew: its websocket had never closed"
    expect(page.locator('#top [data-do="where"]')).to_be_visible()
