"""A frame as one Plotly figure: the filled skeleton with its title, read line, parts and footer.

Unusual here: parts stand in the plot's margins, placed in pixels, so a figure in a script reads
like the live card.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from workbench_widgets.fill import Surroundings, colour_text, fill, holds
from workbench_widgets.frame import Frame, FrameError, Run
from workbench_widgets.skeleton import escape, layout
from workbench_widgets.tokens import Theme, scale_colour, text_on, tokens

if TYPE_CHECKING:
    import plotly.graph_objects as go

PADDING = 14
ROW = 19
CELL_HEIGHT = 54
CAPTION, CAPTION_LINE = 11, 14
"""Size of the protocol's letters and of its lines, in pixels."""
CAPTION_ROOM = 11
"""What a figure has for it below its footer; more lines make the figure grow."""
CHARACTER = 0.53
"""Width of a letter, in letter sizes, on the average."""


def draw(
    frame: Frame, theme: Theme, *, width: int, height: int, state: Mapping[str, Any]
) -> go.Figure:
    """The static figure of a frame; see ``Frame.figure``."""
    import plotly.graph_objects as go

    unknown = sorted(set(state) - set(frame.state))
    if unknown:
        known = ", ".join(sorted(frame.state)) or "none"
        raise FrameError(f"{frame.view}: no toggle {', '.join(unknown)}. Known: {known}.")
    _check(frame, state)
    sheet = _Sheet(frame, tokens(theme), width, height, {**frame.state, **state})
    return go.Figure(sheet.content())


def _check(frame: Frame, state: Mapping[str, Any]) -> None:
    """Refuse a value that a toggle does not have.

    Raises:
        FrameError: Naming those that it has.
    """
    for control in frame.controls:
        name = control["name"]
        if name not in state:
            continue
        if "of" in control:
            number = len(frame.facts[control["of"]])
            allowed, known = f"0 to {number - 1}", state[name] in range(number)
        else:
            values = [option["value"] for option in control["options"]]
            allowed, known = ", ".join(map(str, values)), state[name] in values
        if not known:
            raise FrameError(f"{frame.view}: {name} is {state[name]!r}. Allowed: {allowed}.")


class _Sheet:
    """Places things in pixels from the top left corner of the figure."""

    def __init__(
        self, frame: Frame, table: dict[str, str], width: int, height: int, state: dict[str, Any]
    ) -> None:
        self.frame, self.table, self.width, self.height = frame, table, width, height
        size = {"w": float(width), "h": float(height), "W": float(width), "H": float(height)}
        self.around = Surroundings(table, frame.arrays, frame.facts, state, size)
        self.margin = {"l": 0.0, "r": 0.0, "t": 0.0, "b": 0.0}
        self.annotations: list[dict[str, Any]] = []
        self.shapes: list[dict[str, Any]] = []

    def content(self) -> dict[str, Any]:
        shown = [p for p in self.frame.parts if holds(p.get("show", {}), self.around)]
        parts = [fill(p, self.around) if p.get("filled") else p for p in shown]
        heights = [self._height(part) for part in parts]
        above = 62.0
        plot_top, plot_bottom = above, self.height - 30.0
        tops: list[float] = []
        plot = next((k for k, part in enumerate(parts) if part["kind"] == "plot"), None)
        for k, high in enumerate(heights):
            if plot is not None and k > plot:
                tops.append(self.height - 34.0 - sum(heights[k:]))
            else:
                tops.append(above)
                above += high
        if plot is not None:
            plot_top = above
            plot_bottom = self.height - 34.0 - sum(heights[plot + 1 :])
        filled = self._plot(plot_top, plot_bottom)
        self._header()
        for part, top in zip(parts, tops, strict=True):
            if part["kind"] != "plot":
                getattr(self, f"_{part['kind']}")(part, top)
        footer = [
            run
            for run in self.frame.footer
            if isinstance(run, str) or holds(run.get("show", {}), self.around)
        ]
        self._text(footer, PADDING, self.height - 26, 11, "$ink3")
        caption = self._caption()
        for k, line in enumerate(caption):
            self._text([line], PADDING, self.height - 13 + CAPTION_LINE * k, CAPTION, "$ink3")
        below = max(CAPTION_LINE * len(caption) - CAPTION_ROOM, 0)
        if self.frame.waiting:
            middle = (plot_top + plot_bottom) / 2 if plot is not None else self.height - 56.0
            text = [self.frame.waiting]
            self._text(
                text, self.width / 2, middle, 12, "$ink", xanchor="center", bgcolor="$surface"
            )
        shape = filled["layout"]
        shape["annotations"] = [*shape.get("annotations", []), *self.annotations]
        shape["shapes"] = [*shape.get("shapes", []), *self.shapes]
        shape |= {"width": self.width, "height": self.height + below}
        shape["margin"] = {**shape["margin"], "b": shape["margin"]["b"] + below}
        shape["paper_bgcolor"] = self.table["surface"]
        return filled

    def _caption(self) -> list[str]:
        """The protocol in lines that fit: none is cut off, the figure grows downwards."""
        return wrap(self.frame.caption, int((self.width - 2 * PADDING) / (CAPTION * CHARACTER)))

    def _plot(self, top: float, bottom: float) -> dict[str, Any]:
        """The skeleton filled for the room between two heights; without one, an empty sheet."""
        skeleton = self.frame.skeleton
        if skeleton is None:
            empty = layout(
                dict.fromkeys("lrtb", 0), xaxis={"visible": False}, yaxis={"visible": False}
            )
            return {"data": [], "layout": fill(empty, self.around)}
        inner = fill(skeleton["layout"]["margin"], self.around)
        sides = PADDING - 4
        self.margin = {
            "l": inner["l"] + sides,
            "r": inner["r"] + sides,
            "t": inner["t"] + top,
            "b": inner["b"] + self.height - bottom,
        }
        around = Surroundings(
            self.table,
            self.frame.arrays,
            self.frame.facts,
            self.around.state,
            {
                "w": float(self.width),
                "h": float(self.height),
                "W": max(self.width - self.margin["l"] - self.margin["r"], 1),
                "H": max(self.height - self.margin["t"] - self.margin["b"], 1),
            },
        )
        filled: dict[str, Any] = fill(skeleton, around)
        filled["layout"]["margin"] |= self.margin
        for trace in filled["data"]:
            trace.pop("meta", None)
        return filled

    def _height(self, part: Mapping[str, Any]) -> float:
        kind = part["kind"]
        if kind == "stats":
            return float(math.ceil(len(part["rows"]) / part["columns"]) * ROW + 8)
        return {
            "plot": 0.0,
            "note": 20.0,
            "quadrants": 24 + 2 * (CELL_HEIGHT + 6) + 6,
            "grid": 66.0,
        }[kind]

    def _header(self) -> None:
        title = [{"text": self.frame.title, "strong": True}]
        self._text(title, PADDING, 12, 14, "$ink")
        read = [run for run in self.frame.read if isinstance(run, str) or not run.get("live")]
        self._text(read, PADDING, 35, 12, "$ink2")

    def _note(self, part: Mapping[str, Any], top: float) -> None:
        self._text(part["text"], PADDING, top, 11, "$ink2")

    def _stats(self, part: Mapping[str, Any], top: float) -> None:
        columns = part["columns"]
        wide = (self.width - 2 * PADDING - 16 * (columns - 1)) / columns
        for k, (name, value) in enumerate(part["rows"]):
            left = PADDING + (k % columns) * (wide + 16)
            y = top + (k // columns) * ROW + 4
            self._text([name] if isinstance(name, str) else name, left, y, 11, "$ink2")
            strong = [{"text": value, "strong": True}]
            self._text(strong, left + wide, y, 11, "$ink", xanchor="right")

    def _quadrants(self, part: Mapping[str, Any], top: float) -> None:
        first, gap = PADDING + 104.0, 6.0
        wide = (self.width - PADDING - first - gap) / 2
        for j, heading in enumerate(part["columns"]):
            centre = first + j * (wide + gap) + wide / 2
            self._text(heading, centre, top, 12, "$ink", xanchor="center")
        for k, cell in enumerate(part["cells"]):
            i, j = divmod(k, 2)
            left, high = first + j * (wide + gap), top + 24 + i * (CELL_HEIGHT + gap)
            if j == 0:
                self._text(part["rows"][i], PADDING, high + CELL_HEIGHT / 2 - 9, 12, "$ink")
            self._rect(left, high, wide, CELL_HEIGHT, line="$line")
            self._text([{"text": cell["count"], "strong": True}], left + 8, high + 5, 17, "$ink")
            self._text(cell["meaning"], left + 8, high + 33, 11, "$ink2")
            if "trend" in cell:
                self._trend(cell["trend"], left + wide - 66, high + 10, 58, 16)

    def _grid(self, part: Mapping[str, Any], top: float) -> None:
        first = PADDING + 84.0
        wide = (self.width - PADDING - first) / max(len(part["columns"]), 1)
        self._text([part["heading"]], PADDING, top, 11, "$ink3")
        for c, name in enumerate(part["columns"]):
            centre = first + (c + 0.5) * wide
            self._text([name], centre, top, 11, "$ink3", xanchor="center")
        for r, row in enumerate(part["rows"]):
            y = top + 20 + r * 20
            self._text([row["label"]], PADDING, y, 11, "$ink2")
            for c, value in enumerate(row["values"]):
                shade = scale_colour("measure", 0.62 * value / part["top"], self.table)
                colour = "rgb({:.0f},{:.0f},{:.0f})".format(*shade)
                left = first + c * wide
                self._rect(left + 1, y - 1, wide - 2, 18, fill_colour=colour)
                self._text([str(value)], left + wide / 2, y, 11, text_on(shade), xanchor="center")

    def _trend(
        self, values: Sequence[float], left: float, top: float, wide: float, high: float
    ) -> None:
        last = max(len(values) - 1, 1)
        points = [
            self._at(left + k / last * wide, top + (1 - v) * high) for k, v in enumerate(values)
        ]
        path = "M" + " L".join(f"{x:.5f},{y:.5f}" for x, y in points)
        line = {"color": self.table["ink2"], "width": 1.3}
        paper = {"xref": "paper", "yref": "paper"}
        clear = "rgba(0,0,0,0)"
        self.shapes.append(
            {"type": "path", "path": path, "line": line, "fillcolor": clear, **paper}
        )

    def _rect(
        self,
        left: float,
        top: float,
        wide: float,
        high: float,
        *,
        line: str | None = None,
        fill_colour: str = "rgba(0,0,0,0)",
    ) -> None:
        (x0, y0), (x1, y1) = self._at(left, top), self._at(left + wide, top + high)
        edge = {"width": 1, "color": colour_text(line, self.table)} if line else {"width": 0}
        box = {"type": "rect", "xref": "paper", "yref": "paper", "layer": "below"}
        self.shapes.append(
            {**box, "x0": x0, "x1": x1, "y0": y0, "y1": y1, "line": edge, "fillcolor": fill_colour}
        )

    def _text(
        self, runs: Sequence[Run], x: float, y: float, size: float, colour: str, **more: Any
    ) -> None:
        left, top = self._at(x, y)
        note = {
            "text": colour_text("".join(_markup(run) for run in runs), self.table),
            "x": left,
            "y": top,
            "xref": "paper",
            "yref": "paper",
            "xanchor": "left",
            "yanchor": "top",
            "showarrow": False,
            "borderpad": 0,
            "font": {"size": size, "color": colour_text(colour, self.table)},
        }
        self.annotations.append(note | {k: colour_text(v, self.table) for k, v in more.items()})

    def _at(self, x: float, y: float) -> tuple[float, float]:
        wide = max(self.width - self.margin["l"] - self.margin["r"], 1)
        high = max(self.height - self.margin["t"] - self.margin["b"], 1)
        return (x - self.margin["l"]) / wide, 1 - (y - self.margin["t"]) / high


def _markup(run: Run) -> str:
    """A run as Plotly's small markup; colours are still tokens."""
    if isinstance(run, str):
        return escape(run)
    text = escape(str(run.get("text", ""))) if "mark" not in run else f"[{run['mark']}]"
    if run.get("strong"):
        text = f"<b>{text}</b>"
    if "colour" in run:
        text = f'<span style="color:{run["colour"]}">{text}</span>'
    return text
