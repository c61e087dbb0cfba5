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

PLACES = ("x", "y", "hellinger_x", "hellinger_y")
ID_DIGITS = 12
"""Longest id of a sample that is looked for."""


def trail(store: Store, run: str, sample: int) -> dict[str, list[Any]]:
    """Steps and places of a sample, rising; empty if no snapshot holds it.

    Args:
        store: Where the run lies.
        run: Its id.
        sample: Id of a probe sample.

    Returns:
        ``step`` and the places ``x``, ``y`` (L2), ``hellinger_x`` and ``hellinger_y``, of equal
        length. A sample without a place there is left out; None where an older snapshot does not
        know the second distance.
    """
    told: dict[str, list[Any]] = {name: [] for name in ("step", *PLACES)}
    after = -1
    for step in store.snapshot_steps(run):
        # One at a time: a long run's snapshots need not be in memory together.
        for snapshot in store.snapshots(run, after=after, upto=step):
            arrays = snapshot.arrays
            found = np.flatnonzero(arrays.get("trilateral.ids", np.zeros(0)) == sample)
            if not found.size:
                continue
            places = {name: _place(arrays.get(f"trilateral.{name}"), found[0]) for name in PLACES}
            if places["x"] is not None and places["y"] is not None:
                told["step"].append(step)
                for name, place in places.items():
                    told[name].append(place)
        after = step
    return told


def _place(values: np.ndarray | None, row: int) -> float | None:
    """A finite number, or None."""
    if values is None or not math.isfinite(values[row]):
        return None
    return float(values[row])


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
