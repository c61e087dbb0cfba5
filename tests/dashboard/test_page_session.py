"""What another thread tells a page is never lost, whatever the page is doing."""

from __future__ import annotations

import asyncio
import sys
import threading
import weakref

import pytest
from bokeh.document import Document
from bokeh.events import ClientReconnected, DocumentReady
from bokeh.server.contexts import BokehSessionContext
from bokeh.server.session import ServerSession
from panel.io.document import hold
from panel.io.state import set_curdoc, state
from tornado.ioloop import IOLoop

from workbench.dashboard.page_session import PageSession

WORDS = 400


class Hub:
    """Remembers who listens."""

    def __init__(self):
        self.viewers = []

    def attach(self, viewer):
        self.viewers.append(viewer)

    def leave(self, viewer):
        self.viewers.remove(viewer)

    def detach(self, viewer):
        if viewer in self.viewers:
            self.viewers.remove(viewer)


class Page(PageSession):
    def __init__(self, hub):
        super().__init__(hub)
        self.heard, self.turns = [], 0
        self._listen()

    def tell(self, word):
        self._later(lambda: self.heard.append(word))

    def _turn(self):
        self.turns += 1


@pytest.fixture
def hasty():
    """Threads take turns as often as they can, so that what may interleave does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


async def _settled():
    """Bokeh passes a turn on from callback to callback; a few rounds of the loop see it through."""
    for _ in range(20):
        await asyncio.sleep(0)


def test_words_of_another_thread_come_through_while_the_document_is_held(hasty):
    async def run():
        doc = Document()
        with set_curdoc(doc):
            page = Page(Hub())
        page.tell(-1)  # before Bokeh has made the session
        _session = ServerSession("one", doc, io_loop=IOLoop.current())
        teller = threading.Thread(target=lambda: [page.tell(k) for k in range(WORDS)])
        teller.start()
        while teller.is_alive():
            with hold(doc):
                doc.title = f"{doc.title}."[-20:]
            await asyncio.sleep(0)
        await _settled()
        return page.heard

    assert asyncio.run(run()) == list(range(-1, WORDS))


def test_many_calls_are_one_turn_and_a_closed_tab_has_none():
    async def run():
        doc, hub = Document(), Hub()
        with set_curdoc(doc):
            page = Page(hub)
        _session = ServerSession("one", doc, io_loop=IOLoop.current())
        await _settled()
        assert hub.viewers == [page]
        for _ in range(50):
            page.show_recent([])
        await _settled()
        assert page.turns == 1
        page.show_recent([])
        page._end()
        page.tell("too late")
        await _settled()
        return page, hub

    page, hub = asyncio.run(run())
    assert (page.turns, page.heard, hub.viewers) == (1, [], [])


def test_a_page_without_a_browser_is_not_counted_until_it_is_back():
    async def run():
        doc, hub = Document(), Hub()
        with set_curdoc(doc):
            page = Page(hub)
        session = ServerSession("one", doc, io_loop=IOLoop.current())
        await _settled()
        counts = [len(hub.viewers)]
        session.notify_connection_lost()  # as Bokeh does when a websocket closes
        counts.append(len(hub.viewers))
        doc.callbacks.trigger_event(ClientReconnected())
        counts.append(len(hub.viewers))
        page._end()
        return [*counts, len(hub.viewers)]

    assert asyncio.run(run()) == [1, 0, 1, 0]


@pytest.mark.parametrize("kind, sizing", [("top", "stretch_width"), ("new", "stretch_both")])
def test_bars_are_as_high_as_what_they_say(kind, sizing):
    async def run():
        with set_curdoc(Document()):
            return Page(Hub())._make_parts(kind)[kind].sizing_mode

    assert asyncio.run(run()) == sizing


class Browser:
    """A tab that has fetched the document."""

    def __init__(self):
        self.patches = []

    async def send_patch_document(self, event):
        self.patches.append(event)


def test_what_changes_while_a_browser_builds_the_page_waits_until_it_is_ready():
    async def run():
        doc, browser = Document(), Browser()
        with set_curdoc(doc):
            page = Page(Hub())
        session = ServerSession("one", doc, io_loop=IOLoop.current())
        context = BokehSessionContext("one", None, doc)
        context._set_session(session)
        doc._session_context = weakref.ref(context)  # as Bokeh's application does
        doc.on_event("document_ready", lambda _: state._connected.update({doc: True}))  # as Panel

        def rename(to: str) -> None:
            doc.title = f"not {to}"
            doc.title = to

        page._later(lambda: rename("fetched with the page"))
        await _settled()
        assert doc.title == "fetched with the page", "nobody has fetched it: no need to wait"
        session.subscribe(browser)
        page._later(lambda: rename("one"))
        page.tell("a word")
        await _settled()
        assert (doc.title, page.heard) == ("fetched with the page", [])
        doc.callbacks.trigger_event(DocumentReady())
        await _settled()
        page._later(lambda: rename("two"))
        await _settled()
        return [event.title for event in browser.patches], page.heard

    titles, heard = asyncio.run(run())
    assert titles == ["one", "two"], "not lost, and one message for all of a turn"
    assert heard == ["a word"]
