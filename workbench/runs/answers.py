"""Where the answers of two students differ: the same probe rows, sample by sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.runs.settings import STUDENT, Member, Setting
from workbench.store.store import Snapshot, Store

IDS, LABELS, RIGHT = "trilateral.ids", "trilateral.labels", "trilateral.student_right"


def pair_of(first: Setting, second: Setting) -> tuple[Member, Member]:
    """One member of each: of the same seed where there is one, else their first."""
    seed = next((seed for seed in first.by_seed if seed in second.by_seed), None)
    if seed is None:
        return first.first, second.first
    return first.by_seed[seed], second.by_seed[seed]


def answers(store: Store, first: Member, second: Member) -> dict[str, Any]:
    """Who of two students is right, at the last snapshot of each.

    Args:
        store: Where they lie.
        first: One student.
        second: The other.

    Returns:
        ``refused``: why the two cannot be laid side by side, or None. Otherwise also ``n``,
        ``split``, ``steps`` (of both snapshots), ``seeds``, ``cells`` (``both``, ``first``,
        ``second``, ``neither``: counts of samples that are answered rightly by both, by one alone,
        by none) and ``classes`` (``name``, ``n``, ``first``, ``second``: right alone, by the
        sample's label).
    """
    found = [_last(store, one) for one in (first, second)]
    refused = _refusal(first, second, found)
    if refused:
        return {"refused": refused}
    (mine, theirs) = (snapshot for snapshot in found if snapshot is not None)
    right, other = (snapshot.arrays[RIGHT] > 0 for snapshot in (mine, theirs))
    labels = mine.arrays[LABELS]
    names = (mine.facts.get("loyalty") or {}).get("class_names") or []
    classes = max(len(names), int(labels.max()) + 1)
    counts = [
        np.bincount(labels[cell], minlength=classes)
        for cell in (np.ones_like(right), right & ~other, ~right & other)
    ]
    return {
        "refused": None,
        "n": len(right),
        "split": "probe",
        "steps": [mine.step, theirs.step],
        "seeds": [first.seed, second.seed],
        "cells": {
            "both": int((right & other).sum()),
            "first": int((right & ~other).sum()),
            "second": int((~right & other).sum()),
            "neither": int((~right & ~other).sum()),
        },
        "classes": [
            {
                "name": str(names[k]) if k < len(names) else str(k),
                "n": int(counts[0][k]),
                "first": int(counts[1][k]),
                "second": int(counts[2][k]),
            }
            for k in range(classes)
        ],
    }


def _last(store: Store, one: Member) -> Snapshot | None:
    return store.last_snapshot(one.id) if one.part == STUDENT else None


def _refusal(first: Member, second: Member, found: list[Snapshot | None]) -> str:
    """Why the answers cannot be compared; empty if they can."""
    for one, snapshot in zip((first, second), found, strict=True):
        if one.part != STUDENT:
            return "A control keeps its numbers and no answers; pick a run as the baseline."
        if snapshot is None:
            return f"{one.row.id} has no snapshot yet: step {one.row.step}, {one.row.status}."
        if any(name not in snapshot.arrays for name in (IDS, LABELS, RIGHT)):
            return (
                f"{one.row.id} did not keep which sample was answered how: `probes` of its "
                "experiment does not name trilateral."
            )
    mine, theirs = (snapshot.arrays for snapshot in found if snapshot is not None)
    hashes = [
        (((one.row.protocol or {}).get("splits") or {}).get("probe") or {}).get("hash")
        for one in (first, second)
    ]
    if None not in hashes and hashes[0] != hashes[1]:
        return "The two have other probe samples: their split hashes differ."
    if not np.array_equal(mine[IDS], theirs[IDS]) or not np.array_equal(
        mine[LABELS], theirs[LABELS]
    ):
        return "The two have other probe samples: their ids or labels differ."
    return ""
