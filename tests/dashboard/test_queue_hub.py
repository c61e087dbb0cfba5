"""A server sees to it that the queue goes on, also one that was accepted before it started."""

from __future__ import annotations

import time

from workbench.dashboard.access import Access
from workbench.dashboard.hub import Hub
from workbench.store import Store

from ..waiting import until
from .starters import Kept


def test_of_two_servers_one_starts_what_a_killed_one_left_and_the_next_when_it_has_ended(tmp_path):
    path = str(tmp_path / "workbench.db")
    store = Store(path)
    first, second = store.runs.create_all([{}] * 2, name="q", options={}, queued=True)
    starters = Kept(), Kept()
    stores = Store(path), Store(path)
    hubs = [Hub(one, starter) for one, starter in zip(stores, starters, strict=True)]

    def started():
        return starters[0].runs + starters[1].runs

    until(lambda: len(started()) == 1, "one starts")
    assert started() == [first]
    store.runs.claim(first)
    until(lambda: all(hub.queue.standing.holder == first for hub in hubs), "both know who trains")
    assert [turn.line.id for turn in hubs[0].queue.turns] == [second]
    assert hubs[0].waiting_words(second).startswith("It waits for its turn: place 1 of 1")
    store.runs.update(first, status="finished", ended_ns=time.time_ns())
    until(lambda: len(started()) == 2, "the next starts")
    assert sorted(started()) == sorted([first, second])
    for hub in hubs:
        hub.close()
    for one in (store, *stores):
        one.close()


def test_a_server_that_only_shows_tells_of_the_queue_and_starts_nothing(tmp_path):
    store, starter = Store(str(tmp_path / "workbench.db")), Kept()
    (run,) = store.runs.create_all([{}], name="q", options={}, queued=True)
    hub = Hub(store, starter, Access(read_only=True))
    until(lambda: [turn.line.id for turn in hub.queue.turns] == [run], "the queue is told")
    hub.close()
    assert starter.runs == []
    assert store.runs.get(run).status == "queued"
    store.close()
