"""One browser page on which runs are compared: what it shows, and what a reader picks on it.

Unusual here: it is told of the store as the start page is, once a second at most; it reads the runs
anew only where one of them has moved.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any, cast

import panel as pn
from bokeh.document import Document
from panel.io.document import hold
from panel.io.state import set_curdoc

from workbench.dashboard.address import Compared
from workbench.dashboard.bar import bar
from workbench.dashboard.carrier import Part
from workbench.dashboard.compare import compare_page
from workbench.dashboard.hub import Hub
from workbench.dashboard.live import Shown
from workbench.dashboard.template import make_template
from workbench.errors import UnknownRun
from workbench.runs.comparison import MOST_RUNS
from workbench.runs.settings import seeds_of

PICKS = ("against", "measure", "focus")
"""What a reader can pick: fields of :class:`Compared`."""


class CompareSession:
    """A page in a browser; told by the hub's thread, drawn in its own document's turn.

    Args:
        hub: The server's runs.
        asked: What the address asks for.
    """

    def __init__(self, hub: Hub, asked: Compared) -> None:
        self.hub = hub
        self.run: str | None = None  # the hub tells of the store, not of one run
        self._asked = asked
        self._doc: Document = cast(Document, pn.state.curdoc)
        self._lock = threading.Lock()
        self._scheduled = False
        self._seen: Any = None
        self._parts = {kind: Part(kind, self.act) for kind in ("top", "compare")}
        self._parts["top"].sizing_mode = "stretch_width"
        self._parts["compare"].sizing_mode = "stretch_both"
        self._parts["top"].tell(bar(hub, "compare"))
        self._draw()
        self.template = make_template("compare", self._parts)
        self._doc.on_session_destroyed(lambda _: hub.detach(self))
        # In the page's first turn, as in Session.
        self._doc.add_next_tick_callback(lambda: hub.attach(self))

    def show(self, shown: Shown) -> None:
        """A single run has moved; this page follows the store instead."""

    def show_recent(self, runs: list[dict[str, Any]]) -> None:
        """Something in the store has changed: draw in the page's next turn."""
        with self._lock:
            if self._scheduled:
                return
            self._scheduled = True
        try:
            self._doc.add_next_tick_callback(self._turn)
        except AttributeError:  # Bokeh takes the document apart at this very moment: the tab closed
            self.hub.detach(self)

    def act(self, asked: dict[str, Any]) -> None:
        """Follow what a reader picked: ``{"do": "against", "value": RUN}`` and the like."""
        pick, value = str(asked.get("do", "")), str(asked.get("value") or "")
        if pick in PICKS:
            picked: dict[str, Any] = {pick: value or None}
            self._asked = replace(self._asked, **picked)
        elif pick == "add" and value:
            self._asked = replace(self._asked, runs=(*self._asked.runs, *self._seeds_of(value)))
        self._draw()

    def _seeds_of(self, run: str) -> list[str]:
        """A run and its other seeds, but for those that are there; a removed one is said then."""
        try:
            runs = [row.id for row in seeds_of(self.hub.store, run)]
        except UnknownRun:
            runs = [run]
        return [one for one in runs if one not in self._asked.runs]

    def _turn(self) -> None:
        with self._lock:
            self._scheduled = False
        with set_curdoc(self._doc), hold(self._doc):
            if self._marks() != self._seen:
                self._draw()

    def _draw(self) -> None:
        self._seen = self._marks()
        self._parts["compare"].tell(compare_page(self.hub.store, self._asked))

    def _marks(self) -> list[Any]:
        """What changes when a run that is compared moves: its row but for its heartbeat."""
        return [_mark(self.hub, run) for run in self._asked.runs[:MOST_RUNS]]


def _mark(hub: Hub, run: str) -> Any:
    try:
        row = hub.store.runs.get(run)
    except UnknownRun:
        return None
    return row.status, row.step, row.steps, row.ended_ns, row.result is not None
