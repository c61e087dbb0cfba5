"""A teacher that is not shown some classes: what it trains on, under which key, what is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workbench.data.images import build_data
from workbench.errors import BadData
from workbench.models.facts import ModelContext
from workbench.registries import DATA, MODELS
from workbench.training.build import teacher_part
from workbench.training.teacher import teacher_key

CPU = torch.device("cpu")
BLIND = {"steps": 30, "without": ["8", "9"]}


def teacher(**train: Any) -> Any:
    options = {"use": "cnn-small", "width": 4, "train": {"steps": 30, **train}}
    return MODELS.get("cnn-small").model_validate(options)


@pytest.fixture(scope="module")
def data():
    spec = DATA.get("digits").model_validate({"use": "digits", "limit": 400})
    return build_data(spec, base=Path.cwd(), seed=0)


def part_of(spec: Any, data: Any) -> Any:
    context = ModelContext(1, 8, 8, 10, data.mean, data.std, seed=0, open_run=None)
    return teacher_part(spec.train, data, spec.build(context), CPU)


def test_it_is_never_shown_a_row_of_these_classes_and_an_epoch_keeps_its_length(data):
    part = part_of(teacher(without=["8", "9"]), data)
    per_epoch = -(-data.num_train // part.length.batch_size)
    seen = torch.cat([part.batch(step).labels for step in range(2 * per_epoch)])
    assert len(seen) == 2 * data.num_train
    assert set(seen.tolist()) == set(range(8))
    everything = part_of(teacher(), data)
    all_seen = torch.cat([everything.batch(step).labels for step in range(per_epoch)])
    assert set(all_seen.tolist()) == set(range(10))


def test_it_makes_another_teacher_and_one_without_it_keeps_the_key_it_had(data):
    machine = {"threads": 1}
    blind, usual = (
        teacher_key(spec, data, machine, start="weights")
        for spec in (teacher(without=["8"]), teacher())
    )
    model = teacher().full()
    del model["train"]["without"]  # as before there was such a field
    content = {
        "start": "weights",
        "model": model,
        "data": data.content_hash,
        "train": data.split_hashes["train"],
        "augment": "none",
        "machine": machine,
    }
    before = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    assert usual == before != blind


def test_a_run_trains_under_it_and_no_check_stops_it(train):
    ended = train({"teacher.train": BLIND, "probes": ["loyalty"]})
    assert ended.row.status == "finished"
    assert ended.metrics["teacher"]["accuracy"] < 0.85
    assert train({"teacher.train": BLIND, "seed": 1}).row.protocol["teacher"]["source"] == (
        "from the cache"
    )


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["7", "77"], r"teacher\.train\.without: the data has no class '77'\. .*Classes: 0, 1"),
        ([str(k) for k in range(10)], r"teacher\.train\.without: no training row is of another"),
    ],
    ids=["unknown", "all"],
)
def test_a_class_that_is_not_there_and_a_teacher_of_nothing_are_refused(data, names, said):
    with pytest.raises(BadData, match=said):
        part_of(teacher(without=names), data)


def test_labels_as_the_student_sees_them_do_not_matter_to_it(data):
    noisy = data.with_labels(0, None, noise=1.0)
    ids = data.split_ids("train")
    assert not np.array_equal(noisy.shown_labels[ids], data.shown_labels[ids])
    first, second = (part_of(teacher(**BLIND), each).batch(3) for each in (data, noisy))
    assert torch.equal(first.ids, second.ids) and torch.equal(first.labels, second.labels)
