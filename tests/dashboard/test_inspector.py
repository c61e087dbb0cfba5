"""What the sample inspector tells: answers in binary, maps with progress, refusals in words."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request

import numpy as np
import pytest

from workbench.dashboard.inspector import Inspector, packed_answers, samples
from workbench.errors import BadInput
from workbench.runs.explainer import Answer
from workbench.runs.history import History
from workbench.store import Snapshot


def unpacked(packed: bytes) -> tuple[dict, dict]:
    """Head and arrays, as the page reads them."""
    start = 4 + int.from_bytes(packed[:4], "little")
    assert start % 4 == 0
    head, arrays = json.loads(packed[4:start]), {}
    for name, kind, shape in head["arrays"]:
        size = int(np.prod(shape))
        arrays[name] = np.frombuffer(packed, f"<{kind}4", size, start).reshape(shape)
        start += 4 * size
    assert start == len(packed)
    return head, arrays


class Card:
    """Stands for the piece of the page."""

    def __init__(self) -> None:
        self.told: dict = {"run": "r"}

    def tell(self, state: dict) -> None:
        self.told = json.loads(json.dumps(state, allow_nan=False))


class Asked:
    """Stands for the explainer: keeps what it was asked."""

    def __init__(self) -> None:
        self.questions: list = []
        self.dropped: list = []
        self.cancelled: list = []
        self.readers: set = set()

    def maps(self, *asked):
        self.questions.append(asked)
        return asked

    def drop(self, question) -> None:
        self.dropped.append(question)

    def cancel(self, question) -> None:
        self.cancelled.append(question)

    def attach(self, reader) -> None:
        self.readers.add(reader)

    def detach(self, reader) -> None:
        self.readers.discard(reader)


@pytest.fixture
def made():
    card, asked, turns = Card(), Asked(), []
    inspector = Inspector(card, asked, "r", turns.append)

    def turn() -> None:
        while turns:
            turns.pop(0)()

    return inspector, card, asked, turn


ASK = {"do": "explain", "sample": 5, "step": 30, "method": "saliency", "target": "label"}


def test_the_answers_of_a_snapshot_are_those_of_its_arrays(finished):
    snapshot = finished.store.snapshots(finished.run)[-1]
    head, arrays = unpacked(packed_answers(snapshot))
    assert head["step"] == snapshot.step and head["names"] == [str(k) for k in range(10)]
    right = arrays["student_class"] == arrays["labels"]
    np.testing.assert_array_equal(right, snapshot.arrays["loyalty.student_right"] > 0)
    np.testing.assert_array_equal(arrays["ids"], snapshot.arrays["trilateral.ids"])
    np.testing.assert_allclose(arrays["student"].sum(1), 1, atol=5e-3)


def test_the_ratio_of_each_sample_comes_along():
    ratio = np.asarray([0.25, 0.75], np.float32)
    kept = {"answers.ids": np.asarray([3, 9]), "ratio.mix": ratio}
    head, arrays = unpacked(packed_answers(Snapshot(4, kept, {})))
    assert head["ratios"] == ["mix"] and head["names"] == []
    np.testing.assert_array_equal(arrays["ratio.mix"], ratio)


def test_a_snapshot_without_answers_says_why():
    head, arrays = unpacked(packed_answers(Snapshot(4, {"loyalty.table": np.eye(2)}, {})))
    assert arrays == {} and "no probabilities" in head["missing"]


def test_the_card_knows_the_newest_snapshot_and_what_is_waited_for(finished):
    history = History.load(finished.store, finished.run)
    told = samples(history, None)
    assert told["newest"] == history.steps[-1] and told["active"] is False
    assert [name for name, _ in told["methods"]] == [
        "integrated_gradients", "saliency", "occlusion",
    ]  # fmt: skip
    assert samples(history, "Waits.")["waits"] == "Waits."


def test_maps_are_told_with_their_progress_and_the_newest_question_wins(made):
    inspector, card, asked, turn = made
    inspector.act(ASK)
    run, step, sample, method, target, first = asked.questions[0]
    assert (run, step, sample, method, target) == ("r", 30, 5, "saliency", "label")
    first(Answer("working", {"done": 3, "of": 44, "words": "Computes maps"}))
    turn()
    assert card.told["maps"]["state"] == "working" and card.told["maps"]["head"]["done"] == 3
    assert card.told["run"] == "r", "what the run told stays"
    inspector.act({**ASK, "sample": 8})
    assert asked.dropped == [asked.questions[0]] and not asked.cancelled
    body = np.asarray([[0, 1], [0.5, 1]], "<f4").tobytes()
    first(Answer("done", {"shape": [1, 2]}, body))
    turn()
    assert card.told["maps"]["state"] == "working", "nobody waits for the first any more"
    asked.questions[1][-1](Answer("done", {"shape": [1, 2]}, body))
    turn()
    maps = card.told["maps"]
    assert (maps["sample"], maps["state"]) == (8, "done")
    assert [list(base64.b64decode(one)) for one in maps["values"]] == [[0, 255], [128, 255]]


def test_many_words_in_one_turn_are_told_once(made):
    inspector, card, asked, _ = made
    later: list = []
    inspector._later = later.append
    inspector.act(ASK)
    for done in range(5):
        asked.questions[0][-1](Answer("working", {"done": done, "of": 44, "words": ""}))
    assert len(later) == 1
    later[0]()
    assert card.told["maps"]["head"]["done"] == 4


def test_features_of_a_table_row_are_numbers(made):
    inspector, card, asked, turn = made
    inspector.act(ASK)
    body = np.asarray([[0.25, 1], [1, 0]], "<f4").tobytes()
    asked.questions[0][-1](Answer("done", {"shape": [2]}, body))
    turn()
    assert card.told["maps"]["values"] == [[0.25, 1], [1, 0]]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"method": "lime"}, r"'lime'.*saliency"),
        ({"target": "$"}, r"'\$'.*label, student, teacher"),
        ({"sample": "5"}, r"sample '5'.*whole number"),
        ({"step": -1}, r"step -1"),
        ({"step": True}, r"step True"),
    ],
)
def test_what_the_card_does_not_offer_is_refused(made, wrong, words):
    inspector, _, asked, _ = made
    with pytest.raises(BadInput, match=words):
        inspector.act({**ASK, **wrong})
    assert not asked.questions


def test_cancel_and_a_closed_page_give_the_question_back(made):
    inspector, card, asked, turn = made
    inspector.act({"do": "unexplain"})
    assert not asked.cancelled
    inspector.act(ASK)
    inspector.act({"do": "unexplain"})
    assert asked.cancelled == asked.questions
    inspector.close()
    assert not asked.readers
    asked.questions[0][-1](Answer("cancelled"))
    turn()
    assert "maps" not in card.told


def test_a_selection_stands_on_the_card_until_it_is_cleared(made):
    inspector, card, _, _ = made
    inspector.select((7, 3), "a loyalty cell")
    assert card.told["selection"] == {"ids": [7, 3], "how": "a loyalty cell"}
    inspector.select((), "")
    assert card.told["selection"] is None


@pytest.mark.slow
def test_answers_over_http_are_of_that_very_step(finished, served):
    steps = finished.store.snapshot_steps(finished.run)
    address = f"{served.url}/answers?run={finished.run}&step="
    with urllib.request.urlopen(f"{address}{steps[2]}") as answer:
        head, _ = unpacked(answer.read())
    assert head["step"] == steps[2]
    for wrong, code in (
        (f"{address}{steps[2] + 1}", 404),
        (f"{address}-1", 400),
        (f"{served.url}/answers?run=nobody&step=0", 404),
        (f"{served.url}/pictures?run=nobody", 404),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(wrong)
        assert refused.value.code == code, wrong
        refused.value.close()
