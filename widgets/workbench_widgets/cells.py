"""Counting samples into square cells, so that 50 000 points cost as much to draw as 500.

Unusual here: a skeleton asks for cells (``$cells``) or for a number (``$count``), and whoever fills
it counts: the browser (``esm/cells.js``, the same text) for what a person has just pressed. What is
asked for is ``{"x", "y"}`` (names of arrays; without ``y`` everything lies in one row), ``side``,
``rows``, ``columns``, and

    where, unless: lists of [array, value, values or "$state"]: all of ``where`` hold, of ``unless``
        not all
    mean: array whose mean is asked for instead of log10 of the count
    over, least: divide it by this array; a sample with no more than ``least`` of it is left out

A sample without a place (a student that diverged) is in no cell. Shapes: n = samples; cells are
(rows, columns), row 0 at y = 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
State = Mapping[str, Any]


def cells(
    x: NDArray[np.float64], y: NDArray[np.float64], side: float, rows: int, columns: int
) -> NDArray[np.int64]:
    """Samples per square cell, shape (rows, columns), row 0 at y = 0."""
    index = _where(x, y, side, rows, columns)
    return np.bincount(index, minlength=rows * columns).reshape(rows, columns)


def log_count(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """log10 of counts, NaN where a cell is empty (so that it is not drawn)."""
    return np.log10(np.where(counts > 0, counts, np.nan)).astype(np.float32)


def cell_means(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    values: NDArray[np.float64],
    side: float,
    rows: int,
    columns: int,
) -> NDArray[np.float32]:
    """Mean of the finite values per cell, NaN where there is none."""
    valid = np.isfinite(values)
    index = _where(x[valid], y[valid], side, rows, columns)
    # astype: of no sample at all numpy makes whole numbers, which hold no NaN.
    total = np.bincount(index, weights=values[valid], minlength=rows * columns).astype(np.float64)
    number = np.bincount(index, minlength=rows * columns).astype(np.float64)
    means = np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
    return means.reshape(rows, columns).astype(np.float32)


def counted(asked: Mapping[str, Any], arrays: Arrays, state: State) -> NDArray[np.float32]:
    """What ``$cells`` asks for: log10 of counts, or means; NaN where a cell is empty."""
    x = np.asarray(arrays[asked["x"]], dtype=np.float64)
    y = np.asarray(arrays[asked["y"]], np.float64) if "y" in asked else np.zeros_like(x)
    chosen = matching(asked, arrays, state, len(x)) & np.isfinite(x) & np.isfinite(y)
    grid = (float(asked["side"]), int(asked["rows"]), int(asked["columns"]))
    if "mean" not in asked:
        return log_count(cells(x[chosen], y[chosen], *grid))
    values = np.asarray(arrays[asked["mean"]], dtype=np.float64)
    if "over" in asked:
        base = np.asarray(arrays[asked["over"]], dtype=np.float64)
        long = base > asked["least"]
        values = np.divide(values, base, out=np.full_like(values, np.nan), where=long)
    return cell_means(x[chosen], y[chosen], values[chosen], *grid)


def matching(asked: Mapping[str, Any], arrays: Arrays, state: State, n: int) -> NDArray[np.bool_]:
    """Which samples are meant, shape (n,)."""
    meant = _all(asked.get("where", ()), arrays, state, n)
    if asked.get("unless"):
        meant &= ~_all(asked["unless"], arrays, state, n)
    return meant


def number(asked: Mapping[str, Any], arrays: Arrays, state: State) -> int:
    """What ``$count`` asks for: how many samples are meant, with or without a place."""
    return int(matching(asked, arrays, state, len(arrays[asked["of"]])).sum())


def _all(tests: Sequence[Sequence[Any]], arrays: Arrays, state: State, n: int) -> NDArray[np.bool_]:
    meant = np.ones(n, dtype=np.bool_)
    for name, value in tests:
        wanted = state[value[1:]] if isinstance(value, str) else value
        meant &= np.isin(arrays[name], wanted)
    return meant


def _where(
    x: NDArray[np.float64], y: NDArray[np.float64], side: float, rows: int, columns: int
) -> NDArray[np.int64]:
    # Samples on the outer edge, or past it by rounding, belong to the last cell.
    column = np.clip(np.floor(x / side), 0, columns - 1).astype(np.int64)
    row = np.clip(np.floor(y / side), 0, rows - 1).astype(np.int64)
    return np.asarray(row * columns + column, dtype=np.int64)
