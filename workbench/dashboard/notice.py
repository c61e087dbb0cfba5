"""The strip under the top bar of a run that does not go on by itself: what happened, and what now.

Unusual here: what it promises of a change (at which step it applies, which mark it gets) is worked
out from the journal the way the worker will, so it is also silent where the worker would refuse.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench_widgets.words import count

from workbench.dashboard import wording
from workbench.dashboard.failure import evidence, failed_step, failure
from workbench.runs.history import History
from workbench.store import RunRow
from workbench.training.journal import STAGE, Event, part_words
from workbench.training.timeline import SET

RESUME = "Resume goes on bit for bit."


def notice(history: History, store: str = "") -> dict[str, Any] | None:
    """What the strip says; None for a run that trains or has finished.

    Args:
        history: Of the run.
        store: Path of the store, which the report of a failure names.

    Returns:
        ``kind``, ``icon``, ``head``, ``text`` (a string, or a list in which a number is that of a
        mark), ``code`` and ``acts``; of a failure also what :func:`failure` says, ``evidence`` and
        ``views``.
    """
    row = history.row
    at = f"step {count(row.step)}"
    kept = "No checkpoint yet."
    if history.checkpoint is not None:
        kept = f"Checkpoint at step {count(history.checkpoint)}."
    if row.status == "paused":
        return _paused(history, kept)
    if row.status == "interrupted":
        text = f"{kept} Resume goes on from there, with the same bits as if nothing had happened."
        if history.checkpoint is None:
            text = "Resume starts it from its beginning."
        head = f"The training process ended at {at} without a word."
        if row.pid is None:
            head = "No training process took this run."
        return _line("attention", "△", head, text)
    if row.status == "failed":
        line = _failed(row, history.events)
        if history.steps:
            last = count(history.steps[-1])
            line["views"] = f"Views keep showing step {last}, the last complete snapshot."
        return {**line, **failure(history, store)}
    if row.status == "stopped":
        return _line("quiet", "■", f"Stopped at {at}.", kept)
    return None


def removed() -> dict[str, Any]:
    """What the strip says of a run that was removed while somebody looks at it."""
    text = "You see what was read of it last; nothing of it can be opened or taken away any more."
    return _line("attention", "△", "This run has been removed from the store.", text)


def _line(kind: str, icon: str, head: str, text: str, code: str = "") -> dict[str, Any]:
    return {"kind": kind, "icon": icon, "head": head, "text": text, "code": code, "acts": []}


def _paused(history: History, kept: str) -> dict[str, Any]:
    """Who paused it, at which step and when; what a change made now would do."""
    row = history.row
    last = _newest(history.events, "pause")
    part = "" if last is None else str(last.payload.get("part", ""))
    step = row.step if last is None or not part else last.step
    where = f"at step {count(step)}"
    if part:
        where = f"while {_whose(part)} trains, at its step {count(step)}"
        kept = "Its checkpoint is written."
    elif history.checkpoint == row.step:
        kept = "Checkpoint written."
    by, when = ("", "") if last is None else (_by(last.who), f", {wording.clock(last.created_ns)}")
    line = _line("quiet", "❚❚", f"Paused{by} {where}{when}.", "")
    line["text"] = [f"{kept} ", *_change_now(history, part), f" {RESUME}"]
    return line


def _by(name: str) -> str:
    """`` by mira``, `` on the page``; empty where nobody did it."""
    told = wording.who(name)
    return f" by {told}" if told == name else f" {told}" if told else ""


def _whose(part: str) -> str:
    return part if part.startswith(STAGE) else f"the {part_words(part)}"


def _change_now(history: History, part: str) -> list[str | int]:
    """At which step a change made in this pause applies, and the mark it gets: the journal's next.

    ``step N`` of a journal means that N optimiser steps were done before; so the first one that
    feels a change made there is N + 1.
    """
    row, number = history.row, len(history.marks) + 1
    if part in ("control", "plain_kd"):
        return ["The student has ended, so nothing can be set."]
    if part:
        return ["Numbers set now apply at the student's step 1 and are journalled as ", number, "."]
    if 0 < row.steps <= row.step:
        return ["No step is left that a change could apply at."]
    again = seen_before(history.events)
    if row.step < again:
        words = f"Steps up to {count(again)} were trained before the run was interrupted, so"
        return [f"{words} nothing can be set until they are done again."]
    begins = f"Changes made now apply at step {count(row.step + 1)} and are journalled as "
    return [begins, number, "."]


def seen_before(events: Sequence[Event]) -> int:
    """The step until which a resumed run only repeats what people have seen; 0: none.

    A worker takes no change before it (:class:`workbench.training.intervening.Intervening`).
    """
    begun = _newest(events, "started", "resumed")
    changed = [event.step for event in events if event.kind == SET]
    return max([int((begun.payload if begun else {}).get("shown", 0)), *changed])


def _newest(events: Sequence[Event], *kinds: str) -> Event | None:
    """The line written last of some kinds; events come in order of step, which a resume breaks."""
    found = [event for event in reversed(events) if event.kind in kinds]
    return max(found, key=lambda event: event.id or 0, default=None)


def _failed(row: RunRow, events: Sequence[Event] = ()) -> dict[str, Any]:
    error = row.error or {}
    good = error.get("last_good_step")
    message = str(error.get("message", "no reason was recorded."))
    # The table beside it says which, and whether there is one.
    cause, stop, rest = message.replace("The last good checkpoint is kept. ", "").partition(". ")
    at = f"at step {count(failed_step(row))}"
    head = f"Failed: {cause}" if at in cause else f"Failed {at}: {cause}"
    line = _line("bad", "✕", f"{head}{stop.rstrip()}", rest, str(error.get("code", "")))
    line["evidence"] = evidence(row)
    if row.role == "student" and row.started_ns is not None:
        changed = any(event.kind == SET and event.step > (good or 0) for event in events)
        line["acts"] = _ways_out(good or 0, changed=changed)
    return line


def _ways_out(step: int, *, changed: bool) -> list[dict[str, Any]]:
    """From the last step that was sound; the first is the one that repairs.

    Args:
        step: Of the last checkpoint before the failure; 0 for the beginning.
        changed: Whether something was changed after it: a fork without that is another run.
            Where nothing was, the same steps would fail again.
    """
    fork = {
        "do": "fork",
        "step": step,
        "word": f"Fork at {count(step)}",
        "title": "A new run that stands paused at this step, without what was changed later: "
        "change what broke it, then resume.",
    }
    edit = {
        "do": "where",
        "step": step,
        "word": f"Fork at {count(step)} with changes",
        "title": "Opens New experiment at this step, without what was changed later."
        if changed
        else "Opens New experiment at this step. Nothing was changed after it, so the same steps "
        "would fail again: change what broke it there.",
    }
    return [fork, edit] if changed else [edit, fork]
