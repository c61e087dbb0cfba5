"""Looking back over 200 snapshots: pictures a second of four views together, bytes, time to read.

A picture counts when all four views show the step that was asked for; frame callbacks of the
browser ask for the next. Where others use the machine, the processor's time of the page's main
thread is compared instead of the wall clock (``clock``). Needs Chromium.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil

from benchmarks._pairs import main, report
from benchmarks.page import FLAGS, _chromium, _serving, _views_drawn
from workbench.store import Snapshot, Store

PICTURES = 10.0
"""Pictures a second, at least."""
SNAPSHOTS = 200
WIRE_BYTES = 8_000_000
QUIET = 0.05
"""Share of all processors' time that nobody used, at least, for the wall clock to be believed."""
VIEWS = ("cka", "trilateral", "calibration", "loyalty")

WIRE = """
() => performance.getEntriesByType("resource").filter(({ name }) => name.includes("/snapshots?"))
  .reduce((sum, { transferSize }) => sum + transferSize, 0)
"""

WALK = """
async ([track, ...views]) => {
  const frame = () => new Promise(requestAnimationFrame);
  const press = (key) => track.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const shown = () => new Set(views.map((view) => view.dataset.step));
  const asked = () => track.getAttribute("aria-valuenow");
  press("Home");
  let [pictures, frames, torn, worst, at] = [0, 0, 0, 0, null];
  const began = performance.now();
  let before = began;
  for (let now = began; now - began < 60000; now = performance.now()) {
    await frame();
    frames += 1;
    const steps = shown();
    torn += steps.size > 1;
    if (steps.size > 1 || !steps.has(asked()) || asked() === at) continue;
    if (at !== null) pictures += 1;
    worst = at === null ? 0 : Math.max(worst, performance.now() - before);
    before = performance.now();
    if (Number(asked()) === Number(track.getAttribute("aria-valuemax"))) break;
    at = asked();
    press("ArrowRight");
  }
  return { pictures, frames, torn, worst, seconds: (performance.now() - began) / 1000 };
}
"""


@dataclass(frozen=True)
class Seen:
    """What one page came to: seconds, bytes, and what :data:`WALK` counted."""

    first: float
    read: float
    wire: float
    held: float
    walk: dict[str, float]
    processor: float
    idle: float

    @property
    def clock(self) -> str:
        """``wall``, or ``cpu`` where the machine had nothing left to give."""
        return "wall" if self.idle >= QUIET else "cpu"

    @property
    def rate(self) -> float:
        """Pictures a second by that clock."""
        spent = self.walk["seconds"] if self.clock == "wall" else self.processor
        return self.walk["pictures"] / spent


def measure(rounds: int) -> dict[str, Any]:
    """Pictures a second over 200 snapshots; the median of a few pages."""
    from playwright.sync_api import sync_playwright

    rounds = max(1, min(rounds, 3))
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = str(Path(folder) / "workbench.db")
        run = _finished(path)
        command = ["-m", "workbench.cli.main", "serve", "--no-browser", "--store", path, "--port"]
        with _serving(command) as url:
            browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
            seen = [_look(browser, f"{url}/?run={run}") for _ in range(rounds)]
            browser.close()
    typical = sorted(seen, key=lambda one: one.rate)[rounds // 2]
    return report(
        "scrub",
        typical.rate,
        PICTURES,
        at_least=True,
        ok=0 < typical.wire <= WIRE_BYTES and typical.walk["pictures"] == SNAPSHOTS - 1,
        clock=typical.clock,
        snapshots=SNAPSHOTS,
        walk={**typical.walk, "processor_seconds": typical.processor, "idle": typical.idle},
        seconds={"first_picture": typical.first, "all_held": typical.read},
        bytes={"wire": typical.wire, "budget": WIRE_BYTES, "held": typical.held},
        rounds=rounds,
    )


def _finished(path: str) -> str:
    """A run of the quickstart with 200 snapshots: its own, and between them the nearest, shaken."""
    from workbench.recipes import open_experiment
    from workbench.runs.launch import accept
    from workbench.runs.worker import work

    spec, recipe, base = open_experiment("quickstart")
    store = Store(path)
    run = accept(store, spec, recipe=recipe, base=base)
    if work(path, run):
        raise RuntimeError(f"the run to look at failed; see the log of {run}")
    real = store.snapshots(run)
    steps = store.runs.get(run).steps
    draw = np.random.default_rng(0)
    recorder = store.recorder(run)
    taken = {snapshot.step for snapshot in real}
    free = [step for step in range(steps) if step not in taken]
    chosen = np.linspace(0, len(free) - 1, SNAPSHOTS - len(real)).round().astype(int)
    for step in (free[k] for k in chosen):
        near = min(real, key=lambda snapshot: abs(snapshot.step - step))
        recorder.snapshot(step, *_shaken(near, step, draw))
    store.close()
    return run


def _shaken(
    snapshot: Snapshot, step: int, draw: np.random.Generator
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Its arrays with other places in the wedge and other similarities, and its facts."""
    arrays = dict(snapshot.arrays)
    for name in ("trilateral.x", "trilateral.y", "cka.unbiased"):
        values = arrays[name]
        arrays[name] = (values * draw.uniform(0.95, 1.0, values.shape)).astype(values.dtype)
    facts = {view: {**told, "step": step} for view, told in snapshot.facts.items()}
    return arrays, facts


def _look(browser: Any, url: str) -> Seen:
    """Touch the scrubber of a fresh page, wait until it holds everything, then walk."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(url)
    _views_drawn(page)
    session = context.new_cdp_session(page)
    slider = page.get_by_role("slider", name="Snapshot")
    slider.focus()
    began = time.perf_counter()
    page.keyboard.press("Home")
    for view in VIEWS:
        page.locator(f'[data-view="{view}"][data-step="0"]').wait_for(state="attached")
    first = time.perf_counter() - began
    page.get_by_text("snapshot 1 of 200").wait_for(timeout=60_000)
    read = time.perf_counter() - began
    nodes = [slider, *(page.locator(f'[data-view="{view}"]') for view in VIEWS)]
    handles = [node.element_handle() for node in nodes]
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before, machine = _processor(session), psutil.cpu_times()
    walk = page.evaluate(WALK, handles)
    spent, passed = _processor(session) - before, psutil.cpu_times()
    idle = (passed.idle - machine.idle) / (sum(passed) - sum(machine))
    held = page.locator("[data-held]").get_attribute("data-held")
    wire = page.evaluate(WIRE)
    context.close()
    return Seen(first, read, wire, float(held or "nan"), walk, spent, idle)


def _processor(session: Any) -> float:
    """Seconds of the processor that the page's main thread has used."""
    found = session.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))


if __name__ == "__main__":
    main(measure)
