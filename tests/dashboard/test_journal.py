"""The journal on the page: a note, its mark, the drawer with search and filters."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from workbench.dashboard.journal import write_note
from workbench.errors import BadInput


@pytest.mark.parametrize("asked", [{"text": 3, "at": 0}, {"text": "x"}, {"text": "x", "at": True}])
def test_a_message_that_holds_no_note_is_refused(finished, asked):
    with pytest.raises(BadInput, match="at a step"):
        write_note(finished.store, finished.run, asked, who="page")


@pytest.mark.browser
def test_a_note_is_written_found_in_the_drawer_and_jumped_to(finished, served, page):
    page.goto(f"{served.url}/?run={finished.run}&step=0")
    field = page.get_by_role("textbox", name="Add a note at step 0…")
    field.fill("<b>starts</b> cold")
    field.press("Enter")
    mine = page.locator(".rail .event .quote", has_text="starts")
    expect(mine).to_have_text("<b>starts</b> cold")
    expect(field).to_have_value("")
    expect(page.get_by_role("button", name="Note: <b>starts</b> cold")).to_have_count(1)
    opener = page.get_by_role("button", name="open ↗")
    opener.click()
    drawer = page.get_by_role("dialog", name="Journal")
    sought = drawer.get_by_role("searchbox")
    expect(sought).to_be_focused()
    sought.fill("finished")
    lines = drawer.locator(".event")
    expect(lines).to_have_count(1)
    lines.first.click()
    expect(page).not_to_have_url(re.compile("step=0"))
    sought.fill("")
    drawer.get_by_role("button", name="notes").click()
    lines.filter(has_text="starts").click()
    expect(page).to_have_url(re.compile("step=0"))
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(opener).to_be_focused()
    notes = [e for e in finished.store.journal.events(finished.run) if e.kind == "note"]
    assert (0, {"note": "<b>starts</b> cold"}) in [(event.step, event.payload) for event in notes]
