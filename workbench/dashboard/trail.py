"""Where one sample has stood in the wedge, snapshot by snapshot: asked for when somebody picks it.

Unusual here: a frame does not carry it. Of ten thousand samples over two hundred snapshots nobody
looks at more than a few, so the browser asks for one over plain HTTP and appends what comes live.
"""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import numpy as np
from tornado.web import HTTPError, RequestHandler

from workbench.errors import WorkbenchError
from workbench.store import Store

ID_DIGITS = 12
"""Longest id of a sample that is looked for."""


def trail(store: Store, run: str, sample: int) -> dict[str, list[Any]]:
    """Steps and places of a sample, rising; empty if no snapshot holds it.

    Args:
        store: Where the run lies.
        run: Its id.
        sample: Id of a probe sample.

    Returns:
        ``step``, ``x`` and ``y`` of equal length; a sample without a place there is left out.
    """
    told: dict[str, list[Any]] = {"step": [], "x": [], "y": []}
    after = -1
    for step in store.snapshot_steps(run):
        # One at a time: a long run's snapshots need not be in memory together.
        for snapshot in store.snapshots(run, after=after, upto=step):
            arrays = snapshot.arrays
            found = np.flatnonzero(arrays.get("trilateral.ids", np.zeros(0)) == sample)
            if not found.size:
                continue
            x, y = (float(arrays[f"trilateral.{axis}"][found[0]]) for axis in "xy")
            if math.isfinite(x) and math.isfinite(y):
                told["step"].append(step)
                told["x"].append(x)
                told["y"].append(y)
        after = step
    return told


class TrailHandler(RequestHandler):
    """``/trail?run=RUN&id=37``: the trail of one sample as JSON.

    Args:
        store: Where runs lie.
    """

    def initialize(self, store: Store) -> None:
        """Tornado's own constructor."""
        self._store = store

    async def get(self) -> None:
        """Read off the loop that all pages share."""
        sample = self.get_query_argument("id")
        if not (sample.isascii() and sample.isdigit() and len(sample) <= ID_DIGITS):
            raise HTTPError(400)
        try:
            run = self._store.runs.get(self.get_query_argument("run")).id
        except WorkbenchError:
            raise HTTPError(404) from None
        told = await asyncio.to_thread(trail, self._store, run, int(sample))
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(told, allow_nan=False))
