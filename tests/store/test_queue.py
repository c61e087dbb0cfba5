"""The one queue of a store: order, who holds it, who is called, and what a kill leaves of it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from workbench.errors import RefusedCommand, UnknownRun
from workbench.store import queue as queue_module
from workbench.store import runs as runs_module
from workbench.store import turns as turns_module
from workbench.store.queue import Standing, call_next, standing, to_front
from workbench.store.store import Store

from ..waiting import PATIENCE

CALL = """
import sys
from workbench.store.queue import call_next
from workbench.store.store import Store
store = Store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(call_next(store.database))
"""


def queued(store, number=1):
    return store.runs.create_all([{}] * number, name="q", options={}, queued=True)


@pytest.fixture
def gone(store):
    """Ends a run as its worker would: what it wrote stays, nobody is at work any more."""

    def end(run, status="finished", **fields):
        store.runs.update(run, status=status, ended_ns=turns_module.now_ns(), **fields)

    return end


@pytest.fixture
def later(monkeypatch):
    """Let so many seconds pass."""
    real, passed = turns_module.now_ns, [0]
    for module in (turns_module, queue_module):
        monkeypatch.setattr(module, "now_ns", lambda: real() + int(1e9 * passed[0]))

    def let(seconds):
        passed[0] += seconds

    return let


def test_a_clock_that_is_set_back_lets_nobody_past_those_who_wait(store, monkeypatch):
    (first,) = queued(store)
    real = runs_module.now_ns
    monkeypatch.setattr(runs_module, "now_ns", lambda: real() - 3600 * 10**9)
    later = queued(store, 2)
    assert standing(store.database).runs == (first, *later)


def test_groups_follow_one_another_and_each_run_waits_for_those_before_it(store, gone):
    first, second = queued(store, 2)
    (third,) = queued(store)
    for run in (first, second, third):
        assert call_next(store.database) == run
        assert call_next(store.database) is None, "its worker is on its way"
        store.runs.claim(run)
        assert call_next(store.database) is None, "it is at work"
        gone(run)
    assert call_next(store.database) is None
    assert standing(store.database) == Standing()


def test_a_run_before_its_turn_is_refused_to_any_worker(store):
    first, second = queued(store, 2)
    store.runs.claim(first)
    with pytest.raises(RefusedCommand, match=f"{first} of the queue is preparing"):
        store.runs.claim(second)


def test_a_run_started_by_hand_trains_at_once_and_the_queue_waits_for_it(store, gone):
    (waits,) = queued(store)
    hand = store.runs.create(name="h", experiment={}, options={})
    assert call_next(store.database) is None, "its worker is on its way"
    store.runs.claim(hand)
    assert standing(store.database) == Standing((waits,), hand)
    store.runs.update(hand, status="paused")
    assert call_next(store.database) == waits, "one that stands paused holds nobody up"
    store.runs.claim(waits)
    gone(hand, "stopped")


def test_a_paused_run_of_the_queue_keeps_its_turn(store):
    first, second = queued(store, 2)
    store.runs.claim(first)
    store.runs.update(first, status="paused")
    assert call_next(store.database) is None
    assert standing(store.database) == Standing((second,), first, paused=True)


def test_a_run_by_hand_beside_the_queue_goes_first_in_its_group_only(store):
    group = store.runs.create_all([{}] * 2, name="g", options={})
    (waits,) = queued(store)
    store.runs.claim(group[0])
    store.runs.update(group[0], status="finished", ended_ns=1)
    # This process lives: it is about to take up the second of the group.
    assert store.runs.next_of(group[0]) == group[1]
    assert standing(store.database) == Standing((waits,), group[1])


@pytest.mark.parametrize("status", ["training", "paused"])
def test_a_killed_worker_leaves_the_queue_as_it_is_and_the_next_goes_on(store, status, later):
    first, second, third = queued(store, 3)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    store.runs.claim(first)
    started = psutil.Process(child.pid).create_time()
    fields = {"pid": child.pid, "process_started": started, "status": status}
    store.runs.update(first, **fields)
    assert standing(store.database).holder == first
    child.kill()
    child.wait()
    later(3600)
    assert [store.runs.get(run).status for run in (first, second, third)] == [
        "interrupted", "queued", "queued"
    ]  # fmt: skip
    assert call_next(store.database) == second


def test_a_worker_that_never_comes_is_called_thrice_then_passed_over(store, later):
    first, second = queued(store, 2)
    for _ in range(turns_module.MOST_CALLS):
        assert call_next(store.database) == first
        assert call_next(store.database) is None
        later(turns_module.UNCLAIMED_SECONDS + 1)
    assert call_next(store.database) == second
    assert store.runs.get(first).status == "interrupted"


def test_a_full_disk_stops_the_queue_until_its_run_has_been_resumed(store, gone):
    first, second = queued(store, 2)
    store.runs.claim(first)
    gone(first, "failed", error={"code": "WB202", "message": "full", "exit_code": 1})
    assert standing(store.database) == Standing((second,), broken=first)
    assert call_next(store.database) is None
    store.runs.claim(first)
    gone(first)
    assert call_next(store.database) == second


def test_a_failure_of_the_run_itself_holds_nobody_up(store, gone):
    first, second = queued(store, 2)
    store.runs.claim(first)
    gone(first, "failed", error={"code": "WB201", "message": "nan", "exit_code": 1})
    assert call_next(store.database) == second


def test_one_that_waits_is_moved_to_the_front_and_another_is_refused(store):
    first, second, third = queued(store, 3)
    to_front(store.database, third)
    assert standing(store.database).runs == (third, first, second)
    to_front(store.database, second)
    assert standing(store.database).runs == (second, third, first)
    store.runs.claim(second)
    with pytest.raises(RefusedCommand, match="does not wait"):
        to_front(store.database, second)


def test_one_taken_back_while_its_worker_comes_is_not_trained(store):
    first, second = queued(store, 2)
    assert call_next(store.database) == first
    assert store.runs.withdraw(first)
    with pytest.raises(RefusedCommand, match="stopped"):
        store.runs.claim(first)
    store.runs.remove(first)
    with pytest.raises(UnknownRun, match="removed before"):
        store.runs.claim(first)
    assert call_next(store.database) == second


def test_of_two_servers_on_one_store_one_alone_starts_a_run(store):
    """Three processes and eight threads ask at the same moment; one answer names the run."""
    (run,) = queued(store)
    others = [
        subprocess.Popen(
            [sys.executable, "-c", CALL, str(store.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for _ in range(3)
    ]
    for other in others:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"

    def ask(_: int) -> str | None:
        own = Store(str(store.path))
        found = call_next(own.database)
        own.close()
        return found

    for other in others:
        assert other.stdin is not None
        other.stdin.write("\n")
        other.stdin.flush()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    answers += [other.communicate(timeout=PATIENCE)[0].strip() for other in others]
    assert [one for one in answers if one not in (None, "None")] == [run]


def test_a_run_that_two_workers_go_for_is_trained_by_one(store):
    (run,) = queued(store)
    token = store.runs.claim(run)
    other = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; from workbench.store.store import Store;"
            "Store(sys.argv[1]).runs.claim(sys.argv[2])",
            str(store.path),
            run,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"Run {run} is already running, pid {os.getpid()}" in other.stderr
    assert store.runs.owns(run, token)
