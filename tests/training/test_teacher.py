"""The teacher is trained once and found again by everything that decides its bits."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from safetensors.torch import save_file

from workbench.data.images import build_data
from workbench.models.facts import ModelContext
from workbench.models.weights import read_tensors, save_weights, weights_hash
from workbench.registries import DATA, MODELS
from workbench.training.teacher import teacher_key

MACHINE = {"threads": 1, "versions": {"torch": "9"}}


def parts(run) -> set[str]:
    rows = run.store.runs.list(roles=("teacher", "control"), group=run.run)
    return {row.role for row in rows}


def test_a_second_run_takes_the_teacher_from_the_cache_and_has_the_same_weights(train):
    fresh = {"teacher.train.steps": 9}
    first = train(fresh)
    second = train(fresh)
    assert parts(first) == {"teacher"}
    assert parts(second) == set(), "the teacher was trained again"
    assert second.weights == first.weights
    assert first.row.protocol["teacher"]["source"] == "trained for this run"
    assert second.row.protocol["teacher"]["source"] == "from the cache"
    assert second.row.protocol["teacher"]["hash"] == first.row.protocol["teacher"]["hash"]


def test_one_teacher_serves_every_seed_label_count_and_student(train):
    first = train({"teacher.train.steps": 8})
    for other in ({"seed": 5}, {"data.labels_per_class": 2}, {"student.width": 7}):
        again = train({"teacher.train.steps": 8, **other})
        assert parts(again) == set(), other
        assert again.row.protocol["teacher"]["hash"] == first.row.protocol["teacher"]["hash"]


@pytest.mark.parametrize(
    "other",
    [
        {"teacher.width": 5},
        {"teacher.train.seed": 1},
        {"teacher.train.optimiser.lr": 0.006},
        {"data.split_seed": 1},
        {"data.limit": 401},
        {"data.augment": "shift"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_whatever_decides_its_bits_makes_another_teacher(train, other):
    base = {"teacher.train": {"steps": 3, "optimiser": {"use": "adamw", "lr": 0.005}},
            "stages.main.steps": 1}  # fmt: skip
    first, second = train(base), train({**base, **other})
    assert parts(second) == {"teacher"}
    hashes = {run.row.protocol["teacher"]["hash"] for run in (first, second)}
    assert len(hashes) == 2


def test_the_stored_teacher_has_the_hash_that_is_recorded(train, store):
    run = train({"teacher.train.steps": 7})
    (file,) = (
        path
        for path in (store.folder / "teachers").glob("*/weights.safetensors")
        if weights_hash(read_tensors(path)) == run.row.protocol["teacher"]["hash"]
    )
    assert len(file.parent.name) == 32


def test_a_teacher_whose_file_is_lost_is_trained_again_to_the_same_bits(train, store):
    first = train({"teacher.train.steps": 6})
    for path in (store.folder / "teachers").glob("*/weights.safetensors"):
        path.unlink()
    again = train({"teacher.train.steps": 6})
    assert parts(again) == {"teacher"}
    assert again.weights == first.weights


def cut(path):
    path.write_bytes(path.read_bytes()[:-8])


def of_others(path):
    """A whole file, of the right names and shapes: somebody copied the wrong one here."""
    save_file({name: value + 1 for name, value in read_tensors(path).items()}, path)


@pytest.mark.parametrize("damage", [cut, of_others])
def test_a_teacher_whose_file_holds_something_else_is_trained_again_to_the_same_bits(
    train, store, damage
):
    changes = {"teacher.train": {"steps": 4}, "stages.main.steps": 2, "probes": []}
    first = train(changes)
    damage(store.teacher_path(first.row.teacher))
    again = train(changes)
    assert parts(again) == {"teacher"}
    assert again.weights == first.weights
    assert parts(train(changes)) == set()


def test_the_teacher_sees_every_label_and_the_student_only_its_own(train):
    few, many = (
        train({"data.labels_per_class": count, "teacher.train.steps": 40}) for count in (1, None)
    )
    assert few.row.protocol["teacher"]["hash"] == many.row.protocol["teacher"]["hash"]
    assert few.metrics["teacher"] == many.metrics["teacher"]


@pytest.fixture
def key():
    """A teacher's key for a changed model spec, data set, machine or start."""

    def make(*, spec=(), data=(), machine=(), start="a") -> str:
        model = {"use": "cnn-small", "train": {"steps": 3}, **dict(spec)}
        digits = {"use": "digits", "limit": 300, **dict(data)}
        return teacher_key(
            MODELS.get(model["use"]).model_validate(model),
            build_data(DATA.get("digits").model_validate(digits), base=Path.cwd(), seed=0),
            {**MACHINE, **dict(machine)},
            start=start,
        )

    return make


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"width": 7}},
        {"spec": {"train": {"steps": 4}}},
        {"spec": {"train": {"steps": 3, "seed": 1}}},
        {"data": {"split_seed": 1}},
        {"data": {"limit": 301}},
        {"data": {"augment": "shift"}},
        {"machine": {"threads": 2}},
        {"machine": {"versions": {"torch": "10"}}},
        {"start": "b"},
    ],
    ids=str,
)
def test_the_key_changes_with_all_it_stands_for(key, change):
    assert key() == key()
    assert key(**change) != key()


def test_the_key_does_not_change_with_what_the_teacher_never_sees(key):
    assert key(data={"labels_per_class": 3}) == key()


OWN = """
from typing import Literal

import torch
from torch import nn

from workbench.models.adapter import wrap_module
from workbench.models.kinds import ModelSpec
from workbench.registries import MODELS


@MODELS.register("own-net")
class OwnNet(ModelSpec):
    use: Literal["own-net"] = "own-net"

    def build(self, context):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(context.seed)
            network = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
        return wrap_module(network, context, name=self.use)
"""


def test_a_network_of_one_s_own_that_was_edited_makes_another_teacher(train, tmp_path, monkeypatch):
    """The same words and the same first weights, but what comes of them is not the same."""
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(tmp_path)
    runs = []
    for text in (OWN, OWN, OWN.replace("ReLU", "Sigmoid")):
        (tmp_path / "own_net.py").write_text(text)
        sys.modules.pop("own_net", None)
        MODELS._entries.pop("own-net", None)
        importlib.import_module("own_net")
        teacher = {"use": "own-net", "train": {"steps": 3}}
        runs.append(train({"teacher": teacher, "stages.main.steps": 1, "probes": []}))
    sys.modules.pop("own_net")
    first, same, edited = (run.row.protocol["teacher"]["hash"] for run in runs)
    assert [parts(run) for run in runs] == [{"teacher"}, set(), {"teacher"}]
    assert first == same != edited


def test_a_file_that_changes_makes_another_teacher_of_the_same_words(train, tmp_path):
    """Fine-tuning `path:FILE`: the words stay, the weights in the file do not."""
    hashes = []
    for seed in (0, 1):
        context = ModelContext(1, 8, 8, 10, (0.5,), (0.5,), seed=seed, open_run=None)
        spec = MODELS.get("cnn-small").model_validate({"use": "cnn-small", "width": 4})
        save_weights(tmp_path / "t.safetensors", spec.build(context), spec.given())
        tuned = {"use": f"path:{tmp_path}/t.safetensors", "train": {"steps": 2}}
        run = train({"teacher": tuned, "stages.main.steps": 1})
        hashes.append(run.row.protocol["teacher"]["hash"])
    assert hashes[0] != hashes[1]
