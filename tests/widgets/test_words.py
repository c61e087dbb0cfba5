"""Numbers as the views write them."""

from __future__ import annotations

import math

import pytest
from workbench_widgets import words


@pytest.mark.parametrize(
    ("value", "text"), [(0.74, ".74"), (1.0, "1.00"), (0.999, "1.00"), (-0.05, "−.05"), (0, ".00")]
)
def test_a_cell_has_no_leading_zero_and_a_true_minus(value: float, text: str) -> None:
    assert words.unit_cell(value) == text


def test_thousands_are_thin_spaced_and_differences_signed() -> None:
    assert words.count(1234567) == "1\u2009234\u2009567"
    assert [words.signed(v) for v in (32, -10, 0)] == ["+32", "−10", "0"]


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_number_that_is_not_there_is_a_dash_never_zero(value: float | None) -> None:
    assert words.percent(value) == words.number(value) == words.fixed(value, 3) == "–"


def test_a_long_layer_name_keeps_both_ends() -> None:
    short = words.shorten("stages.2.blocks.5.conv1", 16)
    assert len(short) == 16
    assert short.startswith("stages.") and short.endswith("5.conv1")
