"""What a hostile page, link or visitor can send: it costs little, changes nothing, says no more."""

from __future__ import annotations

import asyncio
import http.client
import re
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import urlencode, urlsplit

import pytest
from playwright.sync_api import expect
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError

from workbench.dashboard.access import Access, Listed, Visit
from workbench.dashboard.address import step_of
from workbench.dashboard.carrier import MOST_SENT, Part
from workbench.dashboard.downloads import ExportHandler
from workbench.dashboard.login import MOST_GUESSES, Users, add_user, who_asks
from workbench.dashboard.new_session import ONLY_LOOKS
from workbench.dashboard.people import may
from workbench.dashboard.select_text import MOST, decode
from workbench.errors import BadAddress
from workbench.runs.draft import Draft
from workbench.runs.draft.checker import MOST_ASKING, Checker
from workbench.runs.draft.draft import lines_of
from workbench.runs.explainer import Answer, Explainer

from ..waiting import PATIENCE, until


def test_ranges_that_overlap_are_counted_as_often_as_they_are_read():
    many = ",".join([f"0-{MOST // 2 - 1}"] * 1000)
    with pytest.raises(BadAddress, match="names more than"):
        decode(many)
    assert len(decode("0-9,5-14")) == 15


@pytest.mark.parametrize("text", ["a: &x [*x]", "[" * 5000, "{a: " * 3000])
def test_yaml_that_contains_itself_or_is_deep_has_lines_all_the_same(text):
    assert len(lines_of(text)) <= 2


@pytest.mark.parametrize(
    "sent",
    [
        None,
        {"do": "pause"},
        {"do": "pause", "count": "9"},
        {"do": "pause", "count": True},
        {"do": "note", "count": 1, "text": "\ud800"},
        {"do": "yaml", "count": 1, "value": "x" * MOST_SENT},
    ],
)
def test_a_message_that_no_page_of_ours_makes_is_not_followed_and_the_next_one_is(sent, caplog):
    followed = []
    part = Part("top", followed.append)
    part.asked = [sent, {"do": "look", "count": 2}]
    assert [asked["do"] for asked in followed] == ["look"]
    assert "nothing is done" in caplog.text


@pytest.mark.parametrize("value", ["abc", -1, 1.5, True, 10**30])
def test_a_step_of_a_page_is_a_whole_number(value):
    with pytest.raises(BadAddress, match="whole number"):
        step_of(value)
    assert step_of(None) == 0 and step_of(7) == 7


def test_who_was_taken_out_of_the_file_changes_nothing_from_a_page_that_is_still_open(tmp_path):
    path = tmp_path / "users"
    add_user(path, "mira", "correct horse")
    add_user(path, "jon", "battery staple")
    visit = Visit("mira").of(Users(path))
    assert may(visit, "pause")
    path.write_text("".join(x for x in path.read_text().splitlines(True) if "mira" not in x))
    assert not may(visit, "pause") and not may(visit, "fork")
    assert may(visit, "look")


@pytest.mark.parametrize(
    ("arguments", "headers"),
    [
        ({"bokeh-token": [b"x"]}, {}),
        ({"bokeh-session-id": [b"x"]}, {}),
        ({}, {"bokeh-session-id": "x"}),
    ],
)
def test_an_address_cannot_bring_along_a_session_that_somebody_else_has_made(arguments, headers):
    request = SimpleNamespace(
        arguments=arguments, headers=HTTPHeaders(headers), cookies={}, path="/"
    )
    with pytest.raises(HTTPError, match="403"):
        who_asks(SimpleNamespace(request=request), Access(people=Listed({"mira"})))


def test_who_may_only_look_may_pick_a_pair_but_nothing_of_a_draft():
    looks = Visit(touch=False, fork=False)
    assert all(may(looks, do) for do in ("teacher", "student", "data", "split", "role", "again"))
    drafting = ("begin", "edit", "loss", "yaml", "python", "open", "sweep", "take_back")
    assert not any(may(looks, do) for do in drafting)


def test_a_question_whose_reader_is_gone_does_not_end_the_explainer(store, monkeypatch):
    explainer = Explainer(store)
    monkeypatch.setattr(explainer, "_answered", lambda question: Answer("done"))
    came = threading.Event()

    def gone(answer: Answer) -> None:
        if answer.ended:
            raise RuntimeError("the loop is closed")

    explainer.pictures("a", gone)
    explainer.pictures("b", lambda answer: answer.ended and came.set())
    assert came.wait(PATIENCE)
    explainer.close()


class Slow:
    """A process that does not read yet, as while it preloads."""

    def __init__(self) -> None:
        self.free, self.lines = threading.Event(), []
        self.stdin = self

    def write(self, line: str) -> None:
        assert self.free.wait(PATIENCE), "a page has waited for the write"
        self.lines.append(line)

    def flush(self) -> None:
        """Nothing is kept back."""


def test_pages_do_not_wait_for_a_process_that_does_not_read_and_only_so_many_are_tried(
    store, monkeypatch
):
    checker, process = Checker(store), Slow()
    monkeypatch.setattr(checker, "_living", lambda: process)
    draft, heard = Draft.of_recipe("quickstart"), []
    for page in range(MOST_ASKING + 3):
        checker.ask(str(page), draft, heard.append)
    for _ in range(50):
        checker.ask("0", draft, heard.append)
    assert Counter(told["refused"].split(".")[0] for told in heard) == {
        f"{MOST_ASKING} other pages wait for their checks": 3
    }
    process.free.set()
    until(lambda: len(process.lines) >= MOST_ASKING, "each page's order")
    checker.close()
    assert len(process.lines) <= MOST_ASKING + 1, "of each page its newest only"


@pytest.fixture(scope="module")
def team(lasting_servers, tmp_path_factory, finished):
    """A server with a login, and its address."""
    users = tmp_path_factory.mktemp("team") / "users"
    add_user(users, "mira", "correct horse")
    return lasting_servers.start(finished.store.path, team={"basic_auth": str(users)}).url


def form(team: str, password: str) -> tuple[str, bytes, dict[str, str]]:
    """A login as the form sends it."""
    body = urlencode({"name": "mira", "password": password, "_xsrf": "ab"}).encode()
    return f"{team}/login", body, {"Cookie": "_xsrf=ab"}


def ask(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> int:
    """The status of an answer; a redirect is not followed."""
    where = urlsplit(url)
    link = http.client.HTTPConnection(str(where.hostname), where.port, timeout=PATIENCE)
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
    way = "POST" if body else "GET"
    try:
        link.request(way, url.partition(where.netloc)[2], body, {**kind, **(headers or {})})
        return link.getresponse().status
    finally:
        link.close()


def test_passwords_are_tried_a_few_at_a_time_and_a_right_one_goes_through_after(team):
    def at_once() -> Counter[int]:
        with ThreadPoolExecutor(MOST_GUESSES + 3) as many:
            guesses = (form(team, f"wrong {k}") for k in range(MOST_GUESSES + 3))
            return Counter(many.map(lambda guess: ask(*guess), guesses))

    # Once more where the system let them come one after the other.
    wrong = next((told for _ in range(4) if (told := at_once())[429]), Counter())
    assert wrong[401] >= MOST_GUESSES and wrong[429] >= 1 and set(wrong) == {401, 429}
    assert ask(*form(team, "correct horse")) == 302


def test_who_has_not_come_in_sends_no_large_form_and_brings_no_session(team):
    assert ask(*form(team, "x" * 100_000)) in (400, 413)
    assert ask(f"{team}/?bokeh-session-id=abc") == 403
    assert ask(f"{team}/autoload.js?bokeh-autoload-element=1&bokeh-session-id=abc") == 403
    assert ask(f"{team}/") == 302


def test_an_export_that_breaks_tells_the_log_and_not_the_browser(finished, monkeypatch):
    fault = "import sys; sys.exit('Traceback (most recent call last)\\n  File \"/home/mira/x.py\"')"
    real = asyncio.create_subprocess_exec
    monkeypatch.setattr(
        asyncio,
        "create_subprocess_exec",
        lambda *_, **how: real(sys.executable, "-c", fault, **how),
    )

    async def exported() -> tuple[int, bytes]:
        server = HTTPServer(Application([("/export", ExportHandler, {"store": finished.store})]))
        server.add_sockets(sockets := bind_sockets(0, "127.0.0.1"))
        port = sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/export?run={finished.run}&to=script"
        answer = await AsyncHTTPClient().fetch(url, raise_error=False)
        server.stop()
        return answer.code, answer.body

    code, words = asyncio.run(exported())
    assert code == 500 and b"mira" not in words and b"log" in words


@pytest.mark.browser
@pytest.mark.slow
def test_on_a_server_that_only_shows_an_address_tries_no_draft(lasting_servers, finished, page):
    shown = lasting_servers.start(finished.store.path, team={"read_only": True}).url
    page.goto(f"{shown}/?new=quickstart&set=data.use=folder&set=data.path=/etc")
    expect(page.locator("#go-why")).to_have_text(ONLY_LOOKS)
    expect(page.get_by_label("The experiment as YAML")).not_to_have_value(re.compile("/etc"))
    page.goto(f"{shown}/?fork={finished.run}&at=0&set=seed=7")
    expect(page.get_by_role("heading", name=f"Fork of {finished.run} at step 0")).to_be_visible()
    expect(page.get_by_role("button", name="Start fork")).to_be_disabled()
    expect(page.locator("#go-why")).to_have_text(ONLY_LOOKS)
    expect(page.get_by_label("The experiment as YAML")).not_to_have_value(re.compile("seed: 7"))
