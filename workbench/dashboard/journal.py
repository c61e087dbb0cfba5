"""The journal of a run as its drawer shows it: every line, and the same as a script to copy."""

from __future__ import annotations

from typing import Any, Final

from workbench.dashboard import wording
from workbench.errors import BadInput
from workbench.export.literal import literal
from workbench.runs.history import History
from workbench.runs.notes import note
from workbench.store import RunRow, Store
from workbench.training.journal import NOTE, NOTE_LENGTH, Event, notes_of
from workbench.training.timeline import SET, Item, as_interventions

LISTED: Final = 500
"""Lines that the drawer holds; the shell's `workbench journal` prints all."""
LAST: Final = 5
"""Lines that stand in the rail."""
SORTS: Final = {SET: "changes", NOTE: "notes"}
"""Kind of a line to what its filter is called; every other is about the run itself."""


def lines(history: History) -> list[dict[str, Any]]:
    """All lines, newest first; each with the word of its filter and its searchable text."""
    told = wording.journal(history.events)
    for line, event in zip(told, reversed(history.events), strict=True):
        line["sort"] = SORTS.get(event.kind, "run")
        line["who"] = wording.who(event.who) or "the run"
    return told


def drawer(history: History) -> dict[str, Any]:
    """What the drawer draws: plain data."""
    told = lines(history)
    return {
        "run": history.row.id,
        "lines": told[:LISTED],
        "older": max(len(told) - LISTED, 0),
        "people": sorted({line["who"] for line in told}),
        "script": script(history.row, history.events),
    }


def script(row: RunRow, events: list[Event]) -> str:
    """Python that plans the same changes for another run of the same experiment.

    Everything a person typed stands in it as a literal, never as code or comment.
    """
    changes = [event for event in events if event.kind == SET]
    items = as_interventions(
        [
            Item(event.step, event.payload["set"], event.who, event.payload.get("note", ""))
            for event in changes
        ]
    )
    source = literal(row.recipe or "experiment.yaml")
    parts = [
        "from workbench import Experiment\n",
        f"run = {literal(row.id)}  # whose journal this is",
        f"interventions = {literal(items)}",
    ]
    if notes := notes_of(events):
        parts.append(f"notes = {literal(notes)}")
    parts.append(f"experiment = Experiment.load({source}).replace(interventions=interventions)")
    return "\n".join(parts) + "\n"


def write_note(store: Store, run: str, asked: dict[str, Any], *, who: str) -> int:
    """Keep what somebody typed into the field of the rail.

    Raises:
        BadInput: If it is no text, empty or too long, or stands at no step of the run.
    """
    text, at = asked.get("text"), asked.get("at")
    if not isinstance(text, str) or not isinstance(at, int) or isinstance(at, bool):
        raise BadInput(f"A note is text, 1 to {NOTE_LENGTH} characters, at a step.")
    return note(store, run, text, who=who, step=at)
