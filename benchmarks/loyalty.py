"""The Jensen-Shannon distance of many pairs of rows against scipy, and on nearly equal pairs."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy.spatial.distance import jensenshannon

from benchmarks._pairs import compare, main, report, timed
from benchmarks.calibration import CLASSES
from workbench.functional.loyalty import sqrt_js

ROWS = 50_000
NEARLY_EQUAL = 2000
BUDGET = 8.0
MOST_ROUNDS = 10


def measure(rounds: int) -> dict[str, Any]:
    """Speed-up, difference on ordinary rows, and the share of NaN on nearly equal ones."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = (
        (3 * torch.randn(ROWS, CLASSES, generator=generator)).softmax(1) for _ in "ab"
    )
    p, q = student.numpy(), teacher.numpy()
    found = compare(
        timed(lambda: sqrt_js(student, teacher)),
        timed(lambda: jensenshannon(p, q, axis=1, base=2)),
        rounds=min(rounds, MOST_ROUNDS),
    )
    few = slice(0, NEARLY_EQUAL)
    exact = jensenshannon(p[few].astype(float), q[few].astype(float), axis=1, base=2)
    near = student[few].double()
    noise = torch.randn(near.shape, generator=generator, dtype=torch.float64)
    other = near * (1 + 1e-9 * noise)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = jensenshannon(near.numpy(), other.numpy(), axis=1, base=2)
    ours = sqrt_js(near, other)
    return report(
        "loyalty",
        1 / found.ratio,
        BUDGET,
        at_least=True,
        ok=not bool(ours.isnan().any()),
        rows=ROWS,
        classes=CLASSES,
        ours_s=found.ours,
        scipy_s=found.reference,
        aa=found.aa,
        clock=found.clock,
        largest_relative_difference=float(
            np.abs(sqrt_js(student[few], teacher[few]).numpy() / exact - 1).max()
        ),
        nan_share_nearly_equal=float(ours.isnan().double().mean()),
        scipy_nan_share_nearly_equal=float(np.isnan(theirs).mean()),
        rounds=found.rounds,
    )


if __name__ == "__main__":
    main(measure)
