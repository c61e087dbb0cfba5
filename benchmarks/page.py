"""The page in a cold browser, beside a bare Panel page with five plots in the same run; then Start.

First something to see, five views drawn, bytes on the wire, and from the click on Start to the
first curve point and to all views. Needs Chromium.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._pairs import main, report

RATIO = 1.3
FIRST_PAINT = 0.7
WIRE_BYTES = 3_000_000
FIRST_POINT = 5.0
ALL_VIEWS = 15.0
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
]  # fmt: skip
VIEWS = ("cka", "trilateral", "calibration", "loyalty", "curves")
BARE = """
import sys
import numpy as np, panel as pn, plotly.graph_objects as go
pn.extension("plotly")
def page():
    z = np.random.default_rng(0).random((16, 16))
    figures = [go.Figure(go.Heatmap(z=z)) for _ in range(5)]
    return pn.Column(*[pn.pane.Plotly(figure, height=300) for figure in figures])
pn.serve({"/": page}, port=int(sys.argv[1]), address="127.0.0.1", show=False,
         websocket_origin=[f"127.0.0.1:{sys.argv[1]}"], compress_response=True)
"""


def measure(rounds: int) -> dict[str, Any]:
    """Five views drawn against the bare page's five plots; medians of interleaved cold loads."""
    from playwright.sync_api import sync_playwright

    rounds = max(3, min(rounds, 5))
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        store = str(Path(folder) / "workbench.db")
        run = _finished(store)
        with _serving(["-m", "workbench.cli.main", "serve", "--no-browser", "--store", store,
                       "--port"]) as ours, _serving(["-c", BARE]) as bare:  # fmt: skip
            browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
            pairs = [
                (_load(browser, f"{ours}/?run={run}", _views_drawn), _load(browser, bare, _plots))
                for _ in range(rounds)
            ]
            started = [_start(browser, ours) for _ in range(2)]
            browser.close()
    drawn = [mine["drawn"] / other["drawn"] for mine, other in pairs]
    median = {key: statistics.median(mine[key] for mine, _ in pairs) for key in pairs[0][0]}
    first, views = started[0]["first_point"], started[0]["all_views"]  # with the teacher to train
    return report(
        "page",
        statistics.median(drawn),
        RATIO,
        ok=median["first_paint"] <= FIRST_PAINT
        and median["bytes"] <= WIRE_BYTES
        and first <= FIRST_POINT
        and views <= ALL_VIEWS,
        seconds={**median, "bare_drawn": statistics.median(other["drawn"] for _, other in pairs)},
        start={"cold_teacher": started[0], "cached_teacher": started[1]},
        budgets={
            "first_paint": FIRST_PAINT,
            "bytes": WIRE_BYTES,
            "first_point": FIRST_POINT,
            "all_views": ALL_VIEWS,
        },
        rounds=rounds,
    )


def _finished(store: str) -> str:
    from workbench.recipes import open_experiment
    from workbench.runs.launch import accept
    from workbench.runs.worker import work
    from workbench.store import Store

    spec, recipe, base = open_experiment("quickstart")
    opened = Store(store)
    run = accept(opened, spec.at_scale("smoke"), recipe=recipe, base=base)
    opened.close()
    if work(store, run):
        raise RuntimeError(f"the run to look at failed; see the log of {run}")
    return run


@contextmanager
def _serving(command: list[str]) -> Iterator[str]:
    with socket.socket() as plug:
        plug.bind(("127.0.0.1", 0))
        port = plug.getsockname()[1]
    process = subprocess.Popen([sys.executable, *command, str(port)], stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while not _answers(url):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"{command} does not answer at {url}")
            time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310  (our own loopback URL)
            return True
    except OSError:
        return False


def _load(browser: Any, url: str, drawn: Any) -> dict[str, float]:
    """One cold load: a context of its own, so nothing is cached."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("Network.enable")
    received: list[float] = []
    session.on("Network.loadingFinished", lambda event: received.append(event["encodedDataLength"]))
    began = time.perf_counter()
    page.goto(url, wait_until="commit")
    drawn(page)
    spent = time.perf_counter() - began
    paint = page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
    )
    context.close()
    return {"drawn": spent, "first_paint": (paint or 0) / 1000, "bytes": sum(received)}


def _views_drawn(page: Any) -> None:
    for view in VIEWS:
        page.locator(f'[data-view="{view}"]:not([data-step="-1"])[data-step]').first.wait_for(
            state="attached", timeout=60_000
        )


def _plots(page: Any) -> None:
    page.locator(".js-plotly-plot .main-svg .heatmaplayer image").nth(4).wait_for(
        state="attached", timeout=60_000
    )


def _start(browser: Any, url: str) -> dict[str, float]:
    """From the click on Start to the first point of a curve and to all views; then stop."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(url)
    button = page.get_by_role("button", name="Start", exact=True)
    button.wait_for()
    began = time.perf_counter()
    button.click()
    page.locator('[data-view="curves"]:not([data-step="-1"])[data-step]').first.wait_for(
        state="attached", timeout=60_000
    )
    first = time.perf_counter() - began
    _views_drawn(page)
    views = time.perf_counter() - began
    for _ in range(2):  # Stop asks once, in place
        page.get_by_role("button", name="Stop", exact=True).last.click()
    page.locator('[data-status="stopped"]').wait_for(timeout=30_000)
    context.close()
    return {"first_point": first, "all_views": views}


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise RuntimeError("no Chromium found; install Debian's `chromium`")


if __name__ == "__main__":
    main(measure)
