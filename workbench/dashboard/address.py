"""Where the page may listen: on this machine only, on a port that is free."""

from __future__ import annotations

import errno
import ipaddress
import socket

from workbench.errors import BadAddress

DEFAULT_PORT = 8760
LAST_PORT = 65535
SEARCH = 200
"""Ports that are tried for an offer."""


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
