"""The layer similarity of a selection: asked of the process on the side, held while it is shown.

Unusual here: whoever shows a selection says what it wants as often as it draws; a question is asked
only where the samples or the student's weights have changed, and a newer one lets the older go.
Until the answer is there, the map before it stays. Loads no torch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.runs.explainer import Answer, Explainer, Question
from workbench.runs.selected import Chosen
from workbench.store.store import Store

if TYPE_CHECKING:
    from workbench.runs.history import History

FEWEST: Final = 4
"""Samples that unbiased CKA needs: it divides by n(n - 3)."""
NAMES: Final = ("unbiased", "biased", "null_p95")


@dataclass(frozen=True, eq=False)
class LayerMap:
    """The similarity of all layers over some samples.

    Attributes:
        ids: Of the samples, rising.
        step: Of the checkpoint that the student's weights are of.
        arrays: ``unbiased``, ``biased`` and ``null_p95``, float32, shape (Lt, Ls) each.
        facts: Layer names, reasons of undefined ones, how features were pooled.
    """

    ids: tuple[int, ...]
    step: int
    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, ids: Sequence[int], answer: Answer) -> LayerMap:
        """From a finished answer of the process."""
        head = dict(answer.head)
        shape, step = head.pop("shape"), int(head.pop("step"))
        values = np.frombuffer(answer.body, "<f4").reshape(len(NAMES), *shape)
        return cls(tuple(ids), step, dict(zip(NAMES, values, strict=True)), head)


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of the layers of a selection now.

    Attributes:
        state: ``none`` (nothing is asked now), ``working``, ``done`` or ``refused``.
        words: What is done now, or why there is no map.
        found: The newest map, also of the samples or weights before; None without one.
    """

    state: str = "none"
    words: str = ""
    found: LayerMap | None = None


NOTHING: Final = Known()


class SelectedLayers:
    """The layers of what one page, or one ``show()``, has selected.

    Args:
        explainer: Where it is asked.
        run: Id of the run.
        told: Called from another thread when more is known.
    """

    def __init__(self, explainer: Explainer, run: str, told: Callable[[], None]) -> None:
        self._explainer, self._run, self._told = explainer, run, told
        self._lock = threading.Lock()
        self._wanted: tuple[Any, ...] = ()
        self._renews = False
        self._turn = 0
        self._question: Question | None = None
        self._asker: int | None = None
        self.known = NOTHING

    def want(self, ids: Sequence[int], step: int | None, *, follows: bool = False) -> None:
        """Ask for the map of these samples unless that is what was asked last.

        Args:
            ids: Rising; fewer than :data:`FEWEST` have no map, none takes back what was asked.
            step: The student is that of the checkpoint nearest to it; None: there is none yet.
            follows: The step is the newest of a run that goes on. Then newer weights wait until
                the question before has ended: else one that takes longer than the next checkpoint
                would never be answered.
        """
        wanted = (tuple(ids), step, follows)
        with self._lock:
            if wanted == self._wanted:
                return
            onwards = follows and self._wanted[::2] == wanted[::2]
            if onwards and self.known.state == "working":
                return
            self._wanted = wanted
            self._turn += 1
            turn, before = self._turn, self._question
            self._question = None
            kept = self.known.found if len(ids) else None
            self.known = Known(found=kept)
            self._renews = onwards and kept is not None and kept.ids == wanted[0]
        if before is not None:
            self._explainer.leave(before)
        if len(ids) < FEWEST:
            return
        self._asker = threading.get_ident()
        question = self._explainer.layers(
            self._run, step, wanted[0], lambda answer: self._heard(turn, wanted[0], answer)
        )
        self._asker = None
        with self._lock:
            if turn == self._turn:
                self._question = question

    def close(self) -> None:
        """Nobody shows it any more: take back what was asked."""
        self.want((), None)

    def _heard(self, turn: int, ids: tuple[int, ...], answer: Answer) -> None:
        with self._lock:
            if turn != self._turn:
                return
            words = str(answer.head.get("words", ""))
            if answer.state == "done":
                self.known = Known("done", found=LayerMap.of(ids, answer))
            elif answer.ended:
                words = words or "it was taken back; select anew."
                self.known = Known("refused", words, self.known.found)
            else:
                # a map whose weights are renewed every few seconds would only flicker with words
                words = "" if self._renews else words
                self.known = replace(self.known, state="working", words=words)
                if self._renews:
                    return
        if self._asker != threading.get_ident():  # who asks draws anyway
            self._told()


def comparable(
    history: History, ids: Sequence[int], step: int | None
) -> tuple[tuple[int, ...], int | None, bool]:
    """What to :meth:`SelectedLayers.want` of a run: samples, near which step, whether it follows.

    Args:
        history: What is known of the run.
        ids: Of the samples that are selected.
        step: That is shown; None is the newest.

    Returns:
        No sample while there is no map at all.
    """
    latest = history.latest
    if latest is None or "cka" not in latest.facts:
        return (), None, False
    chosen = Chosen.among(ids, latest.arrays)
    found = chosen.ids if chosen else ()
    return (found, history.checkpoint, True) if step is None else (found, step, False)


_shared: dict[Path, Explainer] = {}
_sharing = threading.Lock()


def borrow(store: Store, reader: object) -> Explainer:
    """The one explainer of a store in this process, started for the first reader."""
    with _sharing:
        explainer = _shared.get(store.path)
        if explainer is None:
            explainer = _shared[store.path] = Explainer(store)
        explainer.attach(reader)
        return explainer


def give_back(store: Store, reader: object) -> None:
    """One reader less; with the last one thread and process end."""
    with _sharing:
        explainer = _shared.get(store.path)
        if explainer is None:
            return
        explainer.detach(reader)
        if not explainer.read:
            del _shared[store.path]
            explainer.close()
