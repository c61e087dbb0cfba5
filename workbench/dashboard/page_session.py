"""A page in a browser: told from any thread, drawn in its own document's turn.

Unusual here: word from another thread goes to the event loop first and to the document from there.
Bokeh's ``add_next_tick_callback`` is not for other threads: while a document is held, or still
being made, what they add can be lost, and the page would wait for it for ever. Lost as well is what
changes while a browser that has fetched the document still builds it: that waits until it is ready.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Final, cast

import panel as pn
from bokeh.document import Document
from panel.io.document import hold
from panel.io.state import set_curdoc
from tornado.ioloop import IOLoop

from workbench.dashboard.bar import bar
from workbench.dashboard.carrier import Part
from workbench.dashboard.hub import Hub
from workbench.dashboard.live import Shown
from workbench.dashboard.people import Person, visit_here
from workbench.errors import WorkbenchError

LOG = logging.getLogger(__name__)
BROKE: Final = "That broke; the server's log says why."
TELL_BROKEN: Final = ("top", "start", "runs", "models")
"""Parts that say why something was not done; the last three wait for an answer to a start."""
BARS: Final = ("top", "notice", "tabs", "scrubber")
"""Parts as high as what they say; the others fill their room."""


class PageSession:
    """What all pages share: a document, its turns, its parts, its end.

    A subclass makes its parts, draws, sets ``template`` and calls :meth:`_listen` last.

    Args:
        hub: The server's runs.
    """

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.run: str | None = None
        """The run that the hub tells this page of; None: it tells of the store."""
        self.person = Person(visit_here())
        """Who sits here, and their name in journals."""
        self._parts: dict[str, Part] = {}
        self._unnamed = ""
        """Why the last name that somebody gave was not taken; empty: it was."""
        self.template: pn.Template
        self._doc: Document = cast(Document, pn.state.curdoc)
        self._loop = IOLoop.current()
        self._lock = threading.Lock()
        self._scheduled = False
        self._ended = False
        self._built = False
        """Whether a browser has said that it has built the page."""
        self._held_back: list[Callable[[], None]] = []
        """What waits for that."""
        self._doc.on_event("document_ready", lambda _: self._ready())

    # Told from any thread

    def show(self, shown: Shown) -> None:
        """A run has moved."""

    def show_recent(self, runs: list[dict[str, Any]]) -> None:
        """Something in the store has changed."""
        self._soon()

    def _soon(self) -> None:
        """Draw in the page's next turn; once, however often it is asked for until then."""
        with self._lock:
            if self._scheduled:
                return
            self._scheduled = True
        self._later(self._take)

    def _take(self) -> None:
        with self._lock:
            self._scheduled = False
        self._turn()

    def _later(self, act: Callable[[], None]) -> None:
        """Do something in the page's own turn, if there still is a page then."""

        def turn() -> None:
            if self._ended:
                return
            if self._building():
                self._held_back.append(act)
            else:
                with set_curdoc(self._doc), hold(self._doc):
                    act()

        def enter() -> None:
            if not self._ended:
                self._doc.add_next_tick_callback(turn)

        self._loop.add_callback(enter)

    def _building(self) -> bool:
        """Whether a browser has fetched the document, or is about to, and is not ready for more."""
        session = getattr(self._doc.session_context, "session", None)
        return not self._built and session is not None and session.connection_count > 0

    def _ready(self) -> None:
        self._built = True
        kept, self._held_back = self._held_back, []
        for act in kept:
            self._later(act)

    def act(self, asked: dict[str, Any]) -> None:
        """Follow what a person did: ``{"do": ..., ...}``."""
        raise NotImplementedError

    def _press(self, asked: dict[str, Any]) -> None:
        """Follow what a person did; a fault of ours is said, not only written into the log."""
        try:
            self.act(asked)
        except Exception:  # the boundary of a press: others of the same message are followed
            LOG.exception("%r could not be followed.", str(asked.get("do")))
            for part in (self._parts[kind] for kind in TELL_BROKEN if kind in self._parts):
                part.tell({**part.told, "refused": BROKE})

    def _turn(self) -> None:
        """In the page's own turn, since :meth:`_soon` asked for it."""
        raise NotImplementedError

    def _name(self, name: object) -> None:
        """Take the name that stands in journals from now on; why not is said in the top bar."""
        try:
            self.person.give(name)
            self._unnamed = ""
        except WorkbenchError as error:
            self._unnamed = error.message
        self._tell_named()

    def _tell_named(self) -> None:
        top = self._parts["top"]
        top.tell({**top.told, **self._named()})

    def _named(self) -> dict[str, Any]:
        """What the top bar says of the people here."""
        people = self.person.told(self.hub.access, None, [self.person])
        return {"people": people, "refused": self._unnamed}

    def _bar(self, place: str) -> dict[str, Any]:
        """The top bar of a place that shows no single run."""
        return {**bar(self.hub, place), **self._named()}

    def _make_parts(self, *kinds: str) -> dict[str, Part]:
        """Parts that send what people do to :meth:`act`."""
        parts = {kind: Part(kind, self._press) for kind in kinds}
        for kind, part in parts.items():
            part.sizing_mode = "stretch_width" if kind in BARS else "stretch_both"
        return parts

    def _listen(self) -> None:
        """From now on the hub tells this page, until its tab closes."""
        self._doc.on_session_destroyed(lambda _: self._end())
        # Bokeh ends a session some seconds after its browser has gone, should it come back.
        self._doc.on_event("connection_lost", lambda _: self.hub.leave(self))
        self._doc.on_event("client_reconnected", lambda _: self.hub.attach(self))
        self._later(lambda: self.hub.attach(self))

    def _end(self) -> None:
        """The tab has closed: give back what it held."""
        self._ended = True
        self.hub.detach(self)


class PlainSession(PageSession):
    """A page that is drawn as a whole, from what it knows, after all that happens."""

    def __init__(self, hub: Hub) -> None:
        super().__init__(hub)
        self._refused = ""
        """Why the last thing that a person did was not done; empty: it was."""

    def act(self, asked: dict[str, Any]) -> None:
        """Follow what a person did; what is refused is said on the page."""
        self._refused = self._unnamed = ""
        try:
            if asked.get("do") == "name":
                self._name(asked.get("value", ""))
            else:
                self._act(str(asked.get("do", "")), asked)
        except WorkbenchError as error:
            self._refused = error.message
        self._draw()
        self._tell_named()

    def _act(self, do: str, asked: dict[str, Any]) -> None:
        raise NotImplementedError

    def _draw(self) -> None:
        raise NotImplementedError

    def _turn(self) -> None:
        self._draw()
