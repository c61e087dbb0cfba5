"""What to expect of the quickstart: the curves of earlier seeds on this machine, with their spread.

Unusual here: curves stand on the fixed grid of looks that all runs share, so no point is moved or
interpolated; a band is the lowest and the highest of the seeds, whatever their number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench.runs.listing import Line
from workbench.store import Store

SEEDS: Final = 5
"""Of the newest that are drawn."""
PARTS: Final = (("student", "distilled", ""), ("control", "labels only", "-control"))
"""Part of a run, its words, and the end of its row's id."""


def expected(store: Store, lines: Sequence[Line]) -> dict[str, Any] | None:
    """Curves on probe of earlier runs of one setting; None without any.

    Args:
        store: Where they lie.
        lines: Finished runs of one setting, the newest of each seed.

    Returns:
        ``seeds``, ``n`` (probe rows), ``steps`` planned, ``teacher`` (accuracy or None) and
        ``curves``: for each part ``name``, ``words``, ``points`` as ``[step, low, mean, high]``,
        accuracies in [0, 1].
    """
    lines = sorted(lines, key=lambda line: line.created_ns, reverse=True)[:SEEDS]
    if not lines:
        return None
    protocol = store.runs.get(lines[0].id).protocol or {}
    grid = (protocol.get("numbers") or {}).get("steps") or []
    curves = []
    for part, words, end in PARTS:
        points = _points([_series(store, f"{line.id}{end}") for line in lines], grid)
        if points:
            curves.append({"name": part, "words": words, "points": points})
    if not curves:
        return None
    return {
        "seeds": len(lines),
        "n": int(((protocol.get("splits") or {}).get("probe") or {}).get("rows", 0)),
        "steps": lines[0].steps,
        "teacher": _teacher(protocol),
        "curves": curves,
    }


def _points(found: Sequence[Mapping[int, float]], grid: Sequence[int]) -> list[list[float]]:
    """``[step, low, mean, high]`` at the steps of the grid where every run was looked at."""
    found = [series for series in found if series]
    points = []
    for step in grid:
        values = [series[step] for series in found if step in series]
        if values and len(values) == len(found):
            at: NDArray[np.float64] = np.asarray(values)
            points.append([step, float(at.min()), float(at.mean()), float(at.max())])
    return points


def _series(store: Store, row: str) -> dict[int, float]:
    probe = store.metrics.read(row, "probe")
    if not len(probe.steps):
        return {}
    accuracy = probe.column("accuracy").tolist()
    return dict(zip(map(int, probe.steps), map(float, accuracy), strict=True))


def _teacher(protocol: Mapping[str, Any]) -> float | None:
    probe = (protocol.get("teacher") or {}).get("probe") or {}
    value = probe.get("accuracy")
    return None if value is None else float(value)
