"""The colours and type of every view, once, for Python and for the browser.

Unusual here: a skeleton never holds a colour, only a token name such as ``$student``; a theme is
one table. Blue is the student, orange the teacher, green the truth; purple is "how much" and has no
owner. Contrast is WCAG 2.1 relative luminance, dimensionless, 1 to 21.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, Literal

Theme = Literal["light", "dark"]

FONT: Final = (
    '-apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Liberation Sans", sans-serif'
)
"""The system's own type: nothing is fetched."""

TOKENS: Final[dict[Theme, dict[str, str]]] = {
    "light": {
        "bg": "#F5F5F2",
        "surface": "#FFFFFF",
        "sunken": "#F1F1ED",
        "line": "#E1E1DC",
        "line_strong": "#C6C6C0",
        "ink": "#1B1C1E",
        "ink2": "#4E5157",
        "ink3": "#666A71",
        "student": "#0B67C2",
        "student_wash": "#E3EFFB",
        "teacher": "#AD5108",
        "teacher_wash": "#FBEBDD",
        "truth": "#0A7558",
        "truth_wash": "#DDF2EB",
        "error": "#B42318",
        "error_wash": "#FDECEA",
        "attention": "#FFF1AE",
        "attention_edge": "#C9A800",
        "null_band": "#DEDED8",
        "density0": "#A076B9",
        "measure0": "#F6F2F8",
        "measure1": "#E2D3EA",
        "measure2": "#BD9CCF",
        "measure3": "#8D5CAA",
        "measure4": "#5A2C7A",
        "measure5": "#33104C",
        "much": "Dark",
    },
    "dark": {
        "bg": "#101113",
        "surface": "#191B1E",
        "sunken": "#131517",
        "line": "#2B2E33",
        "line_strong": "#464A52",
        "ink": "#ECEDEF",
        "ink2": "#B7BBC1",
        "ink3": "#959AA1",
        "student": "#62AEF5",
        "student_wash": "#16293C",
        "teacher": "#F0974A",
        "teacher_wash": "#38240F",
        "truth": "#3EC79F",
        "truth_wash": "#10312A",
        "error": "#FF8A80",
        "error_wash": "#3A1917",
        "attention": "#3B3410",
        "attention_edge": "#A8922C",
        "null_band": "#33363B",
        "density0": "#7B5696",
        "measure0": "#211B28",
        "measure1": "#3B2A49",
        "measure2": "#5F3F78",
        "measure3": "#8D66AA",
        "measure4": "#BD9CD4",
        "measure5": "#EADCF3",
        "much": "Bright",
    },
}
"""Token name to value per theme; ``much`` is the word for the high end of the purple scale."""

SCALES: Final[dict[str, tuple[tuple[float, str], ...]]] = {
    "measure": (
        (0.0, "measure0"),
        (0.25, "measure1"),
        (0.5, "measure2"),
        (0.7, "measure3"),
        (0.86, "measure4"),
        (1.0, "measure5"),
    ),
    "density": ((0.0, "density0"), (0.3, "measure3"), (0.6, "measure4"), (1.0, "measure5")),
}
"""Stops of the two colour scales, position in [0, 1] and token; ``density`` starts visible."""

Rgb = tuple[float, float, float]


def tokens(theme: Theme) -> dict[str, str]:
    """The token table of one theme.

    Raises:
        ValueError: If there is no such theme.
    """
    if theme not in TOKENS:
        raise ValueError(f"No theme {theme!r}. Known: dark, light.")
    return TOKENS[theme]


def css_variables(theme: Theme) -> str:
    """The table as CSS properties for a page around views: ``--wb-student: #0B67C2; ...``."""
    return " ".join(f"--wb-{name.replace('_', '-')}: {value};" for name, value in colours(theme))


def colours(theme: Theme) -> list[tuple[str, str]]:
    """Name and hex value of every token that is a colour, in table order."""
    return [(name, value) for name, value in tokens(theme).items() if value.startswith("#")]


def rgb(colour: str) -> Rgb:
    """Red, green and blue of ``#RRGGBB``, each in [0, 255]."""
    red, green, blue = (float(int(colour[i : i + 2], 16)) for i in (1, 3, 5))
    return red, green, blue


def luminance(colour: Rgb) -> float:
    """Relative luminance in [0, 1] of a colour whose channels are in [0, 255]."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (channel / 255 for channel in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: Rgb, second: Rgb) -> float:
    """Contrast ratio of two colours, 1 (equal) to 21 (black on white)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def scale_colour(scale: str, position: float, table: dict[str, str]) -> Rgb:
    """Colour of a scale at a position clipped to [0, 1], channels in [0, 255]."""
    stops = [(at, rgb(table[name])) for at, name in SCALES[scale]]
    position = min(max(position, 0.0), 1.0)
    for (low, from_), (high, to) in pairwise(stops):
        if position <= high:
            part = (position - low) / (high - low)
            return _mix(from_, to, part)
    return stops[-1][1]


def text_on(background: Rgb) -> str:
    """Black or white, whichever contrasts more (always at least 4.58 : 1)."""
    black, white = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)
    return "#000000" if contrast(background, black) >= contrast(background, white) else "#FFFFFF"


def _mix(from_: Sequence[float], to: Sequence[float], part: float) -> Rgb:
    red, green, blue = (a + (b - a) * part for a, b in zip(from_, to, strict=True))
    return red, green, blue
