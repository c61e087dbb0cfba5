"""The live view in a notebook, and the module that every carrier runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets
from numpy.typing import NDArray

from workbench_widgets.frame import Frame
from workbench_widgets.plotlyjs import plotly_js_gz
from workbench_widgets.sheets import TEX
from workbench_widgets.tokens import FONT, SCALES, TOKENS, Theme

if TYPE_CHECKING:
    import plotly.graph_objects as go


SCRIPTS = (
    *("fill.js", "cells.js", "plotly.js", "parts.js", "outside.js"),
    *("read_off.js", "tables.js", "picture.js", "menu.js"),
    *("selection.js", "pairing.js", "trail.js", "range.js"),
    *("paint.js", "stand_in.js", "toggles.js"),
    *("view.js", "style.js", "render.js"),
)
"""Pieces of the one ES module in ``esm/``, in order; the last one exports."""


@cache
def view_esm() -> str:
    """The ES module of the views with the colour tables in it; the same text for every carrier."""
    return joined(SCRIPTS)


def joined(scripts: Sequence[str]) -> str:
    """One ES module of pieces in ``esm/``, with the colour tables in it."""
    folder = Path(__file__).parent / "esm"
    source = "".join((folder / name).read_text(encoding="utf-8") for name in scripts)
    tables = {"tokens": TOKENS, "scales": SCALES, "font": FONT}
    source = source.replace("__WB_TEX__", json.dumps(TEX), 1)
    return source.replace("__WB_TABLES__", json.dumps(tables), 1)


def selected_ids(selected: bytes | memoryview | None) -> NDArray[np.int32]:
    """Sample ids of a ``selected`` trait, shape (n,); empty when nothing is selected."""
    return np.frombuffer(selected or b"", dtype="<i4").astype(np.int32)


class View(anywidget.AnyWidget):
    """One live view in a notebook cell.

    Attributes:
        frame: The JSON part of the frame on screen.
        buffers: Its arrays, little endian, in the order that ``frame["arrays"]`` lists them.
        rev: Counts pushes; the browser draws when it changes.
        selected: Ids of selected samples as little-endian int32, or None.
        theme: ``auto`` (follow the page), ``light`` or ``dark``.
        height: Pixels; 0 fills the container.
        plotly_url: Where plotly.js lies; empty in a notebook (it then comes over the widget's
            channel).
        plotly_gz: plotly.js, gzipped, sent with the view's state: draws even while the kernel is
            busy and could not answer the browser's request. None: sent when asked for.
        event: The last thing a person did in the view: ``{"kind": "pair" | "quadrant" | "bin" |
            "range" | "mark" | "sample" | "select", ...}``; where samples were selected, with
            ``how`` in words.
        toggles: What a person toggled in the view, names and values of the frame's controls, and
            the chosen cell (``i``, ``j``); a mark by its number, ``{"since": "mark-3"}``. Those
            that are as they were first are left out. Given ones are where it begins.
        marker: Step that a line in a plot over steps points at, or None.
        kept: Whether the cell's next output is a picture of this view, for readers without a
            kernel: hidden where the view is alive.
        pairing: Whether somebody hears of two layers that a person pairs on the similarity map;
            without one it is not offered.
        points: Called for a CSV of every logged point, where a view draws fewer; None: as drawn.

    Example:
        >>> from workbench_widgets import View, curves
        >>> View(curves.frame({}, {"steps_total": 100})).rev
        1
    """

    _esm = view_esm()

    frame = traitlets.Dict().tag(sync=True)
    buffers = traitlets.List(trait=traitlets.Bytes()).tag(sync=True)
    rev = traitlets.Int(0).tag(sync=True)
    selected = traitlets.Any(None, allow_none=True).tag(sync=True)
    theme = traitlets.Enum(["auto", "light", "dark"], default_value="auto").tag(sync=True)
    height = traitlets.Int(404, min=0).tag(sync=True)
    plotly_url = traitlets.Unicode("").tag(sync=True)
    plotly_gz = traitlets.Any(None, allow_none=True).tag(sync=True)
    event = traitlets.Dict().tag(sync=True)
    toggles = traitlets.Dict().tag(sync=True)
    marker = traitlets.Float(None, allow_none=True).tag(sync=True)
    kept = traitlets.Bool(False).tag(sync=True)
    pairing = traitlets.Bool(False).tag(sync=True)

    def __init__(self, frame: Frame | None = None, **traits: Any) -> None:
        super().__init__(**traits)
        self._shown: Frame | None = None
        self.points: Callable[[], str] | None = None
        self.on_msg(_answer)
        if frame is not None:
            self.push(frame)

    def push(self, frame: Frame) -> None:
        """Show a frame. Unchanged parts are not sent again; the browser draws the newest only."""
        content, buffers = frame.payload()
        self._shown = frame
        with self.hold_sync():
            self.frame = content
            self.buffers = buffers
            self.rev += 1

    @property
    def selected_ids(self) -> NDArray[np.int32]:
        """Ids of the samples selected in the view, shape (n,)."""
        return selected_ids(self.selected)

    def on_select(self, act: Callable[[NDArray[np.int32]], None]) -> None:
        """Call ``act(ids)`` whenever the selection changes."""
        self.observe(lambda change: act(selected_ids(change["new"])), names="selected")

    def snapshot(self, theme: Theme = "light", *, width: int = 720, height: int = 460) -> go.Figure:
        """What is shown, as a static figure that a saved notebook keeps.

        Raises:
            ValueError: If nothing has been pushed yet.
        """
        if self._shown is None:
            raise ValueError("Nothing to take a snapshot of yet; push a frame first.")
        return self._shown.figure(theme, width=width, height=height)


def _answer(view: View, content: Mapping[str, Any], buffers: list[memoryview]) -> None:
    """Send what a page asks for: plotly.js once, every logged point when somebody saves them."""
    if content.get("kind") == "want-plotlyjs":
        view.send({"kind": "plotlyjs"}, [plotly_js_gz()])
    elif content.get("kind") == "want-points":
        view.send({"kind": "points", "text": view.points() if view.points else None})
