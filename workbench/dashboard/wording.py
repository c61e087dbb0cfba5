"""A run in words: its loss with colours, status, time, journal. Plain data for the page."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from workbench_widgets.words import count, number, term_name

from workbench.errors import InvalidExperiment, WorkbenchError
from workbench.runs.history import change_words
from workbench.runs.launch import ACCEPTED, RESUME_ASKED
from workbench.runs.queue import MOVED, TAKEN_BACK
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.stage import StageSpec
from workbench.store import RunRow
from workbench.training.card import SHORT
from workbench.training.choice import BUILT, MEASURED
from workbench.training.journal import NOTE, STAGE, Event
from workbench.training.timeline import SET

PAGE: Final = "page"
"""Who commands when somebody presses a button here."""

CHIPS: Final[Mapping[str, tuple[str, str]]] = {
    "queued": ("…", "Queued"),
    "preparing": ("…", "Preparing"),
    "training": ("▶", "Running"),
    "paused": ("❚❚", "Paused"),
    "stopping": ("■", "Stopping"),
    "stopped": ("■", "Stopped"),
    "finished": ("✓", "Done"),
    "failed": ("✕", "Failed"),
    "interrupted": ("△", "Interrupted"),
}
"""Status to icon and word."""

COLOURS: Final = {"teacher": "teacher", "labels": "truth"}
"""What a term pulls towards, to the token of its colour."""

SETTLED_SECONDS: Final = 5.0
"""Time left is shown after so long: before, the speed is a guess."""

MOST_OPTIONS: Final = 3
"""Of a model, that its name tells."""


def expression(stage: StageSpec) -> list[dict[str, str]]:
    """The loss as coloured pieces: ``0.9 × KD(T=4)`` in the teacher's colour, and so on."""
    pieces: list[dict[str, str]] = []
    for key, term in stage.terms.items():
        if pieces:
            pieces.append({"text": " + "})
        colour = COLOURS.get(str(getattr(term, "pull", "")), "ink")
        pieces.append({"text": term_text(key, term), "colour": colour})
    if stage.target.use != "teacher":
        pieces.append({"text": f" towards {_value(stage.target.given())}"})
    if stage.policy is not None:
        pieces.append({"text": f" on rows that are {_value(stage.policy.given())}"})
    return pieces


def way(spec: ExperimentSpec) -> str:
    """Stages in order, ``pretrain → further → main``; nothing where there is one."""
    return " → ".join(spec.stages) if spec.earlier else ""


def term_text(key: str, term: Any) -> str:
    """One term: weight, name, and the parameters that were set."""
    name = term_name(key)
    given = term.given()
    options = given if isinstance(given, Mapping) else {}
    shown = [
        f"{'T' if option == 'temperature' else option}={_value(value)}"
        for option, value in options.items()
        if option not in ("use", "weight")
    ]
    inside = f"({', '.join(shown)})" if shown else ""
    weight = options.get("weight", 1.0)
    return f"{name}{inside}" if weight == 1 else f"{_value(weight)} × {name}{inside}"


def _value(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        if isinstance(value, Mapping) and "start" in value:
            return f"{_value(value['start'])} → {_value(value['end'])}"
        if isinstance(value, Mapping) and "use" in value:
            return _named(value)
        return str(value.get("import", value)) if isinstance(value, Mapping) else str(value)
    return f"{value:g}"


def _named(value: Mapping[str, Any]) -> str:
    """A part of a term by its name: ``KD(T=1.5)``; its other options stand in the file."""
    name = str(value["use"])
    short = name.upper() if len(name) <= 3 else name
    heat = value.get("temperature")
    return short if heat is None else f"{short}(T={_value(heat)})"


def model_name(model: Any) -> str:
    """A model as the experiment names it, with what was set of its own options."""
    if isinstance(model, str):
        return model
    options = {k: v for k, v in model.items() if k not in ("use", "train")}
    told = [f"{key} {_value(value)}" for key, value in options.items()]
    inside = ", ".join(told if len(told) <= MOST_OPTIONS else [*told[:MOST_OPTIONS], "…"])
    return f"{model['use']} ({inside})" if inside else str(model["use"])


def data_text(spec: ExperimentSpec) -> str:
    """The data set and how many labels the student sees."""
    labels = getattr(spec.data, "labels_per_class", None)
    seen = "all labels" if labels is None else f"{count(labels)} labels a class"
    return f"{spec.data.use}, {seen}"


def duration(seconds: float) -> str:
    """How long: ``11 s``, ``4 min``, then ``about 2 h``."""
    if seconds < 90:
        return f"{max(round(seconds), 0)} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"about {round(seconds / 3600)} h"


def time_left(row: RunRow, now: float) -> str:
    """Time to the student's last step in words; empty while nothing can be said.

    Args:
        row: The run.
        now: Seconds since the epoch.
    """
    started = (row.started_ns or 0) / 1e9
    if row.status != "training" or row.step >= row.steps:
        return ""
    if not row.rate or now - started < SETTLED_SECONDS or not row.step:
        return _expected(row)
    return f"{duration((row.steps - row.step) / row.rate)} left"


def _expected(row: RunRow) -> str:
    """From the estimate, before the speed is known; it takes in what probes take."""
    parts = ((row.protocol or {}).get("estimate") or {}).get("parts") or {}
    seconds = float(parts.get("student", 0)) + float(parts.get("probes", 0))
    if row.pace is not None:
        seconds = max(seconds, row.pace * row.steps)
    left = seconds * (1 - row.step / row.steps) if row.steps else 0.0
    return f"about {duration(left).removeprefix('about ')} left" if left else ""


def elapsed(row: RunRow, now: float) -> str:
    """Time since its worker took it, or from there to its end."""
    if row.started_ns is None:
        return ""
    end = row.ended_ns / 1e9 if row.ended_ns else (now if row.active else None)
    if end is None:
        end = (row.heartbeat_ns or row.started_ns) / 1e9
    return duration(end - row.started_ns / 1e9)


def clock(nanoseconds: int) -> str:
    """Local time of day, ``14:02:39``."""
    return time.strftime("%H:%M:%S", time.localtime(nanoseconds / 1e9))


def who(name: str) -> str:
    """Who did it, as read on the page."""
    return {PAGE: "on the page", "worker": "", "pause-at": "as asked"}.get(name, name)


def refusal(error: WorkbenchError) -> str:
    """What stands under a knob: the problem itself, without what it is a problem of."""
    if not isinstance(error, InvalidExperiment):
        return error.message
    path, found, words = error.problems[0].partition(": ")
    return words[:1].upper() + words[1:] if found and " " not in path else error.problems[0]


def journal(events: Sequence[Event]) -> list[dict[str, Any]]:
    """The journal, newest first: step, what, who and when; changes have their mark's number."""
    changes = (event.id for event in events if event.kind == SET)
    numbers = {change: place for place, change in enumerate(changes, start=1)}
    return [
        {
            "step": count(event.step),
            "number": numbers[event.id] if event.kind == SET else None,
            "what": change_words(event) if event.kind == SET else _event_text(event),
            "when": ", ".join(filter(None, (who(event.who), clock(event.created_ns)))),
            # A teacher or a stage counts steps of its own.
            "at": None if event.payload.get("part") or event.kind == STAGE else event.step,
        }
        for event in reversed(events)
    ]


def _event_text(event: Event) -> str:
    if event.kind == NOTE:
        return str(event.payload["note"])
    if event.kind == "pace":
        after = event.payload.get("after")
        if after is None:
            return "Full speed"
        stretched = f"{number(1000 * after)} ms" if after < 1 else f"{number(after)} s"
        return f"Slow motion, {stretched} a step"
    words = {
        ACCEPTED: "Queued" if event.payload.get("queued") else "Accepted",
        RESUME_ASKED: "Resume asked",
        MOVED: "Moved to the front of the queue",
        "started": "Started",
        "resumed": "Resumed from its checkpoint",
        "finished": "Finished",
        "stopped": "Stopped",
        "pause": "Paused",
        "resume": "Resumed",
        "stop": "Stop asked",
        "checkpoint": "Checkpoint kept",
        "probe": "Snapshot taken",
    }
    if event.kind == TAKEN_BACK:
        return f"Seed {event.payload['seed']} ({event.payload['run']}) taken out of the queue"
    passed = (event.payload.get("checks") or {}).get("passed")
    if event.kind == "started" and passed:
        return f"Started, {count(len(passed))} checks passed"
    if event.kind == "forked":
        return f"Forked from {event.payload['parent']} at step {count(event.payload['at'])}"
    if event.kind == STAGE:
        told = event.payload
        return (
            f"Stage {told['stage']} is ready: from {told['start'] or 'fresh weights'}, "
            f"{count(told['steps'])} steps, distance {number(told['distance'])}, "
            f"weights {told['weights'][:SHORT]}"
        )
    if event.kind == BUILT:
        told = event.payload
        return (
            f"Found for the {told['for']}: {told['student']['use']}, {count(told['parameters'])} "
            f"weights, {count(told['macs'])} MACs, {number(told['latency_ms'])} ms a batch of 64; "
            f"score {number(told['score'])}"
        )
    if event.kind == MEASURED:
        ranks = event.payload["spearman"].items()
        found = [f"{name} {number(v['rho'])}" for name, v in ranks if v["rho"] is not None]
        return f"Rank correlation with accuracy, n = {event.payload['n']}: {', '.join(found)}"
    part = str(event.payload.get("part", ""))
    if part == "teacher" or part.startswith(f"{STAGE} "):
        return f"{words.get(event.kind, event.kind.capitalize())}, while the {part} trained"
    return words.get(event.kind, event.kind.capitalize())
