"""A process forked from the preloaded one, and the two pipes to it: for whoever asks on the side.

Unusual here: it is a grandchild of another process, so it cannot be waited for as a child; a pidfd
says when it is gone, and never means another process. It is met at a socket in a folder that only
its owner can enter. Loads no torch.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, Protocol

MEET_SECONDS: Final = 10.0
"""For a forked process to come to the socket; on a machine busier than that a fresh one starts."""
LOOK_SECONDS: Final = 0.2
"""Between two looks whether it may still come."""
CREDENTIALS: Final = struct.Struct("3i")
"""Process, user, group of the other end of a socket, as the kernel knows them."""


class Helper(Protocol):
    """A process that is asked through pipes: a ``subprocess.Popen[bytes]`` is one."""

    pid: int
    stdin: IO[bytes] | None
    stdout: IO[bytes] | None

    def poll(self) -> int | None:
        """Its exit code, or None while it lives."""

    def wait(self) -> int:
        """The same, once it has ended."""

    def kill(self) -> None:
        """End it at once."""


class Forked:
    """Such a process that another one has forked; its exit code nobody can know: 0 stands for it.

    Args:
        connection: To it; closed with :attr:`stdout`.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.pid = _peer(connection)[0]
        self._handle = os.pidfd_open(self.pid)
        self._ended = False
        self._lock = threading.Lock()
        self.stdin: IO[bytes] | None = connection.makefile("wb")
        self.stdout: IO[bytes] | None = connection.makefile("rb")
        connection.close()  # for good once both of its files are

    def poll(self) -> int | None:
        """0 once it is gone, else None."""
        with self._lock:
            if not self._ended and is_ready(self._handle):
                self._ended = True
                os.close(self._handle)
            return 0 if self._ended else None

    def wait(self) -> int:
        """Return once it is gone."""
        while self.poll() is None:
            time.sleep(LOOK_SECONDS / 10)
        return 0

    def kill(self) -> None:
        """End it at once; nothing happens to one that has ended."""
        if self.poll() is None:
            with self._lock, contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)


def is_ready(file: int) -> bool:
    """Whether there is something to read, or the end; not ``select``, which stops at file 1023."""
    look = select.poll()
    look.register(file, select.POLLIN)
    return bool(look.poll(0))


def can_fork() -> bool:
    """Whether this system has what :class:`Forked` needs; Linux has."""
    return hasattr(os, "pidfd_open") and hasattr(socket, "SO_PEERCRED")


def meet(order: Callable[[str], bool], alive: Callable[[], bool]) -> Forked | None:
    """Order a fork and wait until it has come.

    Args:
        order: Tells the preloaded process at which socket it is expected; False if nobody hears.
        alive: Whether that process still lives.

    Returns:
        None where none comes: whoever asks starts a fresh one.
    """
    try:
        with _meeting_point() as (at, door):
            if not order(at):
                return None
            ends = time.monotonic() + MEET_SECONDS
            while time.monotonic() < ends and alive():
                with contextlib.suppress(TimeoutError):
                    connection, _ = door.accept()
                    connection.settimeout(None)
                    return _welcome(connection)
    except OSError:  # a folder's name that is too long for a socket, or no file handles left
        return None
    return None


def come(at: str) -> socket.socket:
    """The other end, in the process that was forked."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(at)
    return connection


@contextlib.contextmanager
def _meeting_point() -> Iterator[tuple[str, socket.socket]]:
    """A socket that listens in a folder of its own (mode 700), and its name."""
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        at = str(Path(folder) / "asks")
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(at)
            door.listen(1)
            door.settimeout(LOOK_SECONDS)
            yield at, door


def _welcome(connection: socket.socket) -> Forked | None:
    """Who came, if it is of the same user and still there."""
    with connection:
        if _peer(connection)[1] != os.getuid():
            return None
        try:
            return Forked(connection)
        except ProcessLookupError:  # it has ended already
            return None


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user at the other end."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, user, _ = CREDENTIALS.unpack(told)
    return pid, user
