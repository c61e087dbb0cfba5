"""Runs as a store holds them after training, written by hand: their numbers are ours to choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store
from workbench.training.journal import Event
from workbench.training.looks import numbers_of

from ..small import SMALL

LABELS = np.asarray([0, 1, 2, 0, 1, 2, 0, 1], np.int32)
SPLITS = {name: {"rows": 8, "hash": f"{name}-rows"} for name in ("train", "val", "test", "probe")}
GRID = [0, 10, 20, 30, 40, 50, 60]


def protocol(seed: int, **changes: Any) -> dict[str, Any]:
    """Of a finished run, as far as a comparison reads it."""
    return {
        "seed": seed,
        "splits": SPLITS,
        "data": {"name": "digits", "hash": "d" * 64},
        "teacher": {"hash": "t" * 64, "accuracy": 0.9, "probe": {"accuracy": 0.875}},
        "versions": {"torch": "2", "distillation-workbench": "1"},
        "machine": {"device": "cpu"},
        "threads": 1,
        **changes,
    }


class Written:
    """Writes runs of the small experiment into a store.

    Args:
        folder: Where the store is made.
    """

    def __init__(self, folder: Path) -> None:
        self.store = Store(str(folder / "workbench.db"))

    def spec(self, changes: Mapping[str, Any] | None = None) -> ExperimentSpec:
        """The small experiment, changed."""
        return ExperimentSpec.parse(SMALL).replace(changes or {})

    def run(
        self,
        accuracy: float = 0.5,
        *,
        seed: int = 0,
        changes: Mapping[str, Any] | None = None,
        control: float | None = None,
        right: Sequence[int] | None = None,
        steps: Sequence[int] = GRID,
        status: str = "finished",
        told: Mapping[str, Any] | None = None,
        ids: Sequence[int] = range(8),
        **row: Any,
    ) -> str:
        """A run whose student has this accuracy on test; returns its id.

        Args:
            accuracy: In [0, 1]; on probe it rises to it from 0.
            seed: Of the run.
            changes: Path to value of the experiment.
            control: Accuracy of a control; None for none.
            right: Of the eight probe samples, 1 where the student is right.
            steps: At which it was looked at.
            status: Of the row; without ``finished`` nothing of the end is there.
            told: Changes of the protocol.
            ids: Of the probe samples.
            row: ``parent``, ``forked_at``.
        """
        spec = self.spec({**(changes or {}), "seed": seed})
        runs = self.store.runs
        run = runs.create(name=spec.name, experiment=spec.given(), options={}, **row)
        runs.update(run, status=status, step=steps[-1], steps=60)
        curve = self._curve(run, accuracy, steps)
        facts = {"loyalty": {"n": 8, "class_names": ["a", "b", "c"]}}
        marks = np.asarray(right if right is not None else [1] * 8, np.uint8)
        self.store.recorder(run).snapshot(
            steps[-1],
            {
                "trilateral.ids": np.asarray(ids, np.int64),
                "trilateral.labels": LABELS,
                "trilateral.student_right": marks,
            },
            facts,
        )
        metrics = {"student": self._test(accuracy)}
        numbers = numbers_of(["accuracy", "nll"], *curve, rows=8)
        if control is not None:
            runs.create(
                name=spec.name, experiment=spec.given(), options={}, role="control", group=run
            )
            metrics["control"] = self._test(control)
            theirs = self._curve(f"{run}-control", control, steps)
            numbers["control"] = numbers_of(["accuracy", "nll"], *theirs, rows=8)
        if status == "finished":
            conditions = {**protocol(seed), "numbers": numbers, **(told or {})}
            runs.update(run, protocol=conditions, result={"metrics": metrics})
        return run

    def changed(self, run: str, step: int, path: str, before: Any, after: Any) -> None:
        """Journal a change that somebody made by hand."""
        payload = {"path": path, "before": before, "after": after, "set": {path: after}}
        self.store.journal.write(run, Event(step, "set", "ada", payload))

    def _curve(
        self, run: str, accuracy: float, steps: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        at = np.asarray(steps, np.int64)
        values = np.stack([accuracy * at / 60, 2 - at / 60], axis=1)
        self.store.recorder(run).metrics("probe", ["accuracy", "nll"], at, values)
        return at, values

    @staticmethod
    def _test(accuracy: float) -> dict[str, float]:
        return {"accuracy": accuracy, "nll": 1 - accuracy, "ece": accuracy / 10}
