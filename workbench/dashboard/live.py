"""One run that somebody looks at: read from the store, turned once into what all pages show.

Unusual here: a new snapshot is shown at once, the step counter and curves four times a second, so
that a run of a thousand steps a second costs no more to watch than a slow one.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench_widgets.frame import VIEWS, Frame, ViewName

from workbench.dashboard import journal, summary
from workbench.dashboard.inspector import samples
from workbench.dashboard.notice import notice, removed
from workbench.dashboard.result import result
from workbench.dashboard.scrubber import scrubber
from workbench.errors import UnknownRun
from workbench.runs.frames import Frames
from workbench.runs.history import History
from workbench.runs.looking import at_step
from workbench.runs.selected import ids_of
from workbench.runs.selected_layers import Known, comparable
from workbench.store import Store

QUARTER_SECOND = 0.25
"""Between two updates of counter and curves."""

TICK_SECONDS = 1.0
"""Between two looks at an active run in which nothing moves: elapsed time, a dead worker."""


@dataclass(frozen=True)
class Sent:
    """A frame as it goes to browsers; equal identity means nothing to send.

    Attributes:
        step: The step that it shows; -1 before the first.
        packed: Length of the JSON part (uint32, little-endian), the JSON part, then the arrays.
    """

    step: int
    packed: bytes


@dataclass(frozen=True)
class Shown:
    """All that the page of a run shows at one moment; never changed, so threads may share it."""

    parts: Mapping[str, Any]
    views: Mapping[str, Sent]


class Live:
    """A run in memory.

    Args:
        store: Where it is read.
        run: Its id.

    Raises:
        UnknownRun: If the store has no such run.
    """

    def __init__(self, store: Store, run: str) -> None:
        self._store = store
        self._history = History.load(store, run)
        self._frames = Frames(self._history)
        self._lock = threading.Lock()
        self._drawn: dict[str, tuple[Any, Sent]] = {}
        self._looked = time.monotonic()
        self._removed = False
        self._shown = self._show()

    @property
    def shown(self) -> Shown:
        """What was seen last."""
        return self._shown

    @property
    def active(self) -> bool:
        """Whether a process works on it."""
        return self._history.row.active

    def look(self, *, stirred: bool) -> Shown | None:
        """What is new, or None; of a run that was removed that it is gone, once.

        Args:
            stirred: Whether anything in the store has changed since the last call.
        """
        with self._lock:
            if self._removed:
                return None
            try:
                return self._seen_anew(stirred=stirred)
            except UnknownRun:
                self._removed = True
                self._shown = _removed(self._shown)
                return self._shown

    def _seen_anew(self, *, stirred: bool) -> Shown | None:
        waited = time.monotonic() - self._looked
        if not (self._is_due(waited) if stirred else self.active and waited >= TICK_SECONDS):
            return None
        self._history.refresh(self._store)
        self._looked = time.monotonic()
        self._shown = self._show()
        return self._shown

    @property
    def _last_event(self) -> int:
        return max((event.id for event in self._history.events), default=0)

    def _is_due(self, waited: float) -> bool:
        known, steps = self._history.row, self._history.steps
        # Of a run that has ended only its journal goes on: somebody may write a note.
        if not known.active and self._store.journal.last(known.id) != self._last_event:
            return True
        if waited >= QUARTER_SECOND:
            return self.active or self._store.runs.get(known.id) != known
        return self._store.runs.get(known.id).status != known.status or bool(
            self._store.snapshots(known.id, after=steps[-1] if steps else -1)
        )

    @property
    def sample_ids(self) -> set[int] | None:
        """Ids of the probe's samples, or None before the first snapshot."""
        latest = self._history.latest
        known = None if latest is None else ids_of(latest.arrays)
        return None if known is None else {int(one) for one in known}

    def selected(
        self,
        ids: Sequence[int],
        text: str,
        views: Sequence[ViewName] = VIEWS,
        layers: Known | None = None,
    ) -> dict[str, Sent]:
        """Views of the newest snapshot, of these samples only; the curves are of all steps.

        Args:
            ids: Of the samples.
            text: What the frames say they were made for.
            views: Those that are wanted.
            layers: What is known of the layer similarity of these samples.
        """
        with self._lock:
            waits, own = summary.waits_for(self._history), [v for v in views if v != "curves"]
            made = self._frames.of_snapshot(waits, ids, layers, own)
            if "curves" in views:
                made["curves"] = self._frames.curves(waits, ids)
        return {view: Sent(frame.step, pack(frame, text)) for view, frame in made.items()}

    def comparable(
        self, ids: Sequence[int], step: int | None
    ) -> tuple[tuple[int, ...], int | None, bool]:
        """As :func:`workbench.runs.selected_layers.comparable` has it."""
        return comparable(self._history, ids, step)

    def past(self, step: int, ids: Sequence[int], text: str, layers: Known, turn: int) -> Sent:
        """The map of selected samples beside the snapshot of an earlier step.

        Args:
            step: Of the snapshot, or after it.
            ids: Of the samples.
            text: As above.
            layers: As above.
            turn: Told on: no two of a page are equal, so that none is taken for the one before.

        Raises:
            RefusedCommand: If there is no snapshot.
            BadFile: If it is gone from the disk.
        """
        with self._lock:
            past = at_step(self._store, self._history, step)
        frame = Frames(past).of_snapshot(None, ids, layers, ("cka",))["cka"]
        content, buffers = frame.payload()
        return Sent(frame.step, pack_payload({**content, "selection": text, "turn": turn}, buffers))

    def _show(self) -> Shown:
        history, frames = self._history, self._frames
        waits = summary.waits_for(history)
        beside = (
            len(history.beside.maps),
            history.row.active,
        )  # the control comes after the student
        taken = (history.steps[-1] if history.steps else -1, len(history.steps), waits, beside)
        if self._drawn.get("cka", (None,))[0] != taken:
            for view, frame in frames.of_snapshot(waits).items():
                self._keep(view, taken, frame)
        row = history.row
        state = (row.steps, row.status == "paused")  # a paused run's curve ends in an open marker
        ends = (taken, frames.curve_step, len(history.control.steps), state)
        if self._drawn.get("curves", (None,))[0] != ends:
            self._keep("curves", ends, frames.curves(waits))
        return Shown(
            {
                "top": summary.top(history, frames.steps_per_epoch),
                "notice": notice(history, str(self._store.path)),
                "rail": summary.rail(history, frames),
                "result": result(history),
                "journal": journal.drawer(history),
                "samples": samples(history, waits),
                "scrubber": scrubber(
                    history, frames.spec, self._store.snapshot_steps(history.row.id)
                ),
            },
            {view: self._drawn[view][1] for view in VIEWS},
        )

    def _keep(self, view: str, made_of: Any, frame: Frame) -> None:
        self._drawn[view] = (made_of, Sent(frame.step, pack(frame)))


def _removed(shown: Shown) -> Shown:
    """The same of a run that is not in the store any more: nothing can be done with it."""
    top = {**shown.parts["top"], "buttons": [], "exports": []}
    return Shown({**shown.parts, "top": top, "notice": removed()}, shown.views)


def pack(frame: Frame, selection: str = "") -> bytes:
    """A frame as one piece of binary, made once for all browsers; arrays are aligned to 4 bytes.

    Args:
        frame: Any.
        selection: Text of the selection that it was made for; empty: all samples.
    """
    content, buffers = frame.payload()
    made_for = {"selection": selection} if selection else {}
    return pack_payload({**content, **made_for}, buffers)


def pack_payload(content: Mapping[str, Any], buffers: Iterable[bytes]) -> bytes:
    """The same of a frame that another process has made."""
    head = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    head += b" " * (-len(head) % 4)
    return b"".join((len(head).to_bytes(4, "little"), head, *buffers))


def unpack(packed: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON part and the arrays, one after the other, of what :func:`pack` made."""
    start = 4 + int.from_bytes(packed[:4], "little")
    content: dict[str, Any] = json.loads(packed[4:start])
    return content, packed[start:]
