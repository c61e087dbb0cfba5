"""The start page as plain data: the quickstart, the recipes, recent runs. And starting one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from workbench_widgets.words import count, percent

from workbench.dashboard import wording
from workbench.recipes import names, open_experiment
from workbench.runs.launch import Starter, accept
from workbench.specs.experiment import ExperimentSpec
from workbench.store import RunRow, Store

QUICKSTART = "quickstart"
WATCH_SECONDS = 36.0
"""How long the student's training is stretched to, so that one can follow it."""

FALLBACK_PACE = 0.08
"""Seconds a step where the number of steps is not known before the data are read."""

RECENT = 12
"""Runs that the start page lists."""


class Quickstart:
    """The recipes and what is known of them here, read once.

    Args:
        store: Earlier runs tell how many steps a recipe has and how large its models are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.experiments: dict[str, tuple[ExperimentSpec, Path]] = {}
        for name in names():
            spec, _, base = open_experiment(name)
            self.experiments[name] = (spec, base)

    def start(self, recipe: str, starter: Starter) -> str:
        """Accept a run of a recipe in slow motion and start its worker; returns its id.

        Raises:
            WorkbenchError: If there is no such recipe, or it cannot be accepted.
        """
        if recipe not in self.experiments:
            open_experiment(recipe)  # raises with the nearest name
        spec, base = self.experiments[recipe]
        pace = pace_of(spec, self._earlier(recipe))
        run = accept(self._store, spec, recipe=recipe, base=base, pace=pace)
        starter.start(self._store, run)
        return run

    def page(self) -> dict[str, Any]:
        """Everything on the start page but the recent runs."""
        return {
            "hero": self._hero(),
            "recipes": [self._card(name) for name in self.experiments if name != QUICKSTART],
            "machine": f"this machine: {count(os.cpu_count() or 1)} CPU cores",
        }

    def _earlier(self, recipe: str) -> RunRow | None:
        """The newest run of the same experiment that got to know its steps."""
        given = self.experiments[recipe][0].given()
        rows = self._store.runs.list()
        return next((r for r in rows if r.steps and r.experiment == given), None)

    def _hero(self) -> dict[str, Any]:
        spec, _ = self.experiments[QUICKSTART]
        finished = next(
            (r for r in self._store.runs.list() if r.result and r.experiment == spec.given()), None
        )
        metrics = ((finished.result or {}).get("metrics") or {}) if finished else {}
        protocol = (finished.protocol or {}) if finished else {}
        return {
            "loss": wording.expression(spec.stage),
            "summary": spec.recipe.summary if spec.recipe else "",
            "data": wording.data_text(spec),
            "about": f"about {wording.duration(WATCH_SECONDS + 4)} here, in slow motion",
            "models": [
                {
                    "who": who,
                    "name": wording.model_name(spec.given()[who]),
                    "weights": count(weights) if (weights := _weights(protocol, who)) else "",
                    "accuracy": percent((metrics.get(who) or {}).get("accuracy"))
                    if metrics.get(who)
                    else "",
                }
                for who in ("teacher", "student")
            ],
        }

    def _card(self, name: str) -> dict[str, Any]:
        spec, _ = self.experiments[name]
        recipe = spec.recipe
        return {
            "name": name,
            "loss": wording.expression(spec.stage),
            "summary": recipe.summary if recipe else "",
            "paper": recipe.paper if recipe else "",
            "pair": f"{wording.model_name(spec.given()['teacher'])} → "
            f"{wording.model_name(spec.given()['student'])}",
            "way": wording.way(spec),
        }


def pace_of(spec: ExperimentSpec, earlier: RunRow | None) -> float:
    """Seconds a step is stretched to so that training lasts about :data:`WATCH_SECONDS`."""
    steps = spec.stage.steps or (earlier.steps if earlier else None)
    return WATCH_SECONDS / steps if steps else FALLBACK_PACE


def recent_runs(store: Store) -> list[dict[str, Any]]:
    """The newest runs: name, status, step, the student's accuracy and on which samples."""
    rows = []
    for row in store.runs.list()[:RECENT]:
        icon, word = wording.CHIPS[row.status]
        accuracy = _accuracy(store, row)
        rows.append(
            {
                "run": row.id,
                "name": row.name,
                "seed": int(row.experiment.get("seed", 0)),
                "status": row.status,
                "icon": icon,
                "word": word,
                "step": f"step {count(row.step)} of {count(row.steps)}" if row.steps else "",
                "accuracy": "" if accuracy is None else percent(accuracy),
            }
        )
    return rows


def _accuracy(store: Store, row: RunRow) -> float | None:
    """Of the student: on test once it has been read, on probe before."""
    metrics = (row.result or {}).get("metrics") or {}
    if metrics.get("student"):
        return float(metrics["student"]["accuracy"])
    probe = store.metrics.read(row.id, "probe")
    return float(probe.column("accuracy")[-1]) if len(probe.steps) else None


def _weights(protocol: dict[str, Any], who: str) -> int | None:
    return (protocol.get(who) or {}).get("parameters")
