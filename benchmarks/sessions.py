"""Ten sessions on one run that trains: do they agree, and does the server's memory grow?

Each session is a websocket that speaks Bokeh's protocol as a page does: it fetches the page, takes
the token out of it, and listens; no browser draws, so that the server is what is measured. Every
minute memory and the step of all ten are noted; in the end the run is paused, and all ten must name
the same step. Then five tabs close, and the server must know of five.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.websocket import websocket_connect

from benchmarks._pairs import report
from benchmarks.page import _serving
from workbench.recipes import open_experiment
from workbench.runs.launch import accept, command
from workbench.store import Store

SESSIONS = 10
MINUTES = 10.0
GROWTH = 1.0
"""Mebibytes a minute that memory may grow by, once the first minute is over."""
PACE = 0.15
"""Seconds a step, so that the run outlives the watch on any machine."""
SPARE_MINUTES = 3.0
SAMPLE_SECONDS = 0.5
SETTLE_SECONDS = 30.0
READY: dict[str, Any] = {
    "events": [
        {
            "kind": "MessageSent",
            "msg_type": "bokeh_event",
            "msg_data": {"type": "event", "name": "document_ready", "values": {"type": "map"}},
        }
    ]
}
"""What a page says once it is drawn; Panel sends changes from then on."""
TOKEN = re.compile(r'"token":\s*"([^"]+)"')
VIEWERS = re.compile(r"(\d+) viewers")


class Session:
    """One tab: what its top bar says.

    Args:
        url: The page.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self.top: dict[str, Any] = {}
        self.bytes = 0

    async def open(self) -> None:
        """Fetch the page and open its websocket."""
        client = AsyncHTTPClient()
        page = await client.fetch(self._url, request_timeout=60)
        found = TOKEN.search(page.body.decode())
        if found is None:
            raise RuntimeError(f"{self._url} holds no token")
        root = self._url.split("?", 1)[0]
        asked = HTTPRequest(f"{root.replace('http', 'ws', 1)}ws", headers={"Origin": root[:-1]})
        self._socket = await websocket_connect(asked, subprotocols=["bokeh", found[1]])
        for _ in range(3):  # the server is there: header, metadata, content
            await self._socket.read_message()
        self._task = asyncio.create_task(self._listen())
        # A page asks for its document first; changes follow from then on.
        await self._say("PULL-DOC-REQ", {})
        await self._say("PATCH-DOC", READY)

    async def _say(self, kind: str, content: dict[str, Any]) -> None:
        for part in ({"msgid": kind, "msgtype": kind}, {}, content):
            await self._socket.write_message(json.dumps(part))

    async def _listen(self) -> None:
        while (message := await self._socket.read_message()) is not None:
            self.bytes += len(message)
            if isinstance(message, str) and '"events"' in message:
                self._take(json.loads(message))

    def _take(self, patch: dict[str, Any]) -> None:
        for event in patch["events"]:
            if event.get("attr") == "state":
                told = json.loads(event["new"])
                self.top = told if "step_text" in told else self.top

    async def close(self) -> None:
        """The tab closes."""
        self._socket.close()
        await self._task


def measure(minutes: float) -> dict[str, Any]:
    """Serve a run in slow motion to ten sessions for so long."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "workbench.db"
        store = Store(str(path))
        spec, recipe, base = open_experiment("quickstart")
        told = spec.model_dump(mode="json", exclude_unset=True)
        epoch = 15 * PACE  # seconds of its 15 batches
        told["stages"]["main"]["epochs"] = math.ceil(60 * (minutes + SPARE_MINUTES) / epoch)
        long = type(spec).model_validate(told)
        run = accept(store, long, recipe=recipe, base=base, threads=1, pace=PACE)
        worker = subprocess.Popen(
            [sys.executable, "-m", "workbench.runs.worker", str(path), run],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        serve = ["-m", "workbench.cli.main", "serve", "--no-browser", "--store", str(path)]
        try:
            with _serving([*serve, "--port"]) as url:
                return asyncio.run(_watch(f"{url}/?run={run}", store, run, minutes))
        finally:
            worker.terminate()
            worker.wait(timeout=60)
            store.close()


async def _watch(url: str, store: Store, run: str, minutes: float) -> dict[str, Any]:
    server = _server(int(url.split(":")[2].split("/")[0]))
    await _until(lambda: store.runs.get(run).status == "training", 300)
    sessions = [Session(url) for _ in range(SESSIONS)]
    before = _mebibytes(server)
    for session in sessions:
        await session.open()
    memory: list[tuple[float, float]] = []
    spreads: list[int] = []
    began = time.monotonic()
    while (now := time.monotonic() - began) <= 60 * minutes:
        if now >= 60 * len(memory):
            memory.append((now / 60, _mebibytes(server)))
        await asyncio.sleep(SAMPLE_SECONDS)
        seen = [int(one.top["step"]) for one in sessions if one.top]
        if len(seen) == SESSIONS:
            spreads.append(max(seen) - min(seen))
    memory.append((minutes, _mebibytes(server)))
    command(store, run, "pause", who="benchmark")
    await _until(lambda: store.runs.get(run).status == "paused", SETTLE_SECONDS)
    paused = store.runs.get(run).step
    same = await _until(lambda: {one.top.get("step") for one in sessions} == {paused}, 10)
    for session in sessions[5:]:
        await session.close()
    left = sessions[:5]
    freed = await _until(lambda: all(_viewers(one) == 5 for one in left), SETTLE_SECONDS)
    received = sum(one.bytes for one in sessions)
    for session in left:
        await session.close()
    growth = _slope(memory[1:] if len(memory) > 3 else memory)
    return report(
        "sessions",
        growth,
        GROWTH,
        ok=same and freed and bool(spreads),
        unit="MiB a minute",
        sessions=SESSIONS,
        minutes=minutes,
        memory_before=round(before, 1),
        memory_by_minute=[round(amount, 1) for _, amount in memory],
        same_step_when_paused=same,
        closed_tabs_freed=freed,
        steps_apart={"median": statistics.median(spreads or [-1]), "most": max(spreads or [-1])},
        kilobytes_a_second_each=round(received / 1000 / SESSIONS / (60 * minutes), 1),
    )


def _viewers(session: Session) -> int:
    found = VIEWERS.fullmatch(str((session.top.get("people") or {}).get("viewers")))
    return int(found[1]) if found else 1


async def _until(holds: Any, seconds: float) -> bool:
    """Whether something became true within so long."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True


def _server(port: int) -> psutil.Process:
    """The process that listens: a child of ours."""
    for child in psutil.Process().children():
        for one in child.net_connections(kind="tcp"):
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port:
                return child
    raise RuntimeError(f"no child of ours listens on {port}")


def _mebibytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 2**20


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Least squares: mebibytes a minute."""
    times, amounts = zip(*points, strict=True)
    return float(statistics.linear_regression(times, amounts).slope)


def main() -> None:
    """``--json``, ``--minutes M``; exit code 1 for a missed budget."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"default {MINUTES:g}")
    options = parser.parse_args()
    found = measure(options.minutes)
    if options.json:
        print(json.dumps(found, allow_nan=False))
    else:
        for key, value in found.items():
            print(f"{key}: {value}")
    raise SystemExit(0 if found["ok"] else 1)


if __name__ == "__main__":
    main()
