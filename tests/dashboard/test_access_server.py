"""A server of a team: login, exact origins, a prefix behind a real proxy, links that only look."""

from __future__ import annotations

import asyncio
import http.client
import re
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, create_signed_value
from tornado.websocket import WebSocketClosedError, WebSocketHandler, websocket_connect

from workbench.dashboard import assets
from workbench.dashboard.access import PASSED, SECRET_FILE, Access
from workbench.dashboard.login import Users, add_user

from ..waiting import PATIENCE

PREFIX = "/team/kd"
PASSWORD = "correct horse"
FORGE = """(asked) => {
  const models = [...Bokeh.documents[0]._all_models.values()];
  models.find((model) => model.data?.kind === "top").data.asked = asked;
}"""
"""Asks the session of a page for something that the page itself does not offer."""

HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "keep-alive"}


class Http(RequestHandler):
    """A small reverse proxy, as nginx is: path, Host and cookies stay; it says how they came."""

    def initialize(self, behind: str) -> None:
        self._behind = behind

    async def get(self) -> None:
        headers = {**dict(self.request.headers.get_all()), "X-Forwarded-Proto": "https"}
        asked = HTTPRequest(
            self._behind + str(self.request.uri),
            method=str(self.request.method),
            headers=headers,
            body=self.request.body if self.request.method == "POST" else None,
            follow_redirects=False,
            decompress_response=True,
            connect_timeout=PATIENCE,
            request_timeout=PATIENCE,
        )
        answer = await AsyncHTTPClient().fetch(asked, raise_error=False)
        self.set_status(answer.code)
        self.clear_header("Content-Type")
        for name, value in answer.headers.get_all():
            if name.lower() not in HOP:
                self.add_header(name, value)
        if answer.code != 304:
            self.write(answer.body)

    post = head = get

    def check_xsrf_cookie(self) -> None:
        """The server behind checks it."""


class Socket(WebSocketHandler):
    """Passes messages both ways, with the Origin that the browser gave."""

    def initialize(self, behind: str) -> None:
        self._behind: Any = behind

    def check_origin(self, origin: str) -> bool:
        return True

    async def prepare(self) -> None:
        headers = self.request.headers
        kept = {name: headers[name] for name in ("Origin", "Host", "Cookie") if name in headers}
        asked = HTTPRequest(
            self._behind.replace("http", "ws", 1) + str(self.request.uri),
            headers=kept,
            connect_timeout=PATIENCE,
        )
        names = [name.strip() for name in headers.get("Sec-Websocket-Protocol", "").split(",")]
        self._server = await websocket_connect(asked, subprotocols=names)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return self._server.selected_subprotocol

    async def open(self) -> None:
        self._task = asyncio.ensure_future(self._back())

    async def _back(self) -> None:
        while (message := await self._server.read_message()) is not None:
            try:
                await self.write_message(message, binary=isinstance(message, bytes))
            except WebSocketClosedError:  # the tab was faster
                return
        self.close()

    async def on_message(self, message: str | bytes) -> None:
        await self._server.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        self._server.close()


class Proxy:
    """Runs in a thread of its own; ``url`` is what a browser asks.

    Args:
        prefix: The path that is passed on; every other is not found.
    """

    behind = ""
    """Address of the server; set before it starts."""

    def __init__(self, prefix: str) -> None:
        self._sockets = bind_sockets(0, "127.0.0.1")
        self.host = f"127.0.0.1:{self._sockets[0].getsockname()[1]}"
        self.url = f"http://{self.host}{prefix}/"
        self._prefix = prefix
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(PATIENCE)

    def _work(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        to = {"behind": self.behind}
        routes = [(f"{self._prefix}/ws", Socket, to), (f"{self._prefix}/.*", Http, to)]
        server = HTTPServer(Application(routes))
        server.add_sockets(self._sockets)
        self._ready.set()
        await self._end.wait()
        server.stop()
        await server.close_all_connections()


@dataclass
class Team:
    """A server with a login behind a proxy, and the run that it holds."""

    served: Any
    proxy: Proxy
    run: str
    users: Path

    @property
    def link(self) -> str:
        secret = (self.served.store.parent / SECRET_FILE).read_text()
        return f"{self.proxy.url}?run={self.run}&view={Access(secret).token(self.run)}"


@pytest.fixture(scope="module")
def team(finished, lasting_servers, tmp_path_factory) -> Iterator[Team]:
    users = tmp_path_factory.mktemp("team") / "users"
    add_user(users, "mira", PASSWORD)
    proxy = Proxy(PREFIX)
    served = lasting_servers.start(
        finished.store.path,
        team={
            "basic_auth": str(users),
            "origins": [proxy.host],
            "prefix": PREFIX,
            "behind_proxy": True,
            "share_links": True,
        },
    )
    proxy.behind = served.url
    with proxy:
        yield Team(served, proxy, finished.run, users)


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """One for all; its console is not watched: refusals are errors there."""
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    yield opened
    opened.close()


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: str


def ask(
    team: Team, path: str, method: str = "GET", body: str | None = None, **headers: str
) -> Answer:
    host, port = team.served.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        named["Content-Type"] = "application/x-www-form-urlencoded"
    connection.request(method, PREFIX + path, body=body, headers=named)
    answer = connection.getresponse()
    found = Answer(answer.status, answer.msg, answer.read().decode("utf-8", "replace"))
    connection.close()
    return found


def cookies(answer: Answer) -> dict[str, SimpleCookie]:
    return {
        line.split("=", 1)[0]: SimpleCookie(line)
        for line in answer.headers.get_all("Set-Cookie") or []
    }


def test_its_first_lines_say_how_to_put_it_behind_a_proxy(team):
    port = team.served.url.rsplit(":", 1)[1]
    assert team.served.said == f"Workbench: http://127.0.0.1:{port}{PREFIX}/\n"
    assert "Behind a proxy: send /team/kd/" in team.served.process.stdout.readline()
    assert "docs/serving.md" in team.served.process.stdout.readline()


@pytest.mark.parametrize("path", ["/", "/?run=x", "/?run=x&view=wrong", "/?compare="])
def test_without_a_login_a_page_sends_to_the_form(team, path):
    answer = ask(team, path)
    assert answer.status == 302
    form = urllib.parse.urljoin(f"{PREFIX}/", answer.headers["Location"])
    assert form.startswith(f"{PREFIX}/login?next=")


@pytest.mark.parametrize("path", ["export?to=yaml", "tables?name=result", "snapshots?x=1"])
def test_without_a_login_nothing_can_be_taken_away(team, path):
    assert ask(team, f"/{path}&run={team.run}").status == 403


def test_scripts_and_the_icon_need_no_login_and_hold_no_secret(team):
    answer = ask(team, f"/{assets.url('icon.svg')}")
    assert answer.status == 200


def test_a_password_that_is_wrong_or_without_its_token_lets_nobody_in(team):
    form = ask(team, "/login")
    assert "default-src 'self'" in form.headers["Content-Security-Policy"]
    token = re.search(r'name="_xsrf" value="([^"]+)"', form.body)[1]
    crumb = form.headers["Set-Cookie"].split(";")[0]
    right = urllib.parse.urlencode({"name": "mira", "password": PASSWORD})
    assert ask(team, "/login", "POST", right, Cookie=crumb).status == 403
    wrong = urllib.parse.urlencode({"name": "<b>", "password": "x", "_xsrf": token})
    answer = ask(team, "/login", "POST", wrong, Cookie=crumb)
    assert answer.status == 401
    assert "&lt;b&gt;" in answer.body and "<b>" not in answer.body
    sent = ask(
        team, "/login?next=//evil.example", "POST", f"{right}&_xsrf={token}", Cookie=crumb,
        X_Forwarded_Proto="https",
    )  # fmt: skip
    assert (sent.status, sent.headers["Location"]) == (302, f"{PREFIX}/")
    user = cookies(sent)["user"]["user"]
    assert (user["path"], user["httponly"], user["secure"]) == (f"{PREFIX}/", True, True)
    assert user["samesite"] == "lax"


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null"])
def test_a_websocket_of_another_origin_is_refused_even_with_a_login(team, origin):
    secret = (team.served.store.parent / SECRET_FILE).read_text()
    mark = Users(team.users).mark("mira")
    made = {"user": "mira", PASSED: mark}
    login = "; ".join(
        f"{name}={create_signed_value(secret, name, value).decode()}"
        for name, value in made.items()
    )
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Cookie": login,
    }
    assert ask(team, "/ws", Origin=origin, **upgrade).status == 403
    assert ask(team, "/ws", Origin=f"http://{team.proxy.host}", **upgrade).status == 101


def test_a_link_shows_its_run_without_a_login_and_cannot_touch(team, page, finished):
    page.context.clear_cookies()
    before = finished.store.journal.last(team.run)
    page.goto(team.link)
    expect(page.locator("[data-run]")).to_have_attribute("data-run", team.run)
    expect(page.get_by_text("View only")).to_be_visible()
    expect(page.get_by_text("copy any figure with its data")).to_be_visible()
    expect(page.locator('[data-do="fork"], [data-do="note"], [data-do="where"]')).to_have_count(0)
    expect(page.locator("#rail :is(input, textarea, select)")).to_have_count(0)
    page.locator('[data-view="curves"]').get_by_role("button", name="epoch").click()
    expect(page).to_have_url(f"{team.link}&curves=x:epoch")  # it stays a link that only looks
    # Past the page: its own websocket, as a person would who knows how.
    page.evaluate(FORGE, [{"do": "note", "text": "forged", "at": 0, "count": 1}])
    page.evaluate(FORGE, [{"do": "fork", "at": 0, "count": 2}, {"do": "look", "count": 3}])
    taken = page.request.get(f"{team.proxy.url}export?run={team.run}&to=yaml")
    assert taken.status == 200 and "student" in taken.text()
    assert page.request.get(f"{team.proxy.url}export?run=other&to=yaml").status == 403
    home = page.request.get(team.proxy.url, max_redirects=0)
    assert home.status == 302, "the link is to one run"
    assert finished.store.journal.last(team.run) == before
    assert [row.id for row in finished.store.runs.list()].count(team.run) == 1


def test_behind_the_proxy_somebody_logs_in_and_their_name_stands_in_the_journal(
    team, page, finished
):
    page.context.clear_cookies()
    failed = []
    page.on("response", lambda answer: answer.status >= 400 and failed.append(answer.url))
    page.goto(f"{team.proxy.url}?run={team.run}")
    page.get_by_label("Name").fill("mira")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(re.compile(rf"{re.escape(PREFIX)}/\?run="))
    expect(page.locator("[data-run]")).to_have_attribute("data-run", team.run)
    expect(page.locator("#cka .main-svg").first).to_be_attached()
    expect(page.locator('[data-do="person"]')).to_contain_text("mira")
    assert failed == []
    loaded = "performance.getEntriesByType('resource').map((one) => one.name)"
    assert all(PREFIX in url for url in page.evaluate(loaded) if url.startswith("http"))
    # What the test of the link does, by somebody who may: it arrives, with the name of the login.
    page.evaluate(FORGE, [{"do": "note", "text": "by mira", "at": 0, "count": 1000}])
    expect(page.locator("#rail .journal")).to_contain_text("by mira")
    events = finished.store.journal.events(team.run)
    assert [event.who for event in events if "by mira" in str(event.payload)] == ["mira"]
    page.goto(team.link)  # whoever may start runs here opens a fork of it, in their name
    page.get_by_role("button", name="Fork to my runs").click()
    page.wait_for_url(re.compile(rf"\?fork={team.run}&at=\d+"))
    expect(page.get_by_role("button", name="Start fork")).to_be_visible()
    assert [row.parent for row in finished.store.runs.list()].count(team.run) == 0
