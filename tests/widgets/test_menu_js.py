"""The menu of a card in a real browser: figures, tables and files of what is seen."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from workbench_widgets.frame import plain

from .test_view_js import built, drawn, mount, site, stage

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["site", "stage"]
pytestmark = pytest.mark.browser
CAPTION = "run quick-1; probe, n = 897, step 120; seed 0; teacher 1f3a00000000"
SVG = "{http://www.w3.org/2000/svg}"


def saved(page: Page, entry: str) -> tuple[str, bytes]:
    """Name and content of the file that an entry of the menu gives."""
    page.locator(".wb-view").focus()
    page.keyboard.press("m")
    with page.expect_download() as download:
        page.get_by_role("menuitem", name=entry, exact=True).click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def words_of(svg: bytes) -> str:
    root = ElementTree.fromstring(svg)  # noqa: S314 - what we have just written ourselves
    return " ".join("".join(node.itertext()) for node in root.iter(f"{SVG}text"))


@pytest.mark.parametrize("view", ["cka", "loyalty"])
def test_a_saved_figure_has_all_that_is_seen_and_its_conditions(
    stage: Page, view: str, digits_run: Any
) -> None:
    frame = replace(built(view, digits_run), caption=CAPTION)
    mount(stage, frame)
    drawn(stage, step=120)
    name, svg = saved(stage, "Save SVG")
    assert name == f"{view}-step-120.svg"
    assert b"foreignObject" not in svg and b"http" not in svg.replace(b"http://www.w3.org", b"")
    words = re.sub(r"\s+", " ", words_of(svg))
    for told in (frame.title, frame.read_line[-20:], CAPTION, plain(frame.footer)[-20:]):
        assert told in words
    assert (view == "cka") == (b"main-svg" in svg), "the plot is in it, where there is one"
    name, png = saved(stage, "Save PNG")
    picture = Image.open(io.BytesIO(png))
    assert picture.size[0] == 2 * 446, "two dots a pixel"
    assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 20
    assert stage.locator(".wb-view").count() == 1, "the copy that was measured is gone"


def test_browser_and_python_write_the_same_tables(stage: Page, digits_run: Any) -> None:
    for view in ("cka", "trilateral", "calibration", "loyalty", "curves"):
        frame = replace(built(view, digits_run), caption=CAPTION)
        mount(stage, frame)
        drawn(stage, step=120)
        _, content = saved(stage, "Save data as CSV")
        blocks = content.decode().split("\n\n")
        sheets = frame.sheets()
        assert len(blocks) == len(sheets) > 0
        for block, sheet in zip(blocks, sheets, strict=True):
            there = [row for row in block.strip().splitlines() if "# as drawn" not in row]
            here = sheet.csv().strip().splitlines()
            assert there[:4] == here[:4], "title, conditions and names"
            for row, own in zip(there[4:], here[4:], strict=True):
                assert_row(row, own)


def assert_row(row: str, own: str) -> None:
    for mine, other in zip(row.split(","), own.split(","), strict=True):
        if mine != other:  # 1e-7 and 1e-07
            assert np.float32(mine) == np.float32(other)


def test_the_table_is_read_by_keyboard_and_closed_with_escape(stage: Page, digits_run: Any) -> None:
    mount(stage, replace(built("loyalty", digits_run), caption=CAPTION))
    drawn(stage, step=120)
    stage.locator(".wb-view").focus()
    stage.keyboard.press("m")
    stage.keyboard.press("End")
    stage.keyboard.press("ArrowUp")
    stage.keyboard.press("ArrowUp")
    stage.keyboard.press("Enter")
    table = stage.get_by_role("dialog").get_by_role("table")
    assert CAPTION in table.inner_text()
    assert [cell.inner_text() for cell in table.get_by_role("columnheader").all()] == [
        "student", "teacher", "samples",
    ]  # fmt: skip
    with stage.expect_download() as download:
        stage.get_by_role("button", name="Save LaTeX").click()
    tex = download.value.path().read_text("utf-8")
    assert tex == built("loyalty", digits_run).sheets()[0].latex().replace(
        "% needs", f"% {CAPTION}\n% needs"
    )
    stage.keyboard.press("Escape")
    assert stage.get_by_role("dialog").count() == 0
    assert stage.evaluate("document.activeElement.className") == "wb-title"


def test_names_of_layers_cannot_break_out_of_a_saved_picture(stage: Page, digits_run: Any) -> None:
    bad = '<script>alert("1")</script>&'
    frame = replace(built("loyalty", digits_run), title=bad, caption=bad)
    mount(stage, frame)
    drawn(stage, step=120)
    _, svg = saved(stage, "Save SVG")
    assert not list(ElementTree.fromstring(svg).iter(f"{SVG}script"))  # noqa: S314
    assert bad in words_of(svg)


def test_all_logged_points_are_asked_of_python(stage: Page, digits_run: Any) -> None:
    """A curve is thinned for drawing; a file is not."""
    stage.evaluate(
        """() => { const make = makeModel;
          window.makeModel = (traits) => { const model = make(traits);
          model.send = (message) => message.kind === "want-points" &&
            model.fire("msg:custom", { kind: "points", text: "# all\\n" });
          return model; }; }"""
    )
    mount(stage, built("curves", digits_run))
    drawn(stage, step=120)
    assert saved(stage, "Save data as CSV") == ("curves-step-120.csv", b"# all\n")
