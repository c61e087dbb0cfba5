"""The queue of a store as people see it: who waits, for whom, how long; taking back, moving.

Unusual here: times are told only from runs alike that have ended in this store; where there is
none, the start is unknown, and so is every later one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from workbench.errors import RefusedCommand
from workbench.runs.launch import Starter
from workbench.runs.listing import Line
from workbench.runs.settings import SEEDS
from workbench.store import RunRow, Store
from workbench.store.database import now_ns
from workbench.store.listing import waiting
from workbench.store.queue import Standing, call_next, standing, to_front
from workbench.training.journal import Event

TAKEN_BACK = "taken back"
"""Kind of the line that the rest of a group keeps of a run that was taken out of the queue."""
MOVED = "moved to the front"
FREE: Final = (*SEEDS, "name", "recipe")
"""Fields that cost no time."""


@dataclass(frozen=True)
class Turn:
    """A run that waits.

    Attributes:
        line: Of it.
        number: Its place, from 1.
        after: The run that comes before it: in the queue, or at work; None where nobody does.
        seconds: Until it starts, from now; None where that is not known.
        queued: Whether it has a place in the queue of the store; one without follows its group.
    """

    line: Line
    number: int
    after: str | None
    seconds: float | None
    queued: bool


def queue(store: Store) -> list[RunRow]:
    """Runs that wait for their turn, in order; those whose group nobody trains any more are out."""
    return [row for row in map(store.runs.get, waiting(store.database)) if row.status == "queued"]


def go_on(store: Store, starter: Starter) -> str | None:
    """Start a worker for the run whose turn has come, if nobody has; returns its id.

    May be called by anybody at any time: two callers never start the same run.
    """
    run = call_next(store.database)
    if run is not None:
        starter.start(store, run)
    return run


def turns(store: Store, lines: Sequence[Line]) -> tuple[list[Turn], Standing]:
    """All that wait with what is known of their start, and how the queue stands.

    Args:
        store: Where they lie.
        lines: All its runs.
    """
    by_id = {line.id: line for line in lines}
    now = standing(store.database)
    free = _left(store, by_id[now.holder], lines) if now.holder in by_id else 0.0
    seconds: float | None = None if now.broken or now.paused else free
    after = now.holder
    found: list[Turn] = []
    for row in queue(store):
        line = by_id.get(row.id)
        if line is None:  # accepted since the lines were read
            continue
        found.append(Turn(line, len(found) + 1, after, seconds, row.turn is not None))
        takes = typical_seconds(line, lines)
        seconds = None if seconds is None or takes is None else seconds + takes
        after = row.id
    return found, now


def typical_seconds(line: Line, lines: Sequence[Line]) -> float | None:
    """How long a run takes from its worker's start to its end; None if nothing like it has ended.

    From runs at full speed that differ in the seed and in real numbers only (a weight, a
    temperature), which cost no time; else from others of its group, which differ in little.
    """
    done = [one for one in lines if one.seconds is not None and one.status == "finished"]
    quick = [one for one in done if not one.slow]
    for alike in (
        [one for one in quick if _costs(one) == _costs(line)],
        [one for one in quick if one.group == line.group],
    ):
        if alike:
            return median(float(one.seconds or 0) for one in alike)
    return None


def past_words(store: Store) -> str | None:
    """What is said to whoever starts a run past the queue; None where no queue is under way.

    Args:
        store: Where it lies; read only.
    """
    now = standing(store.database)
    at_work = [
        f"{row.id} {'stands paused' if row.status == 'paused' else 'trains'}"
        for row in store.runs.list()
        if row.turn is not None and row.active and row.status != "queued"
    ]
    count = len(now.runs)
    waits = [f"{count} runs wait" if count > 1 else "1 run waits"] if count else []
    if not at_work and not waits:
        return None
    return (
        f"A queue is under way here ({', '.join([*at_work, *waits])}); this run does not wait for "
        "it. --queue lets a run wait for its turn."
    )


def take_back(store: Store, run: str, *, who: str) -> None:
    """Remove a run that waits for its turn; the rest of its group keeps a line about it.

    Args:
        store: Where it lies.
        run: Its id.
        who: For the journal.

    Raises:
        RefusedCommand: If it has begun, or others of its group are named after it.
        UnknownRun: If the store has no such run.
    """
    row = store.runs.get(run)
    if not store.runs.withdraw(run):
        row = store.runs.get(run)
        raise RefusedCommand(
            f"Run {run} is {row.status} and waits for nobody's turn. `workbench stop {run}` ends "
            f"one that trains, `workbench rm {run}` removes one that has ended."
        )
    store.runs.remove(run)
    _tell_group(store, row, who)


def move_to_front(store: Store, run: str, *, who: str) -> None:
    """Let a run that waits in the queue be the next.

    Args:
        store: Where it lies.
        run: Its id.
        who: For the journal.

    Raises:
        RefusedCommand: If it does not wait in the queue.
        UnknownRun: If the store has no such run.
    """
    store.runs.get(run)
    to_front(store.database, run)
    store.journal.write(run, Event(0, MOVED, who))


def _costs(line: Line) -> dict[str, Any]:
    """What of an experiment decides how long it takes."""
    return {
        path: value
        for path, value in line.values.items()
        if not isinstance(value, float) and path.partition(".")[0] not in FREE
    }


def _left(store: Store, line: Line, lines: Sequence[Line]) -> float | None:
    """Seconds until a run that trains has ended; None if nothing like it has ended here."""
    if line.slow:  # stretched to be watched: its own pace says it
        row = store.runs.get(line.id)
        return (line.steps - line.step) * (row.pace or 0) if line.steps else None
    takes = typical_seconds(line, lines)
    if takes is None:
        return None
    started = store.runs.get(line.id).started_ns
    gone = (now_ns() - started) / 1e9 if started else 0.0
    return max(takes - gone, 0.0)


def _tell_group(store: Store, row: RunRow, who: str) -> None:
    """A line in the journal of the first run of its group that is still there."""
    if row.cohort is None:
        return
    rows = [one for one in store.runs.list() if row.cohort in (one.cohort, one.id)]
    if rows:
        first = min(rows, key=lambda one: one.created_ns)
        facts: Mapping[str, Any] = {"run": row.id, "seed": int(row.experiment.get("seed", 0))}
        store.journal.write(first.id, Event(first.step, TAKEN_BACK, who, facts))
