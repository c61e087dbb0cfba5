"""Selecting samples in a real browser: box, lasso, cell, class, bin, point, Shift, Escape."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from workbench_widgets import selected_ids

from tests.widgets.test_view_js import drawn, mount, push, site, stage

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["site", "stage"]
pytestmark = pytest.mark.browser


def framed(view: str, digits_run: Any, **more: Any) -> Any:
    """A frame whose samples can be told apart: with ids, cells and bins where the view has them."""
    arrays, facts = digits_run[view]
    known, _ = digits_run["trilateral"]
    labels, n = known["labels"], len(known["labels"])
    cell = 2 * (known["student_right"] == 0) + (known["teacher_right"] == 0)
    each: dict[str, Any] = {}
    if view == "loyalty":
        each = {"ids": known["ids"], "labels": labels, "cell": cell, "copied": cell == 3}
    elif view == "calibration":
        bins = np.arange(n) % 15
        sides = ("student", "teacher", "student_scaled", "teacher_scaled")
        each = {"ids": known["ids"], **{f"bin_{side}": bins for side in sides}}
    extra = {name: more.pop(name) for name in ("chosen",) if name in more}
    module = import_module(f"workbench_widgets.{view}")
    made = module.frame({**arrays, **each, **extra}, {**facts, **more})
    told = {"selected": more["selected"]} if "selected" in more else {}
    return replace(made, facts={**made.facts, **told})


def chosen(page: Page) -> list[int]:
    raw = page.evaluate("Array.from(new Uint8Array(model.traits.selected ?? new ArrayBuffer(0)))")
    return selected_ids(bytes(raw)).tolist()


def drag(page: Page, *places: tuple[float, float], at: int = 0) -> None:
    """Through places of a wedge, in shares of its box, without letting go."""
    box = page.locator(".draglayer .nsewdrag").nth(at).bounding_box()
    assert box is not None
    for k, (x, y) in enumerate(places):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
        if k == 0:
            page.mouse.down()


def test_while_a_box_is_drawn_only_the_canvas_moves_and_release_sends_rising_ids(
    stage: Page, digits_run: Any
) -> None:
    arrays, _ = digits_run["trilateral"]
    mount(stage, framed("trilateral", digits_run))
    drawn(stage, step=120)
    drag(stage, (0.05, 0.05), (0.6, 0.99))
    stage.wait_for_function("document.querySelector('.wb-veil').dataset.shown > 0")
    assert chosen(stage) == [] and stage.locator(".wb-chip").count() == 0
    stage.mouse.up()
    stage.locator(".wb-chip").wait_for()
    ids = chosen(stage)
    assert 0 < len(ids) < len(arrays["ids"]) and ids == sorted(ids)
    assert stage.evaluate("model.traits.event.how") == "box"
    inside = np.isin(arrays["ids"], ids)
    assert arrays["x"][inside].max() < arrays["x"][~inside].max()
    assert stage.locator(".wb-footer").inner_text().startswith("all samples · n = 897")
    # The frame of the selection comes: its numbers stand, and the canvas has nothing to add.
    told = {"n": int(inside.sum()), "selected": {"n": int(inside.sum()), "of": len(inside)}}
    push(stage, framed("trilateral", digits_run, chosen=inside.astype(np.uint8), **told))
    drawn(stage, step=120, rev=2)
    stage.locator(".wb-veil").wait_for(state="hidden")
    assert (
        f"n = {inside.sum()} of {len(inside)} selected" in stage.locator(".wb-footer").inner_text()
    )
    stage.locator(".wb-view").focus()
    stage.keyboard.press("Escape")
    assert chosen(stage) == []
    assert stage.locator(".wb-chip").count() == 1, "what is shown is of the selection still"
    push(stage, framed("trilateral", digits_run, step=125))
    stage.mouse.move(2, 2)
    drawn(stage, step=125, rev=3)
    assert stage.locator(".wb-chip").count() == 0


def test_a_lasso_a_small_wedge_and_shift(stage: Page, digits_run: Any) -> None:
    arrays, _ = digits_run["trilateral"]
    mount(stage, framed("trilateral", digits_run))
    drawn(stage, step=120)
    stage.get_by_role("button", name="lasso").click()
    drag(stage, (0.02, 0.99), (0.4, 0.99), (0.2, 0.5))
    stage.mouse.up()
    stage.locator(".wb-chip").wait_for()
    first = set(chosen(stage))
    assert stage.evaluate("model.traits.event.how") == "lasso" and first
    box = stage.locator(".draglayer .nsewdrag").nth(4).bounding_box()
    assert box is not None
    stage.keyboard.down("Shift")
    stage.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    stage.keyboard.up("Shift")
    both_wrong = (arrays["student_right"] == 0) & (arrays["teacher_right"] == 0)
    wanted = first | set(arrays["ids"][both_wrong].tolist())
    stage.wait_for_function(f"model.traits.selected.byteLength === {4 * len(wanted)}")
    assert set(chosen(stage)) == wanted
    drag(stage, (0.05, 0.05), (0.9, 0.9), at=4)
    stage.keyboard.press("Escape")
    stage.mouse.up()
    assert set(chosen(stage)) == wanted, "Escape while a lasso is drawn leaves all as it was"


def test_a_cell_and_a_class_are_buttons_that_select_their_samples(
    stage: Page, digits_run: Any
) -> None:
    frame = framed("loyalty", digits_run)
    mount(stage, frame)
    drawn(stage, step=120)
    stage.locator(".wb-cell", has_text="still to learn").focus()
    stage.keyboard.press("Enter")
    stage.locator(".wb-chip").wait_for()
    to_learn = frame.arrays["ids"][frame.arrays["cell"] == 2]
    assert chosen(stage) == sorted(to_learn.tolist())
    assert stage.evaluate("model.traits.event") == {
        "kind": "quadrant", "student": 0, "teacher": 1, "how": "still to learn", "count": 1,
    }  # fmt: skip
    stage.get_by_role("button", name="class 3: 3", exact=True).click()
    assert chosen(stage) == sorted(frame.arrays["ids"][frame.arrays["labels"] == 3].tolist())
    copied = frame.arrays["labels"][frame.arrays["copied"] == 1]
    nothing = next(k for k in range(10) if k not in copied)
    before = chosen(stage)
    stage.get_by_role("button", name=f"copied errors, class {nothing}:").click()
    stage.get_by_text(f"No sample: copied errors, class {nothing}.").wait_for()
    assert chosen(stage) == before


def test_the_outline_says_whether_a_whole_class_or_one_count_is_pressed(
    stage: Page, digits_run: Any
) -> None:
    mount(stage, framed("loyalty", digits_run))
    drawn(stage, step=120)
    names = stage.locator(".wb-grid th button")
    assert names.nth(3).get_attribute("title") == "Select the whole class: class 3; Shift adds"
    counts = stage.locator(".wb-grid td")
    names.nth(3).hover()
    edges = counts.evaluate_all("all => all.map((one) => getComputedStyle(one).outlineStyle)")
    assert [k for k, edge in enumerate(edges) if edge == "solid"] == [3, 13]
    box = counts.nth(13).bounding_box()
    assert box is not None
    stage.mouse.move(box["x"] + 2, box["y"] + box["height"] / 2)  # not on the digit itself
    edges = counts.evaluate_all("all => all.map((one) => getComputedStyle(one).outlineStyle)")
    assert [k for k, edge in enumerate(edges) if edge == "solid"] == [13]


def test_a_bin_is_selected_by_pointer_and_by_key_and_too_few_offer_all(
    stage: Page, digits_run: Any
) -> None:
    frame = framed("calibration", digits_run)
    mount(stage, frame)
    drawn(stage, step=120)
    # Plotly raises a click on what is hovered; the event is what this view hears of it.
    stage.evaluate(
        """() => { const plot = document.querySelector(".js-plotly-plot");
          const k = plot.data.findIndex(({ type, meta }) => type === "bar" && meta?.picks);
          const points = [{ data: plot.data[k], pointIndex: 14 }];
          plot.emit("plotly_click", { points, event: {} }); }"""
    )
    stage.locator(".wb-chip").wait_for()
    last = sorted(frame.arrays["ids"][np.arange(len(frame.arrays["ids"])) % 15 == 14].tolist())
    assert chosen(stage) == last
    assert stage.evaluate("model.traits.event.how") == "student: confidence 0.93 to 1.00"
    bins = stage.get_by_role("combobox", name="Select the samples of a bin")
    bins.focus()
    assert bins.evaluate("list => getComputedStyle(list).opacity") == "1"
    bins.select_option(index=1)
    assert chosen(stage) != last
    few = import_module("workbench_widgets.calibration").frame({}, {})
    told = {"n": 7, "of": 897}
    few = replace(few, step=120, waiting="Not defined for n = 7.", facts={"selected": told})
    push(stage, few)
    stage.get_by_role("button", name="Use all 897").click()
    assert chosen(stage) == []


WHERE = """([x, y]) => {
  const plot = document.querySelector(".js-plotly-plot");
  const { xaxis, yaxis } = plot._fullLayout;
  const { left, top } = plot.getBoundingClientRect();
  return [left + xaxis._offset + xaxis.l2p(x), top + yaxis._offset + yaxis.l2p(y)]; }"""
"""Where a place of the large wedge lies on the screen."""


def test_a_press_selects_the_nearest_sample_also_across_a_redraw(
    stage: Page, digits_run: Any
) -> None:
    """Nothing hovers first, and the picture is drawn anew before the pointer lets go."""
    arrays, _ = digits_run["trilateral"]
    mount(stage, framed("trilateral", digits_run), by_hand=True)
    drawn(stage, step=120)
    lone = int(np.argmax(np.hypot(arrays["x"], arrays["y"])))
    at = [float(arrays["x"][lone]) - 1e-3, float(arrays["y"][lone])]
    stage.mouse.move(*stage.evaluate(WHERE, at))
    stage.mouse.down()
    moved = {**arrays, "x": arrays["x"][::-1].copy(), "y": arrays["y"][::-1].copy()}
    push(
        stage, framed("trilateral", {**digits_run, "trilateral": (moved, {"n": 897, "step": 121})})
    )
    drawn(stage, step=121, rev=2)
    stage.mouse.up()
    stage.locator(".wb-chip").wait_for()
    nearest = int(np.argmin(np.hypot(arrays["x"] - at[0], arrays["y"] - at[1])))
    assert chosen(stage) == [int(arrays["ids"][nearest])]
    assert stage.evaluate("model.traits.event.count") == 1, "one press, one selection"


def test_a_press_beside_the_floor_means_no_sample(stage: Page, digits_run: Any) -> None:
    mount(stage, framed("trilateral", digits_run))
    drawn(stage, step=120)
    stage.mouse.click(*stage.evaluate(WHERE, [0.1, 1.1]))
    stage.mouse.click(*stage.evaluate(WHERE, [1.0, 0.3]))
    stage.locator(".wb-chip").wait_for()
    assert stage.evaluate("model.traits.event.count") == 1, "only the second meant one"
