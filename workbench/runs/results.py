"""What a run came to, as fixed JSON: alone, or with the others that were started with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, WorkerDied
from workbench.runs.seeds import summary
from workbench.runs.settings import by_setting, seeds_of
from workbench.store.runs import RunRow
from workbench.store.store import Store

if TYPE_CHECKING:
    import numpy as np

METRICS = ("teacher", "student", "control")
"""Parts whose test numbers are always told; the second control's only where it was asked for."""
ORIGIN = "origin."
"""What columns of the series ``selection`` that count rows of an origin begin with."""


def result_of(row: RunRow) -> dict[str, Any]:
    """The fixed JSON of a run: run, status, steps, seconds, weights, metrics, protocol."""
    found = row.result or {}
    metrics = found.get("metrics") or {}
    began, ended = row.started_ns, row.ended_ns
    lasted = (ended - began) / 1e9 if began and ended else None
    result = {
        "run": row.id,
        "status": row.status,
        "steps": found.get("steps", row.step),
        "seconds": found.get("seconds", lasted),
        "weights": found.get("weights"),
        "metrics": told_metrics(metrics),
        "protocol": row.protocol or {},
    }
    if row.error is not None:
        result["error"] = row.error
    return result


def told_metrics(metrics: dict[str, Any]) -> dict[str, Any]:
    """Test numbers by part, in a fixed order."""
    told = {part: metrics.get(part) for part in METRICS}
    return told | ({"plain_kd": metrics["plain_kd"]} if "plain_kd" in metrics else {})


def result_of_all(rows: Sequence[RunRow], run: str | None = None) -> dict[str, Any]:
    """The JSON of runs that one experiment started: that of one, with ``seeds`` and ``summary``.

    A single run is told as :func:`result_of` tells it; the runs of a sweep have ``settings``, one
    such JSON for each value, because a mean over other settings would be of nothing.

    Args:
        rows: In the order of their seeds, at least one.
        run: Whose keys stand at the top; the first one's if not given.
    """
    results = {row.id: result_of(row) for row in rows}
    top = results.get(str(run), results[rows[0].id])
    if len(results) == 1:
        return top
    settings = by_setting(rows)
    if len(settings) > 1:
        return {**top, "settings": [result_of_all(setting) for setting in settings]}
    seeds = list(results.values())
    return {**top, "seeds": seeds, "summary": summary(seeds)}


def over_seeds(store: Store, run: str) -> dict[str, Any]:
    """Means and paired differences over the seeds of a run's own setting."""
    return summary([result_of(row) for row in seeds_of(store, run)])


def chosen_rows(columns: Sequence[str], values: np.ndarray) -> dict[str, Any] | None:
    """What a data policy chose last: ``epoch``, ``kept``, ``rows``, ``entropy``, ``origins``.

    Args:
        columns: Of the series ``selection``.
        values: Its rows, shape (E, columns).

    Returns:
        None where no policy has chosen anything.
    """
    if not len(values):
        return None
    last = dict(zip(columns, values[-1].tolist(), strict=True))
    return {
        "epoch": int(last["epoch"]),
        "kept": int(last["kept"]),
        "rows": round(last["kept"] / last["share"]),
        "entropy": last["entropy"],
        "origins": {
            name.removeprefix(ORIGIN): int(value)
            for name, value in last.items()
            if name.startswith(ORIGIN)
        },
    }


def was_refused(row: RunRow) -> bool:
    """Whether a run could never have trained as asked: nothing of it is worth keeping."""
    return (
        row.status == "failed"
        and row.step == 0
        and row.error is not None
        and row.error.get("exit_code") == BadInput.exit_code
    )


def check_ended_well(row: RunRow) -> None:
    """Raise what a failed run failed with.

    Raises:
        BadInput: If the experiment could not be carried out as asked.
        WorkerDied: If it failed while training (the run's own message).
    """
    if row.status != "failed" or row.error is None:
        return
    kind = BadInput if row.error.get("exit_code") == BadInput.exit_code else WorkerDied
    error = kind(str(row.error["message"]))
    error.code = str(row.error["code"])
    raise error
