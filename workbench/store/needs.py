"""Who needs a run: forks, and runs that take a model from it."""

from __future__ import annotations

from sqlalchemy import Connection, or_, select

from workbench.errors import RefusedCommand
from workbench.store.schema import EVENTS, RUNS


def needed_by(connection: Connection, run: str) -> list[str]:
    """Why a run must stay: who was forked from it, and who takes a model from it, in words."""
    others = RUNS.c.group != run
    children = connection.execute(select(RUNS.c.id).where(others & (RUNS.c.parent == run)))
    reasons = [f"run {row.id} was forked from it" for row in children]
    for table, column, name in ((RUNS, RUNS.c.experiment, "id"), (EVENTS, EVENTS.c.payload, "run")):
        # a part's id may hold an underscore, which LIKE takes for any letter
        named = or_(*(column.contains(f'"run:{run}{end}', autoescape=True) for end in '"@'))
        own = (
            others
            if table is RUNS
            else EVENTS.c.run.not_in(select(RUNS.c.id).where(RUNS.c.group == run))
        )
        query = select(table.c[name]).where(named & own).distinct()
        reasons += [f"run {row[0]} takes a model from it" for row in connection.execute(query)]
    return list(dict.fromkeys(reasons))


def refuse_needed(connection: Connection, run: str) -> None:
    """Raise if another run needs this one.

    Raises:
        RefusedCommand: Names them.
    """
    reasons = needed_by(connection, run)
    if reasons:
        raise RefusedCommand(
            f"Run {run} is still needed: {'; '.join(reasons)}. Remove these first."
        )
