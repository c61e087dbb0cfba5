"""Probes of a student that has no numbers any more, and of networks that do not sit still."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from workbench.models.adapter import wrap_module
from workbench.models.facts import ModelContext
from workbench.models.weights import weights_hash
from workbench.probes import view
from workbench.probes.view import look
from workbench.registries import PROBES

BUILTIN = ["calibration", "cka", "loyalty", "trilateral"]


def measured(name, scene, seen):
    return PROBES.get(name).model_validate({"use": name}).build(scene.pair).measure(seen)


def spoilt(seen, rows, bad):
    """The same look with some rows of every tensor made ``bad``."""

    def copy(tensor):
        changed = tensor.clone()
        changed[rows] = bad
        return changed

    features = [copy(layer) for layer in seen.features]
    return replace(
        seen, logits=copy(seen.logits), val_logits=copy(seen.val_logits), features=features
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("rows", [slice(0, 3), slice(None)], ids=["some", "all"])
@pytest.mark.parametrize("name", BUILTIN)
def test_a_student_without_numbers_is_measured_and_its_facts_are_json(name, rows, bad, scene):
    found = measured(name, scene, spoilt(scene.student_look, rows, bad))
    usual = measured(name, scene, scene.student_look)
    facts = json.loads(json.dumps(dict(found.facts), allow_nan=False))
    assert set(facts) == set(usual.facts)
    assert {key: values.shape for key, values in found.arrays.items()} == {
        key: values.shape for key, values in usual.arrays.items()
    }


def test_rows_that_still_have_numbers_stay_in_the_reliability_table(scene):
    seen = scene.student_look
    found = measured("calibration", scene, spoilt(seen, slice(0, 3), math.nan))
    rest = replace(seen, logits=seen.logits[3:], val_logits=seen.val_logits[3:])
    rows = replace(scene.rows, labels=scene.rows.labels[3:], val_labels=scene.rows.val_labels[3:])
    teacher = replace(
        scene.pair.teacher,
        logits=scene.pair.teacher.logits[3:],
        val_logits=scene.pair.teacher.val_logits[3:],
    )
    kind = PROBES.get("calibration").model_validate({"use": "calibration"})
    alone = kind.build(replace(scene.pair, rows=rows, teacher=teacher)).measure(rest)
    for key in ("count", "confidence", "accuracy", "count_scaled", "band_low"):
        np.testing.assert_array_equal(
            found.arrays[f"student_{key}"], alone.arrays[f"student_{key}"]
        )
    for key in ("ece", "ece_null_p95", "temperature", "ece_scaled"):
        assert found.facts["student"][key] == alone.facts["student"][key]
    assert (found.facts["student"]["nll"], found.facts["student"]["brier"]) == (None, None)


def test_shuffled_examples_exceed_the_null_level_one_time_in_twenty(scene):
    """A permutation is the definition of the null; the closed form must agree with it."""
    kind = PROBES.get("cka").model_validate({"use": "cka"})
    probe, seen = kind.build(scene.pair), scene.student_look
    level = probe.measure(seen).arrays["null_p95"]
    generator, above, rounds = torch.Generator().manual_seed(0), np.zeros(level.shape), 200
    for _ in range(rounds):
        order = torch.randperm(len(seen.features[0]), generator=generator)
        shuffled = replace(seen, features=[layer[order] for layer in seen.features])
        above += probe.measure(shuffled).arrays["unbiased"] > level
    assert 0.025 < above.mean() / rounds < 0.075
    assert above.max() / rounds < 0.13


@pytest.mark.parametrize("chunk", [7, 50, 10_000])
def test_the_size_of_a_chunk_changes_nothing(chunk, scene, monkeypatch):
    layers, usual = scene.student.facts.layers, scene.student_look
    monkeypatch.setattr(view, "CHUNK", chunk)
    seen = look(scene.student, scene.rows, layers, val=True)
    torch.testing.assert_close(seen.logits, usual.logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(seen.val_logits, usual.val_logits, rtol=1e-5, atol=1e-5)
    for mine, theirs in zip(seen.features, usual.features, strict=True):
        assert len(mine) == scene.rows.num_similar
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)


class Restless(nn.Module):
    """A user's network that counts its calls and draws, even in evaluation mode."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(64, 10)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, images):
        self.calls += 1
        noise = torch.rand(1) + random.random() + float(np.random.rand())  # noqa: S311
        return self.line(images.flatten(1)) + 1e-9 * noise


@pytest.mark.parametrize("layers", [(), ("line",)])
def test_a_look_puts_back_what_a_network_changes_in_evaluation_mode(layers, scene):
    data = scene.data
    context = ModelContext(1, 8, 8, 10, data.mean, data.std, seed=0, open_run=None)
    model = wrap_module(Restless(), context)
    before, torch_state = weights_hash(model), torch.get_rng_state()
    numpy_state, python_state = np.random.get_state()[1].copy(), random.getstate()
    look(model, scene.rows, layers, val=True)
    assert weights_hash(model) == before
    assert torch.equal(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state)
    assert random.getstate() == python_state


@pytest.mark.parametrize("sign", [50.0, -50.0], ids=["every row right", "every row wrong"])
def test_a_temperature_that_ran_into_its_bound_is_none(sign, scene):
    one_sided = sign * nn.functional.one_hot(scene.rows.val_labels, 10).float()
    shown = replace(scene.student_look, val_logits=one_sided)
    facts = measured("calibration", scene, shown).facts["student"]
    usual = measured("calibration", scene, scene.student_look).facts["student"]
    assert usual["temperature"] > 0
    assert (facts["temperature"], facts["ece_scaled"], facts["ece_scaled_null_p95"]) == (None,) * 3
    assert facts["ece"] == usual["ece"]
