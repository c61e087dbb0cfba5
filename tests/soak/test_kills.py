"""Fifty kills in a row, at whatever moment: nothing is lost, nothing is trained twice.

Data lies in memory and the trained process has no data workers, so there is one way to train.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from workbench.runs.launch import accept
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store

from ..runs.conftest import SMALL, Workers, go_on
from ..runs.killing import assert_as_if_never_stopped, finish, kill_at, touch
from ..waiting import until

KILLS = 50
LONGEST_SECONDS = 1.6
"""Between a start and its kill: some come while the data loads, some in the teacher, some late."""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    started = Workers(seconds=0.1)
    yield started
    started.close()


def test_fifty_kills_in_a_row_and_every_run_is_the_one_never_stopped(workers, tmp_path, capsys):
    draw = random.Random(50)  # noqa: S311  (moments, not secrets)
    store = Store(str(tmp_path / "workbench.db"))
    kills, runs = 0, 0
    while kills < KILLS:
        changes = {
            "seed": runs,
            "teacher.train.seed": runs,  # each run trains its own: kills come there, too
            "teacher.train.steps": 200,
            "data.augment": draw.choice(["none", "shift"]),
        }
        run = accept(store, ExperimentSpec.parse(SMALL).replace(changes), threads=1, pace=0.01)
        workers.start(store, run)
        until(lambda run=run: store.runs.get(run).pid, "a worker takes it")
        started, before = time.monotonic(), kills
        while store.runs.get(run).status != "finished":
            moment = started + draw.uniform(0, LONGEST_SECONDS)
            if store.runs.get(run).status == "training" and draw.random() < 0.7:
                touch(store, run, draw)
            if not kill_at(store, run, moment):
                break
            kills += 1
            go_on(store, run, workers)
            started = time.monotonic()
        finish(store, run, workers)
        assert_as_if_never_stopped(store, run, workers)
        runs += 1
        with capsys.disabled():
            print(f"  {run}: killed {kills - before} times, equal; {kills} kills so far")
    store.close()
