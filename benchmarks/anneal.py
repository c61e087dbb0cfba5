"""Does the anneal probe know a run's end better than its live curve does?

Eight settings of the quickstart are trained to their end. At 40 % of each, the rate is taken to
zero on the side over three epochs. Truth is the accuracy on probe at the run's own end; both
readings are taken at the same step. The ratio is mean absolute error of the projection over that
of the live curve: below 1, annealing is worth its time.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks._pairs import main, report
from workbench.recipes import open_experiment
from workbench.runs.anneal import anneal
from workbench.runs.launch import accept
from workbench.runs.worker import work
from workbench.store.store import Store

MAIN = "stages.main"
SGD = {"use": "sgd", "lr": 0.1, "momentum": 0.9}
SETTINGS: tuple[dict[str, Any], ...] = (
    {},
    {f"{MAIN}.optimiser.lr": 0.02},
    {f"{MAIN}.optimiser.lr": 0.002},
    {f"{MAIN}.terms.kd.temperature": 1.0},
    {f"{MAIN}.optimiser": SGD},
    {f"{MAIN}.optimiser.lr": 0.02, f"{MAIN}.batch_size": 16},
    {"student.width": 4},
    {f"{MAIN}.schedule": "step"},
)
SHARE = 0.4
EPOCHS = 3


def measure(rounds: int) -> dict[str, Any]:
    """Errors of both readings over the settings; ``rounds`` bounds how many are trained."""
    spec, _, _ = open_experiment("quickstart")
    rows: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        store = Store(str(Path(folder) / "wb.db"))
        for changes in SETTINGS[: max(rounds, 2)]:
            run = accept(store, spec.replace({"control": False, **changes}), threads=1)
            work(str(store.path), run)
            probe = store.metrics.read(run, "probe")
            truth = float(probe.column("accuracy")[-1])
            found = anneal(store, run, EPOCHS, at=round(SHARE * int(probe.steps[-1])))
            live = 0.0 if found.now is None else found.now
            rows.append(
                {
                    "changes": changes,
                    "truth": truth,
                    "live": live,
                    "projected": found.projected,
                    "seconds": found.seconds,
                }
            )
        store.close()
    errors = {
        key: np.array([row[key] - row["truth"] for row in rows]) for key in ("projected", "live")
    }
    mean = {key: float(np.abs(error).mean()) for key, error in errors.items()}
    return report(
        "anneal",
        mean["projected"] / mean["live"],
        1.0,
        aa=1.0,
        error_projected=mean["projected"],
        error_live=mean["live"],
        sd_projected=float(errors["projected"].std(ddof=1)),
        sd_live=float(errors["live"].std(ddof=1)),
        runs=rows,
    )


if __name__ == "__main__":
    main(measure)
