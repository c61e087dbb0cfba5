"""Pages without a browser: what they say after a press, a fault on the side, or a removed run."""

from __future__ import annotations

import asyncio
import sys
import time
from types import SimpleNamespace

import pytest
from bokeh.document import Document
from bokeh.server.session import ServerSession
from panel.io.state import set_curdoc
from tornado.ioloop import IOLoop

from workbench.dashboard import after, hub, people, places
from workbench.dashboard.access import Access, Visit
from workbench.dashboard.address import Place
from workbench.dashboard.hub import Hub
from workbench.dashboard.pair_place import PairAsked
from workbench.dashboard.places import PlaceSession
from workbench.dashboard.session import Session
from workbench.errors import BadFile, RefusedCommand
from workbench.runs import launch
from workbench.runs.inspecting import Seen
from workbench.runs.kept_models import kept_models
from workbench.runs.listing import Listing
from workbench.store import Store

from ..runs.written import Written
from ..waiting import PATIENCE, until
from .conftest import copied
from .starters import Kept
from .test_new_session import settled


@pytest.fixture
def hub_of():
    """Makes hubs, and ends their threads."""
    made = []

    def make(store):
        made.append(Hub(store, Kept()))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def own(finished, tmp_path):
    """A copy of the store with the finished run, for tests that change it."""
    store = Store(str(copied(finished, tmp_path / "store")))
    yield store
    store.close()


async def page_of(kind, hub, asked, visit=None):
    """A page, and the session of Bokeh that holds it."""
    doc = Document()
    if visit is not None:
        people._visits[doc] = visit
    with set_curdoc(doc):
        page = kind(hub, asked)
    session = ServerSession("one", doc, io_loop=IOLoop.current())
    await settled()
    return page, session


def test_a_pair_that_is_refused_before_its_process_is_known_to_the_page_is_said(
    finished, hub_of, monkeypatch
):
    """The first word may come from the other thread before the constructor has returned."""

    class Hasty:
        lives = False

        def __init__(self, store, asked, heard):
            heard(Seen("refused", "There are no such weights."))

        def cancel(self):
            """It has ended."""

    monkeypatch.setattr(places, "Inspection", Hasty)
    ids = {model.role: model.id for model in kept_models(finished.store)}

    async def run():
        page, _session = await page_of(PlaceSession, hub_of(finished.store), PairAsked(**ids))
        await settled()
        told = page._parts["pair"].told
        return told["state"], told["words"]

    assert asyncio.run(run()) == ("refused", "There are no such weights.")


def test_a_replay_that_breaks_is_said_and_the_next_one_may_begin(finished, monkeypatch):
    def breaks(store, run, began):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(after, "replay_in_fresh_process", breaks)
    offered = after.After(finished.store, Kept())
    row = finished.store.runs.get(finished.run)
    for _ in range(2):
        offered.act(finished.run, "replay", lambda: None, who="page")
        until(lambda: offered.told(row)["replay"]["state"] != "working", "it is told")
        told = offered.told(row)["replay"]
        assert told["state"] == "refused" and "Cannot allocate memory" in told["words"]


def test_further_seeds_are_asked_for_once_by_a_double_press_or_by_two_tabs(own, finished):
    offered = after.After(own, Kept())
    offered.act(finished.run, "more_seeds", lambda: None, who="page")
    with pytest.raises(RefusedCommand, match="wait"):
        offered.act(finished.run, "more_seeds", lambda: None, who="page")
    assert len(own.runs.cohort(finished.run)) == 5


def test_a_run_that_cannot_be_read_keeps_no_other_waiting_and_is_told_of_once_a_second(
    tmp_path, monkeypatch, caplog
):
    written = Written(tmp_path)
    broken, fine = written.run(0.5), written.run(0.6, seed=1)
    shown = SimpleNamespace(parts={"top": {}}, views={})
    looks = {broken: 0, fine: 0}

    class Live:
        def __init__(self, store, run):
            self.run, self.shown = run, shown

        def look(self, *, stirred):
            looks[self.run] += 1
            if self.run == broken:
                raise ValueError("a snapshot holds no such array")
            return shown

    monkeypatch.setattr(hub, "Live", Live)
    told = []

    class Viewer:
        def __init__(self, run):
            self.run = run

        def show(self, shown):
            told.append(self.run)

    viewers = [Viewer(run) for run in (broken, fine)]
    began = time.monotonic()
    watching = Hub(written.store, Kept(), Access(read_only=True))
    for viewer in viewers:
        watching.live(viewer.run)
        watching.attach(viewer)
    until(lambda: told.count(fine) > 100, "the other is looked at and told")
    watching.close()
    seconds = time.monotonic() - began
    assert looks[broken] <= 2 + seconds
    assert sum(broken in line for line in caplog.text.splitlines()) <= 2 + seconds
    written.store.close()


def test_a_run_that_is_removed_while_it_is_looked_at_is_not_there_for_the_next_page(
    own, finished, hub_of
):
    watching = hub_of(own)

    async def run():
        first, _one = await page_of(Session, watching, Place(finished.run))
        own.runs.remove(finished.run)
        second, _two = await page_of(Session, watching, Place(finished.run))
        first.act({"do": "resume"})
        return first, second

    first, second = asyncio.run(run())
    assert second.run is None
    assert "No run" in second._parts["start"].told["missing"]["text"]
    assert "No run" in first._parts["top"].told["refused"]


def test_a_removed_run_is_said_to_be_gone_where_it_is_looked_at_and_offers_nothing(
    own, finished, hub_of
):
    watching = hub_of(own)

    async def run():
        page, _session = await page_of(Session, watching, Place(finished.run))
        own.runs.remove(finished.run)
        for _ in range(200):
            await asyncio.sleep(0.05)
            if page._parts["notice"].told.get("kind"):
                break
        return {name: page._parts[name].told for name in ("notice", "top", "result")}

    told = asyncio.run(run())
    assert told["notice"]["head"] == "This run has been removed from the store."
    assert (told["top"]["buttons"], told["top"]["exports"]) == ([], [])
    assert told["result"]["after"] is None
    assert watching.live(finished.run).look(stirred=True) is None


def test_a_fork_of_a_failed_run_is_made_once_by_a_double_press(own, finished, hub_of):
    own.runs.update(finished.run, status="failed", result=None, error={"code": "WB501"})

    async def run():
        page, _session = await page_of(Session, hub_of(own), Place(finished.run))
        for _ in range(2):
            page.act({"do": "fork", "at": 0})
        return page._parts["top"].told["goto"]

    child = asyncio.run(run())
    assert [row.id for row in own.runs.list() if row.parent == finished.run] == [child]


def test_a_pair_of_layers_asked_of_an_experiment_that_cannot_be_read_is_refused_in_words(
    own, finished, hub_of, monkeypatch
):
    async def run():
        page, _session = await page_of(Session, hub_of(own), Place(finished.run))

        def broken(store, run):
            raise BadFile("experiment.yaml names a module that is gone.")

        monkeypatch.setattr("workbench.dashboard.pairing.as_it_stands", broken)
        page._views["cka"].event = {"kind": "pair", "x": 0, "y": 0}
        return page._parts["top"].told["refused"]

    assert asyncio.run(run()) == "experiment.yaml names a module that is gone."


def test_the_start_page_of_who_may_only_look_is_told_so(store, hub_of):
    async def run(visit):
        page, _session = await page_of(Session, hub_of(store), Place(), visit)
        return page._parts["start"].told["may"]

    assert asyncio.run(run(Visit(touch=False, fork=False))) is False
    assert asyncio.run(run(Visit())) is True


def test_a_run_that_is_removed_while_the_list_is_read_is_left_out(tmp_path, monkeypatch):
    written = Written(tmp_path)
    gone, kept = written.run(0.5), written.run(0.6, seed=1)
    listing = Listing(written.store)
    get = written.store.runs.get

    def removing(run):
        if run == gone:
            written.store.runs.remove(run)
        return get(run)

    monkeypatch.setattr(written.store.runs, "get", removing)
    assert [line.id for line in listing.lines()] == [kept]
    assert [line.id for line in listing.lines()] == [kept]
    written.store.close()


def test_a_press_that_breaks_is_said_and_those_of_the_same_message_are_followed(
    store, hub_of, monkeypatch, caplog
):
    """Else the start page would start for ever, and the rest be done with a later press."""

    async def run():
        page, _session = await page_of(Session, hub_of(store), Place())

        def breaks(*_, **__):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(page.hub.quickstart, "start", breaks)
        pressed = [{"do": "start", "count": 1}, {"do": "name", "value": "mira", "count": 2}]
        page._parts["start"].asked = pressed
        return page.person.who, [page._parts[part].told["refused"] for part in ("start", "top")]

    who, told = asyncio.run(run())
    assert told == ["That broke; the server's log says why."] * 2
    assert who == "mira"
    assert "Permission denied" in caplog.text


class Looked:
    """A pair that is looked at, without its process."""

    lives = True

    def __init__(self, *_):
        self.cancelled = 0

    def cancel(self):
        self.cancelled += 1


def test_a_closed_page_is_not_held_by_the_pair_that_it_looked_at(finished, hub_of, monkeypatch):
    monkeypatch.setattr(places, "Inspection", Looked)
    ids = {model.role: model.id for model in kept_models(finished.store)}
    watching = hub_of(finished.store)

    async def run():
        page, _session = await page_of(PlaceSession, watching, PairAsked(**ids))
        (looked,) = watching.inspections
        page._end()
        return looked

    assert asyncio.run(run()).cancelled == 1
    assert watching.inspections == []


def test_a_server_that_ends_takes_along_what_it_has_started_to_look_at(
    finished, tmp_path, monkeypatch
):
    waits = "import sys; sys.stdin.read(); import time; time.sleep(600)"
    monkeypatch.setattr(launch, "module_command", lambda *_: [sys.executable, "-c", waits])
    store = Store(str(tmp_path / "workbench.db"))
    ending = Hub(store, Kept())
    ending.after = after.After(finished.store, Kept())
    ending.inspections = [Looked()]
    ending.after.act(finished.run, "replay", lambda: None, who="page")
    until(lambda: ending.after._process is not None, "it replays")
    process = ending.after._process
    ending.close()
    assert process.wait(timeout=PATIENCE) < 0
    assert ending.inspections[0].cancelled == 1
    store.close()
