"""Classwise calibration error against torchmetrics class by class, and against plain counting.

No package offers this number over all classes; with torchmetrics one loops over them. Beside it
stand two ways to count every entry of the matrix: all at once in torch, and a cacheful at a time
with numpy, which is the best one can do without leaving out what must be in the first bin.
"""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np
import torch

from benchmarks._pairs import compare, main, report, timed
from benchmarks.calibration import BINS, CLASSES, example
from workbench.functional.calibration import classwise_ece

ROWS = 50_000
CHUNK = 500
BUDGET = 40.0
MOST_ROUNDS = 5


def measure(rounds: int) -> dict[str, Any]:
    """Speed-ups, and how far our value is from plain counting's."""
    from torchmetrics.functional.classification import binary_calibration_error

    probs, labels = example(ROWS)

    def ours() -> float:
        return classwise_ece(probs, labels, num_bins=BINS)

    def torchmetrics() -> float:
        errors = (
            binary_calibration_error(
                probs[:, k], (labels == k).long(), n_bins=BINS, validate_args=False
            )
            for k in range(CLASSES)
        )
        return sum(map(float, errors)) / CLASSES

    found = compare(timed(ours), timed(torchmetrics), rounds=min(rounds, MOST_ROUNDS))
    counted = {
        "dense_torch": timed(lambda: _dense(probs, labels)),
        "dense_numpy_in_chunks": timed(lambda: _dense_in_chunks(probs, labels)),
    }
    seconds = {
        f"{name}_s": statistics.median(getattr(run(), found.clock) for _ in range(found.rounds))
        for name, run in counted.items()
    }
    return report(
        "classwise",
        1 / found.ratio,
        BUDGET,
        at_least=True,
        rows=ROWS,
        classes=CLASSES,
        ours_s=found.ours,
        torchmetrics_s=found.reference,
        **seconds,
        aa=found.aa,
        clock=found.clock,
        difference=abs(ours() - _dense_in_chunks(probs, labels)),
        torchmetrics_difference=abs(torchmetrics() - ours()),
        rounds=found.rounds,
    )


def _dense(probs: torch.Tensor, labels: torch.Tensor) -> float:
    """A bin for every entry, then two counts of them all."""
    values = probs.double()
    edges = torch.arange(1, BINS, dtype=torch.float64) / BINS
    cells = (torch.bucketize(values, edges) + torch.arange(CLASSES) * BINS).flatten()
    truth = torch.nn.functional.one_hot(labels, CLASSES).double()
    confidence, hits = (
        torch.bincount(cells, weights.flatten(), minlength=CLASSES * BINS)
        for weights in (values, truth)
    )
    return float((confidence - hits).abs().sum() / CLASSES / len(labels))


def _dense_in_chunks(probs: torch.Tensor, labels: torch.Tensor) -> float:
    values, truth = probs.numpy(), labels.numpy()
    confidence, hits = (np.zeros(CLASSES * BINS) for _ in "ab")
    columns = np.arange(CLASSES) * BINS
    edges = np.arange(1, BINS) / BINS
    for start in range(0, len(truth), CHUNK):
        chunk, own = values[start : start + CHUNK], truth[start : start + CHUNK]
        cells = columns + np.digitize(chunk, edges, right=True)
        confidence += np.bincount(cells.ravel(), chunk.ravel(), minlength=CLASSES * BINS)
        hits += np.bincount(cells[np.arange(len(own)), own], minlength=CLASSES * BINS)
    return float(np.abs(confidence - hits).sum() / CLASSES / len(truth))


if __name__ == "__main__":
    main(measure)
