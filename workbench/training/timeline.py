"""What changes a part and when: planned in the experiment, journalled by a run, in one order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import BadInput
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.interventions import NOTE, WHO, Intervention, get_path
from workbench.training.choice import chosen
from workbench.training.journal import Command, Event

SET = "set"
"""Kind of the events that enter the maths."""


@dataclass(frozen=True)
class Item:
    """One change at a step.

    Attributes:
        step: Optimiser steps done before it applies.
        set: Path to value; several change together.
        who: Who made it.
        note: Why.
        planned: Its place among the experiment's interventions; None for one done by hand.
        journalled: Whether the run's journal has it.
        before: What the journal says stood there; None if it says nothing.
        teacher: Hash of the weights that took over, where it says so.
    """

    step: int
    set: Mapping[str, Any]
    who: str
    note: str = ""
    planned: int | None = None
    journalled: bool = False
    before: Any = None
    teacher: str | None = None


@dataclass(frozen=True)
class Change:
    """Paths about to change: everything that could fail has been done.

    Attributes:
        set: Path to value, as asked for; what a replay does again.
        before: Plain value before; by path if there are several.
        after: Plain value after, likewise.
        facts: More for the journal, such as the hash of a teacher.
        commit: Makes it so.
    """

    set: Mapping[str, Any]
    before: Any
    after: Any
    facts: Mapping[str, Any]
    commit: Callable[[], None]

    def payload(self) -> dict[str, Any]:
        """For the journal."""
        return {
            "path": ", ".join(self.set),
            "before": self.before,
            "after": self.after,
            "set": dict(self.set),
            **self.facts,
        }


def timeline(spec: ExperimentSpec, events: Iterable[Event]) -> list[Item]:
    """All changes of a run in the order in which they apply; planned ones once.

    Args:
        spec: What the run was started from.
        events: Its journal so far, in order.
    """
    done = [
        Item(
            event.step,
            event.payload["set"],
            event.who,
            event.payload.get("note", ""),
            event.payload.get("planned"),
            journalled=True,
            before=event.payload.get("before"),
            teacher=event.payload.get("teacher"),
        )
        for event in events
        if event.kind == SET
    ]
    known = {item.planned for item in done}
    ahead = [
        Item(item.step, item.set, item.who, item.note, number)
        for number, item in enumerate(spec.interventions)
        if number not in known
    ]
    return sorted([*done, *ahead], key=lambda item: item.step)  # stable: the journal comes first


def as_interventions(items: Sequence[Item]) -> list[dict[str, Any]]:
    """Plain data for ``interventions:`` of an experiment that does the same by itself."""
    return [
        Intervention(step=item.step, set=dict(item.set), who=item.who, note=item.note).given()
        for item in items
    ]


def touched(spec: ExperimentSpec, events: Iterable[Event]) -> ExperimentSpec:
    """The experiment with everything that was done to a run of it."""
    return spec.replace({"interventions": as_interventions(timeline(spec, events))})


def played(spec: ExperimentSpec, events: Iterable[Event]) -> ExperimentSpec:
    """The experiment that trains, by itself, what a run trained: what was done to it, and found."""
    lines = list(events)
    return touched(chosen(spec, lines), lines)


def stands(spec: ExperimentSpec, items: Iterable[Item]) -> ExperimentSpec:
    """The experiment as it stands after ``items``."""
    for item in items:
        spec = spec.replace(item.set)
    return spec


def values_at(spec: ExperimentSpec, changes: Iterable[str]) -> Any:
    """Values at the changed paths: one as it is, several by path."""
    plain = spec.full()
    found = {path: get_path(plain, path) for path in changes}
    return found if len(found) > 1 else next(iter(found.values()))


def asked(command: Command) -> tuple[str, Any, str]:
    """Path, value and note of a ``set``.

    Raises:
        BadInput: If it is none, or could not be written down as an intervention.
    """
    payload = command.payload
    if "path" not in payload or "value" not in payload:
        raise BadInput(f"A `set` has a path and a value, this one has {sorted(payload)}.")
    path, value, note = str(payload["path"]), payload["value"], str(payload.get("note", ""))
    for what, text, longest in (("note", note, NOTE), ("name of who sets it", command.who, WHO)):
        if len(text) > longest:
            raise BadInput(f"The {what} has {len(text)} characters; at most {longest} are kept.")
    return path, value, note
