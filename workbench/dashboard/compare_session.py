"""One browser page on which runs are compared: what it shows, and what a reader picks on it.

Unusual here: it is told of the store as the start page is, once a second at most; it reads the runs
anew only where one of them has moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode

from workbench.dashboard.address import Compared
from workbench.dashboard.compare import compare_page
from workbench.dashboard.hub import Hub
from workbench.dashboard.page_session import PlainSession
from workbench.dashboard.template import make_template
from workbench.errors import UnknownRun
from workbench.runs.comparison import MOST_RUNS
from workbench.runs.settings import seeds_of

PICKS = ("against", "measure", "focus", "along", "lines")
"""What a reader can pick: fields of :class:`Compared`."""


class CompareSession(PlainSession):
    """The page in a browser.

    Args:
        hub: The server's runs.
        asked: What the address asks for.
    """

    def __init__(self, hub: Hub, asked: Compared) -> None:
        super().__init__(hub)
        self._asked = asked
        self._seen: Any = None
        self._parts = self._make_parts("top", "compare")
        self._draw()
        self.template = make_template("compare", self._parts)
        self._listen()

    def _act(self, do: str, asked: dict[str, Any]) -> None:
        """Follow what a reader picked: ``{"do": "against", "value": RUN}`` and the like."""
        value = str(asked.get("value") or "")
        if do in PICKS:
            picked: dict[str, Any] = {do: value or None}
            self._asked = replace(self._asked, **picked)
        elif do == "add" and value:
            self._asked = replace(self._asked, runs=(*self._asked.runs, *self._seeds_of(value)))

    def _seeds_of(self, run: str) -> list[str]:
        """A run and its other seeds, but for those that are there; a removed one is said then."""
        try:
            runs = [row.id for row in seeds_of(self.hub.store, run)]
        except UnknownRun:
            runs = [run]
        return [one for one in runs if one not in self._asked.runs]

    def _turn(self) -> None:
        if self._marks() != self._seen:
            self._draw()

    def _draw(self) -> None:
        self._seen = self._marks()
        page = compare_page(self.hub.store, self._asked)
        self._parts["top"].tell({**self._bar("compare"), "exports": self._exports(page)})
        self._parts["compare"].tell(page)

    def _exports(self, page: Mapping[str, Any]) -> list[tuple[str | None, str]]:
        """What can be taken away, by its address; without one, what it waits for."""
        if page["empty"] or page["against"] is None:
            return []
        runs = [run["run"] for row in page["rows"] for run in row["runs"]]
        if any(self.hub.store.runs.get(run).status != "finished" for run in runs):
            return [(None, "Script (.py): once all runs have finished")]
        picked = parse_qs(page["address"].partition("?")[2])
        asked = {"against": page["against"], "measure": page["measure"], "to": "script"}
        query = urlencode({"compare": picked["compare"][0], **asked}, safe=",")
        return [(f"export?{query}", "Script (.py): trains all again")]

    def _marks(self) -> list[Any]:
        """What changes when a run that is compared moves: its row but for its heartbeat."""
        return [_mark(self.hub, run) for run in self._asked.runs[:MOST_RUNS]]


def _mark(hub: Hub, run: str) -> Any:
    try:
        row = hub.store.runs.get(run)
    except UnknownRun:
        return None
    return row.status, row.step, row.steps, row.ended_ns, row.result is not None
