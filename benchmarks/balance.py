"""Share of wall-clock that the balance of the terms takes on the quickstart, at the page's pace.

It is one of the probes, so it shares their budget of 3 %; all of them together are measured by
``probes.py``, the share of the balance alone here, with what a look at it costs in steps.
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
from workbench.dashboard.start import WATCH_SECONDS
from workbench.probes.view import Pulls
from workbench.recipes import open_experiment
from workbench.runs.launch import accept
from workbench.runs.worker import work
from workbench.store.store import Store
from workbench.training.balance import Balance
from workbench.training.probing import SHARE, StudentProber

STEPS = 450
"""Of the quickstart's student."""


def measure(rounds: int) -> dict[str, Any]:
    """One run at the page's pace; rounds mean nothing here."""
    taken: list[float] = []
    looks: list[float] = []
    inner, at = Balance.measure, StudentProber.at

    def timed(balance: Balance, step: int) -> Pulls:
        began = time.perf_counter()
        found = inner(balance, step)
        taken.append(time.perf_counter() - began)
        return found

    def looked(prober: StudentProber, step: int, meter: Any, *, force: bool = False) -> None:
        began = time.perf_counter()
        at(prober, step, meter, force=force)
        looks.append(time.perf_counter() - began)

    Balance.measure, StudentProber.at = timed, looked  # type: ignore[method-assign,assignment]
    try:
        with TemporaryDirectory() as folder:
            store = Store(str(Path(folder) / "wb.db"))
            spec, recipe, _ = open_experiment("quickstart")
            spec = spec.replace({"control": False, "device": "cpu"})
            run = accept(store, spec, recipe=recipe, pace=WATCH_SECONDS / STEPS, threads=1)
            with Path(os.devnull).open("w") as nothing, redirect_stdout(nothing):
                code = work(str(store.path), run, spec)
            row, events = store.runs.get(run), store.journal.events(run)
            snapshots = len(store.snapshot_steps(run))
            store.close()
    finally:
        Balance.measure, StudentProber.at = inner, at  # type: ignore[method-assign]
    if code:
        raise SystemExit(f"the quickstart ended with {row.status}")
    ends = {event.kind: event.created_ns / 1e9 for event in events}
    seconds = ends["finished"] - ends["started"]
    step = (row.protocol or {})["estimate"]["step_seconds"]
    return report(
        "balance",
        sum(taken) / seconds,
        SHARE,
        look_ms=1000 * statistics.median(taken),
        look_in_steps=statistics.median(taken) / step,
        snapshots=snapshots,
        all_probes_share=sum(looks) / seconds,
        seconds=seconds,
    )


if __name__ == "__main__":
    main(measure)
