"""A range of steps dragged over the curves: the map shows its change over it."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import expect

DRAG = """(view, ends) => {
  const plot = view.querySelector('.js-plotly-plot');
  const { xaxis } = plot._fullLayout;
  const { left, top } = plot.getBoundingClientRect();
  return ends.map((step) => [left + xaxis._offset + xaxis.l2p(step), top + 40]);
}"""
CELLS = """view => Array.from(view.querySelector('.js-plotly-plot').data
  .find(({ mode }) => mode === 'text').text)"""


def written(value: float) -> str:
    if abs(value) < 0.005:
        return "0"
    return ("+" if value > 0 else "−") + f"{abs(value):.2f}".removeprefix("0")


@pytest.mark.browser
def test_a_range_shows_the_change_of_the_map_over_it(finished, served, page):
    steps = finished.store.snapshot_steps(finished.run)
    maps = {
        snapshot.step: snapshot.arrays["cka.unbiased"]
        for snapshot in finished.store.snapshots(finished.run)
    }
    first, last = steps[3], steps[-3]
    page.goto(f"{served.url}/?run={finished.run}")
    view, curves = (page.locator(f'[data-view="{name}"]') for name in ("cka", "curves"))
    for one in (view, curves):
        expect(one).to_have_attribute("data-step", str(steps[-1]))
    (x0, y), (x1, _) = curves.evaluate(DRAG, [first + 0.3, last + 0.3])
    page.mouse.move(x0, y)
    page.mouse.down()
    page.mouse.move((x0 + x1) / 2, y, steps=3)
    page.mouse.move(x1, y)
    page.mouse.up()
    expect(view.locator(".wb-note")).to_have_text(
        f"Δ from step {first} to {last}; Dark: a large change."
    )
    expect(view.get_by_role("button", name="range")).to_have_attribute("aria-pressed", "true")
    dragged = re.compile(
        rf"\?run={finished.run}&step={last}&cka=mode:change,since:range&range={first}-{last}$"
    )
    expect(page).to_have_url(dragged)
    # of what is sent, in double precision, as JavaScript: else a cell may be rounded the other way
    after, before = (maps[step].astype(np.float32).astype(float) for step in (last, first))
    change = after - before
    assert view.evaluate(CELLS) == [written(float(v)) for v in change.ravel()]
    shade = curves.locator(".wb-range")
    expect(shade).to_be_visible()
    page.reload()  # as who pastes the link opens it
    expect(shade).to_be_visible()
    expect(view.locator(".wb-note")).to_contain_text(f"Δ from step {first} to {last};")
    page.go_back()
    expect(shade).to_be_hidden()
    expect(view.get_by_role("button", name="now")).to_have_attribute("aria-pressed", "true")
    expect(page).to_have_url(f"{served.url}/?run={finished.run}")
    page.go_forward()
    expect(view.locator(".wb-note")).to_contain_text(f"Δ from step {first} to {last};")
    expect(page).to_have_url(dragged)
    curves.focus()
    page.keyboard.press("Escape")
    expect(shade).to_be_hidden()
    expect(view.locator(".wb-note")).to_have_text("Δ since step 0; Dark: a large change.")
    expect(page).to_have_url(f"{served.url}/?run={finished.run}&step={last}&cka=mode:change")
