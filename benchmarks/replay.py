"""Seconds of a replay against those of the run that it repeats; both find the teacher in the cache.

A replay probes where the run did and compares every number instead of writing it.
"""

from __future__ import annotations

import os
import statistics
from contextlib import redirect_stdout
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._pairs import main, report
from workbench.recipes import open_experiment
from workbench.runs.launch import accept
from workbench.runs.replay import replay
from workbench.runs.worker import work
from workbench.store.store import Store

BUDGET = 1.1
MOST = 5
"""Rounds: each is two trainings of several seconds."""
TOUCHED = [
    {"step": 100, "set": {"stages.main.terms.kd.temperature": 2.0}},
    {"step": 200, "set": {"stages.main.optimiser.lr": 0.002}},
]


def measure(rounds: int) -> dict[str, Any]:
    """Median ratio over the rounds: the touched quickstart, then its replay."""
    runs, replays, equal = [], [], []
    with TemporaryDirectory() as folder:
        store = Store(str(Path(folder) / "wb.db"))
        _run(store)  # trains the teacher
        for _ in range(min(rounds, MOST)):
            run, seconds = _run(store)
            found = replay(store, run)
            runs.append(seconds)
            replays.append(found.seconds)
            equal.append(found.equal)
        store.close()
    ratios = [a / b for a, b in zip(replays, runs, strict=True)]
    return report(
        "replay",
        statistics.median(ratios),
        BUDGET,
        ok=all(equal),
        equal=all(equal),
        replay_seconds=statistics.median(replays),
        run_seconds=statistics.median(runs),
        aa=statistics.median(b / a for a, b in pairwise(runs)) if len(runs) > 1 else None,
        rounds=len(ratios),
    )


def _run(store: Store) -> tuple[str, float]:
    spec, recipe, _ = open_experiment("quickstart")
    spec = spec.replace({"device": "cpu", "interventions": TOUCHED})
    run = accept(store, spec, recipe=recipe, threads=1)
    with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing):
        code = work(str(store.path), run, spec)
    row = store.runs.get(run)
    if code or row.result is None:
        raise SystemExit(f"the quickstart ended with {row.status}")
    return run, float(row.result["seconds"])


if __name__ == "__main__":
    main(measure)
