"""The start page as plain data: the quickstart, the recipes, recent runs. And starting one.

Unusual here: every number on it was measured on this machine by runs of this store; where there is
none it says so, and what would change that.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from workbench_widgets.words import count, number, percent

from workbench.dashboard import wording
from workbench.dashboard.expected import expected
from workbench.dashboard.recipe_cards import cards, facets
from workbench.recipes import names, open_experiment
from workbench.runs.frames import probe_rows
from workbench.runs.launch import Starter, accept
from workbench.runs.listing import Line, Listing, alike, setting_of
from workbench.specs.experiment import ExperimentSpec
from workbench.store import RunRow, Store

QUICKSTART = "quickstart"
WATCH_SECONDS = 36.0
"""How long the student's training is stretched to, so that one can follow it."""

FALLBACK_PACE = 0.08
"""Seconds a step where the number of steps is not known before the data are read."""

RECENT = 8
"""Runs that the start page lists."""

_PROBED: dict[tuple[Path, str], int] = {}
"""Rows of the probe split by store and run: they never change, and a snapshot is slow to read."""


class Quickstart:
    """The recipes and what is known of them here, read once.

    Args:
        store: Earlier runs tell how many steps a recipe has and how large its models are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.listing = Listing(store)
        self.experiments: dict[str, tuple[ExperimentSpec, Path]] = {}
        for name in names():
            spec, _, base = open_experiment(name)
            self.experiments[name] = (spec, base)

    def start(self, recipe: str, starter: Starter, *, who: str) -> str:
        """Accept a run of a recipe in slow motion and start its worker; returns its id.

        ``who`` is named in its journal.

        Raises:
            WorkbenchError: If there is no such recipe, or it cannot be accepted.
        """
        if recipe not in self.experiments:
            open_experiment(recipe)  # raises with the nearest name
        spec, base = self.experiments[recipe]
        pace = pace_of(spec, self._earlier(recipe))
        run = accept(self._store, spec, recipe=recipe, base=base, pace=pace, who=who)
        starter.start(self._store, run)
        return run

    def page(self) -> dict[str, Any]:
        """Everything on the start page but the recent runs."""
        lines = self.listing.lines()
        return {
            "hero": self._hero(lines),
            "recipes": cards(self.experiments, lines),
            "facets": facets(),
            "machine": f"this machine: {count(os.cpu_count() or 1)} CPU cores",
        }

    def _earlier(self, recipe: str) -> RunRow | None:
        """The newest run of the same experiment that got to know its steps."""
        given = self.experiments[recipe][0].given()
        rows = self._store.runs.list()
        return next((r for r in rows if r.steps and r.experiment == given), None)

    def _hero(self, lines: list[Line]) -> dict[str, Any]:
        spec, _ = self.experiments[QUICKSTART]
        own = alike(lines, setting_of(spec))
        protocol = (self._store.runs.get(own[0].id).protocol or {}) if own else {}
        steps = f"{count(own[0].steps)} steps, " if own else ""
        return {
            "loss": wording.expression(spec.stage),
            "summary": spec.recipe.summary if spec.recipe else "",
            "data": wording.data_text(spec),
            "about": f"{steps}about {wording.duration(WATCH_SECONDS + 4)} here, in slow motion",
            "expected": expected(self._store, own),
            "scored": f"test accuracy, n = {count(own[0].num_test)}, last time" if own else "",
            "models": [
                {
                    "who": who,
                    "name": wording.model_name(spec.given()[who]),
                    "weights": count(weights) if (weights := _weights(protocol, who)) else "",
                    "accuracy": percent(own[0].accuracy[who])
                    if own and who in own[0].accuracy
                    else "",
                }
                for who in ("teacher", "student")
            ],
        }


def pace_of(spec: ExperimentSpec, earlier: RunRow | None) -> float:
    """Seconds a step is stretched to so that training lasts about :data:`WATCH_SECONDS`."""
    steps = spec.stage.steps or (earlier.steps if earlier else None)
    return WATCH_SECONDS / steps if steps else FALLBACK_PACE


def recent_runs(store: Store, listing: Listing | None = None) -> list[dict[str, Any]]:
    """The newest runs: name, status, step, the student's accuracy and on which samples.

    Args:
        store: Where they lie.
        listing: Of the same store, if there is one that has read it before.
    """
    rows = []
    for line in (listing or Listing(store)).lines()[:RECENT]:
        icon, word = wording.CHIPS[line.status]
        accuracy, of = _accuracy(store, line)
        speed = line.status == "training" and line.rate
        rows.append(
            {
                "run": line.id,
                "name": line.name,
                "seed": line.seed,
                "status": line.status,
                "icon": icon,
                "word": "Waiting" if line.waits and line.status == "queued" else word,
                "step": step_words(line) + (f", {number(line.rate)} steps/s" if speed else ""),
                "accuracy": "" if accuracy is None else percent(accuracy),
                "of": "" if accuracy is None else of,
            }
        )
    return rows


def step_words(line: Line) -> str:
    """How far a run is: ``step 840 of 1 200``; its length alone once it is done."""
    if not line.steps:
        return ""
    if line.status == "finished":
        return f"{count(line.steps)} steps"
    return f"step {count(line.step)} of {count(line.steps)}"


def _accuracy(store: Store, line: Line) -> tuple[float | None, str]:
    """Of the student, and on what: on test once it has been read, on probe before."""
    if "student" in line.accuracy:
        return line.accuracy["student"], f"test, n = {count(line.num_test)}"
    probe = store.metrics.read(line.id, "probe")
    if not len(probe.steps):
        return None, ""
    n = _probed(store, line.id)
    return float(probe.column("accuracy")[-1]), f"probe, n = {count(n)}" if n else "probe"


def _probed(store: Store, run: str) -> int:
    key = store.path, run
    if key not in _PROBED and (n := probe_rows(store.runs.get(run), store.last_snapshot(run))):
        _PROBED[key] = n
    return _PROBED.get(key, 0)


def _weights(protocol: dict[str, Any], who: str) -> int | None:
    return (protocol.get(who) or {}).get("parameters")
