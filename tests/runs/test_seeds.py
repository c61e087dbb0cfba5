"""One experiment of several seeds: its runs, who trains them when, and what their numbers say."""

from __future__ import annotations

import math
import statistics
import threading
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from workbench import Experiment
from workbench.errors import InvalidExperiment, RefusedCommand
from workbench.runs import worker
from workbench.runs.follow import describe
from workbench.runs.fork import fork
from workbench.runs.history import History
from workbench.runs.launch import resume
from workbench.runs.results import result_of, result_of_all
from workbench.runs.run import Run
from workbench.runs.seeds import summary
from workbench.store import turns as turns_module
from workbench.store.runs import PARTS

from ..waiting import until
from .conftest import SMALL, go_on, kill, until_ended, until_status

TINY = {"student": "cnn-tiny", "stages.main.steps": 4, "stages.main.batch_size": 32}
ENDLESS = {**TINY, "stages.main.steps": 100_000, "control": False}
MIDWAY = {**TINY, "stages.main.steps": 40, "control": False}
"""Eight seconds, five steps a second, for what has to happen before the end."""

pytestmark = pytest.mark.usefixtures("forked_helpers")


def made_up(seed, student, control=None, **more):
    metrics = {"student": {"accuracy": student}, "control": control and {"accuracy": control}}
    return {"metrics": metrics | more, "protocol": {"seed": seed}}


@pytest.mark.parametrize("n", [3, 5, 12])
def test_mean_sd_and_paired_interval_are_those_of_numpy_and_scipy(n):
    drawn = np.random.default_rng(n).normal(0.9, 0.02, (n, 2))
    told = summary([made_up(seed, *map(float, pair)) for seed, pair in enumerate(drawn)])
    gaps = drawn[:, 0] - drawn[:, 1]
    found = told["difference"]["accuracy"]
    low, high = stats.t.interval(0.95, n - 1, gaps.mean(), gaps.std(ddof=1) / math.sqrt(n))
    np.testing.assert_allclose(found["interval"], [low, high], rtol=1e-9)
    np.testing.assert_allclose([found["mean"], found["sd"]], [gaps.mean(), gaps.std(ddof=1)])
    assert (found["n"], found["why"], told["seeds"]) == (n, None, list(range(n)))
    student = told["student"]["accuracy"]
    np.testing.assert_allclose(
        [student["mean"], student["sd"]], [drawn[:, 0].mean(), drawn[:, 0].std(ddof=1)]
    )


@pytest.mark.parametrize(("n", "words"), [(1, "one seed"), (2, "2 seeds")])
def test_fewer_than_three_seeds_get_no_interval_and_it_says_why(n, words):
    told = summary([made_up(seed, 0.9, 0.8) for seed in range(n)])
    found = told["difference"]["accuracy"]
    assert found["interval"] is None
    assert found["why"].startswith(f"{words}: an interval takes at least 3")
    assert found["mean"] == pytest.approx(0.1)
    assert (found["sd"] is None) == (n == 1)


def test_runs_without_numbers_or_without_control_are_left_out_of_means_and_pairs():
    results = [made_up(0, 0.9, 0.8), made_up(1, 0.7), {"metrics": {}, "protocol": {}}]
    told = summary(results)
    assert told["seeds"] == [0, 1]
    assert told["student"]["accuracy"]["n"] == 2
    assert told["control"]["accuracy"]["n"] == told["difference"]["accuracy"]["n"] == 1
    assert "plain_kd" not in told
    empty = summary([{"metrics": {}, "protocol": {}}])
    assert (empty["student"], empty["control"], empty["difference"]) == (None, None, None)


def test_every_metric_that_all_runs_have_gets_its_mean_and_its_pairs():
    """One that an older run lacks is left out, of means and pairs alike."""
    results = [made_up(seed, 0.9, 0.8) for seed in range(3)]
    for number, found in enumerate(results):
        for part in ("student", "control"):
            found["metrics"][part] |= {"nll": 0.1 * number, "aurc": 0.02 * number}
        found["metrics"]["student"]["nll"] -= 0.05
    del results[1]["metrics"]["control"]["aurc"]
    told = summary(results)
    assert set(told["student"]) == {"accuracy", "nll", "aurc"}
    assert set(told["control"]) == set(told["difference"]) == {"accuracy", "nll"}
    assert told["difference"]["nll"]["mean"] == pytest.approx(-0.05)
    assert told["difference"]["nll"]["interval"] is not None


def test_seeds_become_runs_that_know_each_other_all_at_once(store, accepted):
    run = accepted({**TINY, "seeds": 3, "seed": 7})
    rows = store.runs.cohort(run)
    assert [row.experiment["seed"] for row in rows] == [7, 8, 9]
    assert [row.experiment["seeds"] for row in rows] == [1, 1, 1]
    assert {row.name for row in rows} == {"small"}
    assert {row.cohort for row in rows} == {run} == {rows[0].id}
    assert all((store.runs.folder(row.id) / "experiment.yaml").is_file() for row in rows)
    alone = accepted(TINY)
    assert [row.id for row in store.runs.cohort(alone)] == [alone]
    assert store.runs.get(alone).cohort is None


def test_a_seed_beyond_the_largest_is_refused_and_leaves_no_row(store, accepted):
    before = len(store.runs.list())
    with pytest.raises(InvalidExperiment, match="seed"):
        accepted({**TINY, "seeds": 2, "seed": 2**63 - 1})
    with pytest.raises(InvalidExperiment, match="seeds"):
        accepted({**TINY, "seeds": 1001})
    assert len(store.runs.list()) == before


def test_one_worker_trains_all_seeds_one_after_the_other_with_one_teacher(store, accepted, workers):
    run = accepted({**TINY, "seeds": 3, "data.limit": 410})
    workers.start(store, run)
    rows = [until_ended(store, row.id) for row in store.runs.cohort(run)]
    assert [row.status for row in rows] == ["finished"] * 3
    assert len({row.pid for row in rows}) == 1
    assert all(before.ended_ns <= after.started_ns for before, after in pairwise(rows))
    assert [row.protocol["teacher"]["source"] for row in rows] == [
        "trained for this run", "from the cache", "from the cache"
    ]  # fmt: skip
    parts = [part for row in rows for part in store.runs.list(roles=PARTS, group=row.id)]
    assert {part.cohort for part in parts} == {run}
    assert sum(part.role == "teacher" for part in parts) == 1
    for row in rows:  # each has its own words in its own log
        assert (store.runs.folder(row.id) / "log.txt").is_file()
    told = result_of_all(rows)
    assert told["run"] == run
    assert [found["run"] for found in told["seeds"]] == [row.id for row in rows]
    gaps = [
        found["metrics"]["student"]["nll"] - found["metrics"]["control"]["nll"]
        for found in told["seeds"]
    ]
    difference = told["summary"]["difference"]["nll"]
    assert difference["mean"] == pytest.approx(statistics.fmean(gaps))
    assert difference["sd"] == pytest.approx(statistics.stdev(gaps))


def test_a_run_of_a_group_has_the_bits_of_the_same_seed_alone(store, accepted, workers):
    changes = {**TINY, "data.limit": 410, "control": False}
    first = accepted({**changes, "seeds": 2, "seed": 3})
    alone = accepted({**changes, "seed": 4})
    for run in (first, alone):
        workers.start(store, run)
    second = until_ended(store, store.runs.cohort(first)[1].id)
    single = until_ended(store, alone)
    assert second.result["weights"] == single.result["weights"]
    assert second.result["metrics"] == single.result["metrics"]


def test_a_stopped_run_leaves_the_others_to_go_on_and_a_waiting_one_is_left_out_at_once(
    store, accepted, workers
):
    run = accepted({**ENDLESS, "seeds": 3}, pace=0.02)
    first, second, third = (row.id for row in store.runs.cohort(run))
    workers.start(store, run)
    until(lambda: store.runs.get(first).step > 0, "the first trains")
    assert Run(second, store).stop() == 0
    row = store.runs.get(second)
    assert (row.status, row.pid) == ("stopped", None)
    Run(first, store).stop()
    until(lambda: store.runs.get(third).step > 0, "the third trains")
    assert store.runs.get(second).pid is None
    Run(third, store).stop()
    assert until_ended(store, third).status == "stopped"


def test_a_waiting_run_is_queued_however_long_and_cannot_be_taken_before_its_turn(
    store, accepted, workers, monkeypatch
):
    run = accepted({**ENDLESS, "seeds": 2}, pace=0.02)
    first, second = (row.id for row in store.runs.cohort(run))
    monkeypatch.setattr(turns_module, "UNCLAIMED_SECONDS", -1.0)
    assert store.runs.get(second).status == "interrupted", "nobody ever came"
    workers.start(store, run)
    until(lambda: store.runs.get(first).step > 0, "the first trains")
    assert store.runs.get(second).status == "queued"
    assert [row.status for row in store.runs.list() if row.id == second] == ["queued"]
    with pytest.raises(RefusedCommand, match="takes its turn by itself"):
        resume(store, second, workers, who="test")
    with pytest.raises(RefusedCommand, match=f"waits for its turn: run {first} of its group"):
        store.runs.claim(second)
    Run(first, store).pause()
    assert store.runs.get(second).status == "queued", "a paused run keeps its turn"
    Run(first, store).stop()
    until(lambda: store.runs.get(second).step > 0, "the second trains")
    Run(second, store).stop()
    until_ended(store, second)


def test_after_a_killed_worker_the_rest_is_interrupted_and_follows_the_one_that_is_resumed(
    store, accepted, workers
):
    run = accepted({**MIDWAY, "seeds": 3}, pace=0.2)
    first, second, third = (row.id for row in store.runs.cohort(run))
    workers.start(store, run)
    kill(until(lambda: row if (row := store.runs.get(first)).step > 0 else None, "it trains"))
    for one in (first, second, third):
        store.runs.update(one, pace=None)
    assert [store.runs.get(one).status for one in (first, second, third)] == ["interrupted"] * 3
    go_on(store, first, workers)
    rows = [until_status(store, one, "finished") for one in (first, second, third)]
    assert len({row.pid for row in rows}) == 1


def test_resuming_the_next_one_lets_the_others_follow_and_the_dead_one_can_wait(
    store, accepted, workers
):
    run = accepted({**MIDWAY, "seeds": 3}, pace=0.2)
    first, second, third = (row.id for row in store.runs.cohort(run))
    workers.start(store, run)
    kill(until(lambda: row if (row := store.runs.get(first)).step > 0 else None, "it trains"))
    for one in (first, second, third):
        store.runs.update(one, pace=None)
    resume(store, second, workers, who="test")
    for one in (second, third):
        until_status(store, one, "finished")
    assert store.runs.get(first).status == "interrupted"
    go_on(store, first, workers)
    assert until_ended(store, first).status == "finished"


def test_a_run_that_fails_leaves_the_others_to_go_on(store, accepted, workers):
    run = accepted({**TINY, "control": False, "seeds": 2})
    first, second = store.runs.cohort(run)
    store.runs.update(first.id, experiment={**first.experiment, "teacher": "cnn-small"})
    workers.start(store, run)
    rows = [until_ended(store, row.id) for row in (first, second)]
    assert [row.status for row in rows] == ["failed", "finished"]
    assert "starts from random weights" in rows[0].error["message"]
    assert rows[0].pid == rows[1].pid


@pytest.mark.parametrize(("code", "goes_on"), [("WB201", True), ("WB202", False), ("WB114", False)])
def test_a_fault_of_the_machine_ends_the_whole_group_and_one_of_the_run_does_not(
    store, accepted, monkeypatch, code, goes_on
):
    run = accepted({**TINY, "seeds": 2})
    first, second = (row.id for row in store.runs.cohort(run))
    store.runs.claim(first)
    store.runs.update(first, status="failed", error={"code": code, "message": "", "exit_code": 1})
    monkeypatch.setattr(worker, "_log_to", lambda path: None)
    assert worker._next(str(store.path), first, 1) == (second if goes_on else None)
    store.runs.withdraw(second)


def test_in_python_the_first_run_has_group_and_summary(store):
    changes = {**TINY, "seeds": 2}
    experiment = Experiment(store=store, **_given(SMALL)).replace(changes)
    run = experiment.run(progress=False)
    assert [one.id for one in run.group] == [row.id for row in store.runs.cohort(run.id)]
    assert run.id == run.group[0].id
    assert run.summary == summary([result_of(one.row) for one in run.group])
    assert run.summary["difference"]["accuracy"]["n"] == 2
    assert run.group[1].group[0].id == run.id


def test_seeds_of_a_python_object_train_in_this_process_one_after_the_other(store):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    changes = {"student": module, "seeds": 2, "control": False}
    experiment = Experiment(store=store, **{**_given(SMALL), **changes})
    experiment = experiment.replace({"stages.main.steps": 3})
    run = experiment.run(progress=False)
    assert [one.status for one in run.group] == ["finished", "finished"]
    weights = {one.result["weights"] for one in run.group}
    assert len(weights) == 2, "the order of the data follows the seed"
    until(
        lambda: all(thread.name != run.id for thread in threading.enumerate()), "the thread is gone"
    )


def test_a_fork_at_the_beginning_may_ask_for_seeds_and_all_know_their_parent(
    store, accepted, workers
):
    run = accepted({**TINY, "control": False})
    workers.start(store, run)
    until_ended(store, run)
    with pytest.raises(RefusedCommand, match="at step 0 only"):
        fork(store, run, 2, {"seeds": 2}, who="test")
    child = fork(store, run, 0, {"seeds": 2}, who="test")
    rows = store.runs.cohort(child)
    assert [row.parent for row in rows] == [run, run]
    assert [[event.kind for event in store.journal.events(row.id)] for row in rows] == [
        ["forked"], ["forked"]
    ]  # fmt: skip
    for row in rows:
        assert store.runs.withdraw(row.id)


def _given(plain):
    return {key: value for key, value in plain.items() if key != "name"}


def test_a_page_tells_what_the_group_says_once_the_run_has_ended(store, accepted, workers):
    run = accepted({**TINY, "seeds": 2})
    waiting = store.runs.cohort(run)[1]
    assert describe(waiting)[0] == "Waiting for its turn"
    assert describe(store.runs.get(run))[0] == "Waiting for its worker"
    history = History.load(store, run)
    assert history.over_seeds is None
    workers.start(store, run)
    rows = [until_ended(store, row.id) for row in store.runs.cohort(run)]
    history.refresh(store)
    assert history.over_seeds == summary([result_of(row) for row in rows])
    assert history.over_seeds["difference"]["accuracy"]["n"] == 2
