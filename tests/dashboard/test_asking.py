"""Who may only look asks an editor, who sees it and answers; nobody's rights change by it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from workbench.dashboard.access import Visit
from workbench.dashboard.asking import LONGEST, Requests
from workbench.dashboard.people import Person, may
from workbench.errors import BadInput, RefusedCommand

LOOKS = Visit(run="r", touch=False, fork=False)


class Page:
    """As much of a page as a request needs."""

    def __init__(self, name, visit=None, run="r"):
        self.run, self.person = run, Person(visit or Visit())
        if name:
            self.person.give(name)


def test_only_the_one_who_is_asked_sees_it_and_their_answer_comes_back():
    requests = Requests()
    jon, mira, ada = Page("Jon", LOOKS), Page("Mira"), Page("Ada")
    requests.act(jon, "ask_edit", {"name": "Mira", "text": " T to 2 "}, ["Mira", "Ada"])
    (line,) = requests.waiting(mira)
    assert (line["who"], line["text"]) == ("Jon", "T to 2")
    assert requests.waiting(ada) == []
    assert requests.waiting(Page("Mira", run="another")) == []
    assert requests.waiting(Page("Mira", LOOKS)) == [], "a name alone gives no right"
    with pytest.raises(RefusedCommand, match="gone"):
        requests.act(ada, "answer_edit", {"id": line["id"], "yes": True}, [])
    requests.act(mira, "answer_edit", {"id": line["id"], "yes": True}, [])
    assert requests.waiting(mira) == []
    assert requests.mine(jon) == {"editor": "Mira", "text": "T to 2", "answer": "yes"}
    requests.act(jon, "unask_edit", {}, [])
    assert requests.mine(jon) is None


def test_a_page_that_leaves_takes_its_request_along_and_has_one_at_a_time():
    requests = Requests()
    jon, mira = Page("", LOOKS), Page("Mira")
    for text in ("first", "second"):
        requests.act(jon, "ask_edit", {"name": "Mira", "text": text}, ["Mira"])
    assert [(line["who"], line["text"]) for line in requests.waiting(mira)] == [
        ("Somebody", "second")
    ]
    requests.forget(jon)
    assert requests.waiting(mira) == []


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"name": "Eve", "text": ""}, RefusedCommand, "Can edit here: Mira"),
        ({"name": "on the page", "text": ""}, RefusedCommand, "cannot be asked"),
        ({"name": "Mira", "text": "x" * (LONGEST + 1)}, BadInput, "at most 200"),
        ({"name": "Mira", "text": "a\u202eb"}, BadInput, "is text"),
        ({"name": "Mira", "text": 7}, BadInput, "is text"),
    ],
)
def test_what_cannot_be_asked_is_refused(asked, error, words):
    with pytest.raises(error, match=words):
        Requests().act(Page("Jon", LOOKS), "ask_edit", asked, ["Mira", "on the page"])


def test_a_page_that_only_looks_may_ask_and_may_not_answer():
    assert may(LOOKS, "ask_edit")
    assert not may(LOOKS, "answer_edit")


def test_a_reader_asks_an_editor_who_answers(servers, finished, visitor):
    served = servers.start(finished.store.path, team={"session_ms": 500})
    editor, reader = visitor(), visitor()
    editor.goto(f"{served.url}?run={finished.run}")
    editor.get_by_role("button", name="People").click()
    link = editor.locator("[data-link]").input_value()
    reader.goto(link)
    expect(reader.locator("#rail")).to_contain_text("there is nobody to ask")
    editor.get_by_label("Your name in the journal").fill("Mira <b>")
    editor.keyboard.press("Enter")
    reader.get_by_label("What should change").fill("temperature to <i>2</i>")
    reader.get_by_role("button", name="Ask Mira <b> to edit").click()
    expect(reader.locator("#rail")).to_contain_text("No answer yet")
    line = editor.locator("#notice")
    expect(line).to_contain_text("Somebody asks you to edit: temperature to <i>2</i>")
    line.get_by_role("button", name="Not now").click()
    expect(reader.locator("#rail")).to_contain_text("Mira <b> has answered: does not, for now.")
    expect(line).not_to_contain_text("asks you")
    reader.get_by_role("button", name="Ask again").click()
    editor.close()
    expect(reader.locator("#rail")).to_contain_text("there is nobody to ask")
