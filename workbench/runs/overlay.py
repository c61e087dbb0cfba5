"""Curves of several runs on one axis: by step, by epoch, or by the share of their schedule."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.runs.settings import Member, Setting
from workbench.store.store import Store
from workbench.training.schedules import Schedule


def curves(store: Store, settings: list[Setting]) -> dict[str, Any]:
    """Accuracy on the probe split of each run, and each setting's mean over its seeds.

    Args:
        store: Where they lie.
        settings: As compared.

    Returns:
        ``settings``: for each its ``run`` (id) and ``name``, ``runs`` (``run``, ``seed``,
        ``steps``, ``accuracy`` in [0, 1], ``end`` planned step, ``epoch`` steps or None, ``live``),
        ``mean`` (``steps``, ``accuracy``, ``low``, ``high``, n; None for a single run), ``phases``
        (name, first and last share of the schedule). ``teacher``: its accuracy on probe, where all
        runs have the same; else None.
    """
    told = []
    for setting in settings:
        runs = [_run(store, one) for one in setting.members]
        told.append(
            {
                "run": setting.id,
                "name": setting.name,
                "runs": runs,
                "mean": _mean(runs),
                "phases": _phases(setting.first),
            }
        )
    return {"settings": told, "teacher": _teacher(settings)}


def _run(store: Store, one: Member) -> dict[str, Any]:
    series = store.metrics.read(one.id, "probe")
    found = series.column("accuracy") if len(series.steps) else np.zeros(0)
    kept = np.isfinite(found)
    return {
        "run": one.id,
        "seed": one.seed,
        "steps": series.steps[kept].tolist(),
        "accuracy": found[kept].tolist(),
        "end": one.row.steps or int(series.steps[-1] if len(series.steps) else 0),
        "epoch": _steps_per_epoch(one),
        "live": one.row.active,
    }


def _mean(runs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """At the steps that all seeds were looked at: the grid's, and more only by chance."""
    begun = [run for run in runs if run["steps"]]
    if len(begun) < 2:
        return None
    common = sorted(set.intersection(*(set(run["steps"]) for run in begun)))
    if not common:
        return None
    rows = np.asarray(
        [
            [dict(zip(run["steps"], run["accuracy"], strict=True))[step] for step in common]
            for run in begun
        ]
    )
    return {
        "steps": common,
        "accuracy": rows.mean(0).tolist(),
        "low": rows.min(0).tolist(),
        "high": rows.max(0).tolist(),
        "n": len(begun),
    }


def _steps_per_epoch(one: Member) -> float | None:
    if one.spec is None:
        return None
    splits = (one.row.protocol or {}).get("splits") or {}
    rows = (splits.get("train") or {}).get("rows")
    if rows:
        return float(one.spec.stage.steps_per_epoch(rows))
    epochs = one.spec.stage.epochs
    return one.row.steps / epochs if epochs and one.row.steps else None


def _phases(one: Member) -> list[list[Any]]:
    schedule = one.spec.stage.schedule if one.spec is not None else None
    if not isinstance(schedule, Schedule) or not one.row.steps:
        return []
    end = one.row.steps
    return [[name, first / end, last / end] for name, first, last in schedule.phases(end)]


def _teacher(settings: list[Setting]) -> float | None:
    protocols = [one.row.protocol or {} for setting in settings for one in setting.members]
    told = {
        (found.get("hash"), (found.get("probe") or {}).get("accuracy"))
        for protocol in protocols
        if (found := protocol.get("teacher") or {})
    }
    return next(iter(told))[1] if len(told) == 1 else None
