"""A view's static figure as PNG, SVG or PDF, without a browser.

Unusual here: it reads the very Plotly figure that a notebook shows, and knows just what our
skeletons use: stated ranges and ticks, heat maps, lines, markers, bars, shapes and annotations.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.canvas import Box, Canvas, Format, colour_of
from workbench_widgets.printed_axes import Axis, Sheet, axes_of, draw_axis, draw_grid

if TYPE_CHECKING:
    import plotly.graph_objects as go

ANCHOR: Final = {"left": 0.0, "center": 0.5, "right": 1.0, "top": 0.0, "middle": 0.5, "bottom": 1.0}
SIDES: Final = {"left": 1.0, "center": 0.5, "right": 0.0, "top": 1.0, "middle": 0.5, "bottom": 0.0}
"""Where a text lies from its point, as ``textposition`` says it."""
FEW_CELLS: Final = 2000
"""Up to here a heat map is drawn cell by cell, with gaps; above that as one picture."""


def printed(figure: go.Figure, format: Format, *, scale: float = 1.0) -> bytes:
    """The figure as a file.

    Args:
        figure: Made by ``Frame.figure``.
        format: ``png``, ``svg`` or ``pdf``.
        scale: Dots of a PNG per pixel.
    """
    return _Printer(figure.to_dict()).canvas.save(format, scale=scale)


class _Printer:
    def __init__(self, content: Mapping[str, Any]) -> None:
        content = unpacked(content)
        layout = content["layout"]
        self.layout = layout
        self.barred: set[str] = set()
        margin = layout["margin"]
        width, height = float(layout["width"]), float(layout["height"])
        self.canvas = Canvas(width, height, layout["paper_bgcolor"])
        inner = (margin["l"], margin["t"], width - margin["r"], height - margin["b"])
        self.sheet = Sheet(inner, axes_of(layout, inner))
        self._shapes("below")
        for axis in self.sheet.axes.values():
            draw_grid(self.canvas, self.sheet, axis)
        for trace in content["data"]:
            getattr(self, f"_{trace['type']}")(trace)
        for axis in self.sheet.axes.values():
            draw_axis(self.canvas, self.sheet, axis)
        self._shapes("above")
        for note in layout.get("annotations", ()):
            self._annotation(note)

    # ---- traces

    def _heatmap(self, trace: Mapping[str, Any]) -> None:
        x, y = self._pair(trace)
        z = np.asarray(trace["z"], dtype=np.float64)
        if z.ndim != 2 or not z.size:
            return
        colours = self.layout.get(trace.get("coloraxis", ""), {})
        low = float(colours.get("cmin", trace.get("zmin", 0)))
        high = float(colours.get("cmax", trace.get("zmax", 1)))
        stops = colours.get("colorscale", trace.get("colorscale"))
        pixels = coloured(z, low, high, stops)
        columns, rows = _edges(trace, "x", z.shape[1]), _edges(trace, "y", z.shape[0])
        clip = self.sheet.box(x, y)
        if z.size <= FEW_CELLS:
            gap = float(trace.get("xgap") or 0) / 2
            for r, c in np.argwhere(pixels[..., 3] > 0).tolist():
                left, right = sorted((x.pixel(columns[c]), x.pixel(columns[c + 1])))
                top, bottom = sorted((y.pixel(rows[r]), y.pixel(rows[r + 1])))
                box = (left + gap, top + gap, right - gap, bottom - gap)
                red, green, blue = (round(255 * float(part)) for part in pixels[r, c, :3])
                fill = f"rgba({red},{green},{blue},{pixels[r, c, 3]:.3f})"
                self.canvas.rectangle(box, fill, clip=clip)
        else:
            box = (x.pixel(columns[0]), y.pixel(rows[-1]), x.pixel(columns[-1]), y.pixel(rows[0]))
            self.canvas.image(pixels[::-1], box, clip=clip)
        own = {**colours, **{k: v for k, v in trace.items() if k in ("showscale", "colorbar")}}
        axis = trace.get("coloraxis")
        if own.get("showscale", True) and "colorbar" in own and axis not in self.barred:
            self.barred |= {axis} if axis else set()  # several maps share one bar
            self._bar_of_colours(own["colorbar"], low, high, stops)

    def _scatter(self, trace: Mapping[str, Any]) -> None:
        x, y = self._pair(trace)
        mode, opacity = str(trace.get("mode", "lines")), float(trace.get("opacity", 1))
        across, up = x.pixels(_column(trace, "x")), y.pixels(_column(trace, "y"))
        length = min(across.size, up.size)
        across, up = across[:length], up[:length]
        if not length:
            return
        inside = None if trace.get("cliponaxis") is False else self.sheet.box(x, y)
        line = trace.get("line") or {}
        points = across, up
        if line.get("shape") == "hv":
            across, up = np.repeat(across, 2)[1:], np.repeat(up, 2)[:-1]
        if trace.get("fill") == "toself" and length > 2:
            self.canvas.shape(np.stack([across, up], -1), trace["fillcolor"], clip=inside)
        if "lines" in mode and float(line.get("width", 2)) > 0:
            self.canvas.line(
                across,
                up,
                line.get("color", self.layout["font"]["color"]),
                float(line.get("width", 2)),
                dash=str(line.get("dash", "solid")),
                opacity=opacity,
                clip=inside,
            )
        across, up = points
        self._whiskers(trace, x, y, across)
        if "markers" in mode:
            self._markers(trace, across, up, opacity, inside)
        if "text" in mode:
            self._texts(trace, across, up)

    _scattergl = _scatter

    def _whiskers(
        self, trace: Mapping[str, Any], x: Axis, y: Axis, across: NDArray[np.float64]
    ) -> None:
        told = trace.get("error_y")
        if not told or told.get("visible") is False or "array" not in told:
            return
        middle = _column(trace, "y")
        above = middle + np.asarray(told["array"], dtype=np.float64)
        less = np.asarray(told.get("arrayminus", told["array"]), dtype=np.float64)
        ends = zip(across, y.pixels(above), y.pixels(middle - less), strict=False)
        colour, width = told.get("color", "#000000"), float(told.get("thickness", 1))
        for at, top, bottom in ends:
            if math.isfinite(top) and math.isfinite(bottom):
                clip = self.sheet.box(x, y)
                self.canvas.line([at, at], [top, bottom], colour, width, clip=clip)

    def _markers(
        self,
        trace: Mapping[str, Any],
        across: NDArray[np.float64],
        up: NDArray[np.float64],
        opacity: float,
        inside: Box | None,
    ) -> None:
        marker = trace.get("marker") or {}
        edge = marker.get("line") or {}
        for k, (left, top) in enumerate(zip(across, up, strict=True)):
            if math.isfinite(left) and math.isfinite(top):
                fill = _each(marker.get("color"), k, self.layout["font"]["color"])
                self.canvas.marker(
                    str(_each(marker.get("symbol"), k, "circle")),
                    left,
                    top,
                    float(_each(marker.get("size"), k, 6)),
                    fill,
                    _each(edge.get("color"), k, fill),
                    float(_each(edge.get("width"), k, 0)),
                    opacity=opacity * float(_each(marker.get("opacity"), k, 1)),
                    clip=inside,
                )

    def _texts(
        self, trace: Mapping[str, Any], across: NDArray[np.float64], up: NDArray[np.float64]
    ) -> None:
        font = trace.get("textfont") or {}
        down, _, side = str(_each(trace.get("textposition"), 0, "middle center")).partition(" ")
        for k, (left, top) in enumerate(zip(across, up, strict=True)):
            text = str(_each(trace.get("text"), k, ""))
            if text and math.isfinite(left) and math.isfinite(top):
                size = float(_each(font.get("size"), k, self.layout["font"]["size"]))
                colour = str(_each(font.get("color"), k, self.layout["font"]["color"]))
                share = SIDES[side or "center"]
                self.canvas.text(text, left, top, size, colour, across=share, down=SIDES[down])

    def _bar(self, trace: Mapping[str, Any]) -> None:
        x, y = self._pair(trace)
        values, heights = _column(trace, "x"), _column(trace, "y")
        marker = trace.get("marker") or {}
        edge, pattern = marker.get("line") or {}, marker.get("pattern") or {}
        floor = 10.0 ** y.range[0] if y.log else min(max(0.0, y.range[0]), y.range[1])
        for k, (at, high) in enumerate(zip(values, heights, strict=True)):
            base = float(_each(trace.get("base"), k, 0))
            half = float(_each(trace.get("width"), k, 0.8)) / 2
            bottom = base if "base" in trace else floor
            top = base + high
            if not (math.isfinite(at) and math.isfinite(high)) or high == 0:
                continue
            sides = x.pixel(at - half), y.pixel(top), x.pixel(at + half), y.pixel(bottom)
            fill = _each(marker.get("color"), k, "#888888")
            self.canvas.rectangle(
                sides,
                fill,
                edge.get("color") or (pattern.get("fgcolor") if pattern else None),
                width=float(_each(edge.get("width"), k, 0)),
                hatch=2 * str(pattern.get("shape", "")),
                opacity=float(_each(marker.get("opacity"), k, 1)),
                clip=self.sheet.box(x, y),
            )

    def _bar_of_colours(
        self, told: Mapping[str, Any], low: float, high: float, stops: Sequence[Any]
    ) -> None:
        """The scale beside a heat map, lying or standing."""
        lies = told.get("orientation") == "h"
        left, top, right, bottom = self.sheet.inner
        room = (right - left) if lies else (bottom - top)
        long = float(told.get("len", 1)) * (1 if told.get("lenmode") == "pixels" else room)
        thick = float(told.get("thickness", 10))
        size, colour = told["tickfont"]["size"], told["tickfont"]["color"]
        title = told.get("title") or {}
        wide, high_ = (long, thick) if lies else (thick, long)
        anchor = ANCHOR[told.get("xanchor", "left")], ANCHOR[told.get("yanchor", "middle")]
        x0 = left + float(told.get("x", 1.02)) * (right - left) - anchor[0] * wide
        y0 = bottom - float(told.get("y", 0.5)) * (bottom - top) - anchor[1] * high_
        x0 += float(told.get("xpad", 10)) * (1 - 2 * anchor[0])
        y0 += float(told.get("ypad", 10)) * (1 - 2 * anchor[1])
        if title.get("text") and lies:
            font = title["font"]
            y0 += self.canvas.text(title["text"], x0, y0, font["size"], font["color"])[1] + 2
        ramp = coloured(np.linspace(low, high, 128)[None, :], low, high, stops)
        pixels = ramp if lies else ramp[:, ::-1].transpose(1, 0, 2)
        self.canvas.image(pixels, (x0, y0, x0 + wide, y0 + high_))
        for value, words in zip(told["tickvals"], told["ticktext"], strict=True):
            if not low <= value <= high:
                continue
            part = (value - low) / (high - low)
            long_tick = float(told.get("ticklen", 3))
            if lies:
                at = x0 + part * wide
                edge = y0 + high_
                self.canvas.line([at, at], [edge, edge + long_tick], told["tickcolor"])
                self.canvas.text(words, at, edge + long_tick, size, colour, across=0.5)
            else:
                at, edge = y0 + (1 - part) * high_, x0 + wide
                self.canvas.line([edge, edge + long_tick], [at, at], told["tickcolor"])
                self.canvas.text(words, edge + long_tick + 2, at, size, colour, down=0.5)

    # ---- shapes and annotations

    def _shapes(self, layer: str) -> None:
        for shape in self.layout.get("shapes", ()):
            if shape.get("layer", "above") != layer:
                continue
            across, up = shape.get("xref", "x"), shape.get("yref", "y")
            line = shape.get("line") or {}
            style = {
                "edge": line.get("color", "#444444"),
                "width": float(line.get("width", 1)),
                "dash": str(line.get("dash", "solid")),
                "opacity": float(shape.get("opacity", 1)),
            }
            if shape["type"] == "path":
                for points, closed in _outlines(shape["path"]):
                    placed = [(self.sheet.x(px, across), self.sheet.y(py, up)) for px, py in points]
                    fill = shape.get("fillcolor") if closed or len(points) > 2 else None
                    self.canvas.shape(placed, fill, closed=closed, **style)
                continue
            x0, x1 = (self.sheet.x(shape[key], across) for key in ("x0", "x1"))
            y0, y1 = (self.sheet.y(shape[key], up) for key in ("y0", "y1"))
            if shape["type"] == "line":
                more = {key: style[key] for key in ("dash", "opacity")}
                self.canvas.line([x0, x1], [y0, y1], style["edge"], style["width"], **more)
            else:
                self.canvas.rectangle((x0, y0, x1, y1), shape.get("fillcolor"), **style)

    def _annotation(self, note: Mapping[str, Any]) -> None:
        x = self.sheet.x(note["x"], note.get("xref", "x"), powers=True)
        y = self.sheet.y(note["y"], note.get("yref", "y"), powers=True)
        font = {**self.layout["font"], **(note.get("font") or {})}
        self.canvas.text(
            str(note["text"]),
            x + float(note.get("xshift", 0)),
            y - float(note.get("yshift", 0)),
            float(font["size"]),
            str(font["color"]),
            across=ANCHOR[note.get("xanchor", "center")],
            down=ANCHOR[note.get("yanchor", "middle")],
            box=note.get("bgcolor"),
            edge=note.get("bordercolor"),
            pad=float(note.get("borderpad", 1)),
            upright=note.get("textangle") in (-90, 270),
        )

    def _pair(self, trace: Mapping[str, Any]) -> tuple[Axis, Axis]:
        return self.sheet.axes[trace.get("xaxis", "x")], self.sheet.axes[trace.get("yaxis", "y")]


def unpacked(node: Any) -> Any:
    """A figure's plain data with Plotly's packed arrays as arrays."""
    if isinstance(node, Mapping):
        if "bdata" in node:
            raw = np.frombuffer(base64.b64decode(node["bdata"]), dtype=node["dtype"])
            shape = [int(n) for n in str(node.get("shape", raw.size)).split(",")]
            return raw.reshape(shape)
        return {key: unpacked(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [unpacked(value) for value in node]
    return node


def coloured(
    z: NDArray[np.float64], low: float, high: float, stops: Sequence[Sequence[Any]]
) -> NDArray[np.float64]:
    """Colours of values, RGBA in [0, 1], shape (..., 4); clear where a value is not finite."""
    at = np.clip((np.where(np.isfinite(z), z, low) - low) / max(high - low, 1e-12), 0, 1)
    places = [float(place) for place, _ in stops]
    channels = np.asarray([colour_of(colour) for _, colour in stops])
    made = np.stack([np.interp(at, places, channels[:, k]) for k in range(4)], axis=-1)
    made[..., 3] *= np.isfinite(z)
    return np.asarray(made, dtype=np.float64)


def _edges(trace: Mapping[str, Any], name: str, count: int) -> NDArray[np.float64]:
    """Borders of a heat map's cells, rising, shape (count + 1,)."""
    if f"{name}0" in trace:
        step = float(trace.get(f"d{name}", 1))
        return np.asarray(float(trace[f"{name}0"]) + (np.arange(count + 1) - 0.5) * step)
    centres = np.asarray(trace[name], dtype=np.float64) if name in trace else np.arange(count)
    if count == 1:
        return np.asarray([centres[0] - 0.5, centres[0] + 0.5], dtype=np.float64)
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = centres[0] - (middle[0] - centres[0]), centres[-1] + (centres[-1] - middle[-1])
    return np.asarray([first, *middle, last], dtype=np.float64)


def _column(trace: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    values = trace.get(name)
    listed = [] if values is None else list(np.atleast_1d(np.asarray(values, dtype=object)))
    return np.asarray([np.nan if v is None else float(v) for v in listed], dtype=np.float64)


def _each(value: Any, k: int, otherwise: Any) -> Any:
    """The k-th of a list, or the one value of all."""
    if value is None:
        return otherwise
    if isinstance(value, (list, tuple, np.ndarray)):
        return value[k] if k < len(value) else otherwise
    return value


def _outlines(path: str) -> list[tuple[list[tuple[float, float]], bool]]:
    """Polygons of an SVG path of straight lines, each with whether it is closed."""
    made: list[tuple[list[tuple[float, float]], bool]] = []
    for piece in re.split(r"(?=M)", path.strip()):
        numbers = [float(n) for n in re.findall(r"-?\d+(?:\.\d+)?(?:e-?\d+)?", piece)]
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        if points:
            made.append((points, piece.strip().upper().endswith("Z")))
    return made
