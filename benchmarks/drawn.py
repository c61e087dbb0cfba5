"""From an event in the training process to its picture: one tab, then one of ten in a browser.

The event is a snapshot of the probes, by the clock that the worker writes into its row; drawn is
when all four views of that step have been painted. The run goes in slow motion, as the page starts
it, so that the processors are not the question. A browser without a window takes all its tabs for
visible, so the other nine are told that they are hidden. Needs Chromium.
"""

from __future__ import annotations

import sqlite3
import statistics
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._pairs import main, report
from benchmarks.page import FLAGS, _chromium, _serving

BUDGET = {1: 150.0, 10: 500.0}
"""Milliseconds within which 95 of 100 snapshots are drawn, by the number of tabs."""
VIEWS = ("cka", "trilateral", "calibration", "loyalty")

WATCH = """
(views) => {
  window.drawn = new Map();
  const steps = () => new Set(views.map((view) => view.dataset.step));
  const look = () => {
    const now = steps();
    const [step] = now;
    if (now.size === 1 && !window.drawn.has(step)) {
      window.drawn.set(step, null);  // painted two frames after the views were told
      requestAnimationFrame(() => requestAnimationFrame(() => window.drawn.set(step, Date.now())));
    }
  };
  const watched = { attributeFilter: ["data-step"] };
  for (const view of views) new MutationObserver(look).observe(view, watched);
  return Date.now();
}
"""

HIDE = """
() => {
  Object.defineProperty(document, "visibilityState", { value: "hidden" });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""


def measure(rounds: int) -> dict[str, Any]:
    """95th percentile of the milliseconds from event to picture."""
    with TemporaryDirectory() as folder:
        path = str(Path(folder) / "workbench.db")
        serve = ["-m", "workbench.cli.main", "serve", "--no-browser", "--store", path, "--port"]
        with _serving(serve) as url:
            delays = {tabs: _delays(path, url, tabs) for tabs in BUDGET}
    p95 = {tabs: _quantile(values, 0.95) for tabs, values in delays.items()}
    return report(
        "drawn",
        p95[1] / BUDGET[1],
        1.0,
        ok=all(p95[tabs] <= BUDGET[tabs] for tabs in BUDGET),
        milliseconds={
            str(tabs): {
                "p50": statistics.median(values),
                "p95": p95[tabs],
                "worst": max(values),
                "pictures": len(values),
                "budget": BUDGET[tabs],
            }
            for tabs, values in delays.items()
        },
        rounds=rounds,
    )


def _delays(path: str, url: str, tabs: int) -> list[float]:
    """Milliseconds of each snapshot in the tab that is looked at."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        first = context.new_page()
        first.goto(url)
        first.get_by_role("button", name="Start", exact=True).click()
        first.wait_for_url("**run=*")
        address = first.url
        _wait(first)
        first.get_by_role("button", name="Pause", exact=True).click()
        first.locator('[data-status="paused"]').wait_for(timeout=60_000)
        looking = [first, *(context.new_page() for _ in range(tabs - 1))]
        for page in looking[1:]:
            page.goto(address)
        for page in looking:
            _wait(page)
        for page in looking[1:]:
            page.evaluate(HIDE)
        first.bring_to_front()
        views = [first.locator(f'[data-view="{view}"]').element_handle() for view in VIEWS]
        watching = first.evaluate(WATCH, views)
        first.get_by_role("button", name="Resume", exact=True).click()
        first.locator('[data-status="finished"]').wait_for(timeout=240_000)
        drawn = dict(first.evaluate("() => [...window.drawn]"))
        browser.close()
    written = _written(path, address.split("run=")[1].split("&")[0])
    return [
        at - written[int(step)]
        for step, at in drawn.items()
        if at is not None and written.get(int(step), 0) >= watching
    ]


def _wait(page: Any) -> None:
    for view in VIEWS:
        page.locator(f'[data-view="{view}"][data-step]:not([data-step="-1"])').wait_for(
            timeout=120_000
        )


def _written(path: str, run: str) -> dict[int, float]:
    """When the worker wrote each snapshot, in milliseconds since 1970."""
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT step, created_ns FROM snapshots WHERE run = ?", (run,))
        return {step: created / 1e6 for step, created in rows}


def _quantile(values: list[float], share: float) -> float:
    """The value below which that share of them lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


if __name__ == "__main__":
    main(measure)
