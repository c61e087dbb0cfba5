"""Colours: contrast is measured, and the three corners keep their hue."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from workbench_widgets import tokens
from workbench_widgets.tokens import TOKENS, Theme, contrast, rgb

THEMES: tuple[Theme, ...] = ("light", "dark")
TEXTS = ("ink", "ink2", "ink3", "student", "teacher", "truth", "error")


def test_both_themes_have_the_same_tokens() -> None:
    assert TOKENS["light"].keys() == TOKENS["dark"].keys()


def test_contrast_of_black_on_white_is_21_and_of_grey_is_the_published_value() -> None:
    assert contrast((0, 0, 0), (255, 255, 255)) == pytest.approx(21.0)
    # WCAG's own example: #767676 is the lightest grey that passes AA on white.
    assert contrast(rgb("#767676"), rgb("#FFFFFF")) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("ground", ["bg", "surface", "sunken"])
@pytest.mark.parametrize("text", TEXTS)
def test_every_text_colour_reaches_4_5_on_every_ground(
    theme: Theme, ground: str, text: str
) -> None:
    table = TOKENS[theme]
    assert contrast(rgb(table[text]), rgb(table[ground])) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_one_sample_in_a_cell_is_visible_on_the_floor(theme: Theme) -> None:
    table = TOKENS[theme]
    wanted = 3.2 if theme == "light" else 3.1
    assert contrast(rgb(table["density0"]), rgb(table["sunken"])) >= wanted


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("token", "low", "high"), [("student", 190, 230), ("teacher", 15, 40), ("truth", 145, 175)]
)
def test_student_is_blue_teacher_orange_truth_green(
    theme: Theme, token: str, low: float, high: float
) -> None:
    red, green, blue = (channel / 255 for channel in rgb(TOKENS[theme][token]))
    assert low <= 360 * colorsys.rgb_to_hls(red, green, blue)[0] <= high


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("position", np.linspace(0, 1, 41).tolist())
def test_a_number_is_readable_on_every_shade(theme: Theme, position: float) -> None:
    shade = tokens.scale_colour("measure", position, TOKENS[theme])
    assert contrast(shade, rgb(tokens.text_on(shade))) >= 4.5


@pytest.mark.parametrize("theme", THEMES)
def test_more_is_darker_in_light_and_lighter_in_dark(theme: Theme) -> None:
    table = TOKENS[theme]
    line = [
        tokens.luminance(tokens.scale_colour("measure", p, table)) for p in np.linspace(0, 1, 21)
    ]
    assert np.all(np.diff(line) < 0) if theme == "light" else np.all(np.diff(line) > 0)


def test_an_unknown_theme_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'sepia'.*dark, light"):
        tokens.tokens("sepia")  # type: ignore[arg-type]
