"""What comes over a websocket that no page of ours sends: one line in the log, then it is closed.

Unusual here: Bokeh writes a traceback of its own code for each such message, with the message in
full, and goes on. Whoever reaches the port could fill the log with them, and in a fault of ours a
reader would look past them. A fault in code of ours, which a page meets in a message too, is told
with its traceback as before.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any, Final

from bokeh.protocol.exceptions import ProtocolError
from bokeh.server import urls
from bokeh.server.protocol_handler import ProtocolHandler
from bokeh.server.session import ServerSession
from panel.io.server import WSHandler

LOG = logging.getLogger(__name__)

MOST_TOLD = 120
"""Letters of a reason that the log repeats; a reason that the other side is sent is as short."""
REFUSED: Final = 1002
"""Protocol error, as RFC 6455 numbers it."""
OURS: Final = "workbench."


class Socket(WSHandler):
    """The websocket of a page."""

    receiver: Any
    connection: Any
    _over = False

    def open(self, *words: Any, **named: Any) -> Any:
        """Look at the token that a page was given; what is none is refused."""
        try:
            return super().open(*words, **named)  # type: ignore[no-untyped-call]
        except (ProtocolError, ValueError, LookupError, TypeError, AttributeError) as error:
            return self._refuse("a websocket without a page's token", error)

    async def on_message(self, fragment: str | bytes) -> None:
        """Take a piece of a message, and act when it is the last."""
        if self._over:  # what was under way when it was closed
            return
        if self.receiver is None:
            self._refuse("a message before the page was ready", None)
            return
        try:
            message = await self.receiver.consume(fragment)
        except Exception as error:  # the boundary to the network: anything may be sent
            self._refuse("a message that cannot be read", error)
            return
        if message is None:
            return
        try:
            work = await self._answer(message)
        except Exception as error:  # likewise, but the fault may be ours
            if _is_ours(error):
                LOG.exception("A message of a page could not be followed.")
                work = self.connection.error(message, repr(error))
            else:
                self._refuse("a message that cannot be followed", error)
                return
        if work is not None:  # a page that has gone
            await self.send_message(work)

    async def _answer(self, message: Any) -> Any:
        """Do what pages ask: a change, the document. None replaces the document: PUSH-DOC."""
        if message.msgtype == "PATCH-DOC":
            return await ServerSession.patch(message, self.connection)  # type: ignore[misc]
        if message.msgtype in ("PULL-DOC-REQ", "SERVER-INFO-REQ"):
            handler: Any = ProtocolHandler()
            return await handler.handle(message, self.connection)
        raise ProtocolError(f"{message.msgtype} is nothing that a page sends")

    def _refuse(self, what: str, error: Exception | None) -> None:
        self._over = True
        why = "" if error is None else f": {type(error).__name__} {str(error)[:MOST_TOLD]!r}"
        LOG.warning("Refused from %s: %s%s. Closed.", self.request.remote_ip, what, why)
        LOG.debug("What was refused:", exc_info=error)
        self.close(REFUSED, what)


def install() -> None:
    """Let servers that are made from now on use :class:`Socket`, in Bokeh's own list of routes."""
    logging.getLogger("bokeh.protocol").addFilter(_is_other)
    urls.per_app_patterns[:] = [
        (pattern[0], Socket, *pattern[2:]) if issubclass(pattern[1], WSHandler) else pattern
        for pattern in urls.per_app_patterns
    ]


def _is_ours(error: Exception) -> bool:
    """Whether code of the product stood between the message and the error."""
    frames = traceback.walk_tb(error.__traceback__)
    names = (str(frame.f_globals.get("__name__", "")) for frame, _ in frames)
    return any(name.startswith(OURS) and name != __name__ for name in names)


def _is_other(record: logging.LogRecord) -> bool:
    """Bokeh repeats a header without a kind in full; we have told it."""
    return "no msgtype" not in str(record.msg)
