"""Counting samples into the square cells of the wedge, so that 50 000 points cost as much as 500.

Lengths are L2 distances between probability vectors, 0 to sqrt 2. Shapes: n = samples; cells are
(rows, columns), row 0 at y = 0.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

RADIUS: Final = math.sqrt(2)
HEIGHT: Final = RADIUS * math.sin(math.pi / 3)
CELL: Final = RADIUS / 64
"""Side of a cell of the large wedge; 64 columns span the radius."""

SMALL_CELL: Final = RADIUS / 28
RUG_COLUMNS: Final = 128


def cells(x: NDArray[np.float64], y: NDArray[np.float64], side: float) -> NDArray[np.int64]:
    """Samples per square cell over the wedge's frame, shape (rows, columns), row 0 at y = 0."""
    columns, rows = round(RADIUS / side), math.ceil(HEIGHT / side - 1e-9)
    column, row = _where(x, y, side, rows, columns)
    flat = np.bincount(row * columns + column, minlength=rows * columns)
    return flat.reshape(rows, columns)


def log_count(counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """log10 of counts, NaN where a cell is empty (so that it is not drawn)."""
    return np.log10(np.where(counts > 0, counts, np.nan)).astype(np.float32)


def cell_means(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    values: NDArray[np.float64],
    valid: NDArray[np.bool_],
    side: float,
) -> NDArray[np.float32]:
    """Mean of the valid values per cell, NaN where there is none."""
    columns, rows = round(RADIUS / side), math.ceil(HEIGHT / side - 1e-9)
    valid = valid & np.isfinite(values)
    column, row = _where(x[valid], y[valid], side, rows, columns)
    index = row * columns + column
    # astype: of no sample at all numpy makes whole numbers, which hold no NaN.
    total = np.bincount(index, weights=values[valid], minlength=rows * columns).astype(np.float64)
    number = np.bincount(index, minlength=rows * columns).astype(np.float64)
    means = np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)
    return means.reshape(rows, columns).astype(np.float32)


def _where(
    x: NDArray[np.float64], y: NDArray[np.float64], side: float, rows: int, columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    # Samples on the outer edge, or past it by rounding, belong to the last cell.
    column = np.clip(np.floor(x / side), 0, columns - 1).astype(np.int64)
    row = np.clip(np.floor(y / side), 0, rows - 1).astype(np.int64)
    return column, row


def rug(reach: NDArray[np.float64]) -> NDArray[np.float32]:
    """log10 count of teacher distances along the axis, shape (1, RUG_COLUMNS), NaN where empty."""
    column = np.clip(reach / RADIUS * RUG_COLUMNS, 0, RUG_COLUMNS - 1).astype(np.int64)
    return log_count(np.bincount(column, minlength=RUG_COLUMNS)[None, :])
