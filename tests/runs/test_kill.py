"""Real workers, touched and killed: what was done after the last checkpoint is done again."""

from __future__ import annotations

import random

import pytest

from workbench.runs.launch import command, replay_in_fresh_process

from ..waiting import until
from .conftest import Workers, assert_sound, go_on, kill, until_status
from .killing import assert_as_if_never_stopped, finish, touch

KILLS = 5
VARIED = {
    "data.augment": "shift",
    "stages.main.terms.hint": {"use": "hint", "weight": 0.1},
    "stages.main.steps": 90,
    "probes": ["loyalty"],
}
SHORT = {**VARIED, "stages.main.steps": 40, "control": False}


@pytest.mark.soak
def test_killed_five_times_each_after_a_set_the_run_is_the_one_never_stopped(
    store, workers, accepted
):
    draw = random.Random(11)  # noqa: S311  (moments, not secrets)
    run = accepted(VARIED, pace=0.01)
    workers.start(store, run)
    for number in range(KILLS):
        row = until_status(store, run, "training")
        moment = max(row.step + draw.randint(1, 6), 15 * (number + 1))
        until(lambda moment=moment: store.runs.get(run).step >= moment, f"step {moment}")
        assert touch(store, run, draw)
        kill(store.runs.get(run))  # at once: the newest checkpoint knows nothing of it
        assert store.runs.get(run).status == "interrupted"
        assert_sound(store)
        go_on(store, run, workers)
    finish(store, run, workers)
    events = store.journal.events(run)
    assert len([event for event in events if event.kind == "set"]) == KILLS
    resumed = [event.step for event in events if event.kind == "resumed"]
    changed = [event.step for event in events if event.kind == "set"]
    assert any(at < step for at in resumed for step in changed), "no set came after a checkpoint"
    assert_as_if_never_stopped(store, run, workers)


@pytest.mark.usefixtures("forked_helpers")
def test_killed_between_a_set_in_a_pause_and_the_next_checkpoint_it_equals_its_replay(
    store, workers, accepted
):
    run = accepted(SHORT, pace=0.01, pause_at=12)
    workers.start(store, run)
    paused = until_status(store, run, "paused")
    path = "stages.main.terms.kd.weight"
    number = command(store, run, "set", who="ada", path=path, value=0.25, note="after the pause")
    until(lambda: store.journal.answer(number).state == "applied", "it is journalled")
    kill(paused)
    assert store.checkpoints(run)[0].step == 12
    go_on(store, run, workers)
    finish(store, run, workers)
    found = replay_in_fresh_process(store, run)
    assert found["equal"], found["first_difference"]
    (event,) = [event for event in store.journal.events(run) if event.kind == "set"]
    assert (event.step, event.payload["before"], event.payload["after"]) == (12, 0.9, 0.25)
    column = store.metrics.read(run, "train").column("kd")
    assert column[12] < 0.6 * column[11], "the weight applied from step 13 on"


@pytest.mark.usefixtures("forked_helpers")
def test_the_server_is_killed_and_the_worker_trains_on_then_both_are(
    store, workers, accepted, forks
):
    """The preloaded process is what the page starts workers from."""
    server = Workers(seconds=0.1, forks=forks)
    run = accepted(SHORT, pace=0.2)
    server.start(store, run)
    until(lambda: store.runs.get(run).step >= 5, "step 5")
    assert touch(store, run, random.Random(3))  # noqa: S311
    before = store.runs.get(run)
    server._zygote.kill()
    server.close()
    until(lambda: store.runs.get(run).step > before.step + 5, "the worker trains on")
    assert store.runs.get(run).pid == before.pid
    kill(store.runs.get(run))
    store.runs.update(run, pace=None)
    go_on(store, run, workers)
    finish(store, run, workers)
    found = replay_in_fresh_process(store, run)
    assert found["equal"], found["first_difference"]
