"""What a run's snapshots and checkpoints take, and letting go of what is over the budget."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Table, delete, func, select

from workbench.store.database import Database
from workbench.store.runs import Runs
from workbench.store.schema import CHECKPOINTS, EVENTS, RUNS, SNAPSHOTS
from workbench.store.thinning import Kept, surplus_checkpoints, surplus_snapshots

TABLES: dict[str, Table] = {"snapshot": SNAPSHOTS, "checkpoint": CHECKPOINTS}


@dataclass(frozen=True)
class Drop:
    """A snapshot or a checkpoint to let go of.

    Attributes:
        kind: ``snapshot`` or ``checkpoint``.
        run: The row that it belongs to.
        step: Of that row.
        path: Its file.
        bytes: Of the file.
    """

    kind: str
    run: str
    step: int
    path: Path
    bytes: int


def taken(database: Database, group: str) -> int:
    """Bytes of the snapshots and checkpoints of a run and its parts, by their rows."""
    parts = select(RUNS.c.id).where(RUNS.c.group == group)
    with database.read() as connection:
        sums = [
            connection.execute(
                select(func.sum(table.c.bytes)).where(table.c.run.in_(parts))
            ).scalar()
            for table in TABLES.values()
        ]
    return sum(int(found or 0) for found in sums)


def surplus(database: Database, group: str, budget: int, *, only: str | None = None) -> list[Drop]:
    """What of a run goes so that it fits its budget, in the order in which it goes.

    Snapshots first, then checkpoints of the parts, then the student's. What must stay may be more
    than the budget.

    Args:
        database: Of the store.
        group: The student's run.
        budget: Bytes.
        only: The one row that the caller may change; all of the run's if not given.
    """
    over = taken(database, group) - budget
    rows = [row for row in _rows(database, group) if only in (None, row[0])]
    found: list[Drop] = []
    for kind in TABLES:
        for run, steps in rows:
            kept = _kept(database, kind, run)
            if kind == "snapshot":
                marks = _marks(database, group) if over > 0 and kept else []
                gone = surplus_snapshots(kept, over=over, steps=steps, marks=marks)
            else:
                needed = _needed(database, run)
                gone = surplus_checkpoints(kept, over=max(over, 0), needed=needed)
            drops = _drops(database, kind, run, gone)
            over -= sum(drop.bytes for drop in drops)
            found += drops
    return found


def let_go(database: Database, drops: Iterable[Drop]) -> None:
    """Forget snapshots and checkpoints: their rows first, then the files."""
    listed = list(drops)
    if not listed:
        return
    with database.write(durable=False) as connection:
        for drop in listed:
            table = TABLES[drop.kind]
            connection.execute(
                delete(table).where(table.c.run == drop.run, table.c.step == drop.step)
            )
    for drop in listed:
        with contextlib.suppress(OSError):  # what cannot be removed has no row, and gc finds it
            drop.path.unlink(missing_ok=True)


def _rows(database: Database, group: str) -> list[tuple[str, int]]:
    """Ids and planned steps of a run's rows, its own last."""
    with database.read() as connection:
        rows = connection.execute(select(RUNS.c.id, RUNS.c.steps).where(RUNS.c.group == group))
        return sorted(((row.id, int(row.steps)) for row in rows), key=lambda row: row[0] == group)


def _kept(database: Database, kind: str, run: str) -> list[Kept]:
    table = TABLES[kind]
    with database.read() as connection:
        return [Kept.of(row) for row in connection.execute(select(table).where(table.c.run == run))]


def _marks(database: Database, run: str) -> list[int]:
    """Steps at which something was set."""
    changed = (EVENTS.c.run == run) & (EVENTS.c.kind == "set")
    with database.read() as connection:
        return [int(row.step) for row in connection.execute(select(EVENTS.c.step).where(changed))]


def _needed(database: Database, run: str) -> set[int]:
    """Steps of a run's checkpoints that other experiments take their models from."""
    query = select(RUNS.c.experiment).where(
        RUNS.c.experiment.contains(f'"run:{run}@', autoescape=True)
    )
    with database.read() as connection:
        texts = [row.experiment for row in connection.execute(query)]
    found = re.compile(rf'"run:{re.escape(run)}@(\d+)"')
    return {int(step) for text in texts for step in found.findall(text)}


def _drops(database: Database, kind: str, run: str, steps: Sequence[int]) -> list[Drop]:
    if not steps:
        return []
    table, folder = TABLES[kind], Runs(database).folder(run)
    with database.read() as connection:
        rows = {
            int(row.step): row
            for row in connection.execute(select(table).where(table.c.run == run))
        }
    return [
        Drop(kind, run, step, folder / rows[step].file, int(rows[step].bytes)) for step in steps
    ]
