"""The queue as people see it: times, words, moving, taking back; and as workers carry it out."""

from __future__ import annotations

from itertools import pairwise

import pytest

from workbench.dashboard.queue_card import queue_card, read_queue, waiting_words
from workbench.errors import RefusedCommand
from workbench.runs.apart import apart
from workbench.runs.launch import ACCEPTED, RESUME_ASKED, resume
from workbench.runs.listing import Listing
from workbench.runs.more_seeds import more_seeds
from workbench.runs.queue import (
    MOVED,
    TAKEN_BACK,
    go_on,
    move_to_front,
    past_words,
    queue,
    take_back,
    turns,
)

from ..waiting import until
from .conftest import kill, until_ended, until_status
from .test_more_seeds import Kept
from .written import Written

HEAT = "stages.main.terms.kd.temperature"
TINY = {"student": "cnn-tiny", "stages.main.steps": 3, "stages.main.batch_size": 32}
SLOW = {**TINY, "stages.main.steps": 4000, "control": False}


@pytest.fixture
def written(tmp_path):
    made = Written(tmp_path)
    yield made
    made.store.close()


def queued(written, *changes):
    experiments = [written.spec(change).given() for change in changes]
    return written.store.runs.create_all(experiments, name="small", options={}, queued=True)


def ended(written, seconds, **more):
    run = written.run(**more)
    written.store.runs.update(run, started_ns=10**9, ended_ns=int((1 + seconds) * 10**9))
    return run


def lines(written):
    return Listing(written.store).lines()


def test_the_start_is_told_from_runs_alike_and_unknown_after_one_that_nothing_is_like(written):
    ended(written, 20.0)
    ended(written, 30.0, seed=7)
    runs = queued(written, {HEAT: 2.0}, {"stages.main.steps": 99}, {"seed": 2})
    found, standing = turns(written.store, lines(written))
    assert [turn.line.id for turn in found] == runs
    assert [turn.seconds for turn in found] == [0.0, 25.0, None]
    assert [turn.after for turn in found] == [None, *runs[:2]]
    assert standing.holder is None


def test_whoever_starts_a_run_past_the_queue_is_told_so(written):
    written.run(seed=3)
    assert past_words(written.store) is None
    queued(written, {HEAT: 2.0})
    assert "(1 run waits)" in (past_words(written.store) or "")
    queued(written, {HEAT: 4.0})
    told = past_words(written.store) or ""
    assert "(2 runs wait)" in told
    assert "--queue" in told
    assert "\n" not in told


def test_the_run_of_the_queue_that_trains_is_named_though_nobody_waits(written):
    (run,) = queued(written, {HEAT: 2.0})
    written.store.runs.claim(run)
    assert f"({run} trains)" in (past_words(written.store) or "")


def test_the_card_says_who_trains_what_differs_and_when(written):
    runs = queued(written, {HEAT: 2.0}, {HEAT: 4.0})
    written.store.runs.claim(runs[0])
    now = read_queue(written.store, lines(written))
    card = queue_card(now, lines(written), apart(lines(written)))
    assert card["head"] == "1 waiting"
    assert f"({runs[0]}) trains now" in card["words"]
    (row,) = card["rows"]
    assert (row["run"], row["apart"], row["front"]) == (runs[1], "kd.temperature = 4", False)
    assert row["starts"].startswith("start unknown")
    words = waiting_words(now, written.store.runs.get(runs[1]))
    assert words.startswith(f"It waits for its turn: place 1 of 1, after {runs[0]}")


def test_a_run_started_by_hand_is_told_that_a_queue_is_under_way(written):
    runs = queued(written, {}, {"seed": 1})
    hand = written.store.runs.create(name="h", experiment=written.spec().given(), options={})
    written.store.runs.claim(hand)
    alone = read_queue(written.store, lines(written))
    row = written.store.runs.get(hand)
    assert waiting_words(alone, row) == "2 runs wait in the queue until this one has ended."
    written.store.runs.claim(runs[0])
    both = read_queue(written.store, lines(written))
    assert f"A queue is under way: {runs[0]} trains at the same time" in waiting_words(both, row)
    assert waiting_words(both, written.store.runs.get(runs[0])) == ""


def test_names_stand_in_the_journals_of_what_was_queued_moved_and_taken_back(written):
    run = ended(written, 20.0)
    first, second, third = more_seeds(written.store, run, Kept(), number=3, who="ada")
    (told,) = written.store.journal.events(first)
    assert (told.kind, told.who, told.payload) == (ACCEPTED, "ada", {"queued": True})
    move_to_front(written.store, third, who="mira")
    assert [row.id for row in queue(written.store)] == [third, first, second]
    assert [(event.kind, event.who) for event in written.store.journal.events(third)][1:] == [
        (MOVED, "mira")
    ]
    take_back(written.store, second, who="mira")
    last = written.store.journal.events(run)[-1]
    assert (last.kind, last.who, last.payload["seed"]) == (TAKEN_BACK, "mira", 2)
    with pytest.raises(RefusedCommand, match="does not wait"):
        move_to_front(written.store, run, who="mira")


def test_two_groups_train_one_after_the_other_and_go_on_past_a_killed_worker(
    store, accepted, workers
):
    """Killed in the first run with nobody looking on: the next who comes by lets it go on."""
    killed = accepted(SLOW, queued=True, pace=0.01, who="ada")
    group = accepted({**TINY, "seeds": 2}, queued=True)
    first, second = (row.id for row in store.runs.cohort(group))
    other = accepted({**TINY, "control": False}, queued=True)
    assert go_on(store, workers) == killed
    assert go_on(store, workers) is None
    kill(until(lambda: row if (row := store.runs.get(killed)).step > 0 else None, "it trains"))
    assert [store.runs.get(run).status for run in (killed, first, second, other)] == [
        "interrupted", "queued", "queued", "queued"
    ]  # fmt: skip
    assert go_on(store, workers) == first
    rows = [until_ended(store, run) for run in (first, second, other)]
    assert [row.status for row in rows] == ["finished"] * 3
    for before, after in pairwise(rows):
        assert after.started_ns > before.ended_ns, "never two at a time"
    assert rows[0].pid == rows[1].pid, "one process trains a group"
    assert rows[2].pid != rows[1].pid, "another experiment gets its own"
    resume(store, killed, workers, who="mira")
    until_status(store, killed, "training")
    assert RESUME_ASKED in [
        event.kind for event in store.journal.events(killed) if event.who == "mira"
    ]
    kill(store.runs.get(killed))
