"""A student and a teacher that have learned something, and the fixed rows they are probed on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workbench.data.images import ImageData, build_data
from workbench.models.adapter import ModelAdapter
from workbench.models.facts import ModelContext
from workbench.probes.probe import Measured, Pair
from workbench.probes.view import Look, Pulls, Rows, look
from workbench.registries import DATA, MODELS, PROBES

PULLS = Pulls(
    terms=("kd", "ce"),
    value=np.array([2.0, 1.0]),
    weighted=np.array([1.8, 0.1]),
    norm=np.array([3.0, 1.0]),
    share=np.array([0.75, 0.25]),
    cosine=np.array([[1.0, 0.2], [0.2, 1.0]]),
    num_rows=64,
    num_labelled=32,
)
"""Of terms that only a training has: training itself measures them, and asks them for logs."""


@dataclass(frozen=True)
class Scene:
    """Real digits, two trained networks, the rows, and the teacher's look at them."""

    data: ImageData
    student: ModelAdapter
    teacher: ModelAdapter
    rows: Rows
    pair: Pair
    student_look: Look


def trained(name: str, data: ImageData, steps: int, **options: object) -> ModelAdapter:
    context = ModelContext(1, 8, 8, 10, data.mean, data.std, seed=0, open_run=None)
    spec = MODELS.get(name).model_validate({"use": name, **options})
    model = spec.build(context).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=5e-3)
    ids = data.split_ids("train")
    for step in range(steps):
        batch = data.fetch_full(ids[step * 64 % len(ids) :][:64])
        loss = F.cross_entropy(model(batch.inputs), batch.labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


@pytest.fixture(scope="module")
def scene() -> Scene:
    spec = DATA.get("digits").model_validate({"use": "digits"})
    data = build_data(spec, base=Path.cwd(), seed=0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        teacher = trained("cnn-small", data, 40, width=8)
        student = trained("cnn-tiny", data, 12)
    probe, val = (data.fetch_full(data.split_ids(name)) for name in ("probe", "val"))
    rows = Rows(probe.ids, probe.inputs, probe.labels, val.inputs, val.labels, 100)
    asked = {"pulls": PULLS, "logs": {"fuse.ratio": rows.labels.numpy() / 10}}
    seen = replace(look(teacher, rows, teacher.facts.layers, val=True), **asked)
    pair = Pair(rows, seen, teacher.facts.layers, student.facts.layers, data.class_names)
    mine = replace(look(student, rows, student.facts.layers, val=True), **asked)
    return Scene(data, student, teacher, rows, pair, mine)


@pytest.fixture
def digits(scene: Scene) -> ImageData:
    return scene.data


@pytest.fixture
def student(scene: Scene) -> ModelAdapter:
    return scene.student


@pytest.fixture
def teacher(scene: Scene) -> ModelAdapter:
    return scene.teacher


@pytest.fixture
def rows(scene: Scene) -> Rows:
    return scene.rows


@pytest.fixture
def pair(scene: Scene) -> Pair:
    return scene.pair


@pytest.fixture
def seen(scene: Scene) -> Look:
    """The student's look."""
    return scene.student_look


@pytest.fixture
def measure(pair: Pair) -> Callable[[str, Look], Measured]:
    """What a probe finds, by its name."""

    def make(name: str, look: Look) -> Measured:
        return PROBES.get(name).model_validate({"use": name}).build(pair).measure(look)

    return make
