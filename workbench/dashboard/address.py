"""Where the page may listen, who may reach it there, and what its own address asks it to show."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from workbench_widgets.frame import VIEWS

from workbench.errors import BadAddress

DEFAULT_PORT = 8760
LAST_PORT = 65535
SEARCH = 200
"""Ports that are tried for an offer."""

ORIGIN = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?")
PREFIX = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
OPENED = (
    *("tab", "lower", "journal", "author", "find", "rail"),
    *("cell", "sample", "method", "target", "range"),
)
"""What stands open on the page of a run, beside the toggles of its views."""
STEP = re.compile(r"[0-9]{1,9}")
LONGEST = 20
"""Letters of an unreadable step that are said again."""


@dataclass(frozen=True)
class Place:
    """What an address asks for: ``/?run=RUN&step=120&select=3,7-12&calibration=bins:mass``.

    Attributes:
        run: Its id, or None for the start page.
        step: The step to look at, or None for live.
        words: Why the step could not be read; empty if it could.
        select: The samples to select, as select_text.py writes them; not yet looked at.
        toggles: View and text of what is toggled in it, as toggles.py reads them; likewise.
        opened: Name and text of what is open on the page, as opened.py reads them; likewise.
    """

    run: str | None = None
    step: int | None = None
    words: str = ""
    select: str = ""
    toggles: tuple[tuple[str, str], ...] = ()
    opened: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, arguments: Mapping[str, Sequence[bytes]]) -> Place:
        """From the arguments of a request; the first of each name counts."""
        run = first_of(arguments, "run")
        step = first_of(arguments, "step")
        select = first_of(arguments, "select")
        texts = ((view, first_of(arguments, view)) for view in VIEWS)
        toggles = tuple((view, text) for view, text in texts if text)
        panes = ((name, first_of(arguments, name)) for name in OPENED)
        opened = tuple((name, text) for name, text in panes if text)
        if not run or not step:
            return cls(run or None, select=select, toggles=toggles, opened=opened)
        if not STEP.fullmatch(step):
            told = step if len(step) <= LONGEST else f"{step[:LONGEST]}…"
            words = f"`step={told}` in the address is no step."
            return cls(run, words=words, select=select, toggles=toggles, opened=opened)
        return cls(run, int(step), select=select, toggles=toggles, opened=opened)

    @property
    def address(self) -> str:
        """Path and query of the page that shows this."""
        asked = {"run": self.run, "step": self.step, "select": self.select or None}
        asked |= dict(self.toggles) | dict(self.opened)
        given = {name: value for name, value in asked.items() if value is not None}
        query = urlencode(given, safe=",~:")
        return f"/?{query}" if query else "/"


@dataclass(frozen=True)
class Compared:
    """What an address asks to see side by side: ``/?compare=RUN,RUN&against=RUN``.

    Attributes:
        runs: Their ids, or those of controls; none for the empty page.
        against: Id of a run of the baseline; None leaves it to the page.
        measure: Name of the number that differences are of, likewise.
        focus: Id of the setting that stands out, likewise.
        along: What the curves are drawn along, a name of compare.py:ALONG, likewise.
        lines: What a line of the curves is, a name of compare.py:LINES, likewise.
    """

    runs: tuple[str, ...] = ()
    against: str | None = None
    measure: str | None = None
    focus: str | None = None
    along: str | None = None
    lines: str | None = None

    @classmethod
    def read(cls, arguments: Mapping[str, Sequence[bytes]]) -> Compared | None:
        """From the arguments of a request; None where it asks for another page."""
        if "compare" not in arguments:
            return None
        runs = (run.strip() for run in first_of(arguments, "compare").split(","))
        names = ("against", "measure", "focus", "along", "lines")
        picked = (first_of(arguments, name) or None for name in names)
        return cls(tuple(dict.fromkeys(run for run in runs if run)), *picked)

    @property
    def address(self) -> str:
        """Path and query of the page that shows this."""
        asked = {"against": self.against, "measure": self.measure, "focus": self.focus}
        asked |= {"along": self.along, "lines": self.lines}
        query = {"compare": ",".join(self.runs)}
        query |= {name: value for name, value in asked.items() if value is not None}
        return f"/?{urlencode(query, safe=',')}"


def first_of(arguments: Mapping[str, Sequence[bytes]], name: str) -> str:
    """The first value of an argument; empty if it is not there."""
    values = arguments.get(name) or [b""]
    return values[0].decode("utf-8", "replace")


def step_of(value: object) -> int:
    """The step that a page names to its session; none is the first.

    Raises:
        BadAddress: If it is no whole number that a run could reach.
    """
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise BadAddress(f"Step {repr(value)[:LONGEST]}: a whole number from 0 on is needed.")
    return value


def check_host(host: str, *, login: bool = False) -> str:
    """The address to bind.

    Args:
        host: As typed.
        login: Whether the page asks who somebody is; only then others may reach it.

    Raises:
        BadAddress: If it is no address, or others could reach a page that asks nobody.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise BadAddress(
            f"--host {host!r} is not an address of this machine. Allowed: 127.0.0.1, localhost, or "
            "with a login (--basic-auth, --oauth-provider) any of its addresses."
        ) from None
    if str(address) != "127.0.0.1" and not login:
        raise BadAddress(
            f"--host {host}: without a login the page listens on 127.0.0.1 only. Ask people who "
            "they are (--basic-auth FILE, --oauth-provider NAME), or forward the port from another "
            "machine: `ssh -L PORT:127.0.0.1:PORT HOST`."
        )
    return str(address)


def check_origins(asked: Sequence[str], host: str, port: int) -> list[str]:
    """Hosts whose pages may open a websocket: those asked for, else what is bound.

    Args:
        asked: ``HOST`` or ``HOST:PORT`` each, as a browser's address bar shows them.
        host: The address that is bound.
        port: Likewise.

    Raises:
        BadAddress: If one is a pattern or an address, or none can be told from the bind.
    """
    for origin in asked:
        if not ORIGIN.fullmatch(origin):
            raise BadAddress(
                f"--allow-origin {origin!r} is not HOST or HOST:PORT. Allowed: what stands in the "
                "browser's address bar between `//` and the next `/`, without patterns."
            )
    if asked:
        # A browser leaves out the port that belongs to http or https.
        return [re.sub(r":(80|443)$", "", origin.lower()) for origin in asked]
    if host == "127.0.0.1":
        return [f"127.0.0.1:{port}", f"localhost:{port}"]
    if ipaddress.ip_address(host).is_unspecified:
        raise BadAddress(
            f"--host {host} is every address of this machine: say by which name browsers reach it "
            f"(--allow-origin HOST:{port})."
        )
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]


def check_prefix(prefix: str) -> str:
    """The path under which a proxy shows the page, without the slash at its end.

    Raises:
        BadAddress: If it is no plain path.
    """
    path = prefix.rstrip("/")
    if path and not PREFIX.fullmatch(path):
        raise BadAddress(
            f"--prefix {prefix!r} is no path. Allowed: letters, digits, `-`, `_` and `.` between "
            "slashes, as in /team/kd."
        )
    return path


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
