"""Axes of a printed figure: where a value lies in pixels, and the lines, ticks and words around.

Unusual here: Plotly's axes as our skeletons use them only: ranges and ticks are stated, a log axis
states its range in powers of ten, equal scales shrink the room of an axis, never its range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.canvas import Box, Canvas

TOWARDS: Final = {
    "left": 0.0,
    "center": 0.5,
    "right": 1.0,
    "bottom": 0.0,
    "middle": 0.5,
    "top": 1.0,
}


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        name: ``x``, ``y2``, as traces name it.
        told: As the layout tells of it.
        range: Low and high; powers of ten on a log axis.
        start: Pixel of the low end.
        stop: Pixel of the high end.
        log: Whether it counts in powers of ten.
    """

    name: str
    told: Mapping[str, Any]
    range: tuple[float, float]
    start: float
    stop: float
    log: bool

    def pixels(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where values lie; NaN for what has no place, such as 0 on a log axis."""
        if self.log:
            values = np.log10(np.where(values > 0, values, np.nan))
        low, high = self.range
        return self.start + (values - low) / (high - low) * (self.stop - self.start)

    def pixel(self, value: float) -> float:
        """Where one value lies."""
        return float(self.pixels(np.asarray(float(value))))

    def part(self, share: float) -> float:
        """Where a share of its length lies."""
        return self.start + share * (self.stop - self.start)


@dataclass(frozen=True)
class Sheet:
    """The plot's room and its axes.

    Attributes:
        inner: The room inside the margins.
        axes: By name.
    """

    inner: Box
    axes: Mapping[str, Axis]

    def box(self, x: Axis, y: Axis) -> Box:
        """The room between two axes."""
        return x.start, y.stop, x.stop, y.start

    def x(self, value: float, ref: str, *, powers: bool = False) -> float:
        """A place across: of the paper, of an axis, or of a share of it."""
        left, _, right, _ = self.inner
        return self._place(value, ref, left, right, powers)

    def y(self, value: float, ref: str, *, powers: bool = False) -> float:
        """A place down."""
        _, top, _, bottom = self.inner
        return self._place(value, ref, bottom, top, powers)

    def _place(self, value: float, ref: str, start: float, stop: float, powers: bool) -> float:
        if ref == "paper":
            return start + float(value) * (stop - start)
        axis = self.axes[ref.removesuffix(" domain")]
        if ref.endswith(" domain"):
            return axis.part(float(value))
        if axis.log and powers:  # an annotation on a log axis is placed by its power
            return replace(axis, log=False).pixel(value)
        return axis.pixel(value)


def axes_of(layout: Mapping[str, Any], inner: Box) -> dict[str, Axis]:
    """All axes of a layout, by name, with equal scales settled."""
    left, top, right, bottom = inner
    made: dict[str, Axis] = {}
    for key, told in layout.items():
        if not key.startswith(("xaxis", "yaxis")):
            continue
        name = key.replace("axis", "")
        low, high = told.get("domain", (0, 1))
        first, last = (left, right) if key[0] == "x" else (bottom, top)
        ends = first + low * (last - first), first + high * (last - first)
        span = tuple(float(end) for end in told.get("range", (0, 1)))
        made[name] = Axis(name, told, (span[0], span[1]), *ends, told.get("type") == "log")
    for axis in list(made.values()):
        other = axis.told.get("scaleanchor")
        if other in made:
            _settle(made, made[axis.name], made[other])
    return made


def _settle(axes: dict[str, Axis], one: Axis, other: Axis) -> None:
    """Give two axes as many pixels a unit: the roomier one shrinks."""
    density = {axis.name: abs(axis.stop - axis.start) / _span(axis) for axis in (one, other)}
    least = min(density.values())
    for axis in (one, other):
        keep = least / density[axis.name]
        usual = "center" if axis.name[0] == "x" else "middle"
        toward = TOWARDS[axis.told.get("constraintoward", usual)]
        length = axis.stop - axis.start
        start = axis.start + toward * (1 - keep) * length
        axes[axis.name] = replace(axis, start=start, stop=start + keep * length)


def _span(axis: Axis) -> float:
    return max(abs(axis.range[1] - axis.range[0]), 1e-12)


def draw_grid(canvas: Canvas, sheet: Sheet, axis: Axis) -> None:
    """Thin lines at the ticks, below the data."""
    told = axis.told
    if told.get("visible") is False or not told.get("showgrid", False):
        return
    across = _partner(sheet, axis)
    for _, at in _ticks(axis):
        ends = (across.start, across.stop)
        x, y = ((at, at), ends) if axis.name[0] == "x" else (ends, (at, at))
        canvas.line(x, y, told["gridcolor"], float(told.get("gridwidth", 1)))


def draw_axis(canvas: Canvas, sheet: Sheet, axis: Axis) -> None:
    """Line, ticks, labels and title."""
    told = axis.told
    if told.get("visible") is False:
        return
    lies = axis.name[0] == "x"
    edge = _edge(sheet, axis)
    far = told.get("side") in ("top", "right")
    out = -1 if lies == far else 1  # down for a lower axis, left is handled below
    colour, ends = told.get("linecolor", "#888888"), (axis.start, axis.stop)
    if told.get("showline", False):
        canvas.line(*((ends, (edge, edge)) if lies else ((edge, edge), ends)), colour)
    long = float(told.get("ticklen", 0)) if told.get("ticks") == "outside" else 0.0
    font, widest = told.get("tickfont") or {"size": 11, "color": colour}, 0.0
    side = 1.0 if far else -1.0
    for words, at in _ticks(axis):
        tip = edge + out * long if lies else edge + side * long
        where = ((at, at), (edge, tip)) if lies else ((edge, tip), (at, at))
        canvas.line(*where, told.get("tickcolor", colour))
        if not words or told.get("showticklabels") is False:
            continue
        size, shade = float(font["size"]), str(font["color"])
        if lies:
            down = 1.0 if far else 0.0
            canvas.text(words, at, tip + out, size, shade, across=0.5, down=down)
        else:
            share, left = (0.0 if far else 1.0), tip + side * 2
            wide, _ = canvas.text(words, left, at, size, shade, across=share, down=0.5)
            widest = max(widest, wide)
    title = told.get("title") or {}
    if title.get("text"):
        middle, size = (axis.start + axis.stop) / 2, float(title["font"]["size"])
        shade, away = str(title["font"]["color"]), float(title.get("standoff", 4))
        if lies:
            down = edge + out * (long + 1.3 * float(font["size"]) + away)
            canvas.text(title["text"], middle, down, size, shade, across=0.5)
        else:
            left = edge + side * (long + 2 + widest + away)
            canvas.text(
                title["text"], left, middle, size, shade, across=0.5, down=1.0, upright=True
            )


def _partner(sheet: Sheet, axis: Axis) -> Axis:
    """The axis that it crosses."""
    other = str(axis.told.get("anchor", ""))
    if other in sheet.axes:
        return sheet.axes[other]
    wanted = "y" if axis.name[0] == "x" else "x"
    found = next((a for a in sheet.axes.values() if a.told.get("anchor") == axis.name), None)
    return found or sheet.axes[wanted]


def _edge(sheet: Sheet, axis: Axis) -> float:
    """Pixel at which its line lies."""
    if axis.told.get("anchor") == "free":
        left, top, right, bottom = sheet.inner
        share = float(axis.told.get("position", 0))
        return (
            left + share * (right - left)
            if axis.name[0] == "y"
            else bottom - share * (bottom - top)
        )
    across = _partner(sheet, axis)
    return across.stop if axis.told.get("side") in ("top", "right") else across.start


def _ticks(axis: Axis) -> list[tuple[str, float]]:
    """Words and pixel of each tick within the range."""
    values, words = axis.told.get("tickvals"), axis.told.get("ticktext")
    if values is None:
        return []
    names = [f"{value:g}" for value in values] if words is None else [str(word) for word in words]
    suffix = str(axis.told.get("ticksuffix", ""))
    low, high = sorted((axis.start, axis.stop))
    made = []
    for value, name in zip(values, names, strict=False):
        at = axis.pixel(value)
        if math.isfinite(at) and low - 0.5 <= at <= high + 0.5:
            made.append((f"{name}{suffix}" if name else "", at))
    return made
