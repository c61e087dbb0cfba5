"""Seconds of one checkpoint: 11 M parameters with AdamW, written, hashed, synced, told to a store.

Written in line, at most once in ten seconds: the ratio is its share of a training's time. Beside it
stand ``torch.save`` with a sync, which neither hashes nor tells anybody, and reading it back.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks._pairs import Spent, compare, main, report
from benchmarks._training import bench, experiment
from workbench.training.build import restore, state_of
from workbench.training.checkpoint import read_state
from workbench.training.loop import CHECKPOINT_SECONDS, Keep
from workbench.training.meter import Meter
from workbench.training.part import Part

BUDGET = 0.05
"""Share of the time between two checkpoints made by the clock."""
LARGE = {"use": "timm/resnet18"}
READS = 5


def measure(rounds: int) -> dict[str, Any]:
    """Share, seconds, and what else one does with such a file."""
    spec = experiment(LARGE, batch_size=8, terms={"ce": {"use": "ce"}})
    with bench() as place, TemporaryDirectory() as folder:
        part, recorder, *_ = place.student(spec, taught=False)
        _one_step(part)
        keep = Keep(
            part,
            recorder,
            Meter(recorder, part.columns(), part.refuse),
            lambda step: state_of(part, step),
            lambda: None,
        )
        file, walls = Path(folder) / "state.pt", []

        def ours() -> Spent:
            began = Spent.now()
            keep.now(1, "time")
            spent = Spent.now().since(began)
            walls.append(spent.wall)  # a disk that is waited for takes no processor's time
            return spent

        def reference() -> Spent:
            began = Spent.now()
            with file.open("wb") as stream:
                torch.save(state_of(part, 1), stream)
                stream.flush()
                os.fsync(stream.fileno())
            return Spent.now().since(began)

        found = compare(ours, reference, rounds=rounds)
        written = recorder.last_checkpoint()
        if written is None:
            raise SystemExit("no checkpoint was written")
        size = written.path.stat().st_size
        reads = []
        for _ in range(READS):
            began = time.perf_counter()
            restore(part, read_state(written.path))
            reads.append(time.perf_counter() - began)
    return report(
        "checkpoint",
        statistics.median(walls) / CHECKPOINT_SECONDS,
        BUDGET,
        seconds=statistics.median(walls),
        torch_save_seconds=found.reference,
        against_torch_save=found.ratio,
        restore_seconds=statistics.median(reads),
        parameters=sum(p.numel() for p in part.model.network.parameters()),
        megabytes=size / 1e6,
        aa=found.aa,
        clock=found.clock,
        rounds=rounds,
    )


def _one_step(part: Part) -> None:
    """AdamW has its two moments only after a step."""
    part.train_mode()
    batch = part.batch(0)
    taps = part.model.taps(batch.inputs, part.objective.student_taps)
    found = part.objective(taps, part.targets(batch, 0), batch, 0)
    found.total.backward()  # type: ignore[no-untyped-call]
    part.set_rate(0)
    part.optimiser.step()


if __name__ == "__main__":
    main(measure)
