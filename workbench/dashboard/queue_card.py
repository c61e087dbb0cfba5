"""The queue of the store in words: who waits, for whom, when it starts; and beside what one trains.

Unusual here: the watcher's thread asks once for all pages; a page of a run reads what it found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench_widgets.words import count

from workbench.dashboard import wording
from workbench.runs.apart import Apart
from workbench.runs.listing import Line
from workbench.runs.queue import Turn, turns
from workbench.store import RunRow, Store
from workbench.store.queue import Standing


@dataclass(frozen=True)
class Queue:
    """The queue at one moment.

    Attributes:
        turns: Who waits, in order.
        standing: Who holds it.
    """

    turns: Sequence[Turn] = ()
    standing: Standing = field(default_factory=Standing)


def read_queue(store: Store, lines: Sequence[Line]) -> Queue:
    """How it stands now.

    Args:
        store: Where runs lie.
        lines: All its runs.
    """
    return Queue(*turns(store, lines))


def queue_card(
    queue: Queue, lines: Sequence[Line], told: Mapping[str, Apart]
) -> dict[str, Any] | None:
    """What the card above the table of runs draws; None where nothing waits.

    Args:
        queue: As it stands.
        lines: All runs.
        told: What sets each run apart.
    """
    if not queue.turns:
        return None
    names = {line.id: _name(line) for line in lines}
    return {
        "head": f"{count(len(queue.turns))} waiting",
        "words": _why(queue.standing, names),
        "broken": queue.standing.broken or "",
        "rows": [
            {
                "run": turn.line.id,
                "number": turn.number,
                "name": turn.line.name,
                "seed": turn.line.seed,
                "apart": ", ".join(told[turn.line.id].parts) if turn.line.id in told else "",
                "after": f"after {names.get(turn.after, turn.after)}" if turn.after else "",
                "starts": _start(turn, queue.standing),
                "removable": turn.queued or turn.line.cohort is not None,
                "front": turn.queued and turn.number > 1,
            }
            for turn in queue.turns
        ],
    }


def waiting_words(queue: Queue, row: RunRow) -> str:
    """What the page of a run says of the queue; empty where it has nothing to do with it.

    Args:
        queue: As it stands.
        row: Of the run.
    """
    for turn in queue.turns:
        if turn.line.id == row.id and turn.queued:
            of = f"place {count(turn.number)} of {count(len(queue.turns))}"
            after = f", after {turn.after}" if turn.after else ""
            return f"It waits for its turn: {of}{after}, {_start(turn, queue.standing)}."
    number = len(queue.standing.runs)
    if not number or not row.active:
        return ""
    waits = f"{count(number)} run{'s wait' if number > 1 else ' waits'} in the queue"
    if queue.standing.holder in (None, row.id):
        return "" if row.turn is not None else f"{waits} until this one has ended."
    if row.turn is not None or row.status == "paused":
        return ""
    return (
        f"A queue is under way: {queue.standing.holder} trains at the same time, so both are "
        f"slower; {waits}."
    )


def _why(standing: Standing, names: Mapping[str, str]) -> str:
    """For whom they wait, in a sentence or two."""
    order = "They train one after the other, in this order."
    if standing.broken:
        broken = names.get(standing.broken, standing.broken)
        return (
            f"The queue stands still: {broken} ended by a fault of the machine, and the next would "
            "too. Resume that run, or remove it, and the queue goes on."
        )
    if standing.holder is None:
        return order
    holder = names.get(standing.holder, standing.holder)
    if standing.paused:
        return f"{order} {holder} stands paused; they wait until it has ended."
    return f"{order} {holder} trains now."


def _start(turn: Turn, standing: Standing) -> str:
    """When it starts, as far as that is known."""
    if standing.broken or standing.paused:
        return "start open"
    if turn.seconds is None:
        return "start unknown: nothing like it has ended here"
    if turn.seconds < 1:
        return "starts next" if turn.after else "starts now"
    return f"starts in about {wording.duration(turn.seconds).removeprefix('about ')}"


def _name(line: Line) -> str:
    return f"{line.name}, seed {line.seed} ({line.id})"
