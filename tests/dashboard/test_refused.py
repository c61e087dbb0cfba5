"""What no page of ours sends over a websocket: one line in the server's log, and it is closed."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from workbench.dashboard.address import check_host
from workbench.dashboard.refused import REFUSED, _is_ours
from workbench.errors import BadAddress

from ..waiting import PATIENCE
from .conftest import SERVE, kept_port


def message(kind: str, content: Any) -> list[str | bytes]:
    return [json.dumps({"msgid": "1", "msgtype": kind}), "{}", json.dumps(content)]


def patch(**event: Any) -> list[str | bytes]:
    return message("PATCH-DOC", {"events": [event]})


MESSAGES: dict[str, list[str | bytes]] = {
    "no JSON": ["a", "b", "c"],
    "bytes": [b"\xff\x00"],
    "no kind": ["{}", "{}", "{}"],
    "a header that is a number": ["1", "{}", "{}"],
    "a kind that makes a line of its own": message("A\nERROR: all is lost", {}),
    "a kind for pages only": message("ACK", {}),
    "another document": message("PUSH-DOC", {}),
    "no events": message("PATCH-DOC", {}),
    "a long one": patch(kind="x" * 100_000),
    "a model that is not there": patch(
        kind="ModelChanged", model={"id": "p99999"}, attr="x", new=1
    ),
    "an event that is not there": patch(
        kind="MessageSent", msg_type="bokeh_event", msg_data={"type": "event", "name": "nope"}
    ),
}
TOKENS: dict[str, list[str]] = {
    "no token": [],
    "a token that is none": ["bokeh", "garbage"],
    "a token that is no text": ["bokeh", "YWJj.ZGVm"],
}


async def closing(url: str, names: list[str], send: list[str | bytes]) -> int | None:
    """With which code the server closes; None if it breaks off."""
    asked = HTTPRequest(f"{url.replace('http', 'ws', 1)}/ws", headers={"Origin": url})
    opened = await websocket_connect(asked, subprotocols=names)
    if send:
        await opened.read_message()  # that the page is ready
    for piece in send:
        await opened.write_message(piece, binary=isinstance(piece, bytes))
    while await asyncio.wait_for(opened.read_message(), PATIENCE) is not None:
        pass
    opened.close()
    return opened.close_code


def token(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        found = re.search(r'"token":"([^"]+)"', answer.read().decode())
    assert found
    return found[1]


def test_what_no_page_sends_is_one_line_in_the_log_and_the_end_of_its_websocket(finished, tmp_path):
    log = tmp_path / "log"
    with log.open("w") as told, kept_port() as port:
        url = f"http://127.0.0.1:{port}"
        server = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(finished.store.path), str(port), "{}"],
            stdout=subprocess.PIPE,
            stderr=told,
            text=True,
        )
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == f"Workbench: {url}\n"
            for name, names in TOKENS.items():
                assert asyncio.run(closing(url, names, [])) in (None, REFUSED), name
            given = ["bokeh", token(url)]
            for name, send in MESSAGES.items():
                assert asyncio.run(closing(url, given, send)) == REFUSED, name
        finally:
            server.terminate()
            server.communicate(timeout=PATIENCE)
    lines = log.read_text().splitlines()
    assert len(lines) == len(TOKENS) + len(MESSAGES), "\n".join(lines)
    assert all("Refused from 127.0.0.1: a " in line for line in lines)
    assert max(map(len, lines)) < 300
    assert any(r"A\\nERROR: all is lost" in line for line in lines)


def test_a_fault_of_ours_is_told_apart_from_a_message_that_is_none():
    with pytest.raises(ValueError) as theirs:
        json.loads("x")
    assert not _is_ours(theirs.value)
    with pytest.raises(BadAddress) as ours:
        check_host("example.org")
    assert _is_ours(ours.value)
