"""A sheet to draw on in pixels from the top left corner, kept as PNG, SVG or PDF.

Unusual here: matplotlib is used for its letters and file formats only. All places are decided by
the caller, so a printed figure has the layout of the live one. No browser is needed.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.tokens import FONT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.figure import Figure

Format = Literal["png", "svg", "pdf"]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""
SUBSTITUTE: Final = "DejaVu Sans"
"""Comes with matplotlib and has the strokes and letters that the views use."""
LINE_HEIGHT: Final = 1.3
ENTITIES: Final = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
MARKUP: Final = re.compile(
    r"<(?P<close>/?)(?P<tag>b|i|span|br|sub|sup)\s*(?:style=\"color:\s*(?P<colour>[^\";]+)[^\"]*\")?\s*/?>"
)
DASHES: Final = {"dot": (2.0, 2.0), "dash": (6.0, 4.0), "dashdot": (6.0, 2.0, 2.0, 2.0)}


@dataclass(frozen=True)
class Letters:
    """A piece of a line of text in one style."""

    text: str
    colour: str
    bold: bool = False


class Canvas:
    """One sheet.

    Args:
        width: Pixels.
        height: Pixels.
        background: A colour.
    """

    def __init__(self, width: float, height: float, background: str) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        # 72 dots an inch: a point is a pixel, so sizes of letters and lines are the page's
        self._figure: Figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        self._figure.patch.set_facecolor(background)
        agg = FigureCanvasAgg(self._figure)
        self._renderer = agg.get_renderer()  # type: ignore[no-untyped-call]
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._axes.set_xlim(0, width)
        self._axes.set_ylim(height, 0)
        self._layer = 0.0

    def line(
        self,
        x: Sequence[float] | NDArray[Any],
        y: Sequence[float] | NDArray[Any],
        colour: Any,
        width: float = 1.0,
        *,
        dash: str = "solid",
        opacity: float = 1.0,
        clip: Box | None = None,
    ) -> None:
        """A line through points; NaN breaks it."""
        from matplotlib.lines import Line2D

        style: Any = "solid" if (pattern := dash_of(dash)) is None else (0, pattern)
        drawn = Line2D(
            x, y, color=colour_of(colour, opacity), linewidth=width, linestyle=style,
            dash_capstyle="butt", solid_joinstyle="round",
        )  # fmt: skip
        self._put(drawn, clip)

    def shape(
        self,
        points: Sequence[tuple[float, float]] | NDArray[Any],
        fill: Any = None,
        edge: Any = None,
        width: float = 1.0,
        *,
        closed: bool = True,
        dash: str = "solid",
        hatch: str = "",
        opacity: float = 1.0,
        clip: Box | None = None,
    ) -> None:
        """A polygon, filled, outlined or both."""
        from matplotlib.patches import Polygon

        style: Any = "solid" if (pattern := dash_of(dash)) is None else (0, pattern)
        none = (0, 0, 0, 0)
        drawn = Polygon(
            np.asarray(points, dtype=np.float64),
            closed=closed,
            facecolor=none if fill is None else colour_of(fill, opacity),
            edgecolor=none if edge is None or width <= 0 else colour_of(edge, opacity),
            linewidth=width if edge is not None else 0,
            linestyle=style,
            hatch=hatch or None,
        )
        self._put(drawn, clip)

    def rectangle(self, box: Box, fill: Any = None, edge: Any = None, **more: Any) -> None:
        """A rectangle between two corners."""
        left, top, right, bottom = box
        self.shape([(left, top), (right, top), (right, bottom), (left, bottom)], fill, edge, **more)

    def image(self, pixels: NDArray[np.float64], box: Box, *, clip: Box | None = None) -> None:
        """RGBA in [0, 1], shape (rows, columns, 4), the first row on top; cells stay sharp."""
        from matplotlib.image import AxesImage

        left, top, right, bottom = box
        drawn = AxesImage(self._axes, extent=(left, right, bottom, top), interpolation="nearest")
        drawn.set_data(pixels)
        self._put(drawn, clip)

    def marker(
        self, symbol: str, x: float, y: float, size: float, fill: Any, edge: Any, width: float,
        *, opacity: float = 1.0, clip: Box | None = None,
    ) -> None:  # fmt: skip
        """One of circle, square, diamond, cross and x, ``size`` pixels across."""
        from matplotlib.lines import Line2D

        name, _, kind = symbol.partition("-")
        shapes = {"circle": "o", "square": "s", "diamond": "D", "cross": "P", "x": "X"}
        across = size / 1.4 if name == "diamond" else size
        drawn = Line2D(
            [x], [y], linestyle="none", marker=shapes.get(name, "o"), markersize=across,
            markerfacecolor="none" if kind == "open" else colour_of(fill, opacity),
            markeredgecolor=colour_of(fill if kind == "open" else edge, opacity),
            markeredgewidth=max(width, 1.0) if kind == "open" else width,
        )  # fmt: skip
        self._put(drawn, clip)

    def text(
        self,
        markup: str,
        x: float,
        y: float,
        size: float,
        colour: str,
        *,
        across: float = 0.0,
        down: float = 0.0,
        box: str | None = None,
        edge: str | None = None,
        pad: float = 0.0,
        upright: bool = False,
    ) -> tuple[float, float]:
        """Text with Plotly's small markup.

        Args:
            markup: ``<b>``, ``<span style="color:...">``, ``<br>``; other tags stay text.
            x: Of the anchor, pixels.
            y: Of the anchor.
            size: Of a letter, pixels.
            colour: Of what names none.
            across: Part of the width that lies left of the anchor, 0 to 1.
            down: Part of the height that lies above it.
            box: Colour behind it.
            edge: Colour around it.
            pad: Between the letters and the box, pixels.
            upright: Turned by 90 degrees, read from below.

        Returns:
            Width and height, pixels.
        """
        lines = pieces(markup, colour)
        widths = [
            [self.measure(part.text, size, bold=part.bold) for part in line] for line in lines
        ]
        wide, high = max((sum(w) for w in widths), default=0.0), LINE_HEIGHT * size * len(lines)
        left, top = (x - across * wide, y - down * high)
        if (box or edge) and not upright:
            frame = (left - pad, top - pad, left + wide + pad, top + high + pad)
            self.rectangle(frame, box, edge)
        for number, (line, across_each) in enumerate(zip(lines, widths, strict=True)):
            at = left + across * (wide - sum(across_each))
            base = top + (number + 0.79) * LINE_HEIGHT * size
            for part, own in zip(line, across_each, strict=True):
                where = (x + (base - y), y - (at - x)) if upright else (at, base)
                self._letters(part, where, size, 90 if upright else 0)
                at += own
        return wide, high

    def measure(self, text: str, size: float, *, bold: bool = False) -> float:
        """Width of a line of text in pixels."""
        return _width(text, size, bold)

    def save(self, format: Format, *, scale: float = 1.0) -> bytes:
        """The sheet as a file; ``scale`` gives a PNG more dots, the same picture.

        SVG and PDF hold letters as outlines, so they look the same wherever they are opened.
        """
        import matplotlib

        told = (
            {"Date": None} if format == "svg" else {"CreationDate": None} if format == "pdf" else {}
        )
        kept = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": "workbench", "pdf.fonttype": 42}), _quiet():
            self._figure.savefig(kept, format=format, dpi=72 * scale, metadata=told)
        return kept.getvalue()

    def _letters(self, part: Letters, at: tuple[float, float], size: float, angle: float) -> None:
        from matplotlib.text import Text

        if not part.text.strip():
            return
        drawn = Text(
            at[0], at[1], part.text.replace("$", r"\$"), color=part.colour, fontsize=size,
            rotation=angle, rotation_mode="anchor", ha="left", va="baseline",
            fontfamily=families(), fontweight="bold" if part.bold else "normal",
        )  # fmt: skip
        self._put(drawn, None)

    def _put(self, drawn: Any, clip: Box | None) -> None:
        from matplotlib.transforms import Bbox, TransformedBbox

        self._layer += 1e-4  # what is drawn later lies above
        drawn.set_zorder(self._layer)
        self._axes.add_artist(drawn)
        if clip is not None:
            left, top, right, bottom = clip
            inside = Bbox([[left, bottom], [right, top]])
            drawn.set_clip_box(TransformedBbox(inside, self._axes.transData))
        else:
            drawn.set_clip_on(False)


def pieces(markup: str, colour: str) -> list[list[Letters]]:
    """Lines of a marked-up text, each as pieces of one style.

    Example:
        >>> pieces('a <b>b</b><br><span style="color:#fff">c</span>', "#000")[1]
        [Letters(text='c', colour='#fff', bold=False)]
    """
    lines: list[list[Letters]] = [[]]
    colours, bold, at = [colour], 0, 0
    for match in MARKUP.finditer(markup):
        _add(lines, markup[at : match.start()], colours[-1], bold > 0)
        at = match.end()
        tag, closes = match["tag"], bool(match["close"])
        if tag == "br":
            lines.append([])
        elif tag == "b":
            bold += -1 if closes else 1
        elif tag == "span" and closes:
            colours = colours[:-1] if len(colours) > 1 else colours
        elif tag == "span":
            colours = [*colours, match["colour"] or colours[-1]]
    _add(lines, markup[at:], colours[-1], bold > 0)
    return lines


def _add(lines: list[list[Letters]], text: str, colour: str, bold: bool) -> None:
    for entity, letter in ENTITIES:
        text = text.replace(entity, letter)
    if text:
        lines[-1].append(Letters(text, colour, bold))


def dash_of(name: str) -> tuple[float, ...] | None:
    """Lengths of a dash in pixels; None for a solid line."""
    if name in ("", "solid"):
        return None
    if name in DASHES:
        return DASHES[name]
    return tuple(float(part.removesuffix("px")) for part in name.split(","))


def colour_of(colour: Any, opacity: float = 1.0) -> tuple[float, float, float, float]:
    """``#RRGGBB``, ``rgb(...)`` or ``rgba(...)`` as four numbers in [0, 1]."""
    text = str(colour).strip()
    if text.startswith("#"):
        red, green, blue = (int(text[k : k + 2], 16) / 255 for k in (1, 3, 5))
        return red, green, blue, opacity
    numbers = [float(part) for part in re.findall(r"[\d.]+(?:e-?\d+)?", text)]
    red, green, blue = (value / 255 for value in numbers[:3])
    return red, green, blue, opacity * (numbers[3] if len(numbers) > 3 else 1.0)


@cache
def families() -> list[str]:
    """Fonts of the views that this machine has, then the substitute."""
    from matplotlib.font_manager import get_font_names

    wanted = [name.strip(' "') for name in FONT.split(",")]
    return [*(name for name in wanted if name in set(get_font_names())), SUBSTITUTE]


@cache
def _width(text: str, size: float, bold: bool) -> float:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return sum(size if letter == "\u2003" else 0.28 * size for letter in text)
    font = FontProperties(family=families(), weight="bold" if bold else "normal", size=size)
    # the ends are padded: a path's box leaves out the spaces around the letters
    with _quiet():
        spaced = TextPath((0, 0), f"|{text}|".replace("$", r"\$"), prop=font).get_extents()
        bars = TextPath((0, 0), "||", prop=font).get_extents()
    return float(spaced.width - bars.width)


@contextmanager
def _quiet() -> Iterator[None]:
    """A letter that one font lacks is taken from the next; nobody needs to be told."""
    log = logging.getLogger("matplotlib.font_manager")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)
