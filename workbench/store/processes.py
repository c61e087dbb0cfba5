"""Is the process that wrote this row still there? Pid *and* start time, since pids come back.

Does it write *this* file? A store that was copied has rows of processes that write the original.
And is the row still its own? Across hosts nobody can look for a pid, so a process that was thought
dead finds out when it writes: :func:`hold` asks in the very transaction that writes.
"""

from __future__ import annotations

import functools
import os
import socket
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, update

from workbench.errors import LeaseLost
from workbench.store.database import FILE, now_ns
from workbench.store.schema import RUNS

STALE_SECONDS = 60.0
"""Age of a heartbeat after which a run on *another* host counts as interrupted."""
SINCE_1970 = 1e9
"""From here on a start is counted in seconds since 1970: no machine has been up for 30 years."""


def this_process() -> tuple[str, int, float]:
    """Host, pid and start (of :func:`start_of`) of the calling process."""
    return socket.gethostname(), os.getpid(), start_of(os.getpid())


def start_of(pid: int) -> float:
    """When a process started: seconds since the boot where the system says so, else since 1970.

    Linux counts the time of the boot back from the clock, so a start since 1970 moves with a clock
    that is set, and the process would be taken for another one.

    Raises:
        psutil.NoSuchProcess: If there is none.
    """
    try:
        told = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        told = b""
    if not told or this_machine() is None:  # without the boot's name, since when means nothing
        return psutil.Process(pid).create_time()
    ticks = told.rpartition(b")")[2].split()[19]  # what stands before may hold any character
    return int(ticks) / os.sysconf("SC_CLK_TCK")


def is_alive(host: str | None, pid: int | None, started: float | None) -> bool:
    """Whether that very process lives on this host; a zombie is dead.

    Args:
        host: Name of the machine.
        pid: Of the process.
        started: Of :func:`start_of`; in a row of an older version always since 1970.
    """
    if pid is None or started is None or host != socket.gethostname():
        return False
    try:
        process = psutil.Process(pid)
        now = process.create_time() if started >= SINCE_1970 else start_of(pid)
        return abs(now - started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False


@functools.cache
def this_machine() -> str | None:
    """Where a pid of this process means something: the boot and its namespace of pids.

    Two machines may have one name, and so may two containers; None where the system does not say.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return None


def is_here(host: str | None, machine: str | None) -> bool:
    """Whether a row was written where this process can look for its pid.

    Args:
        host: Name of the machine.
        machine: Of :func:`this_machine`; None in a row of an older version.
    """
    return host == socket.gethostname() and machine in (None, this_machine())


def file_of(connection: Connection) -> str | None:
    """Device and inode of the file that a connection has open; a copy has others."""
    found = connection.info.get(FILE)
    return None if found is None else f"{found[0]}:{found[1]}"


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
