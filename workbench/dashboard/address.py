"""Where the page may listen, on this machine only, and what its own address asks it to show."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from workbench.errors import BadAddress

DEFAULT_PORT = 8760
LAST_PORT = 65535
SEARCH = 200
"""Ports that are tried for an offer."""

STEP = re.compile(r"[0-9]{1,9}")
LONGEST = 20
"""Letters of an unreadable step that are said again."""


@dataclass(frozen=True)
class Place:
    """What an address asks for: ``/?run=RUN&step=120``.

    Attributes:
        run: Its id, or None for the start page.
        step: The step to look at, or None for live.
        words: Why the step could not be read; empty if it could.
    """

    run: str | None = None
    step: int | None = None
    words: str = ""

    @classmethod
    def read(cls, arguments: Mapping[str, Sequence[bytes]]) -> Place:
        """From the arguments of a request; the first of each name counts."""
        run = _first(arguments, "run")
        step = _first(arguments, "step")
        if not run or not step:
            return cls(run or None)
        if not STEP.fullmatch(step):
            told = step if len(step) <= LONGEST else f"{step[:LONGEST]}…"
            return cls(run, words=f"`step={told}` in the address is no step.")
        return cls(run, int(step))

    @property
    def address(self) -> str:
        """Path and query of the page that shows this."""
        asked = {"run": self.run, "step": self.step}
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return f"/?{query}" if query else "/"


@dataclass(frozen=True)
class Compared:
    """What an address asks to see side by side: ``/?compare=RUN,RUN&against=RUN``.

    Attributes:
        runs: Their ids, or those of controls; none for the empty page.
        against: Id of a run of the baseline; None leaves it to the page.
        measure: Name of the number that differences are of, likewise.
        focus: Id of the setting that stands out, likewise.
    """

    runs: tuple[str, ...] = ()
    against: str | None = None
    measure: str | None = None
    focus: str | None = None

    @classmethod
    def read(cls, arguments: Mapping[str, Sequence[bytes]]) -> Compared | None:
        """From the arguments of a request; None where it asks for another page."""
        if "compare" not in arguments:
            return None
        runs = (run.strip() for run in _first(arguments, "compare").split(","))
        picked = (_first(arguments, name) or None for name in ("against", "measure", "focus"))
        return cls(tuple(dict.fromkeys(run for run in runs if run)), *picked)

    @property
    def address(self) -> str:
        """Path and query of the page that shows this."""
        asked = {"against": self.against, "measure": self.measure, "focus": self.focus}
        query = {"compare": ",".join(self.runs)}
        query |= {name: value for name, value in asked.items() if value is not None}
        return f"/?{urlencode(query, safe=',')}"


def _first(arguments: Mapping[str, Sequence[bytes]], name: str) -> str:
    values = arguments.get(name) or [b""]
    return values[0].decode("utf-8", "replace")


def check_host(host: str) -> str:
    """The address to bind.

    Raises:
        BadAddress: If others could reach it: the page asks nobody who they are.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise BadAddress(
            f"--host {host!r} is not an address of this machine. Allowed: 127.0.0.1, localhost."
        ) from None
    if str(address) != "127.0.0.1":
        raise BadAddress(
            f"--host {host}: the page has no login yet, so it listens on 127.0.0.1 only. From "
            "another machine, forward the port: `ssh -L PORT:127.0.0.1:PORT HOST`."
        )
    return str(address)


def choose_port(host: str, port: int | None) -> int:
    """The port to listen on: the one asked for, or the first free one from :data:`DEFAULT_PORT`.

    Raises:
        BadAddress: If the port is out of range, not allowed or taken; offers the next free one.
    """
    if port is None:
        return next_free(host, DEFAULT_PORT)
    if not 1 <= port <= LAST_PORT:
        raise BadAddress(
            f"--port {port} is no port. Allowed: 1 to {LAST_PORT}; leave it out for a free one."
        )
    error = _refusal(host, port)
    if error is None:
        return port
    taken = error.errno == errno.EADDRINUSE
    why = "is in use" if taken else f"cannot be used ({error.strerror})"
    free = next_free(host, port + 1 if port >= 1024 else DEFAULT_PORT)
    raise BadAddress(f"Port {port} {why}. Free: --port {free}.")


def next_free(host: str, start: int) -> int:
    """The first port from ``start`` that nobody listens on."""
    for port in range(start, min(start + SEARCH, LAST_PORT + 1)):
        if _refusal(host, port) is None:
            return port
    with socket.socket() as any_port:  # the system knows one
        any_port.bind((host, 0))
        return int(any_port.getsockname()[1])


def _refusal(host: str, port: int) -> OSError | None:
    """Why the system does not give the port; None if it does."""
    with socket.socket() as plug:
        plug.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            plug.bind((host, port))
        except OSError as error:
            return error
    return None
