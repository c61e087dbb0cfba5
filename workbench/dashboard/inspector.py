"""The sample inspector of a page: what both models answer to a sample, and where they look.

Unusual here: probabilities and pixels go over plain HTTP, once a snapshot and once a run, and the
browser sorts and steps through them by itself; only attributions are asked for through the page,
because they have progress and can be cancelled.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from tornado.web import HTTPError, RequestHandler

from workbench.errors import BadInput, WorkbenchError
from workbench.functional.attribution import METHODS
from workbench.probes.answers import PREFIX
from workbench.runs.attribution import TARGETS
from workbench.runs.explainer import Answer, Explainer, Question
from workbench.runs.history import History
from workbench.store import Snapshot, Store
from workbench.training import card

if TYPE_CHECKING:
    from workbench.dashboard.carrier import Part

OFFERED: Final = (
    ("integrated_gradients", "integrated gradients, 50 steps"),
    ("saliency", "saliency"),
    ("occlusion", "occlusion"),
)
"""Methods that the card names, each with its words."""
RATIO: Final = "ratio."
OLD: Final = (
    "The snapshots of this run hold no probabilities: it has no `probes`, or was trained before "
    "they were kept. A new run with probes has them."
)
STEP: Final = re.compile(r"[0-9]{1,9}")
SAMPLES: Final = re.compile(r"([0-9]{1,9}(,[0-9]{1,9}){0,9})?")
"""At most ten ids."""
TYPES: Final = {"i": "<i4", "f": "<f4"}


def samples(history: History, waits: str | None) -> dict[str, Any]:
    """What the card needs to know of the run before it asks for anything.

    Args:
        history: What is known of the run.
        waits: Why there is no snapshot yet; None once there is one.
    """
    protocol = history.row.protocol or {}
    return {
        "run": history.row.id,
        "active": history.row.active,
        "newest": history.steps[-1] if history.steps else None,
        "waits": waits,
        "protocol": card.origin({"seed": history.row.experiment.get("seed", 0), **protocol}),
        "methods": [list(pair) for pair in OFFERED],
    }


class Inspector:
    """The card of one page; told by the explainer's thread, drawn in the page's own turn.

    Args:
        part: Its piece of the page.
        explainer: The server's one.
        run: Id of the run that is shown.
        later: Runs a function in the page's own turn, if there still is a page.
    """

    DOES: Final = ("explain", "unexplain")

    def __init__(
        self,
        part: Part,
        explainer: Explainer,
        run: str,
        later: Callable[[Callable[[], None]], None],
    ) -> None:
        self._part, self._explainer, self._run, self._later = part, explainer, run, later
        self._question: Question | None = None
        self._turn = 0
        self._maps: dict[str, Any] | None = None
        self._selection: dict[str, Any] | None = None
        self._due = False
        self._lock = threading.Lock()
        explainer.attach(self)

    @property
    def said(self) -> dict[str, Any]:
        """What the card shows beyond the run's own state."""
        return {"maps": self._maps, "selection": self._selection}

    def select(self, ids: Sequence[int], how: str) -> None:
        """Follow the page's selection.

        Args:
            ids: Sample ids of the probe split; empty for none.
            how: What was selected, in words.
        """
        self._selection = {"ids": [int(one) for one in ids], "how": how} if len(ids) else None
        self._tell()

    def act(self, asked: Mapping[str, Any]) -> None:
        """Follow what a person did on the card.

        Raises:
            BadInput: If it names what the card does not have.
        """
        if asked["do"] == "explain":
            self._explain(asked)
        elif self._question is not None:
            self._explainer.cancel(self._question)

    def close(self) -> None:
        """The page is gone: nothing is computed for it any more."""
        self._turn += 1
        if self._question is not None:
            self._explainer.cancel(self._question)
        self._explainer.detach(self)

    def _explain(self, asked: Mapping[str, Any]) -> None:
        method, target = str(asked.get("method")), str(asked.get("target"))
        if method not in METHODS or target not in TARGETS:
            raise BadInput(
                f"Maps by {method!r} of {target!r}: the card offers {', '.join(METHODS)}, "
                f"each of {', '.join(TARGETS)}."
            )
        sample, step = (_whole(asked.get(name), name) for name in ("sample", "step"))
        if self._question is not None:
            self._explainer.drop(self._question)
        self._turn += 1
        turn = self._turn
        about = {"sample": sample, "step": step, "method": method, "target": target}
        self._question = self._explainer.maps(
            self._run, step, sample, method, target, lambda answer: self._heard(turn, about, answer)
        )

    def _heard(self, turn: int, about: dict[str, Any], answer: Answer) -> None:
        """From any thread: the newest word wins."""
        if turn != self._turn:
            return
        plain = _plain(answer)
        with self._lock:
            self._maps = {**about, "state": answer.state, **plain}
            if self._due:
                return
            self._due = True
        self._later(self._tell)

    def _tell(self) -> None:
        with self._lock:
            self._due = False
        self._part.tell({**self._part.told, **self.said})


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise BadInput(f"{name} {repr(value)[:20]}: a whole number from 0 on is needed.")
    return value


def _plain(answer: Answer) -> dict[str, Any]:
    """An answer as JSON: maps as bytes from 0 to the largest, features as numbers."""
    told = {"head": dict(answer.head)}
    if answer.state != "done":
        return told
    both = np.frombuffer(answer.body, "<f4").reshape(2, -1)
    if len(answer.head["shape"]) == 1:
        return {**told, "values": both.tolist()}
    pixels = np.rint(255 * both).astype(np.uint8)
    return {**told, "values": [base64.b64encode(one.tobytes()).decode() for one in pixels]}


def packed_answers(snapshot: Snapshot) -> bytes:
    """What both models answer at a snapshot: a head in JSON, then its arrays.

    The head's length (uint32, little-endian), padded so that the arrays, int32 or float32, are
    aligned to 4 bytes; ``arrays`` lists name, type and shape of each, in order.
    """
    found = {
        name.removeprefix(PREFIX): values
        for name, values in snapshot.arrays.items()
        if name.startswith(PREFIX)
    }
    if not found:
        return _packed({"step": snapshot.step, "missing": OLD}, {})
    names = (snapshot.facts.get("loyalty") or {}).get("class_names") or []
    head = {
        "step": snapshot.step,
        "names": names,
        "ratios": [name.removeprefix(RATIO) for name in snapshot.arrays if name.startswith(RATIO)],
    }
    ratios = {n: values for n, values in snapshot.arrays.items() if n.startswith(RATIO)}
    return _packed(head, {**found, **ratios})


def _packed(head: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    made = {name: values.astype(TYPES[values.dtype.kind]) for name, values in arrays.items()}
    listed = [[name, values.dtype.kind, list(values.shape)] for name, values in made.items()]
    text = json.dumps({**head, "arrays": listed}, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    body = b"".join(values.tobytes() for values in made.values())
    return len(text).to_bytes(4, "little") + text + body


class AnswersHandler(RequestHandler):
    """``/answers?run=RUN&step=120``: what both models answer at a snapshot.

    Args:
        store: Where runs lie.
    """

    def initialize(self, store: Store) -> None:
        """Tornado's own constructor."""
        self._store = store

    async def get(self) -> None:
        """The answers of the snapshot at this very step; 404 without one."""
        asked = self.get_query_argument("step")
        if not STEP.fullmatch(asked):
            raise HTTPError(400)
        step = int(asked)
        try:
            run = self._store.runs.get(self.get_query_argument("run")).id
        except WorkbenchError:
            raise HTTPError(404) from None
        # Reading a file takes milliseconds: not on the loop that all pages share.
        found = await asyncio.to_thread(self._store.snapshots, run, after=step - 1, upto=step)
        if not found:
            raise HTTPError(404)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Cache-Control", "no-store")
        self.finish(packed_answers(found[0]))


class PicturesHandler(RequestHandler):
    """``/pictures?run=RUN``: the samples of the probe split, as the head and bytes of an answer.

    With ``&samples=3,17`` just these of the whole data set, of whatever split.

    Args:
        store: Where runs lie.
        explainer: Reads them in its process.
    """

    def initialize(self, store: Store, explainer: Explainer) -> None:
        """Tornado's own constructor."""
        self._store, self._explainer = store, explainer

    async def get(self) -> None:
        """Waits for the process; what it refuses is told in the head."""
        try:
            run = self._store.runs.get(self.get_query_argument("run")).id
        except WorkbenchError:
            raise HTTPError(404) from None
        asked = self.get_query_argument("samples", "")
        if not SAMPLES.fullmatch(asked):
            raise HTTPError(400)
        ids = [int(one) for one in asked.split(",") if one]
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()

        def heard(answer: Answer) -> None:
            if answer.ended:
                loop.call_soon_threadsafe(_settle, answered, answer)

        self._explainer.attach(self)  # a reader without a page must let the process go, too
        try:
            self._explainer.pictures(run, heard, ids)
            answer = await answered
        finally:
            self._explainer.detach(self)
        text = json.dumps({"state": answer.state, **answer.head}, allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Cache-Control", "no-store")
        self.finish(len(text).to_bytes(4, "little") + text + answer.body)


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():  # the browser may have gone
        future.set_result(answer)
