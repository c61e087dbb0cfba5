"""What a run that broke leaves: evidence beside its cause, the samples it names, a report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from workbench_widgets.words import count

from workbench.errors import WorkbenchError
from workbench.runs.history import History, change_words
from workbench.store import RunRow
from workbench.training.timeline import SET

MOST_CHANGES: Final = 20
"""Lines about what was done to the run that a report has, the last ones."""


def failure(history: History, store: str) -> dict[str, Any]:
    """What the notice of a failed run has beside its way out.

    Args:
        history: Of the run.
        store: Path of the store, for the command that reproduces it.

    Returns:
        ``samples`` (ids in the whole data set; none where the failure names none), ``term`` and
        ``report``, plain text.
    """
    facts = (history.row.error or {}).get("facts") or {}
    return {
        "samples": [int(one) for one in facts.get("samples") or ()],
        "term": str(facts.get("term") or ""),
        "report": report(history, store),
    }


def failed_step(row: RunRow) -> int:
    """Optimiser steps that a failed run had done; its row is written a few times a second only."""
    told = ((row.error or {}).get("facts") or {}).get("step")
    return max(row.step, int(told or 0))


def evidence(row: RunRow) -> list[list[str]]:
    """Name and value of what stands beside the cause: last good checkpoint, steps lost, error.

    A run that failed before its first step has lost nothing, so only the error is left of it.
    """
    error = row.error or {}
    good, done = error.get("last_good_step"), failed_step(row)
    rows = []
    if good is not None:
        rows = [
            ["last good checkpoint", f"step {count(good)}"],
            ["steps lost", count(max(done - good, 0))],
        ]
    elif done:
        rows = [["last good checkpoint", "none"], ["steps lost", f"all {count(done)}"]]
    code = str(error.get("code") or "")
    return [*rows, ["error", " ".join(filter(None, (code, _name_of(code))))]] if code else rows


def _name_of(code: str) -> str:
    """The class of a code of ours, by which both are found in the reference; else empty."""
    kinds: list[type[WorkbenchError]] = [WorkbenchError]
    for kind in kinds:  # grows while it is walked: level by level, a user's own classes last
        kinds += kind.__subclasses__()
    return next((kind.__name__ for kind in kinds if kind.code == code), "")


def report(history: History, store: str) -> str:
    """A failure as text that somebody else can work with: cause, place, conditions, command."""
    row = history.row
    error = row.error or {}
    facts: Mapping[str, Any] = error.get("facts") or {}
    protocol = row.protocol or {}
    samples = ", ".join(map(str, facts.get("samples") or ()))
    good = error.get("last_good_step")
    versions = protocol.get("versions") or {}
    machine = protocol.get("machine") or {}
    lines = [
        f"Run {row.id} failed at step {count(failed_step(row))} of {count(row.steps)}.",
        f"cause: [{error.get('code', '')}] {error.get('message', 'no reason was recorded.')}",
        _line("term", facts.get("term")),
        _line("samples", samples),
        _line("last good checkpoint", "none" if good is None else f"step {count(good)}"),
        _line("experiment", f"{row.name}, recipe {row.recipe}" if row.recipe else row.name),
        _line("seed", row.experiment.get("seed", 0)),
        _line("versions", _pairs(versions)),
        _line("machine", _pairs(machine)),
        _line("threads", protocol.get("threads") or row.options.get("threads")),
    ]
    changes = [event for event in history.events if event.kind == SET]
    if changes:
        left = len(changes) - MOST_CHANGES
        lines.append(f"changed while it trained{f' (the last of {len(changes)})' * (left > 0)}:")
        last = changes[-MOST_CHANGES:]
        lines += [f"  step {event.step}: {change_words(event)}" for event in last]
    command = shlex.join(["workbench", "replay", row.id, *(("--store", store) if store else ())])
    lines.append(f"reproduce, bit for bit: {command}")
    return "\n".join(filter(None, lines)) + "\n"


def _line(what: str, value: Any) -> str:
    return "" if value in (None, "") else f"{what}: {value}"


def _pairs(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in found.items() if value is not None)
