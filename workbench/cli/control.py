"""``pause``, ``stop``, ``runs``, ``show``, ``journal``: look at runs and steer them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from workbench.cli.options import AsJson, RunName, StoreUrl, print_json, table
from workbench.cli.words import result_words
from workbench.runs.results import chosen_rows
from workbench.runs.run import Run, result_of
from workbench.specs.stage import FRESH
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.card import SHORT
from workbench.training.choice import BUILT, MEASURED
from workbench.training.journal import STAGE, part_words


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pause", epilog="Example: workbench pause quickstart-7k2p9x")(pause)
    app.command("stop", epilog="Example: workbench stop quickstart-7k2p9x")(stop)
    app.command("runs", epilog="Example: workbench runs --json")(runs)
    app.command("show", epilog="Example: workbench show quickstart-7k2p9x")(show)
    app.command("journal", epilog="Example: workbench journal quickstart-7k2p9x --json")(journal)


def pause(name: RunName, store_url: StoreUrl = None) -> None:
    """Pause a run at its next step; returns when that is journalled and the run stands."""
    run = Run(name, Store(store_url))
    print(f"{name}: paused at step {run.pause()}")


def stop(
    name: RunName,
    group: Annotated[
        bool, typer.Option("--group", help="Also the others that were started with it.")
    ] = False,
    store_url: StoreUrl = None,
) -> None:
    """Stop a run at its next step, for good; returns when it has ended.

    Of several seeds the others go on, but with --group.
    """
    run = Run(name, Store(store_url))
    chosen = [run]
    if group:  # those that wait first: the worker must not take them up
        chosen = [one for one in reversed(run.group) if one.row.active] or chosen
    for one in chosen:
        step = one.stop()
        one.wait()
        print(f"{one.id}: {one.status} at step {step}")


def runs(
    every: Annotated[bool, typer.Option("--all", help="Also teachers and controls.")] = False,
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """List runs, newest first."""
    roles = None if every else ("student",)
    rows = [brief(row) for row in Store(store_url).runs.list(roles=roles)]
    if as_json:
        print_json(rows)
    elif not rows:
        print("No runs yet. `workbench run quickstart` makes one.")
    else:
        told = [{**row, "part": part_words(row["role"])} for row in rows]
        table(told, ("run", "name", "part", "status", "step", "steps", "started"))


def show(name: RunName, as_json: AsJson = False, store_url: StoreUrl = None) -> None:
    """Show one run: status, numbers, protocol."""
    run = Run(name, Store(store_url))
    row = run.row
    found = {**result_of(row), **brief(row), "activity": row.activity, "rate": row.rate}
    found["children"] = [child.id for child in run.children]
    group = run.group
    if len(group) > 1:
        found["seeds"] = {one.id: one.row.experiment.get("seed", 0) for one in group}
        found["summary"] = run.summary
    chosen = run.store.metrics.read(run.id, "selection")
    if len(chosen.steps):
        found["selection"] = chosen_rows(chosen.columns, chosen.values)
    if row.role == "student":
        found["knobs"] = {path: knob.plain() for path, knob in run.knobs.items()}
    if as_json:
        print_json(found)
        return
    found.pop("knobs", None)
    if row.role == "student":
        for line in result_words([one.row for one in group]):
            print(line)
        for name in ("metrics", "protocol", "summary", "seeds"):
            found.pop(name, None)
    for key, value in found.items():
        text = json.dumps(value, indent=2) if isinstance(value, dict) else _plain(value)
        print(f"{key}: {text}")


def journal(name: RunName, as_json: AsJson = False, store_url: StoreUrl = None) -> None:
    """Print what took effect at which step."""
    events: list[dict[str, Any]] = [
        {
            "step": event.step,
            "kind": event.kind,
            "who": event.who,
            "time": event.created_ns / 1e9,
            "command": event.command,
            **event.payload,
        }
        for event in Run(name, Store(store_url)).journal
    ]
    if as_json:
        print_json(events)
    else:
        rows = [{**event, **_in_columns(event), "when": _clock(event["time"])} for event in events]
        table(rows, ("step", "when", "kind", "who", "path", "before", "after", "note"))


def brief(row: RunRow) -> dict[str, Any]:
    """A run as ``runs --json`` lists it."""
    return {
        "run": row.id,
        "name": row.name,
        "role": row.role,
        "status": row.status,
        "step": row.step,
        "steps": row.steps,
        "pid": row.pid,
        "started": _clock(row.started_ns / 1e9) if row.started_ns else None,
        "parent": row.parent,
        "forked_at": row.forked_at,
        "group": row.cohort or row.group,
        "of": row.group,
    }


def _in_columns(event: Mapping[str, Any]) -> dict[str, Any]:
    """What a line about an earlier stage says, in the columns of a change."""
    if event["kind"] == BUILT:
        score = f"score {event['score']:.4g}, {event['parameters']} weights"
        return {"path": f"{event['for']} found", "after": f"{event['student']['use']}, {score}"}
    if event["kind"] == MEASURED:
        found = ", ".join(f"{k} {v['rho']:.2f}" for k, v in event["spearman"].items() if v["rho"])
        return {"path": f"rank correlation, n = {event['n']}", "after": found}
    if event["kind"] != STAGE:
        return {}
    return {
        "path": f"stage {event['stage']}",
        "before": event["start"] or FRESH,
        "after": f"weights {event['weights'][:SHORT]}, distance {event['distance']:.4g}",
    }


def _clock(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _plain(value: Any) -> str:
    return "-" if value is None else str(value)
