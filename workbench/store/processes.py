"""Is the process that wrote this row still there? Pid *and* start time, since pids come back.

And is the row still its own? Across hosts nobody can look for a pid, so a process that was thought
dead finds out when it writes: :func:`hold` asks in the very transaction that writes.
"""

from __future__ import annotations

import os
import socket
from typing import Any

import psutil
from sqlalchemy import Connection, update

from workbench.errors import LeaseLost
from workbench.store.database import now_ns
from workbench.store.schema import RUNS

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


def hold(connection: Connection, run: str, token: str | None, **fields: Any) -> None:
    """Change fields of a run's row, with a heartbeat, as its owner; else refuse the transaction.

    Costs nothing beside the change itself: the owner is a condition of the same statement. Inside
    a write transaction nobody can take the run between the question and what is written after it.

    Args:
        connection: In a write transaction; all of it is taken back when this raises.
        run: Its id.
        token: What ``Runs.claim`` gave; None where no process has claimed the run.
        fields: Columns of the row.

    Raises:
        LeaseLost: If another process has claimed the run since, or the run was removed.
    """
    mine = (RUNS.c.id == run) & (RUNS.c.owner == token)
    values = {"heartbeat_ns": now_ns(), **fields}
    if connection.execute(update(RUNS).where(mine).values(**values)).rowcount == 0:
        raise LeaseLost(
            f"Run {run} is not this process's any more: it was taken over by another one, or "
            "removed. Nothing more is written here; `workbench show` says who trains it."
        )
