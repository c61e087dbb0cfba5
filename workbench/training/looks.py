"""What a curve on the probe split says at its end: last, best, and the mean of the last looks.

Unusual here: no torch, so that whoever reads a run that still trains says the same as its protocol.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.training.grid import grid

LATELY = 5
"""Looks on the grid that the mean at the end is of."""


def numbers_of(
    columns: Sequence[str],
    steps: npt.NDArray[np.int64],
    values: npt.NDArray[np.float64],
    *,
    rows: int,
) -> dict[str, Any]:
    """What a part's curve on the probe split says: at the last step, at its best, and lately.

    The best is chosen by looking at the rows that it is measured on, so it is optimistic and
    marked so. The mean is of the last k looks on the fixed grid, which every run of that length
    has, whatever else its budget of time allowed.

    Args:
        columns: Names; ``accuracy`` is best where it is highest, ``nll`` where lowest.
        steps: Of the looks, rising, shape (S,).
        values: Shape (S, columns).
        rows: n of the probe split.

    Returns:
        ``split``, ``n``, ``steps``, ``k`` and for each column ``last`` and ``best`` (value, step)
        and ``mean_of_last_k``; without a look, or where a value is not finite, None.
    """
    last_step = int(steps[-1]) if len(steps) else 0
    lately = np.flatnonzero(np.isin(steps, sorted(grid(last_step))))[-LATELY:]
    told: dict[str, Any] = {
        "split": "probe",
        "n": rows,
        "steps": steps.tolist(),
        "k": len(lately),
        "k_steps": steps[lately].tolist(),
    }
    for name, column in zip(columns, values.T, strict=True):
        known = np.flatnonzero(np.isfinite(column))
        if not len(known):
            told[name] = None
            continue
        found = column[known]
        best = known[found.argmax() if name == "accuracy" else found.argmin()]
        told[name] = {
            "last": {"value": _finite(column[-1]), "step": last_step},
            "best": {"value": float(column[best]), "step": int(steps[best]), "optimistic": True},
            "mean_of_last_k": _finite(column[lately].mean()) if len(lately) else None,
        }
    return told


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None
