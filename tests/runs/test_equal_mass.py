"""Bins of equal mass without torch: edges, ECE and null are those of the functional core."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workbench.functional.calibration import ReliabilityTable, adaptive_calibration_error, ece_null
from workbench.functional.calibration_table import equal_mass_edges
from workbench.runs import chance
from workbench.runs.equal_mass import with_equal_mass


def sure_model(n, seed=0):
    """Probabilities (n, 3) most of which lie close to 1, some of them equal, and labels."""
    draw = np.random.default_rng(seed)
    top = np.clip(draw.beta(30, 1, n), 1 / 3, 1.0)
    top[: n // 5] = top[0]
    probs = np.stack([top, (1 - top) * 0.6, (1 - top) * 0.4], axis=1)
    return probs, np.where(draw.random(n) < top, 0, 1)


def snapshot(n):
    probs, labels = sure_model(n)
    right = (labels == 0).astype(np.uint8)
    arrays = {}
    for who in ("student", "teacher"):
        top = probs[:, 0] if who == "student" else np.sqrt(probs[:, 0])
        arrays |= {
            f"{who}_each_top": top,
            f"{who}_each_top_scaled": top**1.5,
            f"{who}_each_right": right,
        }
    return arrays, {who: {"temperature": 1.5} for who in ("student", "teacher")}


@pytest.mark.parametrize("n", [1, 10, 37, 252, 4001])
def test_edges_and_ece_are_those_of_the_functional_core(n):
    probs, labels = sure_model(n)
    edges = chance.equal_mass_edges(probs[:, 0])
    top = torch.as_tensor(probs[:, 0].copy())
    theirs = equal_mass_edges(top)
    np.testing.assert_array_equal(edges, theirs.numpy())
    table = chance.Table.of(probs[:, 0], labels == 0, edges)
    expected = adaptive_calibration_error(torch.as_tensor(probs), torch.as_tensor(labels))
    assert table.ece() == pytest.approx(expected, abs=1e-12)
    same = ReliabilityTable(edges=theirs)
    same.update(top, torch.as_tensor(labels == 0))
    assert table.ece_null() == pytest.approx(ece_null(same)[1], rel=1e-9)


def test_the_null_of_equal_mass_bins_is_what_a_calibrated_model_shows():
    """By simulation: one time in twenty a perfectly calibrated model lies above it."""
    probs, _ = sure_model(400, seed=3)
    top, draw = probs[:, 0], np.random.default_rng(4)
    edges = chance.equal_mass_edges(top)
    limit = chance.Table.of(top, top > 0, edges).ece_null()
    found = [chance.Table.of(top, draw.random(400) < top, edges).ece() for _ in range(2000)]
    assert 0.035 < np.mean(np.asarray(found) > limit) < 0.065


def test_bins_hold_equally_many_and_equal_confidences_stay_together():
    top = np.random.default_rng(0).beta(30, 1, 300)
    count = chance.Table.of(top, top > 0, chance.equal_mass_edges(top)).count
    np.testing.assert_array_equal(count, np.full(15, 20))
    tied = np.concatenate([np.full(200, 0.9), top[:100]])
    edges = chance.equal_mass_edges(tied)
    assert len(edges) - 1 < 15
    assert np.bincount(chance.bin_of(tied, edges)).max() >= 200


def test_undefined_confidences_are_left_out_and_lie_in_no_bin():
    arrays, facts = snapshot(60)
    arrays["student_each_top"] = arrays["student_each_top"].copy()
    arrays["student_each_top"][:7] = np.nan
    made, told = with_equal_mass(arrays, facts)
    assert made["student_count_mass"].sum() == 53 and told["student"]["ece_mass"] is not None
    assert (made["bin_student_mass"][:7] == -1).all()
    arrays["student_each_top"] = np.full(60, np.nan)
    made, told = with_equal_mass(arrays, facts)
    assert told["student"]["ece_mass"] is told["student"]["ece_mass_null_p95"] is None
    assert made["student_count_mass"].tolist() == [0]


def test_every_count_is_of_the_samples_that_a_click_finds():
    arrays, facts = snapshot(252)
    made, told = with_equal_mass(arrays, facts)
    for who in ("student", "teacher"):
        for suffix in ("_mass", "_mass_scaled"):
            found = np.bincount(made[f"bin_{who}{suffix}"])
            np.testing.assert_array_equal(found, made[f"{who}_count{suffix}"])
            assert len(made[f"{who}_edges{suffix}"]) == len(found) + 1
            assert 0 <= told[who][f"ece{suffix}"] <= 1


def test_a_selection_has_bins_of_its_own_as_if_it_were_all():
    arrays, facts = snapshot(252)
    rows = np.arange(252) % 3 == 1
    made, told = with_equal_mass(arrays, facts, rows)
    alone, said = with_equal_mass({name: v[rows] for name, v in arrays.items()}, facts)
    assert told == said
    for name in ("student_accuracy_mass", "teacher_edges_mass_scaled", "student_band_low_mass"):
        np.testing.assert_array_equal(made[name], alone[name])
    np.testing.assert_array_equal(made["bin_student_mass"][rows], alone["bin_student_mass"])


def test_a_temperature_that_was_not_found_leaves_no_scaled_ece():
    arrays, facts = snapshot(100)
    facts["teacher"] = {"temperature": None}
    _, told = with_equal_mass(arrays, facts)
    assert told["teacher"]["ece_mass_scaled"] is None and told["teacher"]["ece_mass"] is not None


def test_an_older_snapshot_without_single_samples_gets_none():
    arrays, facts = with_equal_mass({"student_count": np.zeros(15)}, {"student": {}})
    assert list(arrays) == ["student_count"] and facts == {"student": {}}
