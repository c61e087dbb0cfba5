"""Further seeds of a run, in its own group and in the queue of the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from workbench.errors import RefusedCommand
from workbench.runs.launch import Starter, accept_all
from workbench.runs.objects import refuse_stored_objects, spec_of
from workbench.runs.queue import go_on
from workbench.specs.experiment import ExperimentSpec
from workbench.store import RunRow, Store
from workbench.store.listing import join_cohort
from workbench.training.timeline import as_interventions, timeline

FURTHER: Final = 4
"""Seeds that are offered: with the first they make five."""


def more_seeds(
    store: Store, run: str, starter: Starter, *, number: int = FURTHER, who: str | None = None
) -> list[str]:
    """Queue further seeds of an ended run; returns their ids in the order of their turn.

    They are what the run was: also what somebody changed while it trained is done to them, at its
    step. They train at full speed.

    Args:
        store: Where the run lies.
        run: Its id.
        starter: Starts the worker of the first, if nothing else trains.
        number: Of seeds, the lowest that the group does not have yet.
        who: For their journals; None writes nothing.

    Raises:
        RefusedCommand: If the run has not finished.
        NotSendable: If it trained a Python object of a process that is gone.
        UnknownRun: If the store has no such run.
    """
    row = store.runs.get(run)
    _refuse_unfinished(row)
    spec = _as_it_became(store, row)
    others = store.runs.cohort(run)
    specs = [spec.replace({"seed": seed, "seeds": 1}) for seed in _free(others, number)]
    head = row.cohort or row.id
    if row.cohort is None:
        join_cohort(store.database, head, [])
    first = accept_all(
        store,
        specs,
        recipe=row.recipe,
        base=Path(row.options.get("base") or "."),
        threads=row.options.get("threads"),
        cohort=head,
        queued=True,
        who=who,
    )
    known = {other.id for other in others}
    made = [one.id for one in store.runs.cohort(first) if one.id not in known]
    go_on(store, starter)
    return made


def seconds_of_more(row: RunRow, number: int = FURTHER) -> float | None:
    """How long further seeds of a run take; None if it did not get so far as to tell.

    From the estimate before its first step, without what all seeds share (the teacher), times how
    far that estimate was off in the end.
    """
    told = (row.protocol or {}).get("estimate") or {}
    if not told.get("seconds"):
        return None
    one = float(told["seconds"]) - float(told.get("shared_seconds") or 0)
    wrong = ((row.protocol or {}).get("estimate_error") or {}).get("seconds")
    factor = float(wrong) if wrong and row.pace is None else 1.0
    return number * one * factor


def _refuse_unfinished(row: RunRow) -> None:
    refuse_stored_objects(row.experiment, row.id)
    if row.role != "student" or row.status != "finished":
        raise RefusedCommand(
            f"Run {row.id} is {row.status}; further seeds follow one that has finished, so that "
            "they are of the same experiment to its end."
        )


def _as_it_became(store: Store, row: RunRow) -> ExperimentSpec:
    """Its experiment with everything that was done to it, as a plan."""
    spec = spec_of(row)
    items = timeline(spec, store.journal.events(row.id))
    if not any(item.journalled for item in items):
        return spec
    changes: dict[str, Any] = {"interventions": as_interventions(list(items))}
    return spec.replace(changes)


def _free(others: list[RunRow], number: int) -> Iterator[int]:
    """The lowest seeds from 0 on that none of these has."""
    taken = {int(row.experiment.get("seed", 0)) for row in others}
    seed = 0
    while number:
        if seed not in taken:
            yield seed
            number -= 1
        seed += 1
