"""Who shows a selection: what is asked and left, which map stays until the next is there."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest

from workbench.runs.explainer import Answer
from workbench.runs.selected_layers import SelectedLayers, borrow, give_back
from workbench.store import Store


class Asked:
    """Stands for the explainer: keeps what it was asked and answers when told to."""

    def __init__(self) -> None:
        self.questions: list[tuple] = []
        self.left: list[int] = []
        self.at_once: Answer | None = None

    def layers(self, run, step, samples, heard):
        self.questions.append((step, samples, heard))
        if self.at_once is not None:
            heard(self.at_once)
        return len(self.questions) - 1

    def leave(self, question) -> None:
        self.left.append(question)


def done(value: float, step: int = 30) -> Answer:
    head = {"step": step, "shape": [1, 2], "n": 5, "teacher_layers": ["a"]}
    return Answer("done", head, np.full((3, 1, 2), value, "<f4").tobytes())


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def told():
    return []


@pytest.fixture
def layers(asked, told):
    return SelectedLayers(asked, "run", lambda: told.append(1))


def heard(asked, answer, question=-1):
    """As if another thread had said it."""
    thread = threading.Thread(target=asked.questions[question][2], args=(answer,))
    thread.start()
    thread.join()


def test_the_same_samples_and_weights_are_asked_once_and_a_newer_question_leaves_the_older(
    asked, told, layers
):
    layers.want(range(5), 30)
    layers.want(range(5), 30)
    assert [q[:2] for q in asked.questions] == [(30, (0, 1, 2, 3, 4))] and not asked.left
    layers.want(range(6), 30)
    assert len(asked.questions) == 2 and asked.left == [0]
    heard(asked, done(0.1), question=0)
    assert layers.known.found is None and not told, "what was left is not heard"
    heard(asked, done(0.2))
    assert layers.known.state == "done" and told == [1]
    assert layers.known.found.ids == tuple(range(6)) and layers.known.found.step == 30
    np.testing.assert_allclose(layers.known.found.arrays["null_p95"], 0.2)


def test_until_the_next_answer_the_map_before_it_stays(asked, layers):
    layers.want(range(5), 30)
    heard(asked, done(0.5))
    layers.want(range(5), 40)  # the same samples, later weights
    heard(asked, Answer("working", {"words": "Asks the student"}))
    known = layers.known
    assert (known.state, known.words, known.found.step) == ("working", "Asks the student", 30)
    heard(asked, Answer("refused", {"words": "No."}))
    assert layers.known.state == "refused" and layers.known.found.step == 30
    layers.want((), None)
    assert layers.known.found is None and layers.known.state == "none"


def test_a_run_that_goes_on_renews_the_map_quietly_and_never_before_the_answer(asked, told, layers):
    layers.want(range(5), 30, follows=True)
    heard(asked, Answer("working", {"words": "Opens both models"}))
    layers.want(range(5), 40, follows=True)
    assert len(asked.questions) == 1 and not asked.left, "else a slow answer never comes"
    heard(asked, done(0.5))
    assert len(told) == 2
    layers.want(range(5), 50, follows=True)
    assert [q[0] for q in asked.questions] == [30, 50]
    heard(asked, Answer("working", {"words": "Asks the student"}))
    known = layers.known
    assert (known.state, known.words, known.found.step) == ("working", "", 30)
    assert len(told) == 2, "nothing is drawn for it"
    heard(asked, done(0.6, step=50))
    assert layers.known.found.step == 50 and len(told) == 3
    layers.want(range(7), 50, follows=True)
    heard(asked, Answer("working", {"words": "Asks the student"}))
    assert layers.known.words == "Asks the student" and len(told) == 4, (
        "other samples are waited for"
    )
    layers.want(range(5), 50, follows=True)
    assert asked.left == [0, 1, 2]


def test_fewer_than_the_estimator_needs_ask_nothing(asked, layers):
    layers.want(range(5), 30)
    layers.want(range(3), 30)
    assert len(asked.questions) == 1 and asked.left == [0]


def test_what_is_known_at_once_tells_nobody_who_is_drawing(asked, told, layers):
    asked.at_once = done(0.3)
    layers.want(range(4), 30)
    assert layers.known.state == "done" and not told
    layers.close()
    assert asked.left == [0]


def test_all_who_look_in_one_process_share_one_explainer_until_the_last_goes(tmp_path):
    store = Store(str(tmp_path / "workbench.db"))
    first = borrow(store, "one")
    assert borrow(store, "two") is first
    give_back(store, "one")
    assert borrow(store, "three") is first
    give_back(store, "two")
    give_back(store, "three")
    give_back(store, "three")
    again = borrow(store, "four")
    assert again is not first
    give_back(store, "four")
    store.close()


def test_to_show_a_selection_loads_no_torch():
    code = (
        "import sys, workbench.runs.selected_layers, workbench.dashboard.selection;"
        "print('torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"
