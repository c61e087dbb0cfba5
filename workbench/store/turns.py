"""Whose turn it is: rows that wait, rows that a living process works on, and in which order.

Functions of rows as they were read, within the transaction that read them; :mod:`.runs` and
:mod:`.queue` decide with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from workbench.errors import RefusedCommand
from workbench.store.database import now_ns
from workbench.store.processes import STALE_SECONDS, is_alive, is_here
from workbench.store.schema import RUNS
from workbench.training.journal import ACTIVE

UNCLAIMED_SECONDS: Final = 60.0
"""After which an accepted run that no worker has taken counts as interrupted."""
MOST_CALLS: Final = 3
"""Workers that are started for a run of the queue before it is passed over."""


def lives(row: Row[Any]) -> bool:
    """Whether the process that wrote a row is still there."""
    if is_here(row.host):
        return is_alive(row.host, row.pid, row.process_started)
    return row.heartbeat_ns is not None and (now_ns() - row.heartbeat_ns) / 1e9 < STALE_SECONDS


def works(row: Row[Any]) -> bool:
    """Whether a living process is at work on it."""
    return row.status in ACTIVE and row.pid is not None and lives(row)


def unclaimed(row: Row[Any]) -> bool:
    """Whether it was accepted and no process has taken it yet."""
    return row.status == "queued" and row.pid is None


def is_called(row: Row[Any]) -> bool:
    """Whether a worker was started for a run of the queue that may still come."""
    age = (now_ns() - (row.called_ns or 0)) / 1e9
    return unclaimed(row) and row.called_ns is not None and age <= UNCLAIMED_SECONDS


def is_passed_over(row: Row[Any]) -> bool:
    """Whether the queue goes on without it: no worker that was started for it has come."""
    return (row.calls or 0) >= MOST_CALLS and not is_called(row)


def students_of(connection: Connection, cohort: str) -> list[Row[Any]]:
    """The runs that were started together, in their order."""
    mine = (RUNS.c.cohort == cohort) & (RUNS.c.role == "student")
    return list(connection.execute(select(RUNS).where(mine).order_by(RUNS.c.created_ns)).all())


def refuse_before_its_turn(connection: Connection, row: Row[Any]) -> None:
    """Raise if a run that waits must wait on.

    Raises:
        RefusedCommand: If another one of its group, or of the queue, is at work; names it.
    """
    if row.turn is None:
        others = [] if row.cohort is None else students_of(connection, row.cohort)
        of = "of its group"
    else:
        queued = RUNS.c.turn.is_not(None) & RUNS.c.status.in_(ACTIVE) & (RUNS.c.role == "student")
        others = list(connection.execute(select(RUNS).where(queued)).all())
        of = "of the queue"
    for other in others:
        if other.id != row.id and works(other):
            raise RefusedCommand(
                f"Run {row.id} waits for its turn: run {other.id} {of} is {other.status}, "
                f"pid {other.pid}, and the next follows by itself."
            )


def taken_care_of(connection: Connection, rows: Iterable[Row[Any]]) -> dict[str, bool]:
    """Of each cohort in which a run waits: whether a process that had one of it still lives.

    Such a process takes up the next when its own has ended. Where none was ever there, the
    cohort is left out: its first worker is on its way. Runs of the queue need nobody's care.
    """
    found: dict[str, bool] = {}
    for cohort in {row.cohort for row in rows if row.cohort is not None and _follows(row)}:
        mine = [row for row in students_of(connection, cohort) if row.turn is None]
        claimed = [row for row in mine if row.pid is not None]
        ended = max((row.ended_ns or now_ns() for row in claimed), default=0)
        # Runs that joined an ended group have a first worker on its way, too.
        if claimed and any(unclaimed(row) and row.created_ns < ended for row in mine):
            found[cohort] = any(lives(row) for row in claimed)
    return found


def status_of(row: Row[Any], cared: dict[str, bool]) -> str:
    """What is true now: a row whose process is gone is interrupted, whatever it last wrote.

    Args:
        row: As read.
        cared: Of :func:`taken_care_of`.
    """
    if unclaimed(row):
        if row.turn is not None:  # nothing is lost of the queue: somebody will come
            return "interrupted" if is_passed_over(row) else "queued"
        young = (now_ns() - row.created_ns) / 1e9 <= UNCLAIMED_SECONDS
        return "queued" if cared.get(row.cohort, young) else "interrupted"
    if row.status in ACTIVE and not lives(row):
        return "interrupted"
    return str(row.status)


def _follows(row: Row[Any]) -> bool:
    """Whether it waits for the others of its group, without a place in the queue."""
    return unclaimed(row) and row.turn is None
