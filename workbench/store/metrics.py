"""Metrics as columnar blocks: up to 512 steps are one row, a million points read in 60 ms.

The newest block of a series is rewritten as it grows, so a reader that polls re-reads one row.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from workbench.store.database import Database
from workbench.store.processes import hold
from workbench.store.schema import BLOCKS

BLOCK_STEPS = 512


@dataclass(frozen=True)
class Series:
    """Rows of one series.

    Attributes:
        columns: Names of the values.
        steps: int64, shape (N,), rising.
        values: float64, shape (N, len(columns)); NaN where a column did not exist yet.
    """

    columns: tuple[str, ...]
    steps: np.ndarray
    values: np.ndarray

    def column(self, name: str) -> np.ndarray:
        """One column, float64, shape (N,)."""
        return np.asarray(self.values[:, self.columns.index(name)])


class Metrics:
    """Blocks of all runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, run: str, series: str, *, after: int = -1) -> Series:
        """All rows of a series with step > ``after``."""
        query = (
            select(BLOCKS)
            .where(BLOCKS.c.run == run, BLOCKS.c.series == series, BLOCKS.c.last_step > after)
            .order_by(BLOCKS.c.first_step)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        blocks = [decode(row.columns, row._mapping["count"], row.data) for row in rows]
        joined = _join(blocks)
        keep = joined.steps > after
        return Series(joined.columns, joined.steps[keep], joined.values[keep])

    def last_step(self, run: str, series: str) -> int:
        """Highest step of a series; -1 if there is none."""
        query = select(func.max(BLOCKS.c.last_step)).where(
            BLOCKS.c.run == run, BLOCKS.c.series == series
        )
        with self._database.read() as connection:
            found = connection.execute(query).scalar()
        return -1 if found is None else int(found)

    def copy(self, source: str, target: str, *, upto: int) -> None:
        """Give a run all rows of another up to a step, in every series."""
        with self._database.write() as connection:
            rows = connection.execute(
                select(BLOCKS).where(BLOCKS.c.run == source, BLOCKS.c.first_step <= upto)
            ).all()
            for row in rows:
                block = decode(row.columns, row._mapping["count"], row.data)
                keep = block.steps <= upto
                kept = Series(block.columns, block.steps[keep], block.values[keep])
                put_block(connection, target, row.series, kept)

    def drop_after(self, run: str, step: int) -> None:
        """Forget rows beyond a step in every series of a run."""
        with self._database.write() as connection:
            straddling = connection.execute(
                select(BLOCKS).where(
                    BLOCKS.c.run == run, BLOCKS.c.first_step <= step, BLOCKS.c.last_step > step
                )
            ).all()
            connection.execute(delete(BLOCKS).where(BLOCKS.c.run == run, BLOCKS.c.last_step > step))
            for row in straddling:
                block = decode(row.columns, row._mapping["count"], row.data)
                keep = block.steps <= step
                kept = Series(block.columns, block.steps[keep], block.values[keep])
                put_block(connection, run, row.series, kept)


class MetricWriter:
    """Appends to one run; holds the open block of each series in memory."""

    def __init__(self, database: Database, run: str, *, token: str | None = None) -> None:
        self._database = database
        self._run = run
        self._token = token
        self._open: dict[str, Series] = {}

    def append(
        self,
        series: str,
        columns: Sequence[str],
        steps: np.ndarray,
        values: np.ndarray,
        *,
        row_fields: dict[str, object] | None = None,
    ) -> None:
        """Add rows, and in the same transaction fields of the run's row (step, rate, heartbeat)."""
        fresh = Series(tuple(columns), np.asarray(steps, np.int64), np.asarray(values, np.float64))
        block = self._open.get(series)
        if block is None or len(block.steps) >= BLOCK_STEPS or block.columns != fresh.columns:
            block = fresh
        else:
            block = Series(
                block.columns,
                np.concatenate([block.steps, fresh.steps]),
                np.concatenate([block.values, fresh.values]),
            )
        with self._database.write(durable=False) as connection:
            put_block(connection, self._run, series, block)
            hold(connection, self._run, self._token, **(row_fields or {}))
        self._open[series] = block

    def forget(self) -> None:
        """Start new blocks: what lies in the store has been cut."""
        self._open.clear()


def put_block(connection: Connection, run: str, series: str, block: Series) -> None:
    """Insert a block, or replace the one that starts at the same step (a retry, or growth)."""
    if not len(block.steps):
        return
    data = block.steps.astype("<i8").tobytes() + np.ascontiguousarray(block.values, "<f8").tobytes()
    values = {
        "run": run,
        "series": series,
        "first_step": int(block.steps[0]),
        "last_step": int(block.steps[-1]),
        "count": len(block.steps),
        "columns": json.dumps(list(block.columns)),
        "data": data,
    }
    statement = insert(BLOCKS).values(**values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["run", "series", "first_step"],
            set_={key: values[key] for key in ("last_step", "count", "columns", "data")},
        )
    )


def decode(columns: str, count: int, data: bytes) -> Series:
    """A block from its row."""
    names = tuple(json.loads(columns))
    steps = np.frombuffer(data, "<i8", count)
    values = np.frombuffer(data, "<f8", count * len(names), offset=8 * count)
    return Series(names, steps, values.reshape(count, len(names)))


def _join(blocks: Sequence[Series]) -> Series:
    if not blocks:
        return Series((), np.zeros(0, np.int64), np.zeros((0, 0)))
    names = tuple(dict.fromkeys(name for block in blocks for name in block.columns))
    total = sum(len(block.steps) for block in blocks)
    values = np.full((total, len(names)), np.nan)
    start = 0
    for block in blocks:
        stop = start + len(block.steps)
        if block.columns == names:
            values[start:stop] = block.values
        else:
            values[start:stop, [names.index(name) for name in block.columns]] = block.values
        start = stop
    return Series(names, np.concatenate([block.steps for block in blocks]), values)
