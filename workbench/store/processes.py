"""Is the process that wrote this row still there? Pid *and* start time, since pids come back."""

from __future__ import annotations

import os
import socket

import psutil

STALE_SECONDS = 60.0
"""Age of a heartbeat after which a run on *another* host counts as interrupted."""


def this_process() -> tuple[str, int, float]:
    """Host, pid and start time (seconds since the epoch) of the calling process."""
    return socket.gethostname(), os.getpid(), psutil.Process().create_time()


def is_alive(host: str | None, pid: int | None, started: float | None) -> bool:
    """Whether that very process lives on this host; a zombie is dead."""
    if pid is None or started is None or host != socket.gethostname():
        return False
    try:
        process = psutil.Process(pid)
        return (
            abs(process.create_time() - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
        )
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


def is_here(host: str | None) -> bool:
    """Whether a row was written on this host."""
    return host == socket.gethostname()
