"""The recorder that training writes to: one row of the store and its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert

from workbench.atomic import disk_full, sha256, write_atomically
from workbench.errors import BadFile, DiskFull
from workbench.store.budget import let_go, surplus, taken
from workbench.store.commands import Journal
from workbench.store.database import Database, now_ns
from workbench.store.files import write_arrays
from workbench.store.metrics import Metrics, MetricWriter
from workbench.store.processes import hold
from workbench.store.runs import Runs, as_columns
from workbench.store.schema import CHECKPOINTS, SNAPSHOTS
from workbench.store.thinning import run_budget
from workbench.training.checkpoint import state_bytes
from workbench.training.journal import CheckpointRow, Command, Event

DURABLE = frozenset({"status", "result", "protocol", "error"})

GONE = (FileNotFoundError, NotADirectoryError)
"""What the system says when a folder was deleted, or a file put in its place."""
"""Fields of a row that a power cut may not take back."""


class StoreRecorder:
    """Implements :class:`workbench.training.journal.Recorder` on the store."""

    def __init__(
        self,
        database: Database,
        run: str,
        *,
        inbox: str | None = None,
        token: str | None = None,
    ) -> None:
        self.run = run
        self._token = token
        self._database = database
        self._runs = Runs(database)
        self._journal = Journal(database)
        self._writer = MetricWriter(database, run, token=token)
        self._metrics = Metrics(database)
        self._inbox = inbox or run
        self._budget = run_budget()
        self._taken: int | None = None
        self.folder = self._runs.folder(run)

    def update(self, **fields: Any) -> None:
        """Change fields of the row, with a heartbeat.

        A status or a result is durable; counters (progress, share of probes) are not worth a sync.
        """
        durable = bool(DURABLE & set(fields))
        with self._database.write(durable=durable) as connection:
            hold(connection, self.run, self._token, **as_columns(fields))

    def metrics(
        self,
        series: str,
        columns: Sequence[str],
        steps: np.ndarray,
        values: np.ndarray,
        **row_fields: Any,
    ) -> None:
        """Append rows; fields of the run's row (step, rate) go with them in one transaction."""
        self._writer.append(series, columns, steps, values, row_fields=row_fields)

    def drop_metrics_after(self, step: int) -> None:
        """Forget metrics and snapshots beyond a step."""
        self._metrics.drop_after(self.run, step)
        self._writer.forget()
        with self._database.write() as connection:
            connection.execute(
                delete(SNAPSHOTS).where(SNAPSHOTS.c.run == self.run, SNAPSHOTS.c.step > step)
            )

    def last_step(self, series: str) -> int:
        """Highest recorded step of a series; -1 if there is none."""
        return self._metrics.last_step(self.run, series)

    def read(self, series: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        """All rows of a series."""
        found = self._metrics.read(self.run, series)
        return list(found.columns), found.steps, found.values

    def commands(self) -> list[Command]:
        """Waiting commands of this run.

        Raises:
            BadStore: If the store is under its name no more: nobody could end a pause.
        """
        self._database.refuse_moved()
        return self._journal.waiting(self._inbox)

    def apply(self, command: Command, step: int, payload: Mapping[str, Any]) -> None:
        """Journal a command, durably, before it acts."""
        self._journal.apply(self._inbox, command, step, payload)

    def refuse(self, command: Command, reason: str) -> None:
        """Answer a command that cannot be followed."""
        self._journal.refuse(command, reason)

    def event(self, event: Event) -> None:
        """Journal something nobody commanded."""
        self._journal.write(self.run, event)

    def events(self) -> list[Event]:
        """The journal so far."""
        return self._journal.events(self._inbox)

    def snapshot(
        self, step: int, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> None:
        """Write the arrays, then the row that makes them visible."""
        file = f"snapshots/{step:010d}.safetensors"
        size = write_arrays(
            self.folder / file, arrays, {"facts": json.dumps(dict(facts), allow_nan=False)}
        )
        values = {"file": file, "bytes": size, "created_ns": now_ns()}
        with self._database.write(durable=False) as connection:
            connection.execute(
                insert(SNAPSHOTS)
                .values(run=self.run, step=int(step), **values)
                .on_conflict_do_update(index_elements=["run", "step"], set_=values)
            )
        if self._taken is None:
            self._taken = taken(self._database, self._inbox)
        self._taken += size
        if self._taken > self._budget:
            self._fit()

    def snapshot_steps(self) -> list[int]:
        """Steps that have a snapshot, rising."""
        return [step for step, _ in snapshot_rows(self._database, self.run)]

    def checkpoint(self, step: int, state: Any, *, reason: str, accuracy: float | None) -> None:
        """Write the file durably, then its row; then let go of what is too much."""
        file = f"checkpoints/{step:010d}.safetensors"
        path = self.folder / file
        staged = path.with_name(f".{path.name}.{self._token}.tmp")
        content = state_bytes(state)
        for again in (True, False):
            try:
                digest = write_atomically(staged, content)
            except DiskFull:  # named for what it was to become
                raise disk_full(path, len(content)) from None
            values = {
                "file": file,
                "sha256": digest,
                "bytes": len(content),
                "created_ns": now_ns(),
                "reason": reason,
                "accuracy": accuracy,
            }
            try:
                with self._database.write() as connection:
                    hold(connection, self.run, self._token)
                    connection.execute(
                        insert(CHECKPOINTS)
                        .values(run=self.run, step=int(step), **values)
                        .on_conflict_do_update(index_elements=["run", "step"], set_=values)
                    )
                    staged.replace(path)  # only its owner may: another's bytes must not stand here
                break
            except GONE:  # somebody has just taken the folder away
                if not again:
                    raise BadFile(f"{path}: cannot be written: its folder is gone.") from None
            finally:
                with suppress(*GONE):  # it stands in its place, or went with the folder
                    staged.unlink()
        self._fit()

    def last_checkpoint(self) -> CheckpointRow | None:
        """The newest checkpoint whose bytes are what was written.

        None where there is none any more: the run starts anew, and as everything drawn follows
        from seed and step it comes to the same bits. The journal says that checkpoints were lost.
        """
        rows = checkpoints(self._database, self.run)
        for row in rows:
            path = self.folder / row.file
            if path.is_file() and sha256(path) == row.sha256:
                return CheckpointRow(int(row.step), path, str(row.reason))
        if rows:
            with self._database.write() as connection:
                hold(connection, self.run, self._token)
                connection.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.run == self.run))
            lost = {"checkpoints": len(rows), "folder": str(self.folder)}
            self.event(Event(0, "started anew", "worker", lost))
        return None

    def _fit(self) -> None:
        """Keep what this row holds inside the run's budget; never the last, nor the best."""
        let_go(self._database, surplus(self._database, self._inbox, self._budget, only=self.run))
        self._taken = taken(self._database, self._inbox)


def checkpoints(database: Database, run: str) -> list[Any]:
    """Rows of a run's checkpoints, newest first."""
    query = select(CHECKPOINTS).where(CHECKPOINTS.c.run == run).order_by(CHECKPOINTS.c.step.desc())
    with database.read() as connection:
        return list(connection.execute(query).all())


def snapshot_rows(database: Database, run: str, *, after: int = -1) -> list[tuple[int, Path]]:
    """Steps and files of a run's snapshots with step > ``after``, in order."""
    query = (
        select(SNAPSHOTS)
        .where(SNAPSHOTS.c.run == run, SNAPSHOTS.c.step > after)
        .order_by(SNAPSHOTS.c.step)
    )
    folder = Runs(database).folder(run)
    with database.read() as connection:
        return [(int(row.step), folder / row.file) for row in connection.execute(query)]
