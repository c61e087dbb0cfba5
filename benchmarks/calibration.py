"""Expected calibration error of many rows of probabilities against torchmetrics."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import Any

import psutil
import torch
from torch import Tensor

from benchmarks._pairs import compare, main, report, timed
from workbench.functional.calibration import expected_calibration_error

ROWS, FEWER, CLASSES, BINS = 1_000_000, 200_000, 1000, 15
BYTES_NEEDED = 16 << 30
"""The probabilities are 4 GB; the peer copies them."""
BUDGET = 25.0
MOST_ROUNDS = 10
EXTRA_BYTES = 200 << 20
"""Memory on top of the probabilities that is allowed, whatever their size."""
CHUNK = 10_000


def measure(rounds: int) -> dict[str, Any]:
    """Speed-up, largest difference, and memory beyond the probabilities."""
    from torchmetrics.functional.classification import multiclass_calibration_error

    rows = ROWS if psutil.virtual_memory().available >= BYTES_NEEDED else FEWER
    extra = _extra_memory(rows)
    probs, labels = example(rows)

    def ours() -> float:
        return expected_calibration_error(probs, labels, num_bins=BINS)

    def theirs() -> Tensor:
        found: Tensor = multiclass_calibration_error(
            probs, labels, num_classes=CLASSES, n_bins=BINS, norm="l1", validate_args=False
        )
        return found

    found = compare(timed(ours), timed(theirs), rounds=min(rounds, MOST_ROUNDS))
    return report(
        "calibration",
        1 / found.ratio,
        BUDGET,
        at_least=True,
        ok=extra <= EXTRA_BYTES,
        rows=rows,
        classes=CLASSES,
        ours_s=found.ours,
        torchmetrics_s=found.reference,
        aa=found.aa,
        clock=found.clock,
        difference=abs(ours() - float(theirs())),
        extra_mb=extra / 1e6,
        rounds=found.rounds,
    )


def example(rows: int) -> tuple[Tensor, Tensor]:
    """Confident probabilities, made in chunks so that making them takes no second copy."""
    generator = torch.Generator().manual_seed(0)
    probs = torch.empty(rows, CLASSES)
    for start in range(0, rows, CHUNK):
        chunk = probs[start : start + CHUNK]
        chunk.normal_(generator=generator).mul_(3.0)
        torch.softmax(chunk, -1, out=chunk)
    return probs, torch.randint(0, CLASSES, (rows,), generator=generator)


def _extra_memory(rows: int) -> int:
    """Bytes that the measure adds to the peak of a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.calibration"],
        env={**os.environ, "WORKBENCH_MEASURE_MEMORY": str(rows)},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _memory_child(rows: int) -> None:
    torch.set_num_threads(1)
    small, labels = example(CHUNK)
    expected_calibration_error(small, labels, num_bins=BINS)  # what the first call allocates
    probs, labels = example(rows)
    before = _peak()
    expected_calibration_error(probs, labels, num_bins=BINS)
    print(_peak() - before)


if __name__ == "__main__":
    asked = os.environ.get("WORKBENCH_MEASURE_MEMORY")
    _memory_child(int(asked)) if asked else main(measure)
