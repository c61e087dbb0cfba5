"""Further seeds of a finished run, the queue that they make, and what the store keeps of models."""

from __future__ import annotations

import pytest

from workbench.errors import RefusedCommand
from workbench.runs.kept_models import kept_models
from workbench.runs.listing import Listing
from workbench.runs.more_seeds import more_seeds, seconds_of_more
from workbench.runs.queue import queue, take_back
from workbench.runs.settings import seeds_of

from .written import Written


class Kept:
    """A starter that remembers what it was asked to start."""

    def __init__(self):
        self.runs = []

    def start(self, store, run):
        self.runs.append(run)


@pytest.fixture
def written(tmp_path):
    made = Written(tmp_path)
    yield made
    made.store.close()


def test_the_next_free_seeds_join_the_group_and_one_worker_is_started(written):
    run, starter = written.run(seed=1), Kept()
    made = more_seeds(written.store, run, starter, number=3)
    rows = [written.store.runs.get(one) for one in made]
    assert [row.experiment.get("seed", 0) for row in rows] == [0, 2, 3]
    assert {row.status for row in rows} == {"queued"}
    assert starter.runs == made[:1]
    assert [row.id for row in written.store.runs.cohort(run)] == [run, *made]
    assert {row.id for row in seeds_of(written.store, run)} == {run, *made}
    assert [row.id for row in queue(written.store)] == made


def test_what_was_done_to_a_run_is_done_to_its_further_seeds(written):
    run = written.run()
    path = "stages.main.terms.kd.temperature"
    written.changed(run, 5, path, 4.0, 2.0)
    (made,) = more_seeds(written.store, run, Kept(), number=1)
    planned = written.store.runs.get(made).experiment["interventions"]
    assert [(item["step"], item["set"]) for item in planned] == [(5, {path: 2.0})]


@pytest.mark.parametrize("status", ["stopped", "failed"])
def test_only_a_finished_run_gets_further_seeds(written, status):
    run = written.run(status=status)
    with pytest.raises(RefusedCommand, match=f"{status}.*has finished"):
        more_seeds(written.store, run, Kept())
    assert len(written.store.runs.list()) == 1


def test_a_waiting_run_is_taken_back_and_another_is_not(written):
    run = written.run()
    made = more_seeds(written.store, run, Kept(), number=2)
    take_back(written.store, made[1], who="ada")
    assert [row.id for row in queue(written.store)] == made[:1]
    with pytest.raises(RefusedCommand, match="waits for nobody's turn"):
        take_back(written.store, run, who="ada")
    assert {row.id for row in written.store.runs.list()} == {run, made[0]}


def test_time_is_told_from_the_estimate_without_the_shared_teacher(written):
    told = {
        "estimate": {"seconds": 10.0, "shared_seconds": 4.0},
        "estimate_error": {"seconds": 1.5},
    }
    row = written.store.runs.get(written.run(told=told))
    assert seconds_of_more(row, 4) == pytest.approx(4 * 6.0 * 1.5)
    assert seconds_of_more(written.store.runs.get(written.run(seed=1)), 4) is None


def test_a_listing_sees_what_moved_and_what_joined(written):
    run, listing = written.run(), Listing(written.store)
    (before,) = listing.lines()
    assert (before.group, before.status, before.touched) == (run, "finished", False)
    (made,) = more_seeds(written.store, run, Kept(), number=1)
    assert [(line.id, line.waits) for line in listing.lines()] == [(made, True), (run, False)]
    written.store.runs.update(made, status="stopped", ended_ns=1)
    assert listing.lines()[0].status == "stopped"
    written.store.runs.remove(made)
    assert [line.id for line in listing.lines()] == [run]


def test_models_are_listed_only_where_their_file_is(written):
    run = written.run(0.6)
    assert kept_models(written.store) == []
    folder = written.store.runs.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "student.safetensors").write_bytes(b"12345")
    (model,) = kept_models(written.store)
    assert (model.use, model.bytes, model.score.accuracy) == (f"run:{run}@last", 5, 0.6)
    assert (model.score.split, model.score.n) == ("test", 8)
    key = "0" * 32
    written.store.keep_teacher(
        key, weights="t" * 64, facts={"model": "cnn-small", "data": "digits"}
    )
    assert len(kept_models(written.store)) == 1
    path = written.store.teacher_path(key)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"123")
    written.store.runs.update(run, teacher=key)
    teacher = kept_models(written.store)[0]
    assert (teacher.id, teacher.used_by, teacher.score.accuracy) == (f"teacher:{key}", (run,), 0.9)
