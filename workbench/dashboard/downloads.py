"""``/export?run=RUN&to=KIND``: a run as a file. Made in a process of its own: it may need torch."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tornado.web import HTTPError, RequestHandler

from workbench.errors import WorkbenchError
from workbench.store import Store

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
        if kind not in NAMES:
            raise HTTPError(404)
        try:
            run = self._store.runs.get(self.get_query_argument("run")).id
        except WorkbenchError:
            raise HTTPError(404) from None
        with TemporaryDirectory(prefix="workbench-export-") as folder:
            name = NAMES[kind].format(run=run)
            target = Path(folder) / name
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "workbench.cli.main", "export", run, "--to", kind),
                *("-o", str(target), "--store", str(self._store.path)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            _, words = await process.communicate()
            if process.returncode != 0:
                self.set_status(409)
                self.set_header("Content-Type", "text/plain; charset=utf-8")
                self.finish(words)
                return
            self.set_header("Content-Type", "application/octet-stream")
            self.set_header("Content-Disposition", f'attachment; filename="{name}"')
            self.finish(target.read_bytes())
