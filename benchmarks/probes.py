"""Share of wall-clock that the live probes take on the quickstart, at the page's pace and flat out.

At the pace of the page the budget holds. At full speed a run of a few seconds still gets its 12
snapshots, whatever they cost: that share is reported beside it and has no budget.
"""

from __future__ import annotations

import os
import time
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._pairs import main, report
from workbench.dashboard.start import WATCH_SECONDS
from workbench.recipes import open_experiment
from workbench.runs.launch import accept
from workbench.runs.worker import work
from workbench.store.store import Store
from workbench.training.probing import GRID, StudentProber

BUDGET = 0.03
STEPS = 450
"""Of the quickstart's student."""


class Watched:
    """Measures every look of every prober from outside, whatever the run itself reports."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.began = self.ended = 0.0
        self._inner = StudentProber.at

    def __enter__(self) -> Watched:
        inner = self._inner

        def at(prober: StudentProber, step: int, meter: Any, *, force: bool = False) -> None:
            before = time.perf_counter()
            inner(prober, step, meter, force=force)
            self.ended = time.perf_counter()
            if step == 0:
                self.began = before
            self.seconds += self.ended - before

        StudentProber.at = at  # type: ignore[method-assign,assignment]
        return self

    def __exit__(self, *_: object) -> None:
        StudentProber.at = self._inner  # type: ignore[method-assign]


def measure(rounds: int) -> dict[str, Any]:
    """One run at the page's pace, one at full speed; rounds mean nothing here."""
    with TemporaryDirectory() as folder:
        store = Store(str(Path(folder) / "wb.db"))
        flat_out = _run(store, None)  # trains the teacher, too
        paced = _run(store, WATCH_SECONDS / STEPS)
        store.close()
    enough = min(len(flat_out["looks"]), len(paced["looks"])) >= GRID
    return report(
        "probes",
        paced["share"],
        BUDGET,
        ok=enough,
        snapshots=len(paced["looks"]),
        seconds=paced["seconds"],
        reported_by_the_run=paced["reported"],
        full_speed_share=flat_out["share"],
        full_speed_snapshots=len(flat_out["looks"]),
        full_speed_seconds=flat_out["seconds"],
    )


def _run(store: Store, pace: float | None) -> dict[str, Any]:
    spec, recipe, _ = open_experiment("quickstart")
    spec = spec.replace({"control": False, "device": "cpu"})
    run = accept(store, spec, recipe=recipe, pace=pace, threads=1)
    with Watched() as seen, Path(os.devnull).open("w") as nothing, redirect_stdout(nothing):
        code = work(str(store.path), run, spec)
    row = store.runs.get(run)
    if code or row.steps != STEPS:
        raise SystemExit(f"the quickstart ended with {row.status} after {row.step} steps")
    seconds = seen.ended - seen.began
    return {
        "share": seen.seconds / seconds,
        "seconds": seconds,
        "looks": store.snapshot_steps(run),
        "reported": row.probe_share,
    }


if __name__ == "__main__":
    main(measure)
