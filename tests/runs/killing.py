"""A run that is touched, killed and resumed until it ends, and what must then be true of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from workbench.errors import RefusedCommand
from workbench.runs.launch import command, replay_in_fresh_process
from workbench.specs.experiment import ExperimentSpec
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.timeline import played

from ..waiting import until
from .conftest import Workers, assert_sound, go_on, kill, until_ended

ENDED = ("finished", "failed", "stopped")
MAIN = "stages.main"
TOUCHES: tuple[Callable[[random.Random], tuple[str, Any]], ...] = (
    lambda draw: (f"{MAIN}.terms.kd.weight", draw.choice([0.0, 0.3, 1.5])),
    lambda draw: (f"{MAIN}.terms.kd.temperature", 1 + 3 * draw.random()),
    lambda draw: (f"{MAIN}.optimiser.lr", 0.001 + 0.004 * draw.random()),
    lambda draw: (f"{MAIN}.freeze", draw.choice([[], ["stage1"]])),
    lambda draw: (f"{MAIN}.rows.labels", draw.choice(["all", "visible", "withheld"])),
    lambda draw: (f"{MAIN}.terms.hint", {"use": "hint", "weight": draw.random()}),
)


def touch(store: Store, run: str, draw: random.Random) -> bool:
    """Set something; whether it was journalled (a run that ends meanwhile refuses)."""
    path, value = draw.choice(TOUCHES)(draw)
    try:
        number = command(store, run, "set", who="ada", path=path, value=value)
    except RefusedCommand:
        return False
    until(
        lambda: store.journal.answer(number).state != "waiting" or not store.runs.get(run).active,
        f"{path} is answered",
    )
    return store.journal.answer(number).state == "applied"


def kill_at(store: Store, run: str, moment: float) -> bool:
    """kill -9 once the clock says so; False if the run has ended by then."""
    until(
        lambda: time.monotonic() >= moment or store.runs.get(run).status in ENDED,
        "the moment of the kill",
    )
    row = store.runs.get(run)
    if not row.active or row.pid is None:
        return False
    kill(row)
    assert_sound(store)
    return True


def finish(store: Store, run: str, workers: Workers) -> RunRow:
    """Resume it if need be and wait for its end."""
    if store.runs.get(run).status == "interrupted":
        go_on(store, run, workers)
    row = until_ended(store, run)
    assert row.status == "finished", row.error
    assert_sound(store)
    return row


def assert_as_if_never_stopped(store: Store, run: str, workers: Workers) -> None:
    """A replay is equal; and so is the experiment that plans what was done, trained in one go."""
    found = replay_in_fresh_process(store, run)
    assert found["equal"], found["first_difference"]
    row = store.runs.get(run)
    spec = played(ExperimentSpec.parse(row.experiment), store.journal.events(run))
    from workbench.runs.launch import accept

    whole = accept(store, spec, threads=1)
    workers.start(store, whole)
    other = until_ended(store, whole)
    assert other.status == "finished", other.error
    assert other.result["weights"] == row.result["weights"] == found["weights"]
    assert other.result["metrics"] == row.result["metrics"] == found["metrics"]
    for part in ("", "-control"):
        mine, theirs = (store.metrics.read(f"{name}{part}", "train") for name in (run, whole))
        assert mine.columns == theirs.columns
        np.testing.assert_array_equal(mine.steps, np.arange(1, row.steps + 1))
        np.testing.assert_array_equal(mine.values, theirs.values)
