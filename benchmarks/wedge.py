"""The wedge of 50 000 samples: to make its frame, and to count and draw it in the browser.

What is drawn is cells, not points; the browser counts them. Both parts are timed apart; their sum
has the budget. Processor time of one thread each. Needs Chromium.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._pairs import Spent, main, report
from benchmarks.brush import opened, points, processor, served, site
from benchmarks.page import FLAGS, _chromium

MILLISECONDS = 50.0
SAMPLES = 50_000

REDRAW = """
async ([plot, tokens]) => {
  const { decode, fill } = (await import("./view.js")).default;
  const { frame, buffers } = globalThis.given;
  const { facts, state } = frame;
  const arrays = decode(frame, buffers, {}); // fresh ones: nothing is counted yet
  const size = { w: 446, h: 404, W: 400, H: 250 };
  const around = { tokens, arrays, facts, state, size, selected: null };
  const { data, layout } = fill(frame.skeleton, around);
  const { width, height } = plot.layout;
  await globalThis.Plotly.react(plot, data, { ...layout, width, height });
}
"""


def measure(rounds: int) -> dict[str, Any]:
    """Milliseconds to make the frame and to count and draw it; medians."""
    from playwright.sync_api import sync_playwright
    from workbench_widgets.tokens import TOKENS
    from workbench_widgets.trilateral import frame

    arrays, facts = points(SAMPLES)
    frame(arrays, facts)
    made = []
    for _ in range(rounds):
        began = Spent.now()
        frame(arrays, facts)
        made.append(1000 * Spent.now().since(began).cpu)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        site(Path(folder), SAMPLES)
        with served(folder) as url:
            browser = playwright.chromium.launch(executable_path=_chromium(), args=FLAGS)
            page, context = opened(browser, url)
            session = context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            plot = page.locator(".js-plotly-plot").element_handle()
            page.evaluate(REDRAW, [plot, TOKENS["light"]])
            drawn = []
            for _ in range(rounds):
                before = processor(session)
                page.evaluate(REDRAW, [plot, TOKENS["light"]])
                drawn.append(1000 * (processor(session) - before))
            browser.close()
    both = {"make": statistics.median(made), "draw": statistics.median(drawn)}
    return report(
        "wedge",
        sum(both.values()),
        MILLISECONDS,
        clock="cpu",
        samples=SAMPLES,
        milliseconds=both,
        rounds=rounds,
    )


if __name__ == "__main__":
    main(measure)
