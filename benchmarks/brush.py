"""Brushing 10 000 points: pictures a second while a box grows over the wedge.

A picture counts when the canvas has been painted with the samples inside the box; frame callbacks
of the browser move the pointer on, once each. Where others use the machine, the processor's time of
the page's main thread is compared instead of the wall clock (``clock``). Needs Chromium.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import numpy as np
import psutil

from benchmarks._pairs import main, report
from benchmarks.page import FLAGS, _chromium

PICTURES = 10.0
"""Pictures a second, at least."""
POINTS = 10_000
MOVES = 60
QUIET = 0.05
"""Share of all processors' time that nobody used, at least, for the wall clock to be believed."""

PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<div id="room" style="width: 446px; height: 404px"></div><script type="module">
import module from "./view.js";
const frame = await (await fetch("./frame.json")).json();
const packed = await (await fetch("./arrays.bin")).arrayBuffer();
let start = 0;
const buffers = frame.arrays.map(({ shape }) => {
  const size = 4 * shape.reduce((a, b) => a * b, 1);
  start += size;
  return packed.slice(start - size, start);
});
const traits = { frame, buffers, rev: 1, theme: "light", height: 0, plotly_url: "./plotly.js" };
const model = { get: (name) => traits[name], set: (name, value) => (traits[name] = value),
  save_changes() {}, on() {}, off() {} };
module.render({ model, el: room });
globalThis.given = { frame, buffers };
</script>"""

BRUSH = """
async ([plot, canvas, moves]) => {
  const frame = () => new Promise(requestAnimationFrame);
  const { left, top, width, height } = plot.getBoundingClientRect();
  const at = (share) => ({ clientX: left + 0.2 + share * (width - 1),
    clientY: top + 0.2 + share * (height - 1), button: 0, bubbles: true, composed: true });
  plot.dispatchEvent(new PointerEvent("pointerdown", at(0)));
  let painted = 0;
  new MutationObserver(() => (painted += 1)).observe(canvas, { attributeFilter: ["data-shown"] });
  let [pictures, worst, before] = [0, 0, performance.now()];
  const began = before;
  for (let k = 1; k <= moves; k++) {
    plot.dispatchEvent(new PointerEvent("pointermove", at(k / moves)));
    await frame(); // asked for after the view's own, so it comes after the canvas is painted
    pictures += painted > 0;
    painted = 0;
    worst = Math.max(worst, performance.now() - before);
    before = performance.now();
  }
  const seconds = (performance.now() - began) / 1000;
  const caught = Number(canvas.dataset.shown);
  plot.dispatchEvent(new PointerEvent("pointerup", at(1)));
  return { pictures, worst, seconds, caught };
}
"""


def measure(rounds: int) -> dict[str, Any]:
    """Pictures a second of a box over 10 000 points; the median of a few pages."""
    from playwright.sync_api import sync_playwright

    rounds = max(1, min(rounds, 5))
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        site(Path(folder), POINTS)
        with served(folder) as url:
            browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
            seen = [_look(browser, url) for _ in range(rounds)]
            browser.close()
    clock = "wall" if min(one["idle"] for one in seen) >= QUIET else "cpu"
    spent = "seconds" if clock == "wall" else "processor_seconds"
    rates = [one["pictures"] / one[spent] for one in seen]
    typical = seen[int(np.argsort(rates)[len(rates) // 2])]
    return report(
        "brush",
        statistics.median(rates),
        PICTURES,
        at_least=True,
        ok=typical["pictures"] == MOVES and typical["caught"] == POINTS,
        clock=clock,
        points=POINTS,
        walk=typical,
        rounds=rounds,
    )


def points(n: int) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and facts of a wedge of ``n`` samples as a student half trained has them."""
    draw = np.random.default_rng(0)
    radius = np.sqrt(2) * draw.beta(0.7, 1.6, n)
    angle = np.radians(60 * draw.beta(1.2, 2.5, n))
    reach = np.sqrt(2) * draw.beta(0.6, 2.0, n)
    x, y = radius * np.cos(angle), radius * np.sin(angle)
    arrays = {
        "ids": np.arange(n),
        "x": x,
        "y": y,
        "teacher_x": reach,
        "hellinger_x": x / np.sqrt(2),
        "hellinger_y": y / np.sqrt(2),
        "hellinger_teacher_x": reach / np.sqrt(2),
        "student_right": (radius < 0.6).astype(np.uint8),
        "teacher_right": (reach < 0.6).astype(np.uint8),
        "labels": draw.integers(0, 10, n),
    }
    facts = {"n": n, "split": "probe", "step": 120, "num_classes": 10}
    return arrays, {**facts, "temperature": 1.0, "no_axis": 0}


def site(folder: Path, n: int) -> None:
    """A page that shows one wedge, as files."""
    import json

    from workbench_widgets import plotly_js_path, view_esm
    from workbench_widgets.trilateral import frame

    content, buffers = frame(*points(n)).payload()
    (folder / "index.html").write_text(PAGE, encoding="utf-8")
    (folder / "view.js").write_text(view_esm(), encoding="utf-8")
    (folder / "plotly.js").write_bytes(plotly_js_path().read_bytes())
    (folder / "frame.json").write_text(json.dumps(content), encoding="utf-8")
    (folder / "arrays.bin").write_bytes(b"".join(buffers))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *given: Any) -> None:
        """Nothing: the benchmark's own lines are the output."""


@contextmanager
def served(folder: str) -> Iterator[str]:
    """The folder over HTTP on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=folder))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def opened(browser: Any, url: str) -> tuple[Any, Any]:
    """A page with the wedge drawn, and its context."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(url)
    page.locator('.wb-view[data-step="120"]').wait_for()
    return page, context


def processor(session: Any) -> float:
    """Seconds of the processor that the page's main thread has used."""
    found = session.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))


def _look(browser: Any, url: str) -> dict[str, float]:
    page, context = opened(browser, url)
    session = context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    plot = page.locator(".nsewdrag").first.element_handle()
    canvas = page.locator(".wb-veil").element_handle()
    before, machine = processor(session), psutil.cpu_times()
    walk = page.evaluate(BRUSH, [plot, canvas, MOVES])
    spent, passed = processor(session) - before, psutil.cpu_times()
    idle = (passed.idle - machine.idle) / (sum(passed) - sum(machine))
    context.close()
    return {**walk, "processor_seconds": spent, "idle": idle}


if __name__ == "__main__":
    main(measure)
