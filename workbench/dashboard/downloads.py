"""What a page may take away: ``/export`` (a run or comparison as a file), ``/tables`` (numbers).

A run's script or weights are made in a process of its own, for they may need torch; tables are not.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tornado.web import HTTPError, RequestHandler
from workbench_widgets.sheets import Sheet

from workbench.dashboard.address import Compared
from workbench.dashboard.compare import compare_page
from workbench.dashboard.compare_sheets import figure_sheets
from workbench.dashboard.list_sheets import models_sheet, runs_sheet
from workbench.dashboard.models_place import ModelsAsked
from workbench.dashboard.runs_place import RunsAsked
from workbench.dashboard.select_text import decode
from workbench.errors import WorkbenchError
from workbench.runs.comparison import MEASURES, MOST_RUNS, compare
from workbench.runs.kept_models import kept_models
from workbench.runs.listing import Listing
from workbench.runs.tables import paper_sheet, sheets_of_comparison, sheets_of_run, written
from workbench.store import Store

TABLES = {
    "result-csv": ("result", "csv"),
    "result-tex": ("result", "tex"),
    "points-csv": ("points", "csv"),
}
"""Kinds that are tables, with the name and the ending of each."""

KINDS = {"csv": "text/csv; charset=utf-8", "tex": "application/x-tex; charset=utf-8"}
"""What a table may be sent as, with its content type."""

STEP = re.compile(r"[0-9]{1,12}")
MOST_EXPORTS = 2
"""Processes that export at a time; further requests wait."""
FAULT = b"Traceback (most recent call last)"
"""What is for the server's log and not for a browser."""
LOG = logging.getLogger(__name__)
NAMES = {
    "script": "{run}.py",
    "notebook": "{run}.ipynb",
    "yaml": "{run}.yaml",
    "weights": "student.safetensors",
}
"""Kind to the name of its file; a run's id is ours, so it is a safe name."""


class ExportHandler(RequestHandler):
    """Sends one file.

    Args:
        store: Where runs lie.
    """

    def initialize(self, store: Store) -> None:
        """Tornado's own constructor."""
        self._store = store

    async def get(self) -> None:
        """The file, or the reason why there is none."""
        kind = self.get_query_argument("to")
        if kind not in NAMES and kind not in TABLES:
            raise HTTPError(404)
        if "compare" in self.request.query_arguments:
            await self._export_comparison(kind)
            return
        try:
            run = self._store.runs.get(self.get_query_argument("run")).id
        except WorkbenchError:
            raise HTTPError(404) from None
        if kind in TABLES:
            name, to = TABLES[kind]
            try:
                sheets = await asyncio.to_thread(sheets_of_run, self._store, run, name)
            except WorkbenchError as error:
                refuse(self, 409, error.message)
                return
            await send(self, f"{run}-{name}", sheets, to)
            return
        await self._export((run, "--to", kind), NAMES[kind].format(run=run))

    async def _export_comparison(self, kind: str) -> None:
        """The script of what an address compares; every word of the command is one of ours."""
        asked = Compared.read(self.request.query_arguments)
        if kind != "script" or asked is None or not asked.runs:
            raise HTTPError(404)
        if asked.measure is not None and asked.measure not in MEASURES:
            raise HTTPError(404)
        against = () if asked.against is None else (asked.against,)
        try:
            for run in (*asked.runs[:MOST_RUNS], *against):
                self._store.runs.get(run)
        except WorkbenchError:
            raise HTTPError(404) from None
        # Named, so that a run by itself is the comparison with its control.
        measure = asked.measure or next(iter(MEASURES))
        picked = ("--measure", measure, *(word for run in against for word in ("--against", run)))
        words = (*asked.runs[:MOST_RUNS], "--to", "script", *picked)
        await self._export(words, "comparison.py")

    async def _export(self, words: Sequence[str], name: str) -> None:
        """What ``workbench export`` writes, once fewer than :data:`MOST_EXPORTS` are at it."""
        async with self.application.settings.setdefault("exports", asyncio.Semaphore(MOST_EXPORTS)):
            await self._send_made(words, name)

    async def _send_made(self, words: Sequence[str], name: str) -> None:
        with TemporaryDirectory(prefix="workbench-export-") as folder:
            target = Path(folder) / name
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "workbench.cli.main", "export", *words),
                *("-o", str(target), "--store", str(self._store.path)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            _, said = await process.communicate()
            if (process.returncode or 0) < 0 or FAULT in said:
                LOG.error("%s could not be exported:\n%s", name, said.decode(errors="replace"))
                refuse(self, 500, "The export failed; the server's log says why.")
                return
            if process.returncode != 0:
                refuse(self, 409, said.decode(errors="replace"))
                return
            self.set_header("Content-Type", "application/octet-stream")
            self.set_header("Content-Disposition", f'attachment; filename="{name}"')
            self.finish(target.read_bytes())


def refuse(handler: RequestHandler, status: int, words: str) -> None:
    """Why there is no file, as plain text."""
    handler.set_status(status)
    handler.set_header("Content-Type", "text/plain; charset=utf-8")
    handler.finish(words)


async def send(handler: RequestHandler, name: str, sheets: Sequence[Sheet], to: str) -> None:
    """Tables as one file; a million points are written beside the loop that all pages share."""
    text = await asyncio.to_thread(written, sheets, f".{to}")
    handler.set_header("Content-Type", KINDS[to])
    handler.set_header("Cache-Control", "no-store")
    handler.set_header("Content-Disposition", f'attachment; filename="{name}.{to}"')
    handler.finish(text)


class TableHandler(RequestHandler):
    """``/tables?run=RUN&name=result&to=tex``, or ``/tables?compare=RUN,RUN&against=RUN&to=csv``.

    ``/tables?runs=&status=failed&to=csv`` and ``/tables?models=`` are the lists of these places,
    asked for as their addresses ask.

    Of a comparison ``name`` is a figure (:mod:`workbench.dashboard.compare_sheets`); without it the
    table of runs is sent. Of a run it is a view (with ``step``), ``points`` (every logged point;
    with ``select`` the accuracy on these samples too) or ``result``.

    Args:
        store: Where runs lie.
        listing: Lines of the store that the server keeps; None reads them anew.
    """

    def initialize(self, store: Store, listing: Listing | None = None) -> None:
        """Tornado's own constructor."""
        self._store, self._listing = store, listing or Listing(store)

    async def get(self) -> None:
        """The table as a file, or the reason why there is none."""
        to = self.get_query_argument("to", "csv")
        if to not in KINDS:
            raise HTTPError(404)
        try:
            name, sheets = await asyncio.to_thread(self._sheets, to)
        except WorkbenchError as error:
            refuse(self, 404, error.message)
            return
        await send(self, name, sheets, to)

    def _sheets(self, to: str) -> tuple[str, list[Sheet]]:
        """The tables and the name of their file; made of ids and words of ours only."""
        listed = RunsAsked.read(self.request.query_arguments)
        if listed is not None:
            return "runs", [runs_sheet(self._listing.lines(), listed, to)]
        kept = ModelsAsked.read(self.request.query_arguments)
        if kept is not None:
            return "models", [models_sheet(kept_models(self._store), kept, to)]
        runs = self.get_query_argument("compare", None)
        if runs is not None:
            chosen = Compared.read(self.request.query_arguments)
            if chosen is None or not chosen.runs:
                raise HTTPError(400)
            figure = self.get_query_argument("name", None)
            if figure is not None:
                sheets = figure_sheets(compare_page(self._store, chosen), figure)
                return f"comparison-{figure}", sheets
            against, measure = chosen.against, chosen.measure
            found = compare(self._store, list(chosen.runs), against=against, measure=measure)
            sheets = sheets_of_comparison(found) if to == "csv" else [paper_sheet(found)]
            return "comparison", sheets
        run = self._store.runs.get(self.get_query_argument("run")).id
        name, asked = self.get_query_argument("name"), self.get_query_argument("step", None)
        if asked is not None and not STEP.fullmatch(asked):
            raise HTTPError(400)
        ids = decode(self.get_query_argument("select", ""))
        step = None if asked is None else int(asked)
        sheets = sheets_of_run(self._store, run, name, step, ids)
        return f"{run}-{name}", sheets
