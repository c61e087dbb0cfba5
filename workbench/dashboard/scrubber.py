"""The past of a run: what the scrubber shows, and every snapshot's frames on request.

Unusual here: the page asks for what it does not hold yet over plain HTTP, once, and drags without
the server. Of each piece of a frame only what the same piece of the snapshot before did not begin
with is sent, so histories and names that never change cost their bytes once.
"""

from __future__ import annotations

import asyncio
import json
import re
import zlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler
from workbench_widgets.frame import Frame
from workbench_widgets.skeleton import step_ticks
from workbench_widgets.words import count

from workbench.dashboard.address import Place
from workbench.dashboard.pull import pull
from workbench.dashboard.select_text import decode
from workbench.errors import BadAddress, WorkbenchError
from workbench.runs.frames import Frames
from workbench.runs.history import History, looks
from workbench.runs.selected_layers import Known
from workbench.specs.experiment import ExperimentSpec
from workbench.store import RunRow, Store
from workbench.training.grid import grid
from workbench.training.journal import notes_of

GOES = {
    "training": "the run goes on",
    "preparing": "the run goes on",
    "queued": "the run waits",
    "stopping": "the run stops",
    "finished": "the run is done",
}
"""What the live run does while somebody looks back; other statuses are said with their step."""

RESTS = Known(words="layers of an earlier step are compared once you stay at it.")

STEPS = re.compile(r"[0-9]{1,9}(?:,[0-9]{1,9})*")


def scrubber(
    history: History, spec: ExperimentSpec | None, stored: Sequence[int]
) -> dict[str, Any]:
    """The bar under the views: phases, snapshots taken and to come, marks.

    Args:
        history: What is known of the run.
        spec: Its experiment as it stands, or None if it cannot be read.
        stored: Steps that have a snapshot on disk, rising.
    """
    row = history.row
    newest = history.steps[-1] if history.steps else -1
    ticks = step_ticks(row.steps) if row.steps else {"ticks": [], "labels": []}
    phases: Sequence[tuple[str, int, int]] = []
    if spec is not None and row.steps:
        phases = getattr(spec.stage.schedule, "phases", lambda _: [])(row.steps)
    return {
        "run": row.id,
        "steps": row.steps,
        "active": row.active,
        "goes": GOES.get(row.status, f"the run is {row.status}, at step {count(row.step)}"),
        # A snapshot that was written since the history was read is the next look's.
        "snapshots": [step for step in stored if step <= newest],
        "to_come": sorted(step for step in grid(row.steps) if step > newest) if row.active else [],
        "phases": [list(phase) for phase in phases],
        "marks": history.marks,
        "notes": notes_of(history.events),
        # What a page took along while the run went on had no control beside it yet.
        "beside": 0 if row.active else len(history.beside.maps),
        "ticks": [list(pair) for pair in zip(ticks["ticks"], ticks["labels"], strict=True)],
    }


def settle(place: Place, row: RunRow, stored: Sequence[int]) -> dict[str, Any] | None:
    """Where a page that was opened by a link begins, and what must be said about it.

    Returns:
        ``step`` (one of ``stored``, or None for live) and ``words``; None if no step was asked for.
    """
    if place.words:
        allowed = f"Allowed: a whole number from 0 to {count(row.steps)}, or none for live."
        return {"step": None, "words": f"{place.words} {allowed} You see the newest snapshot."}
    if place.step is None:
        return None
    if not stored:
        return {"step": None, "words": "No snapshot yet; you see the live run."}
    step = nearest(place.step, stored)
    if step == place.step:
        return {"step": step, "words": ""}
    side = "below" if step < place.step else "above"
    words = f"No snapshot at step {count(place.step)}: this is the nearest {side}."
    return {"step": step, "words": words}


def nearest(step: int, stored: Sequence[int]) -> int:
    """The last of some steps (rising, not empty) that is not beyond ``step``, or the first."""
    return max((known for known in stored if known <= step), default=stored[0])


def messages(
    store: Store, run: str, wanted: Collection[int], ids: Sequence[int] = ()
) -> Iterator[bytes]:
    """Frames and pull of snapshots, oldest first, each packed against the one before.

    A message is the length of its head (uint32, little-endian), the head, then bytes. The head is
    JSON: ``step`` and ``pieces``, each (name, bytes kept of the same piece before, bytes sent).

    Args:
        store: Where the run is read.
        run: Its id.
        wanted: Steps; one without a snapshot on disk is left out.
        ids: Samples that the views are of; empty: all.

    Raises:
        UnknownRun: If the store has no such run.
    """
    packer = Packer()
    last = max(wanted, default=-1)
    frames: Frames | None = None
    for history in looks(store, run, upto=last):
        frames = frames or Frames(history)
        step = history.steps[-1]
        if step in wanted:
            told = pull(history, frames.spec, None)
            yield packer.message(step, told, frames.of_snapshot(None, ids, RESTS))


class Packer:
    """Packs snapshots one after the other; remembers the last of each piece."""

    def __init__(self) -> None:
        self._before: dict[str, bytes] = {}

    def message(self, step: int, told: dict[str, Any], frames: dict[str, Frame]) -> bytes:
        """One snapshot; ``told`` is the card of pulls."""
        pieces = {"pull": _json(told)}
        for view, frame in frames.items():
            content, buffers = frame.payload()
            # The picture's skeleton rarely changes, the words beside it always do.
            pieces[f"{view}/skeleton"] = _json(content.pop("skeleton"))
            pieces[f"{view}/frame"] = _json(content)
            for listed, values in zip(content["arrays"], buffers, strict=True):
                pieces[f"{view}/{listed['name']}"] = values
        head, sent = [], []
        for name, piece in pieces.items():
            before = self._before.get(name, b"")
            kept = len(before) if piece.startswith(before) else 0
            head.append((name, kept, len(piece) - kept))
            sent.append(piece[kept:])
        self._before |= pieces
        described = _json({"step": step, "pieces": head})
        return b"".join((len(described).to_bytes(4, "little"), described, *sent))


def _json(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


class SnapshotHandler(RequestHandler):
    """``/snapshots?run=RUN&steps=0,38,75&select=3,7-12``: one message a snapshot, once it is made.

    Args:
        store: Where runs lie.
    """

    def initialize(self, store: Store) -> None:
        """Tornado's own constructor."""
        self._store = store

    async def get(self) -> None:
        """The messages, each with its length (uint32, little-endian) before it, gzipped."""
        asked = self.get_query_argument("steps")
        if not STEPS.fullmatch(asked):
            raise HTTPError(400)
        try:
            ids = decode(self.get_query_argument("select", ""))
        except BadAddress:
            raise HTTPError(400) from None
        try:
            run = self._store.runs.get(self.get_query_argument("run")).id
        except WorkbenchError:
            raise HTTPError(404) from None
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Content-Encoding", "gzip")
        self.set_header("Cache-Control", "no-store")
        squeeze = zlib.compressobj(1, wbits=31)
        made = messages(self._store, run, {int(step) for step in asked.split(",")}, ids)
        # A frame takes milliseconds to build: not on the loop that all pages share.
        while (message := await asyncio.to_thread(next, made, None)) is not None:
            self.write(squeeze.compress(len(message).to_bytes(4, "little") + message))
            self.write(squeeze.flush(zlib.Z_SYNC_FLUSH))
            try:
                await self.flush()
            except StreamClosedError:  # the page has gone
                return
        self.finish(squeeze.flush())
