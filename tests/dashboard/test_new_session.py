"""New experiment: what the checker answers is taken only by the draft that it was asked for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from bokeh.document import Document
from bokeh.server.session import ServerSession
from panel.io.state import set_curdoc
from tornado.ioloop import IOLoop

from workbench.dashboard.access import Access
from workbench.dashboard.new_address import NewAsked
from workbench.dashboard.new_session import NewSession
from workbench.runs.draft.stages import add_stage

from .starters import Kept

PRICE = {"memory_bytes": 0, "disk_bytes": 0}


class Checker:
    """Remembers what was asked; the test answers when it likes."""

    def __init__(self):
        self.asked = []

    def ask(self, whose, draft, heard):
        self.asked.append((draft, heard))

    def forget(self, whose):
        """Nothing is stopped here: the answer that is under way comes all the same."""


def hub_on(store):
    return SimpleNamespace(
        store=store,
        checker=Checker(),
        starter=Kept(),
        access=Access(),
        quickstart=SimpleNamespace(listing=SimpleNamespace(lines=list)),
        attach=lambda viewer: None,
        detach=lambda viewer: None,
    )


async def settled():
    for _ in range(20):
        await asyncio.sleep(0)


async def opened(hub):
    """New experiment on the quickstart, and the session of Bokeh that holds it."""
    doc = Document()
    with set_curdoc(doc):
        page = NewSession(hub, NewAsked("quickstart"))
    session = ServerSession("one", doc, io_loop=IOLoop.current())
    await settled()
    return page, session


def answer(seconds):
    return {"checks": {"found": [], "passed": []}, "estimate": {**PRICE, "seconds": seconds}}


def test_an_answer_of_before_the_last_edit_is_dropped_and_that_of_the_last_is_shown(store):
    async def run():
        hub = hub_on(store)
        page, _session = await opened(hub)
        told = page._parts["new"]
        ((_, first),) = hub.checker.asked
        page.act({"do": "edit", "path": "seed", "value": "3"})
        (draft, second) = hub.checker.asked[-1]
        assert draft.data["seed"] == 3
        first(answer(1234.0))
        await settled()
        seen = [told.told["about"]]
        second(answer(7.0))
        await settled()
        seen.append(told.told["about"])
        first(answer(1234.0))  # later still
        await settled()
        seen.append(told.told["about"])
        # An edit after the answer has left the checker and before the page's turn.
        page.act({"do": "edit", "path": "seed", "value": "4"})
        hub.checker.asked[-1][1](answer(8.0))
        page.act({"do": "edit", "path": "seed", "value": "5"})
        await settled()
        seen.append(told.told["about"])
        return seen

    before, last, later, between = asyncio.run(run())
    assert (before, between) == ("", "")
    assert last.startswith("about 7.0 s here")
    assert later == last


def test_facts_of_another_data_set_do_not_stand_beside_one_that_nobody_can_read_yet(store):
    facts = {
        "name": "digits", "kind": "image", "shape": [1, 8, 8], "classes": list("0123456789"),
        "splits": {"train": 100, "val": 10, "probe": 10, "test": 10}, "mean": [0.3], "std": [0.3],
        "pictures": ["data:,x"], "features": [],
    }  # fmt: skip

    async def run():
        hub = hub_on(store)
        page, _session = await opened(hub)
        told, seen = page._parts["new"], []
        hub.checker.asked[-1][1]({**answer(9.0), "data": facts})
        await settled()
        seen.append(told.told)
        page.act({"do": "edit", "path": "seed", "value": "-1"})  # wrong, but of no other data
        seen.append(told.told)
        page.act({"do": "edit", "path": "data.use", "value": "folder"})  # its path is missing
        seen.append(told.told)
        page.act({"do": "undo"})
        page.act({"do": "undo"})
        hub.checker.asked[-1][1]({**answer(9.0), "data": facts})
        await settled()
        return [*seen, told.told]

    for k, told in enumerate(asyncio.run(run())):
        shown = bool(told["data"]["facts"]), bool(told["pictures"])
        assert shown == ((False, False) if k == 2 else (True, True)), k


def test_an_answer_stays_good_while_another_stage_is_looked_at(store):
    async def run():
        hub = hub_on(store)
        page, _session = await opened(hub)
        page._change(add_stage(page._draft))
        heard = hub.checker.asked[-1][1]
        page.act({"do": "stage", "value": "main"})
        heard(answer(9.0))
        await settled()
        return page._parts["new"].told

    told = asyncio.run(run())
    assert told["stage_name"] == "main"
    assert told["about"].startswith("about 9.0 s here")


def test_start_pressed_while_the_checks_run_begins_once_they_pass_and_once_only(store):
    async def run():
        hub = hub_on(store)
        page, _session = await opened(hub)
        told = page._parts["new"]
        page.act({"do": "edit", "path": "seed", "value": "3"})
        page.act({"do": "begin"})  # a value is typed and Start pressed at once
        seen = [(told.told["awaited"], told.told["refused"], list(hub.starter.runs))]
        hub.checker.asked[-1][1](answer(7.0))
        await settled()
        page.act({"do": "begin"})  # the second press of a double click
        await settled()
        return seen[0], hub.starter.runs

    (awaited, refused, early), started = asyncio.run(run())
    assert (awaited, refused, early) == (True, "", [])
    (run,) = started
    assert store.runs.get(run).experiment["seed"] == 3


def test_an_awaited_start_is_called_off_by_an_edit_and_by_a_check_that_fails(store):
    async def run():
        hub = hub_on(store)
        page, _session = await opened(hub)
        told = page._parts["new"]
        page.act({"do": "begin"})
        page.act({"do": "edit", "path": "seed", "value": "4"})
        hub.checker.asked[-1][1](answer(7.0))
        await settled()
        seen = [(told.told["awaited"], told.told["running"], told.told["off"])]
        page.act({"do": "edit", "path": "seed", "value": "5"})
        page.act({"do": "begin"})
        hub.checker.asked[-1][1]({"refused": "The data set is not there."})
        await settled()
        seen.append((told.told["awaited"], told.told["running"], told.told["off"]))
        return seen, hub.starter.runs

    seen, started = asyncio.run(run())
    assert seen == [(False, False, ""), (False, False, "1 check failed. Mend it first.")]
    assert started == []


@pytest.mark.parametrize("text", ["{}", "name: x", "stages: {}"])
def test_a_text_whose_stages_are_not_written_yet_is_shown_with_what_is_missing(store, text):
    async def run():
        page, _session = await opened(hub_on(store))
        page.act({"do": "yaml", "value": text})
        return page._parts["new"].told

    told = asyncio.run(run())
    assert told["text"]["yaml"].startswith(text[:4])
    assert "stages" in [row["path"] for row in told["checks"] if row["state"] == "failed"]


def test_a_number_that_nobody_could_write_down_is_refused_in_words(store):
    async def run():
        page, _session = await opened(hub_on(store))
        page.act({"do": "edit", "path": "seed", "value": f"0x{'f' * 9000}"})
        return page._parts["new"].told["refused"]

    assert asyncio.run(run()) == "seed: a whole number of more than 63 bits."
