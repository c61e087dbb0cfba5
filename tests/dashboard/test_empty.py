"""A store without runs: its pages lead to the first one themselves, by keys alone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from workbench.store import Store

from .conftest import stop_all

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture
def empty(servers, tmp_path):
    """A server on an empty store; afterwards every run in it is stopped."""
    served = servers.start(tmp_path / "store" / "workbench.db")
    yield served
    stop_all(served)


def test_the_demo_starts_from_the_empty_list_of_runs_and_opens(empty, page):
    page.goto(f"{empty.url}/?models=")
    demo = page.get_by_role("button", name="Start the demo")
    expect(demo).to_be_visible()
    page.goto(f"{empty.url}/?runs=")
    expect(page.locator(".empty svg .s, .empty svg .t, .empty svg .g")).to_have_count(3)
    expect(page.locator(".ways a")).to_have_attribute("href", "?new=")
    demo.focus()
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\?run=quickstart-\w+$"))
    run = page.url.partition("run=")[2]
    expect(page.locator("[data-run]")).to_have_attribute("data-run", run)
    store = Store(str(empty.store))
    rows = store.runs.list()
    store.close()
    assert [(row.id, row.recipe) for row in rows] == [(run, "quickstart")]
    assert rows[0].pace, "the demo is made to be watched"
