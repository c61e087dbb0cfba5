"""Where a picked sample has stood: read from the snapshots, drawn for the one that is picked."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from workbench.dashboard.trail import PLACES, trail

LINE = """view => view.querySelector('.js-plotly-plot').data
  .filter(({ customdata, mode }) => mode === 'lines+markers' && customdata)
  .map(({ x, y, customdata }) => [x, y, customdata].map((list) => Array.from(list)))"""


def test_a_trail_holds_a_sample_at_every_snapshot(finished):
    steps = finished.store.snapshot_steps(finished.run)
    last = finished.store.snapshots(finished.run, after=steps[-1] - 1)[0].arrays
    sample = int(last["trilateral.ids"][7])
    told = trail(finished.store, finished.run, sample)
    assert told["step"] == steps
    assert told["x"][-1] == pytest.approx(float(last["trilateral.x"][7]))
    assert told["y"][-1] == pytest.approx(float(last["trilateral.y"][7]))
    assert told["hellinger_y"][-1] == pytest.approx(float(last["trilateral.hellinger_y"][7]))


def test_a_sample_that_is_none_of_the_probe_has_no_trail(finished):
    assert trail(finished.store, finished.run, 10**9) == {key: [] for key in ("step", *PLACES)}


@pytest.mark.parametrize(("query", "status"), [("id=x", 400), ("id=1&run=no", 404), ("", 400)])
def test_what_is_no_sample_of_a_run_is_refused(finished, served, page, query, status):
    run = "" if "run=" in query else f"&run={finished.run}"
    assert page.request.get(f"{served.url}/trail?{query}{run}").status == status


@pytest.mark.browser
def test_a_click_in_the_wedge_draws_the_trail_up_to_the_shown_step(finished, served, page):
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url) if "/trail" in sent.url else None)
    page.goto(f"{served.url}/?run={finished.run}")
    steps = finished.store.snapshot_steps(finished.run)
    view = page.locator('[data-view="trilateral"]')
    expect(view).to_have_attribute("data-step", str(steps[-1]))
    first = finished.store.snapshots(finished.run, after=steps[-1] - 1)[0].arrays
    at = np.array([first["trilateral.x"][3], first["trilateral.y"][3]], dtype=float)
    where = view.evaluate(
        """(view, [x, y]) => {
          const plot = view.querySelector('.js-plotly-plot');
          const { xaxis, yaxis } = plot._fullLayout;
          const { left, top } = plot.getBoundingClientRect();
          return [left + xaxis._offset + xaxis.l2p(x), top + yaxis._offset + yaxis.l2p(y)];
        }""",
        at.tolist(),
    )
    chip = view.locator(".wb-chip")
    page.mouse.click(*where)
    expect(chip).to_have_text(re.compile("n = 1 selected"))
    page.wait_for_function(
        f"view => ({LINE})(view)[0]?.[2].length === {len(steps)}", arg=view.element_handle()
    )
    drawn = view.evaluate(LINE)[0][2]
    assert drawn == steps
    view.get_by_role("button", name="Hellinger").click()
    expect(view.get_by_text("90°")).to_be_visible()
    picked = int(re.search(r"id=(\d+)", asked[-1])[1])
    told = trail(finished.store, finished.run, picked)
    wanted = [told[f"hellinger_{axis}"] for axis in "xy"]
    np.testing.assert_allclose(view.evaluate(LINE)[0][:2], wanted, rtol=1e-6)
    page.get_by_role("slider", name="Snapshot").press("ArrowLeft")
    page.wait_for_function(
        f"view => ({LINE})(view)[0]?.[2].length === {len(steps) - 1}", arg=view.element_handle()
    )
    expect(page).to_have_url(re.compile(f"&select={picked}&"))
    page.reload()  # as who pastes the link opens it
    expect(chip).to_have_text(re.compile("n = 1 selected"))
    page.wait_for_function(
        f"view => ({LINE})(view)[0]?.[2].length === {len(steps) - 1}", arg=view.element_handle()
    )
    page.keyboard.press("Escape")
    page.wait_for_function(f"view => ({LINE})(view)[0][2].length === 0", arg=view.element_handle())
