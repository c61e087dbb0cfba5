"""Whose turn it is: rows that wait, rows that a living process works on, and in which order.

Functions of rows as they were read, within the transaction that read them; :mod:`.runs` and
:mod:`.queue` decide with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, select

from workbench.errors import RefusedCommand
from workbench.store.database import now_ns
from workbench.store.processes import STALE_SECONDS, file_of, is_alive, is_here
from workbench.store.schema import RUNS
from workbench.training.journal import ACTIVE

UNCLAIMED_SECONDS: Final = 60.0
"""After which an accepted run that no worker has taken counts as interrupted."""
MOST_CALLS: Final = 3
"""Workers that are started for a run of the queue before it is passed over."""


@dataclass(frozen=True)
class Beside:
    """What must be known beside the rows to say how they stand.

    Attributes:
        file: Which file they were read from, of :func:`file_of`.
        cared: Of each group in which a run waits: whether somebody will take it up.
    """

    file: str | None
    cared: dict[str, bool]


def lives(row: Row[Any], file: str | None) -> bool:
    """Whether the process that a row names is still there, and writes the file it was read from.

    Where its pid can be looked up, pid and start time say the first and the file the second: the
    row of a copied store names a process that goes on in the original, so here the run is
    interrupted. On another machine nobody can look: as long as the heartbeat is younger than
    ``STALE_SECONDS`` the run is that machine's. A copy from there has no heart that beats, so its
    runs are interrupted a minute after they were copied. Clocks must agree to within that minute.

    Args:
        row: As read.
        file: Of :func:`file_of`.
    """
    if is_here(row.host, row.machine):
        alive = is_alive(row.host, row.pid, row.process_started)
        return alive and row.store_file in (None, file)
    return row.heartbeat_ns is not None and (now_ns() - row.heartbeat_ns) / 1e9 < STALE_SECONDS


def works(row: Row[Any], file: str | None) -> bool:
    """Whether a living process is at work on it."""
    return row.status in ACTIVE and row.pid is not None and lives(row, file)


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
    file = file_of(connection)
    for other in others:
        if other.id != row.id and works(other, file):
            raise RefusedCommand(
                f"Run {row.id} waits for its turn: run {other.id} {of} is {other.status}, "
                f"pid {other.pid}, and the next follows by itself."
            )


def beside(connection: Connection, rows: Iterable[Row[Any]]) -> Beside:
    """What :func:`status_of` must know of some rows.

    A group is taken care of while a process that had one of it lives: that takes up the next when
    its own has ended. Where none was ever there, the group is left out: its first worker is on its
    way. Runs of the queue need nobody's care.
    """
    file = file_of(connection)
    found: dict[str, bool] = {}
    for cohort in {row.cohort for row in rows if row.cohort is not None and _follows(row)}:
        mine = [row for row in students_of(connection, cohort) if row.turn is None]
        claimed = [row for row in mine if row.pid is not None]
        ended = max((row.ended_ns or now_ns() for row in claimed), default=0)
        # Runs that joined an ended group have a first worker on its way, too.
        if claimed and any(unclaimed(row) and row.created_ns < ended for row in mine):
            found[cohort] = any(lives(row, file) for row in claimed)
    return Beside(file, found)


def status_of(row: Row[Any], known: Beside) -> str:
    """What is true now: a row whose process is gone is interrupted, whatever it last wrote.

    Args:
        row: As read.
        known: Of :func:`beside`.
    """
    if unclaimed(row):
        if row.turn is not None:  # nothing is lost of the queue: somebody will come
            return "interrupted" if is_passed_over(row) else "queued"
        young = (now_ns() - row.created_ns) / 1e9 <= UNCLAIMED_SECONDS
        return "queued" if known.cared.get(row.cohort, young) else "interrupted"
    if row.status in ACTIVE and not lives(row, known.file):
        return "interrupted"
    return str(row.status)


def _follows(row: Row[Any]) -> bool:
    """Whether it waits for the others of its group, without a place in the queue."""
    return unclaimed(row) and row.turn is None
