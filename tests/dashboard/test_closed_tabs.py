"""What the server's log says of a tab that closed in the middle of a message: nothing."""

from __future__ import annotations

import asyncio
import logging

import pytest
from tornado.websocket import WebSocketClosedError

from workbench.dashboard import closed_tabs


async def fails(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(("error", "told"), [(WebSocketClosedError(), 0), (OSError("full"), 1)])
def test_a_closed_tab_leaves_no_traceback_and_other_failures_do(error, told, caplog):
    async def forgotten() -> None:
        closed_tabs.quiet(asyncio.get_running_loop())
        task = asyncio.ensure_future(fails(error))
        await asyncio.wait([task])
        del task  # nobody asks for its result: the loop is told when it goes

    with caplog.at_level(logging.WARNING):
        asyncio.run(forgotten())
    assert len(caplog.records) == told


@pytest.mark.parametrize("sender", closed_tabs.SENDERS)
def test_their_word_for_it_is_left_out_and_their_others_stay(caplog, sender):
    async def started() -> None:
        closed_tabs.quiet(asyncio.get_running_loop())

    asyncio.run(started())
    log = logging.getLogger(sender)
    with caplog.at_level(logging.WARNING, log.name):
        log.warning(closed_tabs.TOLD_BY_THEM)
        log.warning("Failed sending message due to following error: full")
    assert [record.getMessage() for record in caplog.records] == [
        "Failed sending message due to following error: full"
    ]
