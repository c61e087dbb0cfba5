"""The one selection of a page: sample ids, and the frames of just these samples.

Unusual here: the browser owns the selection and reacts first; this side holds a copy, makes the
frames of the selected samples, and turns the link that opened a page back into ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench_widgets.words import count

from workbench.dashboard.live import Live, Sent
from workbench.dashboard.select_text import Ids, decode, encode
from workbench.errors import BadAddress
from workbench.runs.frames import SNAPSHOT_VIEWS


class Selection:
    """What one page has selected.

    Args:
        live: The run that it shows.

    Attributes:
        ids: Sample ids, rising; empty: all samples are shown.
        how: How they were selected, in words.
        text: The same ids as :func:`encode` writes them.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self.ids: Ids = ()
        self.how = self.text = ""
        self._opened: dict[str, Any] = {}
        self._made: tuple[Any, Mapping[str, Sent]] = (None, {})

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
            return shared
        made_of = (self.text, *(shared[view] for view in SNAPSHOT_VIEWS))
        if self._made[0] != made_of:
            self._made = (made_of, self._live.selected(self.ids, self.text))
        return {**shared, **self._made[1]}

    def _put(self, ids: Ids, how: str) -> None:
        self.ids, self.how, self.text = ids, how, encode(ids)
