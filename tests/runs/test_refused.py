"""Seen from outside: five classic mistakes are named before step 0, and nothing is left of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from workbench.errors import BadInput
from workbench.functional.metadata import Pull
from workbench.models.weights import read_tensors, save_weights
from workbench.registries import TERMS
from workbench.runs.experiment import Experiment
from workbench.store.store import Store
from workbench.terms.term import TermContext, TermKind, TermValue

FEW = {"use": "digits", "limit": 400}
BOTH = {"kd": {"use": "kd", "weight": 0.9}, "ce": {"use": "ce", "weight": 0.1}}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(str(tmp_path_factory.mktemp("store") / "workbench.db"))
    yield opened
    opened.close()


def experiment(store: Store, **changes: Any) -> Experiment:
    given = {
        "data": FEW,
        "teacher": {"use": "cnn-small", "width": 4, "train": {"steps": 60}},
        "student": "cnn-tiny",
        "terms": BOTH,
        "steps": 4,
        "probes": [],
        "store": store,
        **changes,
    }
    return Experiment(**given)


def refused(store: Store, **changes: Any) -> str:
    """Words of the refusal; no run, no checkpoint and no teacher is left of it."""
    before = {row.id for row in store.runs.list(roles=("student", "teacher", "control"))}
    with pytest.raises(BadInput) as error:
        experiment(store, **changes).run(progress=False)
    assert error.value.exit_code == 2
    left = {row.id for row in store.runs.list(roles=("student", "teacher", "control"))}
    assert left == before
    return str(error.value)


@pytest.fixture(scope="module")
def good(store: Store) -> Path:
    """A student that has learned digits, as a file."""
    run = experiment(
        store,
        student={"use": "cnn-small", "width": 8},
        terms={"ce": {"use": "ce"}},
        steps=220,
    ).run(progress=False)
    return store.runs.folder(run.id) / "student.safetensors"


def test_a_teacher_file_with_permuted_output_rows(store, good, tmp_path):
    tensors = {
        name: tensor.roll(1, 0).contiguous() if tensor.shape[:1] == (10,) else tensor
        for name, tensor in read_tensors(good).items()
    }
    described = json.loads(good.with_suffix(".json").read_text())
    save_weights(tmp_path / "t.safetensors", tensors, described["spec"])
    told = refused(store, teacher=f"path:{tmp_path / 't.safetensors'}")
    assert "in another order: it answers 0 as 1" in told and "rows are probably permuted" in told


def test_a_data_set_with_one_class_more_than_the_teacher(store, good, tmp_path):
    tensors = {
        name: tensor[:9].contiguous() if tensor.shape[:1] == (10,) else tensor
        for name, tensor in read_tensors(good).items()
    }
    save_file(tensors, tmp_path / "t.safetensors")
    built = json.loads(good.with_suffix(".json").read_text())["architecture"]
    (tmp_path / "t.json").write_text(json.dumps({"architecture": {**built, "num_classes": 9}}))
    told = refused(store, teacher=f"path:{tmp_path / 't.safetensors'}")
    assert "classifies into 9 classes, the data has 10" in told and "Take a model" in told


class Student(nn.Module):
    """A student whose second layer an experiment has dropped."""

    def __init__(self, rate: float, end: nn.Module) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2))
            self.late = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.Dropout(rate))
            self.head = nn.Linear(128, 10)
        self.end = end

    def forward(self, images: Tensor) -> Tensor:
        body = self.body(images)
        logits: Tensor = self.end(self.head((body + self.late(body)).flatten(1)))
        return logits


def test_a_student_whose_hint_tap_is_a_dropped_layer(store):
    hint = {**BOTH, "hint": {"use": "hint", "student_tap": "late"}}
    told = refused(store, student=Student(1.0, nn.Identity()), terms=hint)
    assert "its tap 'late' is constant: 0 for each of" in told
    assert "probably dropped" in told and "Tap another: stage1" in told


def test_softmax_outputs_passed_as_logits(store):
    told = refused(store, student=Student(0.0, nn.Softmax(-1)))
    assert "student: gives probabilities, not logits" in told
    assert "ends in a softmax: take it off" in told


class Frozen:
    """A term behind a projector that was frozen by hand."""

    student_taps, target_taps = ("stage1",), ("stage1",)

    def __init__(self, module: nn.Module) -> None:
        self.module = module.requires_grad_(False)

    def __call__(self, student: Any, target: Any, batch: Any, values: Any) -> TermValue:
        own = self.module(student["stage1"].mean((2, 3)))
        return TermValue((own - target["stage1"].mean((2, 3))).pow(2).mean(-1))


def test_a_projector_frozen_by_hand(store, monkeypatch):
    TERMS.names()
    monkeypatch.setattr(TERMS, "_entries", dict(TERMS._entries))

    @TERMS.register("by-hand")
    class ByHand(TermKind):
        summary: ClassVar[str] = "Made for a test."
        paper: ClassVar[str] = "none"
        needs: ClassVar[tuple[str, ...]] = ("student.features", "teacher.features")
        pull: ClassVar[Pull] = "teacher"

        def build(self, context: TermContext) -> Any:
            own, their = context.shapes(("stage1", "stage1"))
            return Frozen(nn.Linear(own[0], their[0]))

    told = refused(
        store,
        student=Student(0.0, nn.Identity()),  # an object, so it trains in this process
        terms={**BOTH, "it": {"use": "by-hand"}},
    )
    assert "terms.it: its learned part (Linear, 2 weights) is frozen" in told
    assert "Remove `requires_grad_(False)`" in told
