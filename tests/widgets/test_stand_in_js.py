"""The canvas that stands in for Plotly: what it paints, and that Plotly follows.

Plotly follows when the browser is idle; here that is when a test says so, so that both pictures of
one snapshot can be looked at.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageFilter

from tests.widgets.test_menu_js import saved, words_of
from tests.widgets.test_view_js import built, drawn, mount, push, site, stage

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["site", "stage"]
pytestmark = pytest.mark.browser

BY_HAND = """() => { window.requestIdleCallback = (act) => (window.follow = act); }"""
PLOT = ".js-plotly-plot"
STANDS = f"{PLOT}.wb-stood-in"
MOVED = {
    "cka": ("unbiased", "history"),
    "trilateral": ("x", "y"),
    "calibration": ("student_accuracy", "student_confidence"),
    "curves": ("student_accuracy",),
}
"""What is measured anew at the next snapshot, by view."""


def later(view: str, run: Any, step: int = 125) -> Any:
    """The frame of the snapshot that follows."""
    arrays, facts = run[view]
    moved = {name: np.asarray(arrays[name]) * 0.93 for name in MOVED[view]}
    if view == "trilateral":
        moved["student_right"] = np.arange(len(arrays["x"])) % 3 > 0
    return built(view, {view: ({**arrays, **moved}, facts)}, step=step)


def shown(page: Page, step: int, rev: int) -> None:
    """Wait for a picture, whoever has made it."""
    page.wait_for_selector(f'.wb-view[data-step="{step}"][data-rev="{rev}"]')


def stood_in(page: Page, view: str, run: Any) -> None:
    """Draw a snapshot, then show the next one by the canvas; Plotly follows when it is told to."""
    page.evaluate(BY_HAND)
    mount(page, built(view, run))
    drawn(page, step=120)
    push(page, later(view, run))
    shown(page, 125, 2)
    assert page.locator(STANDS).count() == 1


def picture(page: Page) -> Image.Image:
    return Image.open(io.BytesIO(page.locator(".wb-view").screenshot())).convert("RGB")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("view", list(MOVED))
def test_the_canvas_shows_what_plotly_will(
    stage: Page, view: str, theme: str, digits_run: Any
) -> None:
    stage.evaluate(BY_HAND)
    mount(stage, built(view, digits_run), theme=theme)
    drawn(stage, step=120)
    first = picture(stage)
    push(stage, later(view, digits_run))
    shown(stage, 125, 2)
    assert stage.locator(STANDS).count() == 1
    ours = picture(stage)
    stage.wait_for_function("window.follow")
    stage.evaluate("follow()")
    drawn(stage, step=125, rev=2)
    theirs = picture(stage)
    # where edges of lines fall between two dots they may differ; what is seen does not
    blurred = [one.filter(ImageFilter.BoxBlur(2)) for one in (ours, theirs, first)]
    apart = np.asarray(ImageChops.difference(blurred[0], blurred[1]))
    moved = np.asarray(ImageChops.difference(blurred[0], blurred[2]))
    assert apart.mean() < 0.2
    assert apart.max() < 45
    assert moved.mean() > 3 * apart.mean(), "the two snapshots differ by more than the two painters"


def test_plotly_follows_by_itself_once_it_is_quiet(stage: Page, digits_run: Any) -> None:
    mount(stage, built("trilateral", digits_run))
    drawn(stage, step=120)
    stage.evaluate(
        f"""() => {{ window.stood = 0; const plot = document.querySelector("{PLOT}");
          new MutationObserver(() => (window.stood += plot.classList.contains("wb-stood-in")))
            .observe(plot, {{ attributeFilter: ["class"] }}); }}"""
    )
    frame = later("trilateral", digits_run)
    push(stage, frame)
    drawn(stage, step=125, rev=2)
    assert stage.evaluate("window.stood") == 1
    wrong = int((frame.arrays["quadrant"] >= 2).sum())
    assert 0 < wrong < frame.arrays["quadrant"].size
    counted = stage.locator(f"{PLOT} .annotation").all_text_contents()
    assert sum(int(re.sub(r"\D", "", text)) for text in counted[-2:]) == wrong


def test_a_pointer_nearby_has_plotly_draw_at_once(stage: Page, digits_run: Any) -> None:
    stood_in(stage, "cka", digits_run)
    stage.locator(".wb-middle").hover(position={"x": 2, "y": 2})
    drawn(stage, step=125, rev=2)
    push(stage, later("cka", digits_run, step=130))
    shown(stage, 130, 3)
    assert stage.locator(STANDS).count() == 0
    stage.mouse.move(0, 0)
    push(stage, built("cka", digits_run, step=135))
    shown(stage, 135, 4)
    assert stage.locator(STANDS).count() == 1


def test_a_saved_figure_is_of_the_step_that_is_shown(stage: Page, digits_run: Any) -> None:
    stood_in(stage, "trilateral", digits_run)
    words = stage.locator(f"{PLOT} .annotation").all_text_contents()
    name, svg = saved(stage, "Save SVG")
    assert name == "trilateral-step-125.svg"
    assert stage.locator(STANDS).count() == 0
    assert all(word in words_of(svg) for text in words for word in text.split())


def test_what_the_canvas_cannot_change_is_plotlys(stage: Page, digits_run: Any) -> None:
    stage.evaluate(BY_HAND)
    mount(stage, built("curves", digits_run))
    drawn(stage, step=120)
    arrays, facts = digits_run["curves"]
    more = [*facts["marks"], {"step": 80, "number": 2, "text": "Rate 0.1 → 0.01"}]
    push(stage, built("curves", {"curves": (arrays, {**facts, "marks": more})}, step=125))
    shown(stage, 125, 2)
    assert stage.locator(STANDS).count() == 0
    assert "2" in stage.locator(f"{PLOT} .annotation").all_text_contents()
