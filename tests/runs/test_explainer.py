"""The process on the side: one question at a time, cancelled by a kill, gone with its reader."""

from __future__ import annotations

import io
import os
import queue
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest

from workbench.runs.explainer import Answer, Explainer
from workbench.runs.explaining import magnitudes, shrunk
from workbench.runs.launch import accept
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.store import Store

from ..small import SMALL
from ..waiting import PATIENCE, until

pytestmark = pytest.mark.usefixtures("forked_helpers")


class Reader:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[Answer] = []
        self._ends: queue.Queue[Answer] = queue.Queue()

    def __call__(self, answer: Answer) -> None:
        self.heard.append(answer)
        if answer.ended:
            self._ends.put(answer)

    @property
    def end(self) -> Answer:
        """The last word, once it is there."""
        return self._ends.get(timeout=PATIENCE)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    opened = Store(str(tmp_path_factory.mktemp("asked") / "workbench.db"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def run(store):
    spec = ExperimentSpec.parse({**SMALL, "probes": ["loyalty"]})
    run = accept(store, spec, base=Path.cwd(), threads=1)
    assert work(str(store.path), run) == 0
    return run


@pytest.fixture
def explainer(store):
    made = Explainer(store)
    made.attach("page")
    yield made
    made.close()


def pictures(explainer: Explainer, run: str) -> Answer:
    reader = Reader()
    explainer.pictures(run, reader)
    return reader.end


def stopped(explainer: Explainer) -> int:
    """The process lives and can do nothing: whatever is asked now is under way."""
    assert explainer.pid is not None
    os.kill(explainer.pid, signal.SIGSTOP)
    return explainer.pid


def test_pictures_are_the_probe_split_and_maps_say_their_checkpoint(store, run, explainer):
    found = pictures(explainer, run)
    snapshot = store.snapshots(run)[-1]
    assert found.state == "done" and found.head["kind"] == "image"
    assert found.head["ids"] == snapshot.arrays["answers.ids"].tolist()
    assert found.head["shape"] == [len(found.head["ids"]), 1, 8, 8]
    assert np.frombuffer(found.body, np.uint8).max() == 255
    assert psutil.Process(explainer.pid).nice() >= 10

    asked = (run, 3, found.head["ids"][2], "integrated_gradients", "label")
    first, again = Reader(), Reader()
    explainer.maps(*asked, first)
    told = first.end
    assert told.head["step"] == SMALL["stages"]["main"]["steps"] and told.head["null_pairs"] == 420
    maps = np.frombuffer(told.body, "<f4").reshape(2, 8, 8)
    np.testing.assert_allclose(maps.max((1, 2)), 1)
    counted = [one.head["done"] for one in first.heard if one.state == "working"]
    assert counted == sorted(counted) and len(counted) > 5
    explainer.maps(*asked, again)
    assert [one.state for one in again.heard] == ["done"], "known, without a word between"


def test_what_is_refused_is_said_and_the_process_goes_on(run, explainer):
    reader = Reader()
    explainer.maps(run, 3, 10**6, "saliency", "label", reader)
    assert reader.end.state == "refused"
    assert "sample 1000000 is not one of" in reader.heard[-1].head["words"]
    assert pictures(explainer, run).state == "done"


def test_without_a_checkpoint_nothing_is_started(store, explainer):
    waiting = accept(store, ExperimentSpec.parse(SMALL), base=Path.cwd(), threads=1)
    reader = Reader()
    explainer.maps(waiting, 0, 1, "saliency", "label", reader)
    assert reader.end.state == "refused" and explainer.pid is None


def test_a_killed_process_is_told_by_its_signal_and_the_next_question_starts_another(
    run, explainer
):
    pictures(explainer, run)
    explainer._answers.clear()
    before, reader = stopped(explainer), Reader()
    explainer.pictures(run, reader)
    os.kill(before, signal.SIGKILL)
    assert reader.end.state == "refused"
    assert "killed by signal 9" in reader.heard[-1].head["words"]
    assert pictures(explainer, run).state == "done" and explainer.pid != before


def test_cancel_kills_what_is_under_way_and_leaves_what_others_asked(run, explainer):
    pictures(explainer, run)
    explainer._answers.clear()
    before = stopped(explainer)
    mine, other, third = Reader(), Reader(), Reader()
    question = explainer.maps(run, 3, 5, "saliency", "label", mine)
    until(lambda: explainer._current is question, "the question is taken up")
    explainer.pictures(run, other)
    dropped = explainer.maps(run, 3, 8, "saliency", "label", third)
    assert third.heard[0].head["words"] == "Waits for another sample"
    explainer.drop(dropped)
    assert third.end.state == "cancelled"
    explainer.cancel(question)
    assert mine.end.state == "cancelled"
    assert other.end.state == "done"
    until(lambda: not psutil.pid_exists(before), "the killed process is reaped")


def test_layers_say_their_checkpoint_and_who_leaves_keeps_the_process(store, run, explainer):
    all_ = tuple(store.snapshots(run)[-1].arrays["answers.ids"].tolist())
    ids = all_[:9]
    first, again = Reader(), Reader()
    explainer.layers(run, 3, ids, first)
    told = first.end
    rows, columns = told.head["shape"]
    assert told.head["n"] == 9 and told.head["step"] == SMALL["stages"]["main"]["steps"]
    assert (rows, columns) == tuple(len(told.head[f"{w}_layers"]) for w in ("teacher", "student"))
    unbiased, biased, null = np.frombuffer(told.body, "<f4").reshape(3, rows, columns)
    assert np.all(biased[np.isfinite(biased)] >= 0) and np.all(null[np.isfinite(null)] > 0)
    assert np.nanmax(np.abs(unbiased)) <= 1 + 1e-5
    explainer.layers(run, None, ids, again)
    assert [one.state for one in again.heard] == ["done"]

    pid = stopped(explainer)
    left, waiting, after = Reader(), Reader(), Reader()
    question = explainer.layers(run, 3, all_, left)
    until(lambda: explainer._current is question, "the question is taken up")
    dropped = explainer.layers(run, 3, all_[:8], waiting)
    assert waiting.heard[0].head["words"] == "Waits for another question"
    explainer.layers(run, 3, all_[:7], after)
    explainer.leave(dropped)
    assert waiting.end.state == "cancelled"
    explainer.leave(question)
    os.kill(pid, signal.SIGCONT)
    assert left.end.state == "cancelled"
    assert after.end.state == "done" and explainer.pid == pid


def test_the_process_and_what_it_answered_go_with_the_last_reader(run, explainer):
    explainer.attach("second page")
    pictures(explainer, run)
    explainer.detach("page")
    pid = explainer.pid
    assert pid is not None and explainer._answers
    explainer.detach("second page")
    assert explainer.pid is None and not explainer._answers
    until(lambda: not psutil.pid_exists(pid), "the process is gone")


def test_answers_are_kept_up_to_a_number_and_a_size_the_newest_longest(store, monkeypatch):
    monkeypatch.setattr("workbench.runs.explainer.MOST_ANSWERS", 3)
    monkeypatch.setattr("workbench.runs.explainer.KEPT_BYTES", 100)
    made = Explainer(store)
    for number in range(5):
        made._keep((number,), Answer("done", body=b"x"))
    assert list(made._answers) == [(2,), (3,), (4,)]
    made._keep(("large",), Answer("done", body=bytes(99)))
    assert list(made._answers) == [(4,), ("large",)]
    made._keep(("larger",), Answer("done", body=bytes(200)))
    assert list(made._answers) == [("larger",)], "what was asked last is never let go"


def test_pictures_shrink_by_averaging_and_maps_by_magnitude():
    pixels = np.arange(2 * 3 * 130 * 130, dtype=np.uint64).astype(np.uint8)
    pixels = pixels.reshape(2, 3, 130, 130)
    small = shrunk(pixels, 10**9)
    assert small.shape == (2, 3, 43, 43)
    assert small[1, 2, 0, 0] == round(float(pixels[1, 2, :3, :3].mean()))
    assert shrunk(pixels, 2 * 3 * 20 * 20).nbytes <= 2 * 3 * 20 * 20
    values = np.asarray([[[1.0, -2.0]], [[-1.0, 0.5]]])
    np.testing.assert_array_equal(magnitudes(values), [[2.0, 2.5]])
    np.testing.assert_array_equal(magnitudes(np.asarray([-3.0, 1.0])), [3.0, 1.0])


def test_asking_loads_no_torch():
    code = "import sys, workbench.runs.explainer; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


class Ended:
    """A process that is ended by another thread just before it is asked: its pipe is closed."""

    pid = 0
    stdin, stdout = io.BytesIO(), io.BytesIO()

    def poll(self):
        return None

    def wait(self):
        return 0

    def kill(self):
        """It has ended."""


def test_a_process_that_is_ended_before_it_is_asked_ends_no_asking(store, run):
    Ended.stdin.close()
    asked = Explainer(store, lambda _: Ended())
    asked.attach("page")
    for _ in range(2):
        assert pictures(asked, run).state == "refused"
    asked.close()


def test_a_fault_of_ours_is_told_to_who_asked_and_the_next_question_is_answered(
    store, run, explainer, monkeypatch
):
    answered = explainer._answered

    def breaks(question):
        monkeypatch.setattr(explainer, "_answered", answered)
        raise KeyError("number")

    monkeypatch.setattr(explainer, "_answered", breaks)
    assert pictures(explainer, run).state == "refused"
    assert pictures(explainer, run).state == "done"
