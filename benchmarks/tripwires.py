"""Seconds that the checks before step 0 and the estimate take on the quickstart.

Beside them, how far off the estimate is, as taken to estimated: at the quickstart's length, and at
ten times it, where fixed costs count less. The budget is for checks and estimate together,
in a worker that has loaded everything. The ratios have no budget: on a busy machine a run takes
longer than it did while it was measured.
"""

from __future__ import annotations

import os
import statistics
import time
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._pairs import main, report
from workbench.recipes import open_experiment
from workbench.runs.launch import accept
from workbench.runs.worker import work
from workbench.store.store import Store
from workbench.training import before
from workbench.training.before import Before

BUDGET = 2.0
LONGER = 10


class Watched:
    """Times everything that comes before step 0, from outside."""

    def __init__(self) -> None:
        self.checks = self.estimate = 0.0
        self._kept: dict[tuple[Any, str], Any] = {}

    def __enter__(self) -> Watched:
        self._time(before, "check_student", "checks")
        self._time(before, "estimate", "estimate")
        self._time(before, "built_in_vain", "checks")
        self._time(Before, "teacher_ready", "checks")
        return self

    def __exit__(self, *_: object) -> None:
        for (place, name), inner in self._kept.items():
            setattr(place, name, inner)

    def _time(self, place: Any, name: str, into: str) -> None:
        inner = self._kept[place, name] = getattr(place, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return inner(*arguments, **options)
            finally:
                setattr(self, into, getattr(self, into) + time.perf_counter() - began)

        setattr(place, name, timed)


def measure(rounds: int) -> dict[str, Any]:
    """The first run trains its teacher, the others find it in the cache."""
    with TemporaryDirectory() as folder:
        store = Store(str(Path(folder) / "wb.db"))
        found = [_run(store, 1) for _ in range(min(rounds, 3))]
        longer = _run(store, LONGER)
        store.close()
    totals = [one["checks"] + one["estimate"] for one in found]
    return report(
        "tripwires",
        max(totals),
        BUDGET,
        ok=not any(one["found"] for one in found),
        checks_seconds=statistics.median(one["checks"] for one in found),
        estimate_seconds=statistics.median(one["estimate"] for one in found),
        took_to_estimated=[one["error"] for one in found],
        took_to_estimated_longer=longer["error"],
    )


def _run(store: Store, times: int) -> dict[str, Any]:
    spec, recipe, _ = open_experiment("quickstart")
    epochs = times * (spec.stage.epochs or 1)
    spec = spec.replace({"device": "cpu", "stages.main.epochs": epochs})
    run = accept(store, spec, recipe=recipe, threads=1)
    with Watched() as seen, Path(os.devnull).open("w") as nothing, redirect_stdout(nothing):
        code = work(str(store.path), run, spec)
    row = store.runs.get(run)
    if code or row.protocol is None:
        raise SystemExit(f"the quickstart ended with {row.status}")
    return {
        "checks": seen.checks,
        "estimate": seen.estimate,
        "found": row.protocol["checks"]["found"],
        "error": {name: round(value, 3) for name, value in row.protocol["estimate_error"].items()},
    }


if __name__ == "__main__":
    main(measure)
