"""Names in the journal: what may be one, who is counted, and how two people see each other."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from workbench.dashboard.access import Access, Visit
from workbench.dashboard.people import Person, clean_name
from workbench.dashboard.wording import PAGE
from workbench.errors import BadInput


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("x" * 41, r"41 letters\. Allowed: 1 to 40"),
        ("mi\nra", "cannot be read"),
        ("mi\u202era", "cannot be read"),
        ("Worker", "no person"),
        ("page", "no person"),
    ],
)
def test_a_name_that_could_mislead_a_reader_of_the_journal_is_refused(name, words):
    with pytest.raises(BadInput, match=words):
        clean_name(name)


@pytest.mark.parametrize("name", ["mira", "Mira K.", "Łukasz", "美代", "x" * 40, "<b>&amp;</b>"])
def test_any_readable_name_is_kept_as_it_is(name):
    assert clean_name(f" {name} ") == name


def test_the_journal_takes_the_login_then_the_given_name_then_the_page():
    person = Person(Visit())
    assert person.who == PAGE
    person.give("mira")
    assert person.who == "mira"
    person.give("")
    assert person.who == PAGE
    known = Person(Visit(name="jon"))
    assert known.who == "jon"
    with pytest.raises(BadInput, match="logged in as 'jon'"):
        known.give("mira")


def test_the_top_bar_is_told_who_looks_on_and_who_may_touch():
    mira, guest = Person(Visit()), Person(Visit(run="a", touch=False, fork=False))
    mira.give("mira")
    told = mira.told(Access(), "a", [mira, guest])
    assert told["viewers"] == "2 viewers"
    assert told["names"] == ["mira", "on the page"]
    assert told["editors"] == ["mira"]
    assert mira.told(Access(), "a", [mira])["viewers"] == ""


PLACES = ("?new=quickstart", "?compare={run}", "?runs=", "?models=", "?pair=", "")


def test_a_name_given_on_one_place_is_known_on_all(served, finished, visitor):
    page = visitor()
    first, *others = (f"{served.url}/{place.format(run=finished.run)}" for place in PLACES)
    page.goto(first)
    page.get_by_role("button", name="People: on the page").click()
    page.get_by_label("Your name in the journal").fill("worker")
    page.keyboard.press("Enter")
    expect(page.locator("#top [role=alert]")).to_contain_text("means no person")
    page.get_by_role("button", name="People: on the page").click()
    page.get_by_label("Your name in the journal").fill("Mira")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="People: Mira")).to_be_visible()
    expect(page.locator("#top [role=alert]")).to_have_count(0)
    for address in others:
        page.goto(address)
        expect(page.get_by_role("button", name="People: Mira")).to_be_visible()


KEEPS_SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    window.sockets.push(this);
  }
};
"""


def test_a_closed_tab_is_not_counted_at_once_and_a_broken_line_comes_back(
    servers, finished, visitor
):
    """The server's sessions live on for an hour here; who looks on is told before."""
    served = servers.start(finished.store.path, team={"session_ms": 3_600_000})
    one, other = visitor(), visitor()
    other.add_init_script(KEEPS_SOCKETS)
    errors = []
    other.on("pageerror", lambda error: errors.append(error))
    for page in (one, other):
        page.goto(f"{served.url}?run={finished.run}")
    counted = other.get_by_role("button", name="People: on the page, 2 viewers")
    expect(counted).to_be_visible()
    one.close()
    expect(counted).to_have_count(0)
    third = visitor()
    third.goto(f"{served.url}?run={finished.run}")
    expect(counted).to_be_visible()
    other.evaluate("window.marked = true; window.sockets.at(-1).close()")
    other.wait_for_function("!window.marked || document.documentElement.dataset.contact !== 'lost'")
    expect(counted).to_be_visible()
    expect(third.get_by_role("button", name="People: on the page, 2 viewers")).to_be_visible()
    assert errors == []


def test_a_name_and_a_note_of_one_are_seen_by_the_other_at_once(servers, finished, visitor):
    served = servers.start(finished.store.path, team={"session_ms": 500})
    one, other = visitor(), visitor()
    for page in (one, other):
        page.goto(f"{served.url}?run={finished.run}")
        expect(page.locator("[data-run]")).to_have_attribute("data-run", finished.run)
    button = '[data-do="person"]'
    expect(one.locator(button)).to_have_attribute("aria-label", "People: on the page, 2 viewers")

    one.locator(button).click()
    one.locator("[data-name]").fill("worker")
    one.locator("[data-name]").press("Enter")
    expect(one.locator("#top [role=alert]")).to_contain_text("means no person")
    one.locator(button).click()
    one.locator("[data-name]").fill("Mira <i>K.</i>")
    one.locator("[data-name]").press("Enter")
    expect(one.locator(button)).to_have_attribute("aria-label", "People: Mira <i>K.</i>, 2 viewers")
    other.locator(button).click()
    expect(other.locator(".person .menu")).to_contain_text("Mira <i>K.</i>, on the page")

    one.locator("[data-note]").fill("seen by both")
    one.locator("[data-note]").press("Enter")
    expect(other.locator("#rail .journal")).to_contain_text("seen by both")
    expect(other.locator("#rail .journal")).to_contain_text("Mira <i>K.</i>")

    one.reload()
    expect(one.locator(button)).to_contain_text("Mira <i>K.</i>")
    one.close()
    expect(other.locator(button)).to_have_attribute("aria-label", "People: on the page")
    notes = [event for event in finished.store.journal.events(finished.run) if event.kind == "note"]
    assert notes[-1].who == "Mira <i>K.</i>"
