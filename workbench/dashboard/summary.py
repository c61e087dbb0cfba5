"""What stands around the views of a run: top bar, notice, rail and result, as plain data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from workbench_widgets.words import MINUS, count, fixed, number, percent

from workbench.dashboard import journal, wording
from workbench.dashboard.controls import controls
from workbench.dashboard.failure import failure
from workbench.dashboard.pull import checks, cost, pull
from workbench.runs.frames import Frames
from workbench.runs.history import History
from workbench.runs.results import chosen_rows
from workbench.specs.experiment import ExperimentSpec
from workbench.store import RunRow
from workbench.training.card import caption
from workbench.training.journal import Event
from workbench.training.timeline import SET

SLOW_SECONDS = 0.08
"""A step in slow motion."""


def top(history: History) -> dict[str, Any]:
    """The top bar: name, status, step, speed, time, and the buttons that apply now."""
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
        "speed": f"{number(row.rate)} steps/s" if row.rate and moving else "",
        "probes": share,
        "left": wording.time_left(row, now) or (row.activity or "" if row.active else ""),
        "elapsed": f"{spent} elapsed" if (spent := wording.elapsed(row, now)) else "",
        "slow": row.pace,
        "buttons": buttons(row),
        "reached": int(history.train.steps[-1]) if len(history.train.steps) else 0,
        "exports": [list(pair) for pair in _exports(row)],
    }


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


def notice(history: History, store: str = "") -> dict[str, Any] | None:
    """The line under the top bar of a run that does not go on by itself.

    Args:
        history: Of the run.
        store: Path of the store, which the report of a failure names.
    """
    row = history.row
    at = f"step {count(row.step)}"
    kept = "No checkpoint yet."
    if history.checkpoint is not None:
        kept = f"Checkpoint at step {count(history.checkpoint)}."
    if row.status == "paused":
        last = next((event for event in reversed(history.events) if event.kind == "pause"), None)
        when = ""
        if last is not None:
            when = ", ".join(filter(None, (wording.who(last.who), wording.clock(last.created_ns))))
        what = f"Paused at {at}{', ' if when else ''}{when}."
        return _line("quiet", "❚❚", what, f"{kept} Resume goes on bit for bit.")
    if row.status == "interrupted":
        text = f"{kept} Resume goes on from there, with the same bits as if nothing had happened."
        if history.checkpoint is None:
            text = "Resume starts it from its beginning."
        head = f"The training process ended at {at} without a word."
        if row.pid is None:
            head = "No training process took this run."
        return _line("attention", "△", head, text)
    if row.status == "failed":
        return {**_failed(row, history.events), **failure(history, store)}
    if row.status == "stopped":
        return _line("quiet", "■", f"Stopped at {at}.", kept)
    return None


def _line(kind: str, icon: str, head: str, text: str, code: str = "") -> dict[str, Any]:
    return {"kind": kind, "icon": icon, "head": head, "text": text, "code": code, "acts": []}


def _failed(row: RunRow, events: Sequence[Event] = ()) -> dict[str, Any]:
    error = row.error or {}
    good = error.get("last_good_step")
    lost = "No checkpoint was written before."
    if good is not None:
        steps = count(max(row.step - good, 0))
        lost = f"Last good checkpoint: step {count(good)}; steps lost: {steps}."
    message = error.get("message", "no reason was recorded.")
    if good is None:  # the training knows what it asked to keep, not what there was to keep
        message = message.replace("The last good checkpoint is kept. ", "")
    head = f"Failed at step {count(row.step)}: {message}"
    line = _line("bad", "✕", head, lost, str(error.get("code", "")))
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


def rail(history: History, frames: Frames) -> dict[str, Any]:
    """The experiment, both models, the data, the journal."""
    row, spec = history.row, frames.spec
    lines = journal.lines(history)
    student = float(history.probe.column("accuracy")[-1]) if len(history.probe.steps) else None
    protocol = row.protocol or {}
    return {
        "loss": wording.expression(spec.stage) if spec else [],
        "paper": spec.recipe.paper if spec and spec.recipe else "",
        "watch": spec.recipe.watch if spec and spec.recipe else "",
        "models": [
            _model("student", "S", row, student, protocol),
            _model("teacher", "T", row, history.teacher_accuracy, protocol),
        ],
        "facts": [*_facts(spec, row), *_chosen(history), *cost(row)],
        "pull": pull(history, spec, waits_for(history)),
        "newest": history.steps[-1] if history.steps else None,
        "checks": checks(row),
        "activity": activity(history),
        "controls": controls(history, frames),
        "journal": lines[: journal.LAST],
        "older": max(len(lines) - journal.LAST, 0),
        "at": row.step,
    }


def _model(
    who: str, letter: str, row: RunRow, accuracy: float | None, protocol: dict[str, Any]
) -> dict[str, Any]:
    weights = (protocol.get(who) or {}).get("parameters")
    return {
        "who": who,
        "letter": letter,
        "name": wording.model_name(row.experiment.get(who, "")),
        "weights": f"{count(weights)} weights" if weights else "",
        "accuracy": "" if accuracy is None else percent(accuracy),
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


def result(history: History) -> dict[str, Any]:
    """The card of numbers: on the probe split while it trains, on test once it has finished."""
    metrics = (history.row.result or {}).get("metrics")
    if metrics:
        return _final(history, metrics)
    return _so_far(history)


def _final(history: History, metrics: dict[str, Any]) -> dict[str, Any]:
    columns = ["student", "teacher", "control"]
    columns += ["plain_kd"] if metrics.get("plain_kd") else []
    everyone: list[dict[str, Any]] = [metrics.get(name) or {} for name in columns]
    student, _, control = everyone[:3]
    rows = [
        ["test accuracy, %", *(_hundred(told.get("accuracy")) for told in everyone)],
        ["NLL, nats", *(fixed(told.get("nll"), 3) for told in everyone)],
        ["ECE, %", *(_hundred(told.get("ece")) for told in everyone)],
    ]
    notes = []
    if control:
        gap = _points(student["accuracy"] - control["accuracy"])
        told = f"Student minus control: {gap} percentage points on the same seed."
        notes.append(f"{told} {_over_seeds(history.over_seeds)}")
    elif history.row.experiment.get("control") and history.row.active:
        notes.append("The control, the same student without the teacher, still trains.")
    protocol = {"seed": history.row.experiment.get("seed", 0), **(history.row.protocol or {})}
    return {
        "run": history.row.id,
        "title": "Result",
        "read": "On samples that nobody has seen before the end.",
        "columns": [name.replace("plain_kd", "plain KD") for name in columns],
        "rows": rows,
        "notes": notes,
        "footer": caption(protocol),
    }


def _over_seeds(told: dict[str, Any] | None) -> str:
    """What all seeds of the group say of the difference."""
    found = ((told or {}).get("difference") or {}).get("accuracy")
    if found is None or found["n"] == 1:
        return "One seed: run more before you believe a difference."
    words = f"Over {found['n']} seeds: mean {_points(found['mean'])}"
    if found["interval"] is None:
        return f"{words}; {found['why']}."
    low, high = (_points(end) for end in found["interval"])
    return f"{words}, 95 % interval {low} to {high}."


def _points(share: float) -> str:
    """A difference of shares in percentage points, signed."""
    gap = 100 * share
    return f"{'+' if gap > 0 else MINUS if gap < 0 else '±'}{abs(gap):.1f}"


def _so_far(history: History) -> dict[str, Any]:
    facts: dict[str, Any] = history.latest.facts if history.latest is not None else {}
    loyalty, calibration = facts.get("loyalty") or {}, facts.get("calibration") or {}
    student, teacher = calibration.get("student") or {}, calibration.get("teacher") or {}
    accuracy = history.probe.column("accuracy")[-1] if len(history.probe.steps) else None
    right = history.teacher_accuracy
    rows = [
        ["accuracy, %", _hundred(accuracy), _hundred(right)],
        ["NLL, nats", fixed(student.get("nll"), 3), fixed(teacher.get("nll"), 3)],
        ["ECE, %", _hundred(student.get("ece")), _hundred(teacher.get("ece"))],
        ["label loyalty, %", _hundred(loyalty.get("label_loyalty")), ""],
    ]
    ended = not history.row.active
    n = loyalty.get("n") or calibration.get("n")
    shown = f"step {count(history.steps[-1])} · " if history.steps else ""
    return {
        "title": "Where it stands",
        "read": "The last snapshot, on the probe samples.",
        "columns": ["student", "teacher"],
        "rows": rows,
        "notes": [
            "No result on test: the run did not reach its end."
            if ended
            else "Test samples are read once, at the end; then the result stands here."
        ],
        "footer": f"{shown}n = {count(n)} probe" if n else "before the first snapshot",
    }


def _hundred(share: float | None) -> str:
    """A share in [0, 1] as a bare percentage; the unit stands in the row's name."""
    return fixed(None if share is None else 100 * share, 1)
