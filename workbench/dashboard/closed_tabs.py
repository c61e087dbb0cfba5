"""A tab that closes in the middle of a message is no fault: the server's log stays quiet about it.

Unusual here: none of tornado, Bokeh and Panel lets a sender know, so all write the news, tornado
with a traceback, to whoever reads the log. What else fails is told as before.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

LOG = logging.getLogger(__name__)
SENDERS: Final = ("panel.io.document", "bokeh.server.views.ws")
TOLD_BY_THEM: Final = "Failed sending message as connection was closed"


def quiet(loop: asyncio.AbstractEventLoop) -> None:
    """Tell closed tabs at the level DEBUG, as long as the loop runs."""
    loop.set_exception_handler(_handle)
    for sender in SENDERS:
        logging.getLogger(sender).addFilter(_is_other)


def _handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if isinstance(context.get("exception"), (WebSocketClosedError, StreamClosedError)):
        LOG.debug("a tab closed while it was told something")
    else:
        loop.default_exception_handler(context)


def _is_other(record: logging.LogRecord) -> bool:
    return record.getMessage() != TOLD_BY_THEM
