"""Bins of equal width and of equal mass in a browser: one toggle, one footer, one selection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from workbench_widgets import calibration

from tests.widgets.test_calibration import with_mass
from tests.widgets.test_menu_js import saved
from tests.widgets.test_selection_js import chosen
from tests.widgets.test_view_js import drawn, mount, push, site, stage

if TYPE_CHECKING:
    from playwright.sync_api import Page

__all__ = ["site", "stage"]
pytestmark = pytest.mark.browser


def framed(digits_run: Any, **more: Any) -> Any:
    """Both kinds of bins; the bin of a sample is its place modulo their number."""
    arrays, facts = with_mass(digits_run)
    ids = np.arange(100, 130)
    each = {"ids": ids} | {
        f"bin_{side}{mass}{scaled}": np.arange(30) % (bins if mass else 15)
        for side, bins in (("student", 3), ("teacher", 4))
        for mass in ("", "_mass")
        for scaled in ("", "_scaled")
    }
    return calibration.frame({**arrays, **each}, {**facts, **more})


def test_the_toggle_changes_points_ece_footer_and_what_a_bin_selects(
    stage: Page, digits_run: Any
) -> None:
    mount(stage, framed(digits_run))
    drawn(stage, step=120)
    footer, bins = stage.locator(".wb-footer"), stage.get_by_label("Select the samples of a bin")
    assert "15 equal-width (a, b] · Wilson" in footer.inner_text()
    bins.select_option(index=1)
    stage.locator(".wb-chip").wait_for()
    assert len(chosen(stage)) == 2
    stage.keyboard.press("Escape")
    stage.get_by_role("button", name="equal mass").click()
    stage.locator(".wb-footer", has_text="3 to 4 equal-mass (a, b] · Wilson").wait_for()
    assert "equal-width" not in footer.inner_text()
    plot = stage.locator(".wb-plot")
    assert re.search(r"ECE\s+1\.2.*null p95 4\.6", plot.inner_text().replace("\n", " "))
    words = [option.inner_text() for option in bins.locator("option").all()]
    assert words[3] == "student: confidence 0.9800 to 1.0000, n = 10"
    bins.select_option(index=3)
    stage.locator(".wb-chip").wait_for()
    assert chosen(stage) == list(range(102, 130, 3))
    push(stage, framed(digits_run, step=125))
    drawn(stage, step=125, rev=2)
    assert "equal-mass" in footer.inner_text(), "the choice outlives an update"
    _, content = saved(stage, "Save data as CSV")
    assert content.decode().count("# Calibration, student, equal-mass (a, b]") == 2
    conditions = [line for line in content.decode().splitlines() if "step 125" in line]
    assert conditions and not any("equal-" in line for line in conditions)
