"""The store: one SQLite file and the folders beside it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from workbench.store.commands import Journal
from workbench.store.database import Database, Watch, now_ns, store_path
from workbench.store.files import read_arrays
from workbench.store.metrics import Metrics
from workbench.store.recorder import StoreRecorder, checkpoints, snapshot_rows
from workbench.store.runs import Runs
from workbench.store.schema import CHECKPOINTS, SNAPSHOTS, TEACHERS


@dataclass(frozen=True)
class TeacherRow:
    """A cached teacher."""

    key: str
    weights: str
    path: Path
    facts: dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """The probes' arrays of one step, by ``probe.name``, with their facts."""

    step: int
    arrays: dict[str, np.ndarray]
    facts: dict[str, Any]


class Store:
    """Everything that outlives a process.

    Args:
        url: A path, ``sqlite:///PATH``, or None for the default under the user's home.

    Raises:
        BadStore: If it cannot be opened.
    """

    def __init__(self, url: str | None = None) -> None:
        self.database = Database(store_path(url))
        self.runs = Runs(self.database)
        self.journal = Journal(self.database)
        self.metrics = Metrics(self.database)

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return self.database.path

    @property
    def folder(self) -> Path:
        """Where run folders and cached teachers lie."""
        return self.database.folder

    def recorder(
        self, run: str, *, inbox: str | None = None, token: str | None = None
    ) -> StoreRecorder:
        """A recorder for one row; commands may come from another row's inbox.

        With the ``token`` of :meth:`Runs.claim` it writes only as long as the run is its own.
        """
        return StoreRecorder(self.database, run, inbox=inbox, token=token)

    def watch(self) -> Watch:
        """Whether anything changed since the last look."""
        return self.database.watch()

    def snapshot_steps(self, run: str) -> list[int]:
        """Steps that have a snapshot, rising."""
        return [step for step, _ in snapshot_rows(self.database, run)]

    def snapshots(self, run: str, *, after: int = -1, upto: int | None = None) -> list[Snapshot]:
        """Snapshots with ``after`` < step <= ``upto``, in order, but for files that are gone."""
        found = []
        for step, path in snapshot_rows(self.database, run, after=after):
            snapshot = _read_snapshot(step, path) if upto is None or step <= upto else None
            if snapshot is not None:
                found.append(snapshot)
        return found

    def snapshot_times(self, run: str) -> list[tuple[int, float]]:
        """Step of each snapshot, rising, and when it was written, in seconds since the epoch."""
        query = (
            select(SNAPSHOTS.c.step, SNAPSHOTS.c.created_ns)
            .where(SNAPSHOTS.c.run == run)
            .order_by(SNAPSHOTS.c.step)
        )
        with self.database.read() as connection:
            return [(int(step), ns / 1e9) for step, ns in connection.execute(query)]

    def share(self, parent: str, child: str, *, upto: int) -> list[str]:
        """Give a run the metrics, snapshots and the checkpoint of another up to a step.

        Args:
            parent: Whose rows.
            child: Who gets them; it has none yet.
            upto: Step of a checkpoint of the parent.

        Returns:
            Files, relative to a run's folder, which the caller must put there.
        """
        files = []
        with self.database.write() as connection:
            for table in (SNAPSHOTS, CHECKPOINTS):
                rows = connection.execute(
                    select(table).where(table.c.run == parent, table.c.step <= upto)
                ).all()
                if table is CHECKPOINTS:
                    rows = [row for row in rows if row.step == upto]
                for row in rows:
                    connection.execute(table.insert().values(**{**row._mapping, "run": child}))
                    files.append(str(row.file))
        self.metrics.copy(parent, child, upto=upto)
        return files

    def last_snapshot(self, run: str) -> Snapshot | None:
        """The newest snapshot, or None."""
        rows = snapshot_rows(self.database, run)
        for step, path in reversed(rows):
            snapshot = _read_snapshot(step, path)
            if snapshot is not None:
                return snapshot
        return None

    def checkpoints(self, run: str) -> list[Any]:
        """Rows (step, file, accuracy, reason, ...) of a run's checkpoints, newest first."""
        return checkpoints(self.database, run)

    def teacher(self, key: str) -> TeacherRow | None:
        """The cached teacher with this key, if its file is there."""
        query = select(TEACHERS).where(TEACHERS.c.key == key)
        with self.database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return None
        path = self.folder / row.file
        if not path.is_file():
            return None
        return TeacherRow(row.key, row.weights, path, json.loads(row.facts))

    def teacher_path(self, key: str) -> Path:
        """Where a teacher's weights belong."""
        return self.folder / "teachers" / key / "weights.safetensors"

    def keep_teacher(self, key: str, *, weights: str, facts: dict[str, Any]) -> None:
        """Record a teacher whose file has been written to :meth:`teacher_path`."""
        values = {
            "weights": weights,
            "file": str(self.teacher_path(key).relative_to(self.folder)),
            "facts": json.dumps(facts, allow_nan=False),
            "created_ns": now_ns(),
        }
        with self.database.write() as connection:
            connection.execute(
                insert(TEACHERS)
                .values(key=key, **values)
                .on_conflict_do_update(index_elements=["key"], set_=values)
            )

    def close(self) -> None:
        """Close all connections."""
        self.database.close()


def _read_snapshot(step: int, path: Path) -> Snapshot | None:
    """The snapshot; None if its file is gone, perhaps this very moment: a run thins itself."""
    try:
        arrays, metadata = read_arrays(path)
    except FileNotFoundError:
        return None
    facts = json.loads(metadata.get("facts", "{}"))
    return Snapshot(step, {name: np.asarray(array) for name, array in arrays.items()}, facts)
