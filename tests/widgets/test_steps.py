"""The bar over a cell's views: it tells what a person asks for, and never what it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from workbench_widgets.steps import SCRIPTS, StepBar
from workbench_widgets.view import joined

from .test_view_js import site, stage

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["site", "stage"]

MOUNT = """async ([text, traits]) => {
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const { default: bar } = await import(url);
  window.model = makeModel({ asked: {}, theme: "light", words: "", ...traits });
  room.replaceChildren();
  window.remove = bar.render({ model, el: room });
}"""
TELL = "traits => Object.entries(traits).forEach(([name, value]) => model.set(name, value))"


@pytest.fixture
def bar(stage: Page) -> Page:
    traits = {"steps": [0], "shown": 0, "total": 450, "live": True}
    stage.evaluate(MOUNT, [joined(SCRIPTS), traits])
    return stage


def words(page: Page) -> str:
    return page.locator(".wb-goes").inner_text()


def asked(page: Page) -> list[int | None]:
    return page.evaluate("[model.saved, model.traits.asked.step ?? null]")


@pytest.mark.browser
def test_it_sends_nothing_while_a_run_grows_and_a_key_goes_to_the_next_snapshot(bar: Page) -> None:
    slider = bar.locator(".wb-steps input")
    assert slider.is_disabled(), "one snapshot: nowhere to go"
    for steps in ([0, 38], [0, 38, 75], [0, 38, 75, 112]):
        bar.evaluate(TELL, {"steps": steps, "shown": steps[-1]})
    assert asked(bar) == [0, None], "what it is told is not sent back"
    slider.press("ArrowLeft")
    assert asked(bar) == [1, 75]
    bar.evaluate(TELL, {"shown": 75, "live": False, "words": "of 450, looking back"})
    slider.press("Home")
    assert asked(bar) == [2, 0]
    assert slider.get_attribute("aria-valuetext") == "step 0, snapshot 1 of 4"
    bar.get_by_role("button", name="Newest").click()
    assert asked(bar) == [3, None]
    slider.press("ArrowLeft")
    slider.press("ArrowLeft")
    assert asked(bar) == [5, 38], "two presses are two snapshots, also before Python has answered"
    slider.fill("60")  # as a drag does
    assert asked(bar) == [6, 75], "the nearest snapshot"
    bar.evaluate(TELL, {"shown": 38, "live": False})  # the answer to what was asked before
    assert slider.input_value() == "75", "it stays at what was asked last"


@pytest.mark.browser
def test_its_end_is_the_planned_end_so_that_it_does_not_move(bar: Page) -> None:
    bar.evaluate(TELL, {"steps": [0, 38], "shown": 38})
    drawn = "[room.querySelector('input').max, room.querySelector('input').value]"
    assert bar.evaluate(drawn) == ["450", "38"]
    bar.evaluate(TELL, {"steps": [0, 38, 75]})
    assert bar.evaluate(drawn) == ["450", "38"]


@pytest.mark.browser
def test_it_says_that_it_waits_while_the_kernel_runs_a_cell(bar: Page) -> None:
    told = {"steps": [0, 38, 75], "shown": 75, "words": "follows the run"}
    bar.evaluate(TELL, {**told, "asked": {"step": 38, "count": 4}})  # of a page that was closed
    bar.locator(".wb-steps input").press("Home")
    bar.locator(".wb-steps[data-waits]").wait_for()
    assert words(bar) == "waits for the kernel"
    assert bar.locator(".wb-steps b").inner_text() == "0", "what was asked for still stands there"
    assert bar.evaluate("model.traits.asked.count") == 5, "another than the last, or it is not told"
    assert bar.get_by_role("button", name="Newest").is_enabled(), "it can be taken back"
    bar.evaluate(TELL, {"answered": 5})
    assert words(bar) == "follows the run"
    assert bar.get_by_role("button", name="Newest").is_disabled()
    assert bar.locator(".wb-steps b").inner_text() == "75", "the kernel has refused to turn"


@pytest.mark.browser
def test_it_names_no_end_before_one_is_planned(bar: Page) -> None:
    bar.evaluate(TELL, {"steps": [], "shown": 0, "total": 0})
    assert bar.locator("label").inner_text().strip() == "Step –"
    bar.evaluate(TELL, {"steps": [0], "total": 1200})
    assert bar.locator("label").inner_text() == "Step 0 of 1\u2009200"


@pytest.mark.browser
def test_it_says_that_its_kernel_has_ended_and_asks_nobody(bar: Page) -> None:
    bar.evaluate(TELL, {"steps": [0, 38], "shown": 38, "words": "follows the run"})
    bar.evaluate("model.fire('comm_live_update')")  # as the model of a notebook does
    assert words(bar) == "its kernel has ended"
    assert bar.locator(".wb-steps input").is_disabled()
    assert bar.get_by_role("button", name="Newest").is_disabled()


@pytest.mark.browser
@pytest.mark.parametrize("wide", [590, 720])
def test_it_stands_in_one_line_of_a_cell_and_its_focus_is_seen_whole(bar: Page, wide: int) -> None:
    bar.evaluate("wide => (room.style.width = `${wide}px`)", wide)
    high = set()
    for total, said in [(450, "follows the run"), (120_000, "waits for the kernel")]:
        bar.evaluate(TELL, {"steps": [0, total // 2], "total": total, "words": said})
        high.add(bar.locator(".wb-steps").bounding_box()["height"])
    assert len(high) == 1 and high.pop() < 45, "one line, whatever it says"
    edge = (
        "room.querySelector('input').getBoundingClientRect().top - room.getBoundingClientRect().top"
    )
    assert bar.evaluate(edge) >= 3, "a notebook cuts off what lies above the first line"


def test_what_is_asked_for_is_heard_once_and_only_then() -> None:
    bar, heard = StepBar(), []
    bar.on_ask(heard.append)
    bar.told([0, 40, 80], shown=80, total=450, live=True, words="follows the run")
    assert heard == [] and bar.shown == 80
    for count, step in enumerate([40, None]):
        bar.asked = {"step": step, "count": count}
    assert heard == [40, None] and bar.answered == 1
