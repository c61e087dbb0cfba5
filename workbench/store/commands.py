"""What people ask of a run, and the journal of what took effect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import func, select, update

from workbench.store.database import Database, now_ns
from workbench.store.schema import COMMANDS, EVENTS
from workbench.training.journal import Command, Event


@dataclass(frozen=True)
class Answer:
    """What became of a command: waiting, applied at a step, or refused with a reason."""

    state: str
    step: int | None
    reason: str | None


class Journal:
    """Commands and events of all runs; every write is durable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def send(
        self, run: str, kind: str, *, who: str, payload: Mapping[str, Any] | None = None
    ) -> int:
        """Put a command into a run's inbox; returns its number."""
        with self._database.write() as connection:
            result = connection.execute(
                COMMANDS.insert().values(
                    run=run,
                    created_ns=now_ns(),
                    who=who,
                    kind=kind,
                    payload=_dump(payload or {}),
                    state="waiting",
                )
            )
            return int(cast(tuple[int], result.inserted_primary_key)[0])

    def waiting(self, run: str) -> list[Command]:
        """Commands not answered yet, oldest first."""
        query = (
            select(COMMANDS)
            .where(COMMANDS.c.run == run, COMMANDS.c.state == "waiting")
            .order_by(COMMANDS.c.id)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [Command(row.id, row.kind, row.who, json.loads(row.payload)) for row in rows]

    def answer(self, command: int) -> Answer:
        """The state of one command."""
        with self._database.read() as connection:
            row = connection.execute(select(COMMANDS).where(COMMANDS.c.id == command)).one()
        return Answer(row.state, row.step, row.reason)

    def apply(self, run: str, command: Command, step: int, payload: Mapping[str, Any]) -> None:
        """Write the event and the answer in one transaction; only then may the command act."""
        with self._database.write() as connection:
            connection.execute(
                EVENTS.insert().values(
                    run=run,
                    step=int(step),
                    created_ns=now_ns(),
                    who=command.who,
                    kind=command.kind,
                    payload=_dump(payload),
                    command=command.id,
                )
            )
            self._answer(connection, command.id, "applied", step=int(step), reason=None)

    def refuse(self, command: Command, reason: str) -> None:
        """Answer with words; nothing changes."""
        with self._database.write() as connection:
            self._answer(connection, command.id, "refused", step=None, reason=reason)

    def refuse_waiting(self, run: str, reason: str) -> None:
        """Answer everything still in a run's inbox: the run has ended."""
        for command in self.waiting(run):
            self.refuse(command, reason)

    def write(self, run: str, event: Event) -> None:
        """An event that nobody commanded."""
        with self._database.write() as connection:
            connection.execute(
                EVENTS.insert().values(
                    run=run,
                    step=int(event.step),
                    created_ns=now_ns(),
                    who=event.who,
                    kind=event.kind,
                    payload=_dump(event.payload),
                )
            )

    def events(self, run: str) -> list[Event]:
        """The journal of a run, in order of step, then of writing."""
        query = select(EVENTS).where(EVENTS.c.run == run).order_by(EVENTS.c.step, EVENTS.c.id)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            Event(
                row.step,
                row.kind,
                row.who,
                json.loads(row.payload),
                row.command,
                row.created_ns,
                row.id,
            )
            for row in rows
        ]

    def last(self, run: str) -> int:
        """Number of the journal line of a run that was written last; 0 before the first."""
        query = select(func.max(EVENTS.c.id)).where(EVENTS.c.run == run)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar() or 0)

    @staticmethod
    def _answer(connection: Any, command: int, state: str, **fields: Any) -> None:
        connection.execute(
            update(COMMANDS).where(COMMANDS.c.id == command).values(state=state, **fields)
        )


def _dump(payload: Mapping[str, Any]) -> str:
    return json.dumps(dict(payload), allow_nan=False)
