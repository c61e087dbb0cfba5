"""The one queue of a store: which run is next, and that no two processes take it up.

Unusual here: nobody owns the queue. It is the rows that have a turn, and whoever comes by (a worker
that has ended, a server, the command line) may ask for the next; the answer is given in a
transaction, once. So a process that is killed takes nothing with it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from workbench.errors import RefusedCommand
from workbench.store.database import Database, now_ns
from workbench.store.runs import MENDED
from workbench.store.schema import RUNS
from workbench.store.turns import (
    Beside,
    beside,
    is_called,
    is_passed_over,
    status_of,
    unclaimed,
    works,
)
from workbench.training.journal import ACTIVE


@dataclass(frozen=True)
class Standing:
    """How the queue stands.

    Attributes:
        runs: Ids of those that wait, in the order of their turn.
        holder: Run that they wait for, which trains now or is about to; None where none does.
        paused: Whether that one stands paused.
        broken: Run at which a fault of the machine (a full disk) stopped the queue, or None.
    """

    runs: tuple[str, ...] = ()
    holder: str | None = None
    paused: bool = False
    broken: str | None = None


def standing(database: Database) -> Standing:
    """Who waits, and for whom."""
    with database.read() as connection:
        return _standing(connection)[0]


def call_next(database: Database) -> str | None:
    """The run whose turn has come; None while another one holds the queue.

    It is called: who gets its id starts a worker for it, and nobody else gets it until that one had
    time to come.
    """
    with database.read() as connection:
        if _due(connection) is None:
            return None
    with database.write() as connection:
        row = _due(connection)
        if row is None:  # somebody else was quicker
            return None
        connection.execute(
            update(RUNS)
            .where(RUNS.c.id == row.id)
            .values(called_ns=now_ns(), calls=(row.calls or 0) + 1)
        )
        return str(row.id)


def to_front(database: Database, run: str) -> None:
    """Let a run that waits be the next.

    Raises:
        RefusedCommand: If it does not wait in the queue.
    """
    first = select(func.min(RUNS.c.turn)).where(_waits()).scalar_subquery()
    with database.write() as connection:
        mine = _waits() & (RUNS.c.id == run)
        done = connection.execute(update(RUNS).where(mine).values(turn=first - 1))
    if not done.rowcount:
        raise RefusedCommand(
            f"Run {run} does not wait in the queue; `workbench queue` lists the runs that do."
        )


def _waits() -> Any:
    return (
        (RUNS.c.role == "student")
        & RUNS.c.turn.is_not(None)
        & (RUNS.c.status == "queued")
        & RUNS.c.pid.is_(None)
    )


def _due(connection: Connection) -> Row[Any] | None:
    """The first that waits, if nothing holds the queue and no worker is on its way to it."""
    found, rows = _standing(connection)
    held = found.holder is not None or found.broken is not None
    return None if held or not rows or any(is_called(row) for row in rows) else rows[0]


def _standing(connection: Connection) -> tuple[Standing, Sequence[Row[Any]]]:
    """How it stands, and the rows that wait."""
    waiting = connection.execute(select(RUNS).where(_waits()).order_by(RUNS.c.turn)).all()
    rows = [row for row in waiting if not is_passed_over(row)]
    if not rows:
        return Standing(), ()
    runs = tuple(str(row.id) for row in rows)
    active = (RUNS.c.role == "student") & RUNS.c.status.in_(ACTIVE)
    others = connection.execute(select(RUNS).where(active).order_by(RUNS.c.created_ns)).all()
    known = beside(connection, others)
    holders = [row for row in others if _holds(row, known)]
    # A run of the queue itself is named before one that was started beside it.
    holder = min(holders, key=lambda row: row.turn is None, default=None)
    if holder is None:
        return Standing(runs, broken=_broken(connection)), rows
    return Standing(runs, str(holder.id), holder.status == "paused"), rows


def _holds(row: Row[Any], known: Beside) -> bool:
    """Whether the queue waits for a run: one of its own, or one that trains beside it.

    One that was started by hand and stands paused holds nobody up: it may stand for days.
    """
    if unclaimed(row):
        return row.turn is None and status_of(row, known) == "queued"
    return works(row, known.file) and (row.turn is not None or row.status != "paused")


def _broken(connection: Connection) -> str | None:
    """The run of the queue that ended last, if the machine was at fault: the next would be, too."""
    ended = (
        select(RUNS.c.id, RUNS.c.status, RUNS.c.error)
        .where(RUNS.c.turn.is_not(None), RUNS.c.role == "student", RUNS.c.ended_ns.is_not(None))
        .order_by(RUNS.c.ended_ns.desc())
        .limit(1)
    )
    last = connection.execute(ended).first()
    if last is None or last.status != "failed" or last.error is None:
        return None
    return str(last.id) if json.loads(last.error).get("code") in MENDED else None
