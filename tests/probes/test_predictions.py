"""Wedge, calibration and loyalty say what the measures say when they are called directly."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from workbench.functional.calibration import expected_calibration_error
from workbench.functional.knowledge import correctness_table
from workbench.functional.loyalty import label_loyalty, probability_loyalty
from workbench.functional.scoring import brier_score, fit_temperature, nll
from workbench.functional.trilateral import embed
from workbench.probes.predictions import CalibrationProbe, LoyaltyProbe, TrilateralProbe
from workbench.registries import PROBES


def probs(logits: torch.Tensor) -> np.ndarray:
    values = logits.double().numpy()
    values = np.exp(values - values.max(1, keepdims=True))
    return values / values.sum(1, keepdims=True)


def test_the_triangle_of_each_sample_has_its_three_sides(scene):
    """By numpy: the distances between one-hot truth, student's and teacher's probabilities."""
    found = TrilateralProbe(scene.pair).measure(scene.student_look).arrays
    student, teacher = probs(scene.student_look.logits), probs(scene.pair.teacher.logits)
    truth = np.eye(10)[scene.rows.labels.numpy()]
    to_truth = np.linalg.norm(student - truth, axis=1)
    between = np.linalg.norm(student - teacher, axis=1)
    base = np.linalg.norm(teacher - truth, axis=1)
    np.testing.assert_allclose(np.hypot(found["x"], found["y"]), to_truth, atol=1e-5)
    np.testing.assert_allclose(found["teacher_x"], base, atol=1e-5)
    sides = np.hypot(found["x"] - found["teacher_x"], found["y"])
    np.testing.assert_allclose(sides, between, atol=1e-5)
    assert (found["y"] >= 0).all()
    np.testing.assert_array_equal(found["ids"], scene.data.split_ids("probe"))


def test_the_second_triangle_has_hellingers_three_sides(scene):
    """By numpy: H² is 1 - the sum of roots of products; of a one-hot one root is left."""
    found = TrilateralProbe(scene.pair).measure(scene.student_look)
    student, teacher = probs(scene.student_look.logits), probs(scene.pair.teacher.logits)
    labels = scene.rows.labels.numpy()
    rows = np.arange(len(labels))
    x, y, base = (found.arrays[f"hellinger_{name}"] for name in ("x", "y", "teacher_x"))
    to_truth, reach = (np.sqrt(1 - np.sqrt(p[rows, labels])) for p in (student, teacher))
    between = np.sqrt(np.maximum(1 - np.sqrt(student * teacher).sum(1), 0))
    np.testing.assert_allclose(np.hypot(x, y), to_truth, atol=1e-5)
    np.testing.assert_allclose(base, reach, atol=1e-5)
    np.testing.assert_allclose(np.hypot(x - base, y), between, atol=1e-5)
    assert np.hypot(x, y).max() <= 1
    assert found.facts["class_names"] == list(scene.pair.class_names)


def test_the_triangle_is_the_measures_own(scene):
    found = TrilateralProbe(scene.pair).measure(scene.student_look)
    labels = scene.rows.labels
    direct = embed(
        scene.student_look.logits.double().softmax(-1),
        scene.pair.teacher.logits.double().softmax(-1),
        labels,
    )
    np.testing.assert_array_equal(found.arrays["x"], direct.x.float().numpy())
    np.testing.assert_array_equal(found.arrays["alpha"], direct.alpha.float().numpy())
    assert found.facts["n"] == len(labels)
    right = scene.student_look.logits.argmax(-1) == labels
    np.testing.assert_array_equal(found.arrays["student_right"], right.numpy())


def test_calibration_is_the_measures_own_before_and_after_scaling(scene):
    found = CalibrationProbe(scene.pair).measure(scene.student_look)
    labels = scene.rows.labels
    for who, seen in (("student", scene.student_look), ("teacher", scene.pair.teacher)):
        facts, logits = found.facts[who], seen.logits.double()
        temperature = fit_temperature(seen.val_logits.double(), scene.rows.val_labels)
        assert facts["temperature"] == pytest.approx(temperature)
        plain, scaled = logits.softmax(-1), (logits / temperature).softmax(-1)
        assert facts["ece"] == pytest.approx(expected_calibration_error(plain, labels))
        assert facts["ece_scaled"] == pytest.approx(expected_calibration_error(scaled, labels))
        assert facts["nll"] == pytest.approx(nll(logits, labels))
        assert facts["brier"] == pytest.approx(brier_score(plain, labels))
        counts = found.arrays[f"{who}_count"]
        assert counts.sum() == len(labels)
        confidence = plain.max(-1).values.numpy()
        bins = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
        np.testing.assert_array_equal(counts, np.bincount(bins, minlength=15))
        full = counts > 0
        low, high = (found.arrays[f"{who}_wilson_{end}"][full] for end in ("low", "high"))
        accuracy = found.arrays[f"{who}_accuracy"][full]
        assert (low <= accuracy + 1e-6).all()
        assert (accuracy <= high + 1e-6).all()


def test_a_model_that_is_right_on_all_of_val_has_no_temperature_and_says_none(scene):
    sure = torch.eye(10)[scene.rows.val_labels] * 50
    found = CalibrationProbe(scene.pair).measure(replace(scene.student_look, val_logits=sure))
    facts = found.facts["student"]
    assert facts["temperature"] is None or facts["temperature"] > 0
    if facts["temperature"] is None:
        assert facts["ece_scaled"] is None
    assert json.dumps(found.facts, allow_nan=False)


def test_loyalty_is_the_measures_own_and_its_table_counts_every_row(scene):
    found = LoyaltyProbe(scene.pair).measure(scene.student_look)
    student, teacher, labels = (
        scene.student_look.logits,
        scene.pair.teacher.logits,
        scene.rows.labels,
    )
    assert found.facts["label_loyalty"] == label_loyalty(student, teacher)
    assert found.facts["probability_loyalty"] == pytest.approx(
        probability_loyalty(student.double().softmax(-1), teacher.double().softmax(-1))
    )
    table = found.arrays["table"]
    np.testing.assert_array_equal(table, correctness_table(student, teacher, labels).numpy())
    assert table.sum() == len(labels)
    mine, theirs = student.argmax(-1).numpy(), teacher.argmax(-1).numpy()
    truth = labels.numpy()
    assert found.facts["copied"] == int(((theirs != truth) & (mine == theirs)).sum())
    to_learn, copied, rows = found.arrays["by_class"]
    assert to_learn.sum() == ((mine != truth) & (theirs == truth)).sum()
    assert copied.sum() == found.facts["copied"]
    np.testing.assert_array_equal(rows, np.bincount(truth, minlength=10))


@pytest.mark.parametrize("name", PROBES.names())
def test_a_student_equal_to_its_teacher_is_told_so(scene, name):
    pair = replace(scene.pair, student_layers=scene.pair.teacher_layers)
    probe = PROBES.get(name).model_validate({"use": name}).build(pair)
    found = probe.measure(scene.pair.teacher)
    if name == "loyalty":
        assert found.facts["label_loyalty"] == 1.0
        assert found.facts["probability_loyalty"] == pytest.approx(1.0)
        assert found.facts["kl_nats"] == pytest.approx(0.0, abs=1e-9)
    elif name == "trilateral":
        np.testing.assert_allclose(found.arrays["x"], found.arrays["teacher_x"], atol=1e-6)
        np.testing.assert_allclose(found.arrays["y"], 0, atol=1e-6)
    elif name == "calibration":
        assert found.facts["student"] == found.facts["teacher"]
    elif name == "cka":
        np.testing.assert_allclose(np.diag(found.arrays["unbiased"]), 1.0, atol=1e-5)
    assert json.dumps(dict(found.facts), allow_nan=False)


@pytest.mark.parametrize("name", PROBES.names())
def test_a_probe_says_what_it_is_and_leaves_the_students_look_alone(scene, name):
    kind = PROBES.get(name).model_validate({"use": name})
    assert kind.summary and kind.paper
    before = scene.student_look.logits.clone()
    first = kind.build(scene.pair).measure(scene.student_look)
    second = kind.build(scene.pair).measure(scene.student_look)
    assert torch.equal(scene.student_look.logits, before)
    assert first.facts == second.facts
    for key, array in first.arrays.items():
        np.testing.assert_array_equal(array, second.arrays[key])
    assert first.facts["n"] > 0
