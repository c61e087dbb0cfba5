"""The start page in a real browser: a file dropped on it, and a server that only shows."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow]

A_FOLDER = (
    "() => { File.prototype.text = () => Promise.reject(new DOMException('', 'NotFoundError')); }"
)
"""What a browser answers for a folder that was dropped as if it were a file."""
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined })"


def picked(page, text):
    file = {"name": "mine.yaml", "mimeType": "text/yaml", "buffer": text.encode()}
    page.locator("[data-pick-file]").set_input_files(file)


def test_a_file_opens_in_new_and_one_that_is_too_large_or_a_folder_is_said_to_be(served, page):
    page.add_init_script(NO_CLIPBOARD)  # as where a page is served without TLS
    page.goto(served.url)
    picked(page, "x" * 1_500_000)
    expect(page.locator("#go-why")).to_contain_text("A text of 1\u2009500\u2009000 letters")
    page.goto(served.url)
    page.evaluate(A_FOLDER)
    picked(page, "")
    expect(page.locator("#go-why")).to_contain_text("That could not be read (a folder?)")
    page.goto(served.url)
    picked(page, "name: of-a-file\nstages: {main: {terms: {ce: {use: ce}}, steps: 5}}\n")
    paper = page.get_by_label("The experiment as YAML")
    expect(paper).to_have_value(re.compile("of-a-file"))
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_role("button", name="Press Ctrl C")).to_be_visible()
    assert paper.evaluate("(box) => box.selectionEnd - box.selectionStart") > 50


def test_who_may_only_look_is_offered_no_start_by_button_or_key(lasting_servers, finished, page):
    shown = lasting_servers.start(finished.store.path, team={"read_only": True}).url
    page.goto(shown)
    expect(page.get_by_text("This page may only look; nothing is started here.")).to_be_visible()
    expect(page.get_by_role("link", name="Look inside", exact=True)).to_be_visible()
    page.keyboard.press("Enter")
    page.locator("[data-card] h3 a").first.focus()
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("/")  # drawn after them
    expect(page.get_by_role("searchbox")).to_be_focused()
    expect(page.locator('[data-do="start"], [data-do="recipe"]')).to_have_count(0)
    expect(page.get_by_text("Starting…")).to_have_count(0)
