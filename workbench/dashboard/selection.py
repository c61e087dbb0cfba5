"""The one selection of a page: sample ids, and the frames of just these samples.

Unusual here: the browser owns the selection and reacts first; this side holds a copy, makes the
frames of the selected samples, and turns the link that opened a page back into ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from workbench_widgets.frame import ViewName
from workbench_widgets.words import count

from workbench.dashboard.live import Live, Sent
from workbench.dashboard.select_text import Ids, decode, encode
from workbench.errors import BadAddress, WorkbenchError
from workbench.runs.selected_layers import NOTHING, Known, SelectedLayers

PREDICTED: Final[tuple[ViewName, ...]] = ("trilateral", "calibration", "loyalty")
"""Views whose numbers of single samples stand in the snapshot."""


class Selection:
    """What one page has selected.

    Args:
        live: The run that it shows.
        layers: The layer similarity of what is selected; None: the view shows that of all.

    Attributes:
        ids: Sample ids, rising; empty: all samples are shown.
        how: How they were selected, in words.
        text: The same ids as :func:`encode` writes them.
    """

    def __init__(self, live: Live, layers: SelectedLayers | None = None) -> None:
        self._live = live
        self._layers = layers
        self._step: int | None = None
        self.ids: Ids = ()
        self.how = self.text = ""
        self._opened: dict[str, Any] = {}
        self._made: dict[str, tuple[Any, Mapping[str, Sent]]] = {}
        self._past: tuple[Any, Sent | None] = (None, None)
        self._pasts = 0

    @property
    def said(self) -> dict[str, Any]:
        """What the page is told once, when it was opened by a link: ``text`` and ``words``."""
        return {"selection": self._opened}

    def open(self, text: str) -> None:
        """Begin with the selection of a link; what cannot be followed is said, no more is lost."""
        if not text:
            return
        words = ""
        try:
            wanted = decode(text)
        except BadAddress as error:
            wanted, words = (), f"{error.message} All samples are shown."
        known = self._live.sample_ids
        found = wanted if known is None else tuple(one for one in wanted if one in known)
        if len(found) < len(wanted) and known is not None:
            words = (
                f"{count(len(wanted) - len(found))} of {count(len(wanted))} samples of the address "
                f"are not among this run's {count(len(known))}; "
                + ("the others are selected." if found else "all samples are shown.")
            )
        self._put(found, "from the address" if found else "")
        self._opened = {"text": self.text, "how": self.how, "words": words}

    def ask(self, text: str, how: str) -> None:
        """What the browser has selected.

        Raises:
            BadAddress: If the text names no ids.
        """
        self._put(decode(text), how)

    def frames(self, shared: Mapping[str, Sent]) -> Mapping[str, Sent]:
        """The views of this page: the shared ones, or those of the selected samples.

        Args:
            shared: By view, as all pages without a selection show them.
        """
        if not self.ids:
            self._compare()
            return shared
        layers = self._compare()
        return {
            **shared,
            **self._of(PREDICTED, shared),
            **self._of(("cka",), shared, None if self._step is not None else layers),
            **self._of(("curves",), shared),
        }

    def look(self, step: int | None) -> None:
        """The browser shows the snapshot at this step; None follows the run."""
        self._step = step

    @property
    def past(self) -> Sent | None:
        """The map of the selected samples for the earlier step that the browser shows, if any."""
        layers = self._compare()
        if self._step is None or not self.ids or layers.state == "none":
            return None
        made_of = (self.text, self._step, layers)
        if self._past[0] != made_of:
            self._pasts += 1
            asked = (self._step, self.ids, self.text, layers, self._pasts)
            try:
                self._past = (made_of, self._live.past(*asked))
            except WorkbenchError:  # its snapshot is gone: the scrubber says so and goes elsewhere
                self._past = (made_of, None)
        return self._past[1]

    def close(self) -> None:
        """The page is gone: nothing is computed for it any more."""
        if self._layers is not None:
            self._layers.close()

    def _compare(self) -> Known:
        """What is known of the layers now; asks for what is shown and not known."""
        if self._layers is None:
            return NOTHING
        ids, step, follows = self._live.comparable(self.ids, self._step)
        self._layers.want(ids, step, follows=follows)
        return self._layers.known

    def _of(
        self, views: tuple[ViewName, ...], shared: Mapping[str, Sent], layers: Known | None = None
    ) -> Mapping[str, Sent]:
        """These views, made anew only if what they are made of has changed."""
        made_of = (self.text, layers, *(shared[view] for view in views))
        if self._made.get(views[0], (None,))[0] != made_of:
            made = self._live.selected(self.ids, self.text, views, layers)
            self._made[views[0]] = (made_of, made)
        return self._made[views[0]][1]

    def _put(self, ids: Ids, how: str) -> None:
        self.ids, self.how, self.text = ids, how, encode(ids)
