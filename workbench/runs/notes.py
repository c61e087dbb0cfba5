"""Notes: words in a run's journal, at a step. They never enter the maths.

Unusual here: a note is written straight into the journal and not sent to the run, so one can be
added to a run that has long ended; resume, replay and forks pass over it, an export keeps it.
"""

from __future__ import annotations

from workbench.errors import BadInput
from workbench.specs.interventions import WHO
from workbench.store.store import Store
from workbench.training.journal import NOTE, NOTE_LENGTH, Event

SHOWN = 40
"""Letters of a text that cannot be kept that are said again."""


def note(store: Store, run: str, text: str, *, who: str, step: int | None = None) -> int:
    """Write a note into a run's journal; returns the step at which it stands.

    Args:
        store: Where the run lies.
        run: Its id.
        text: Any words; line breaks and runs of spaces become one space.
        who: Who writes it.
        step: Optimiser steps done; None is where the run is now.

    Raises:
        UnknownRun: If the store has no such run.
        BadInput: If the text is empty, too long or no text, or the run has no such step.
    """
    row = store.runs.get(run)
    words = " ".join(text.split())
    if not words:
        raise BadInput(f"A note needs words: 1 to {NOTE_LENGTH} characters, got none.")
    if len(words) > NOTE_LENGTH:
        raise BadInput(f"The note has {len(words)} characters; at most {NOTE_LENGTH} are kept.")
    if not words.isprintable():
        raise BadInput(f"A note is plain text; {words[:SHOWN]!r} holds characters that are none.")
    who = " ".join(who.split())
    if len(who) > WHO or not who.isprintable():
        raise BadInput(
            f"Who writes it needs a name of at most {WHO} plain characters, got {who[:SHOWN]!r}."
        )
    last = max(row.step, 0)
    at = last if step is None else step
    if not 0 <= at <= max(row.steps, last):
        raise BadInput(f"step {at}: run {run} has steps 0 to {max(row.steps, last)}.")
    store.journal.write(run, Event(at, NOTE, who, {"note": words}))
    return at
