"""Rows of runs: accepted, claimed by one process, followed, ended."""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from workbench.errors import DiskFull, RefusedCommand, StoreLocked, UnknownRun, nearest
from workbench.store.database import Database, now_ns
from workbench.store.needs import refuse_needed
from workbench.store.processes import file_of, is_here, this_machine, this_process
from workbench.store.schema import BLOCKS, CHECKPOINTS, COMMANDS, EVENTS, RUNS, SNAPSHOTS
from workbench.store.turns import (
    Beside,
    beside,
    lives,
    refuse_before_its_turn,
    status_of,
    students_of,
    unclaimed,
    works,
)
from workbench.training.journal import ACTIVE

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
PARTS = ("student", "teacher", "control", "plain_kd")
"""Roles of the rows whose numbers people compare; a stage before the last is `stage-NAME`."""
RESUMABLE = frozenset({"paused", "interrupted"})
MENDED = frozenset({DiskFull.code, StoreLocked.code})
"""Faults of the machine that a run can go on after."""
ENDED_WELL = frozenset({"finished", "stopped"})
_JSON = ("experiment", "options", "protocol", "result", "error")


@dataclass(frozen=True)
class RunRow:
    """One row as read: ``status`` is what is true now, not what a dead worker last wrote."""

    id: str
    name: str
    role: str
    group: str
    parent: str | None
    forked_at: int | None
    recipe: str | None
    status: str
    step: int
    steps: int
    activity: str | None
    progress: float | None
    rate: float | None
    probe_share: float | None
    pace: float | None
    host: str | None
    pid: int | None
    heartbeat_ns: int | None
    created_ns: int
    started_ns: int | None
    ended_ns: int | None
    experiment: dict[str, Any]
    options: dict[str, Any]
    teacher: str | None
    protocol: dict[str, Any] | None
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    cohort: str | None = None
    turn: int | None = None

    @property
    def active(self) -> bool:
        """Whether a process works on it."""
        return self.status in ACTIVE

    @property
    def resumable(self) -> bool:
        """Whether it can go on: it waits, its worker is gone, or the machine was at fault."""
        if self.status == "failed":
            return self.error is not None and self.error.get("code") in MENDED
        return self.status in RESUMABLE


class Runs:
    """The table of runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def folder(self, run: str) -> Path:
        """Where a run keeps its files; the run id is ours, so it is a safe name."""
        return self._database.folder / "runs" / run

    def create(
        self,
        *,
        name: str,
        experiment: Mapping[str, Any],
        options: Mapping[str, Any],
        role: str = "student",
        group: str | None = None,
        recipe: str | None = None,
        pace: float | None = None,
        parent: str | None = None,
        forked_at: int | None = None,
        cohort: str | None = None,
    ) -> str:
        """Accept a run: its row stands, with status ``queued``, when this returns."""
        (run,) = self.create_all(
            [experiment],
            name=name,
            options=options,
            role=role,
            group=group,
            recipe=recipe,
            pace=pace,
            parent=parent,
            forked_at=forked_at,
            cohort=cohort,
        )
        return run

    def create_all(
        self,
        experiments: Sequence[Mapping[str, Any]],
        *,
        name: str,
        options: Mapping[str, Any],
        role: str = "student",
        group: str | None = None,
        cohort: str | None = None,
        queued: bool = False,
        **fields: Any,
    ) -> list[str]:
        """Accept several runs that know each other, all or none; they train one after the other.

        Args:
            experiments: One of each run, in their order; alone, a run has no cohort but the given.
            name: Of each.
            options: How each is carried out.
            role: ``student``, or the part of a run.
            group: The student's run that a part belongs to.
            cohort: First of an older group that they join, or that a part's run belongs to.
            queued: Whether they wait for their turn in the store's queue.
            fields: ``recipe``, ``pace``, ``parent``, ``forked_at``.
        """
        began = now_ns()
        with self._database.write() as connection:
            if group:
                runs = [f"{group}-{role}" for _ in experiments]
            else:
                runs = _fresh(connection, _slug(name), len(experiments))
            last = connection.execute(select(func.max(RUNS.c.turn))).scalar()
            turn = max(began, (last or 0) + 1)  # behind all that wait, also if a clock was set back
            for number, (run, experiment) in enumerate(zip(runs, experiments, strict=True)):
                connection.execute(
                    RUNS.insert().values(
                        id=run,
                        name=name,
                        role=role,
                        group=group or run,
                        cohort=cohort or (runs[0] if len(runs) > 1 else None),
                        status="queued",
                        step=0,
                        steps=0,
                        created_ns=began + number,  # their order
                        turn=turn + number if queued else None,
                        experiment=_dump(experiment),
                        options=_dump(options),
                        **fields,
                    )
                )
        return runs

    def get(self, run: str) -> RunRow:
        """One row.

        Raises:
            UnknownRun: With the nearest run id.
        """
        with self._database.read() as connection:
            row = connection.execute(select(RUNS).where(RUNS.c.id == run)).first()
            if row is not None:
                return _read(row, beside(connection, [row]))
            known = [item.id for item in connection.execute(select(RUNS.c.id))]
        near = nearest(run, known)
        raise UnknownRun(
            f"No run {run!r} in store {self._database.path}."
            f"{f' Did you mean {near!r}?' if near else ''} `workbench runs --all` lists them."
        )

    def cohort(self, run: str) -> list[RunRow]:
        """The runs that were started together with this one, in their order; alone, itself.

        Raises:
            UnknownRun: If the store has no such run.
        """
        row = self.get(run)
        if row.cohort is None or row.role != "student":
            return [row]
        with self._database.read() as connection:
            rows = students_of(connection, row.cohort)
            known = beside(connection, rows)
        return [_read(item, known) for item in rows]

    def list(
        self, *, roles: tuple[str, ...] | None = ("student",), group: str | None = None
    ) -> list[RunRow]:
        """Rows of these roles, newest first; None for all."""
        query = select(RUNS)
        if roles is not None:
            query = query.where(RUNS.c.role.in_(roles))
        if group is not None:
            query = query.where(RUNS.c.group == group)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(RUNS.c.created_ns.desc())).all()
            known = beside(connection, rows)
        return [_read(row, known) for row in rows]

    def next_of(self, run: str) -> str | None:
        """The next run of the same cohort that waits for its turn; None while another one has it.

        Args:
            run: One that has ended, or is gone.
        """
        with self._database.read() as connection:
            found = select(RUNS.c.cohort).where(RUNS.c.id == run)
            cohort = connection.execute(found).scalar()
            rows = [] if cohort is None else students_of(connection, cohort)
            file = file_of(connection)
        if any(works(row, file) for row in rows):
            return None
        return next((str(row.id) for row in rows if unclaimed(row) and row.turn is None), None)

    def withdraw(self, run: str) -> bool:
        """End a run that waits for its turn; False if a process has it, or had it."""
        waits = (RUNS.c.id == run) & (RUNS.c.status == "queued") & RUNS.c.owner.is_(None)
        with self._database.write() as connection:
            changed = connection.execute(
                update(RUNS)
                .where(waits & (RUNS.c.cohort.is_not(None) | RUNS.c.turn.is_not(None)))
                .values(status="stopped", ended_ns=now_ns())
            )
        return changed.rowcount > 0

    def update(self, run: str, *, durable: bool = True, **fields: Any) -> None:
        """Change fields of a row; JSON fields take plain data."""
        with self._database.write(durable=durable) as connection:
            connection.execute(update(RUNS).where(RUNS.c.id == run).values(**as_columns(fields)))

    def refuse_removal(self, run: str) -> None:
        """Raise if a run cannot be removed now.

        Raises:
            RefusedCommand: If a process works on it, or another run needs it; names them.
        """
        for part in self.list(roles=None, group=run):
            if part.active:
                words = f", pid {part.pid}" if part.pid else " and waits for its worker"
                raise RefusedCommand(f"Run {part.id} is {part.status}{words}; stop it first.")
        with self._database.read() as connection:
            refuse_needed(connection, run)

    def remove(self, run: str) -> None:
        """Delete a run with its parts: rows first, then the folders.

        A crash between the two leaves folders without a row, which ``workbench gc`` finds.

        Raises:
            RefusedCommand: If a process works on it, or another run needs it; names them.
        """
        parts = self.list(roles=None, group=run)
        self.refuse_removal(run)
        with self._database.write() as connection:
            refuse_needed(connection, run)
            for part in parts:
                connection.execute(delete(RUNS).where(RUNS.c.id == part.id))
                for table in (COMMANDS, EVENTS, BLOCKS, SNAPSHOTS, CHECKPOINTS):
                    connection.execute(delete(table).where(table.c.run == part.id))
        for part in parts:
            shutil.rmtree(self.folder(part.id), ignore_errors=True)

    def claim(self, run: str, *, token: str | None = None) -> str:
        """Make this process the only writer of a run; returns the owner token.

        Args:
            run: Its id.
            token: Of the run that it is a part of; a new one if not given.

        Raises:
            RefusedCommand: If another living process has it (names its pid), or it has ended.
            UnknownRun: If it was taken back.
        """
        host, pid, started = this_process()
        token = token or _token(16)
        with self._database.write() as connection:
            row = connection.execute(select(RUNS).where(RUNS.c.id == run)).first()
            if row is None:
                raise UnknownRun(f"Run {run} was removed before its worker came.")
            file = file_of(connection)
            own = row.pid == pid and is_here(row.host, row.machine)  # pids of others mean nothing
            if row.owner is not None and not own and lives(row, file):
                raise RefusedCommand(f"Run {run} is already running, pid {row.pid} on {row.host}.")
            if row.role == "student" and row.status in ENDED_WELL:
                raise RefusedCommand(f"Run {run} is {row.status}; nothing of it is left to train.")
            if row.role == "student" and unclaimed(row):
                refuse_before_its_turn(connection, row)
            connection.execute(
                update(RUNS)
                .where(RUNS.c.id == run)
                .values(
                    owner=token,
                    host=host,
                    pid=pid,
                    process_started=started,
                    machine=this_machine(),
                    store_file=file,
                    heartbeat_ns=now_ns(),
                    started_ns=row.started_ns or now_ns(),
                    status="preparing",
                    ended_ns=None,
                    error=None,
                )
            )
        return token

    def beat(self, token: str) -> None:
        """A heartbeat for every row that a process owns: run, teacher and control."""
        with self._database.write(durable=False) as connection:
            connection.execute(
                update(RUNS).where(RUNS.c.owner == token).values(heartbeat_ns=now_ns())
            )

    def owns(self, run: str, token: str) -> bool:
        """Whether the lease is still ours."""
        with self._database.read() as connection:
            row = connection.execute(select(RUNS.c.owner).where(RUNS.c.id == run)).first()
        return row is not None and row.owner == token


def as_columns(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a row as its columns keep them."""
    return {key: _dump(value) if key in _JSON else value for key, value in fields.items()}


def _read(row: Row[Any], known: Beside) -> RunRow:
    fields = {name: getattr(row, name) for name in RunRow.__dataclass_fields__}
    for name in _JSON:
        fields[name] = None if fields[name] is None else json.loads(fields[name])
    return RunRow(**{**fields, "status": status_of(row, known)})


def _fresh(connection: Connection, slug: str, number: int) -> list[str]:
    """Ids that no row has: of a thousand runs of one name, two draw the same one time in 1800."""
    found: dict[str, None] = {}
    while len(found) < number:
        run = f"{slug}-{_token(6)}"
        if connection.execute(select(RUNS.c.id).where(RUNS.c.id == run)).first() is None:
            found[run] = None
    return list(found)


def _slug(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:32].strip("-")
    return words or "run"


def _token(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _dump(value: Any) -> str | None:
    return None if value is None else json.dumps(value, allow_nan=False)
