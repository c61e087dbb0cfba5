"""What stands around the views of a run: top bar and rail, as plain data."""

from __future__ import annotations

import time
from typing import Any

from workbench_widgets.words import count, number, percent

from workbench.dashboard import journal, wording
from workbench.dashboard.controls import controls
from workbench.dashboard.pull import checks, cost, pull, pull_over_training
from workbench.runs.frames import Frames, probe_rows
from workbench.runs.history import History
from workbench.runs.results import chosen_rows
from workbench.specs.experiment import ExperimentSpec
from workbench.store import RunRow

SLOW_SECONDS = 0.08
"""A step in slow motion."""


def top(history: History, per_epoch: int | None = None) -> dict[str, Any]:
    """The top bar: name, status, step, speed, time, and the buttons that apply now.

    Args:
        history: What is known of the run.
        per_epoch: Steps of one pass of the data; None: passes are not told.
    """
    row, now = history.row, time.time()
    icon, word = wording.CHIPS[row.status]
    share = "" if row.probe_share is None else f"probes {percent(row.probe_share)} of time"
    moving = row.status == "training" and row.step < row.steps
    return {
        "run": row.id,
        "name": row.name,
        "recipe": row.recipe,
        "seed": int(row.experiment.get("seed", 0)),
        "status": row.status,
        "icon": icon,
        "word": word,
        "step": row.step,
        "steps": row.steps,
        "step_text": f"{count(row.step)} / {count(row.steps)}" if row.steps else "",
        "share": percent(row.step / row.steps, 0) if row.steps else "",
        "epoch": epochs(row, per_epoch),
        "spoken": spoken(history) if moving else "",
        "speed": f"{number(row.rate)} steps/s" if row.rate and moving else "",
        "probes": share,
        "left": wording.time_left(row, now) or (row.activity or "" if row.active else ""),
        "elapsed": f"{spent} elapsed" if (spent := wording.elapsed(row, now)) else "",
        "slow": row.pace,
        "buttons": buttons(row),
        "reached": int(history.train.steps[-1]) if len(history.train.steps) else 0,
        "exports": [list(pair) for pair in _exports(row)],
    }


def spoken(history: History) -> str:
    """Where the run stands, for people who listen: ``Step 840 of 1200, accuracy 95.8 percent``."""
    row, accuracy = history.row, history.student_accuracy
    told = "" if accuracy is None else f", accuracy {100 * accuracy:.1f} percent"
    return f"Step {row.step} of {row.steps}{told}"


def epochs(row: RunRow, per_epoch: int | None) -> str:
    """``epoch 26.9 / 38.4``; empty where no step or no pass is known."""
    if not per_epoch or not row.steps:
        return ""
    return f"epoch {row.step / per_epoch:.1f} / {row.steps / per_epoch:g}"


def buttons(row: RunRow) -> list[str]:
    """Commands that the run would follow in its status."""
    made = []
    if row.status == "training" or (row.status == "preparing" and row.pid is not None):
        made.append("pause")
    if row.resumable:
        made.append("resume")
    if row.status in ("preparing", "training", "paused"):
        made.append("stop")
    if row.status in ("training", "paused") and row.step < row.steps:
        made.append("pace")
    if row.role == "student" and row.started_ns is not None:
        made += ["fork", "export"]
    return made


def _exports(row: RunRow) -> list[tuple[str, str]]:
    """What can be taken away now, with its word."""
    ended = [("script", "Script (.py)"), ("notebook", "Notebook (.ipynb)"), ("weights", "Weights")]
    ended += [("result-csv", "Result (.csv)"), ("result-tex", "Result (LaTeX)")]
    has_numbers = bool((row.result or {}).get("metrics"))
    always = [("yaml", "Experiment (.yaml)"), ("points-csv", "All logged points (.csv)")]
    return [*(ended if has_numbers else ()), *always]


def rail(history: History, frames: Frames) -> dict[str, Any]:
    """The experiment, both models, the data, the journal."""
    row, spec = history.row, frames.spec
    lines = journal.lines(history)
    protocol, n = row.protocol or {}, probe_rows(row, history.latest)
    return {
        "loss": wording.expression(spec.stage) if spec else [],
        "paper": spec.recipe.paper if spec and spec.recipe else "",
        "watch": spec.recipe.watch if spec and spec.recipe else "",
        "models": [
            _model("student", "S", row, history.student_accuracy, protocol, n),
            _model("teacher", "T", row, history.teacher_accuracy, protocol, n),
        ],
        "facts": [*_facts(spec, row), *_chosen(history), *cost(row)],
        "pull": pull(history, spec, waits_for(history)),
        "pulls": pull_over_training(history, spec),
        "newest": history.steps[-1] if history.steps else None,
        "checks": checks(row),
        "activity": activity(history),
        "controls": controls(history, frames),
        "unread": "" if spec else frames.unread,
        "journal": lines[: journal.LAST],
        "older": max(len(lines) - journal.LAST, 0),
        "at": row.step,
    }


def _model(
    who: str, letter: str, row: RunRow, accuracy: float | None, protocol: dict[str, Any], n: int
) -> dict[str, Any]:
    weights = (protocol.get(who) or {}).get("parameters")
    return {
        "who": who,
        "letter": letter,
        "name": wording.model_name(row.experiment.get(who, "")),
        "weights": f"{count(weights)} weights" if weights else "",
        "accuracy": "" if accuracy is None else percent(accuracy),
        "of": f"probe, n = {count(n)}" if n else "probe",
    }


def _facts(spec: ExperimentSpec | None, row: RunRow) -> list[list[str]]:
    facts = []
    if spec is not None:
        facts.append(["data", wording.data_text(spec)])
        stage = spec.stage
        length = f"{count(stage.steps or 0)} steps"
        if stage.epochs:
            length = f"{count(stage.epochs)} epochs"
        facts.append(["training", f"{length} of batches of {count(stage.batch_size)}"])
        rate = getattr(stage.optimiser, "lr", None)
        rate_text = f", lr {rate:g}" if isinstance(rate, float) else ""
        facts.append(["optimiser", f"{stage.optimiser.use}{rate_text}, {stage.schedule.use}"])
    machine = (row.protocol or {}).get("machine") or {}
    asked = row.experiment.get("device", "auto")
    facts.append(["device", str(machine.get("device_name") or asked)])
    facts.append(["seed", str(row.experiment.get("seed", 0))])
    return facts


def _chosen(history: History) -> list[list[str]]:
    """Rows that a data policy shows in this epoch, counted from 1."""
    found = chosen_rows(history.selection.columns, history.selection.values)
    if found is None:
        return []
    text = f"{count(found['kept'])} of {count(found['rows'])} (epoch {count(found['epoch'] + 1)})"
    return [["rows", text]]


def activity(history: History) -> dict[str, Any] | None:
    """What a run does that is not its student's training: words and a share, or None."""
    row = history.row
    if row.status == "queued":
        waits = "a training process" if row.cohort in (None, row.id) else "its turn in its group"
        return {"text": f"Waits for {waits}", "share": None}
    if not row.active or not row.activity:
        return None
    return {"text": row.activity, "share": row.progress}


def waits_for(history: History) -> str | None:
    """Why the views are empty; None once a snapshot is there."""
    if history.latest is not None:
        return None
    row = history.row
    if not row.active:
        return f"This run left no snapshot: it is {row.status}, at step {count(row.step)}."
    doing = activity(history)
    if doing is None:
        return "Waits for the first snapshot."
    if row.status == "queued":
        return "Waits for a training process."
    # Tens of percent: a finer sentence would redraw five views for a number nobody reads.
    share = "" if doing["share"] is None else f", {percent(int(10 * doing['share']) / 10, 0)}"
    words = doing["text"][:1].lower() + doing["text"][1:]
    return f"Waits for the first snapshot. Now: {words}{share}."
