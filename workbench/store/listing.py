"""What lists need of many rows at once: one query for all, whatever their number.

Unusual here: no JSON column is read, so a list of a thousand runs costs milliseconds; whoever wants
more of a row asks for that row.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from workbench.store.database import Database
from workbench.store.runs import Runs
from workbench.store.schema import CHECKPOINTS, RUNS, TEACHERS


@dataclass(frozen=True)
class Mark:
    """What changes when a run moves.

    Attributes:
        id: Of the run.
        written: The status that was written last; a dead worker may have left an old one.
        step: Of the student.
        ended_ns: When it ended, or None.
    """

    id: str
    written: str
    step: int
    ended_ns: int | None


@dataclass(frozen=True)
class KeptTeacher:
    """A teacher of the cache, its file there or not.

    Attributes:
        key: Hash of everything that made it.
        weights: SHA-256 of its tensors.
        path: Of its file.
        facts: What was recorded with it: its model and data.
        created_ns: When it was kept.
    """

    key: str
    weights: str
    path: Path
    facts: dict[str, Any]
    created_ns: int


@dataclass(frozen=True)
class KeptState:
    """One checkpoint of a student.

    Attributes:
        run: Whose.
        step: After which it was written.
        path: Of its file.
        sha256: Of the file, not of the tensors alone: it holds the optimiser too.
        accuracy: On probe, last seen before it, in [0, 1]; None before the first look.
    """

    run: str
    step: int
    path: Path
    sha256: str
    accuracy: float | None


def marks(database: Database) -> list[Mark]:
    """Of the students of all runs, newest first."""
    query = (
        select(RUNS.c.id, RUNS.c.status, RUNS.c.step, RUNS.c.ended_ns)
        .where(RUNS.c.role == "student")
        .order_by(RUNS.c.created_ns.desc())
    )
    with database.read() as connection:
        return [Mark(*row) for row in connection.execute(query)]


def waiting(database: Database) -> list[str]:
    """Runs that no process has taken yet: those of a group first, then the queue by its turns."""
    query = (
        select(RUNS.c.id)
        .where(RUNS.c.role == "student", RUNS.c.status == "queued", RUNS.c.pid.is_(None))
        .order_by(RUNS.c.turn.nulls_first(), RUNS.c.created_ns)
    )
    with database.read() as connection:
        return [str(row.id) for row in connection.execute(query)]


def join_cohort(database: Database, cohort: str, runs: Sequence[str]) -> None:
    """Let runs know those that were started with another one, which then heads them all."""
    with database.write() as connection:
        connection.execute(
            RUNS.update().where(RUNS.c.group.in_([cohort, *runs])).values(cohort=cohort)
        )


def kept_teachers(database: Database) -> list[KeptTeacher]:
    """All teachers of the cache, newest first."""
    query = select(TEACHERS).order_by(TEACHERS.c.created_ns.desc())
    with database.read() as connection:
        rows = connection.execute(query).all()
    return [
        KeptTeacher(
            row.key,
            row.weights,
            database.folder / row.file,
            json.loads(row.facts),
            int(row.created_ns),
        )
        for row in rows
    ]


def kept_states(database: Database) -> dict[str, list[KeptState]]:
    """Checkpoints of all runs' students by run, newest step first."""
    query = (
        select(CHECKPOINTS)
        .join(RUNS, RUNS.c.id == CHECKPOINTS.c.run)
        .where(RUNS.c.role == "student")
        .order_by(CHECKPOINTS.c.run, CHECKPOINTS.c.step.desc())
    )
    runs = Runs(database)
    found: dict[str, list[KeptState]] = {}
    with database.read() as connection:
        for row in connection.execute(query):
            path = runs.folder(row.run) / row.file
            state = KeptState(row.run, int(row.step), path, row.sha256, row.accuracy)
            found.setdefault(row.run, []).append(state)
    return found
