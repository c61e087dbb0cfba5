"""The wedge's toggles in a real browser: nobody is asked for a frame, and all of it follows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from workbench_widgets.fill import Surroundings, fill
from workbench_widgets.tokens import TOKENS

from tests.widgets.test_selection_js import chosen, drag, framed
from tests.widgets.test_view_js import assert_same, drawn, mount, packed, push, site, stage

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["site", "stage"]
pytestmark = pytest.mark.browser

HEAT = """() => document.querySelector(".js-plotly-plot").data
  .filter(({ type }) => type === "heatmap")
  .map(({ z }) => Math.round(Array.from(z).flatMap((row) => Array.from(row))
    .reduce((sum, value) => sum + (Number.isFinite(value) ? 10 ** value : 0), 0)))"""
"""Samples that each map of log counts on the screen holds."""


def test_browser_and_python_count_alike_under_every_toggle(stage: Page, digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    some = {**arrays, "chosen": (arrays["labels"] < 5).astype(np.uint8)}
    some["ratio fuse"] = np.linspace(0, 1, len(arrays["labels"])).astype(np.float32)
    frame = framed("trilateral", {**digits_run, "trilateral": (some, facts)})
    size = {"w": 446.0, "h": 404.0, "W": 380.0, "H": 280.0}
    states = [
        {**frame.state, "colour": colour, "metric": metric, "label": 3}
        for colour in ("class", "alpha", "ratio fuse")
        for metric in ("l2", "hellinger")
    ]
    told = stage.evaluate(
        """([frame, buffers, tokens, size, states]) => {
          const arrays = module.decode(frame, decode(buffers), {});
          const flat = (key, value) => ArrayBuffer.isView(value) ? Array.from(value) : value;
          return states.map((state) => JSON.stringify(
            module.fill([frame.skeleton, frame.parts],
              { tokens, arrays, facts: frame.facts, state, size, selected: null }), flat));
        }""",
        [*packed(frame), TOKENS["light"], size, states],
    )
    for state, there in zip(states, told, strict=True):
        around = Surroundings(TOKENS["light"], frame.arrays, frame.facts, state, size)
        assert_same(fill([frame.skeleton, frame.parts], around), json.loads(there))


def test_a_class_is_chosen_by_key_and_its_ink_follows_the_selection(
    stage: Page, digits_run: Any
) -> None:
    arrays, _ = digits_run["trilateral"]
    mount(stage, framed("trilateral", digits_run))
    drawn(stage, step=120)
    assert stage.get_by_role("combobox", name="class").count() == 0
    stage.get_by_role("button", name="class", exact=True).press("Enter")
    names = stage.get_by_role("combobox", name="class")
    names.focus()
    names.press("4")
    of_class = arrays["labels"] == 4
    wanted = int(of_class.sum())
    stage.wait_for_function(f"({HEAT})()[1] === {wanted}")
    assert stage.evaluate(HEAT)[0] == len(of_class) - wanted
    assert stage.locator(".wb-stats").inner_text().startswith("class 4, in ink\nn = " + str(wanted))
    some = arrays["student_right"] == 0
    told = {"n": int(some.sum()), "selected": {"n": int(some.sum()), "of": len(some)}}
    push(stage, framed("trilateral", digits_run, chosen=some.astype(np.uint8), **told))
    drawn(stage, step=120, rev=2)
    assert stage.evaluate(HEAT)[1] == int((some & of_class).sum())
    assert stage.get_by_role("combobox", name="class").input_value() == "4", "it survives updates"


def test_hellinger_turns_floor_cells_press_lasso_and_trail(stage: Page, digits_run: Any) -> None:
    arrays, _ = digits_run["trilateral"]
    mount(stage, framed("trilateral", digits_run))
    drawn(stage, step=120)
    stage.get_by_role("button", name="Hellinger").click()
    stage.get_by_text("90°").wait_for()
    assert stage.locator(".wb-footer").inner_text().startswith("n = 897 test · Hellinger, τ = 1")
    places = np.stack([arrays["hellinger_x"], arrays["hellinger_y"]], axis=-1)
    lone = int(np.argmax(places[:, 1]))
    where = stage.evaluate(
        """([x, y]) => {
          const plot = document.querySelector(".js-plotly-plot");
          const { xaxis, yaxis } = plot._fullLayout;
          const { left, top } = plot.getBoundingClientRect();
          return [left + xaxis._offset + xaxis.l2p(x), top + yaxis._offset + yaxis.l2p(y)]; }""",
        places[lone].tolist(),
    )
    stage.mouse.click(*where)
    stage.locator(".wb-chip").wait_for()
    assert chosen(stage) == [int(arrays["ids"][lone])]
    stage.get_by_role("button", name="lasso").click()
    drag(stage, (0.02, 0.02), (0.5, 0.5), (0.02, 0.6))
    stage.mouse.up()
    stage.wait_for_function("model.traits.event.how === 'lasso'")
    inside = np.isin(arrays["ids"], chosen(stage))
    steep = np.arctan2(places[:, 1], places[:, 0])
    assert inside.any() and steep[inside].min() > np.radians(40)


def test_a_snapshot_without_hellinger_is_shown_in_l2_and_the_toggle_comes_back(
    stage: Page, digits_run: Any
) -> None:
    arrays, facts = digits_run["trilateral"]
    frame = framed("trilateral", digits_run)
    mount(stage, frame)
    drawn(stage, step=120)
    stage.get_by_role("button", name="Hellinger").click()
    stage.get_by_text("90°").wait_for()
    bare = {name: values for name, values in arrays.items() if "hellinger" not in name}
    push(stage, framed("trilateral", {**digits_run, "trilateral": (bare, {**facts, "step": 119})}))
    stage.mouse.move(2, 2)
    drawn(stage, step=119, rev=2)
    assert stage.get_by_role("button", name="Hellinger").count() == 0
    assert stage.evaluate(HEAT)[0] == facts["n"]
    assert "60°" in stage.locator(".js-plotly-plot").inner_text()
    push(stage, replace(frame, step=121))
    drawn(stage, step=121, rev=3)
    assert "90°" in stage.locator(".js-plotly-plot").inner_text()
