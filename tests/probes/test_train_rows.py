"""Loyalty on training rows: which rows, that nothing else moves, and that it is one measure."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from workbench.models.batch import UNLABELLED
from workbench.probes.predictions import LoyaltyProbe
from workbench.probes.probe import Pair
from workbench.probes.view import Rows, look
from workbench.registries import PROBES
from workbench.specs.experiment import ExperimentSpec
from workbench.training.probing import probe_rows

ASKED = [PROBES.get("loyalty").model_validate({"use": "loyalty", "train": True})]


@pytest.fixture(scope="module")
def rows(scene):
    return probe_rows(scene.data, ASKED)


def test_as_many_training_rows_as_probe_rows_are_drawn_once_for_all(scene, rows):
    ids = rows.train.ids.numpy()
    assert len(ids) == len(rows.ids) and (np.diff(ids) > 0).all()
    assert set(ids.tolist()) <= set(scene.data.split_ids("train").tolist())
    np.testing.assert_array_equal(ids, probe_rows(scene.data, ASKED).train.ids.numpy())
    assert (np.diff(np.flatnonzero(np.isin(scene.data.split_ids("train"), ids))) > 1).any()
    truth = scene.data.fetch_full(ids)
    np.testing.assert_array_equal(rows.train.labels.numpy(), truth.labels.numpy())


def test_who_does_not_ask_gets_none(scene, rows):
    plain = [PROBES.get("loyalty").model_validate({"use": "loyalty"})]
    assert probe_rows(scene.data, plain).train is None
    assert look(scene.student, rows, (), val=False).train_logits is None
    assert look(scene.student, scene.rows, (), val=False, train=True).train_logits is None


def test_rows_without_a_class_are_not_asked_about(scene, monkeypatch):
    labels = scene.data.examples.labels.copy()
    train = scene.data.split_ids("train")
    labels[train[::2]] = UNLABELLED
    pool = SimpleNamespace(labels=labels, provenance=None)  # as of a pool with foreign rows
    monkeypatch.setattr(scene.data, "examples", pool)
    found = probe_rows(scene.data, ASKED).train.ids.numpy()
    assert set(found.tolist()) <= set(train[1::2].tolist())


def test_the_numbers_are_those_of_the_probe_on_these_rows_alone(scene, rows):
    looks = [look(m, rows, (), val=False, train=True) for m in (scene.student, scene.teacher)]
    found = LoyaltyProbe(Pair(rows, looks[1], (), (), scene.data.class_names)).measure(looks[0])
    own = Rows(*(getattr(rows.train, name) for name in ("ids", "inputs", "labels")),
               torch.zeros(0), torch.zeros(0), 0)  # fmt: skip
    alone = [look(m, own, (), val=False) for m in (scene.student, scene.teacher)]
    other = LoyaltyProbe(Pair(own, alone[1], (), (), scene.data.class_names)).measure(alone[0])
    for name in ("table", "by_class", "student_right"):
        np.testing.assert_array_equal(found.arrays[f"train_{name}"], other.arrays[name])
    for name, value in found.facts["train"].items():
        assert value == pytest.approx(other.facts[name], abs=1e-6), name
    np.testing.assert_array_equal(found.arrays["train_ids"], rows.train.ids.numpy())
    plain = LoyaltyProbe(scene.pair).measure(scene.student_look)
    assert "train" not in plain.facts and not [n for n in plain.arrays if n.startswith("train")]
    np.testing.assert_array_equal(found.arrays["table"], plain.arrays["table"])


def test_the_option_is_kept_in_the_file():
    spec = ExperimentSpec.parse(
        {
            "name": "a",
            "data": "digits",
            "teacher": {"use": "cnn-small", "train": {"epochs": 1}},
            "student": "cnn-tiny",
            "stages": {"main": {"terms": {"ce": "ce"}, "steps": 1}},
            "probes": ["cka", {"use": "loyalty", "train": True}],
        }
    )
    assert spec.given()["probes"] == ["cka", {"use": "loyalty", "train": True}]
    assert [kind.wants_train for kind in spec.probes] == [False, True]
