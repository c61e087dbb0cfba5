"""Calibration errors against loops over samples, known values and the laws of a table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.functional.calibration import (
    ClasswiseTable,
    ReliabilityTable,
    adaptive_calibration_error,
    binary_calibration_error,
    classwise_ece,
    classwise_ece_per_class,
    confidence_and_correct,
    confidence_and_correct_from_logits,
    debiased_l2_calibration_error,
    equal_mass_edges,
    expected_calibration_error,
    expected_calibration_error_from_logits,
    maximum_calibration_error,
    rms_calibration_error,
)


def predictions(n: int = 400, classes: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n, classes, generator=generator, dtype=torch.float64)
    labels = torch.multinomial((logits / 1.5).softmax(1), 1, generator=generator).squeeze(1)
    return logits, labels


def loop_gaps(confidence: np.ndarray, correct: np.ndarray, bins: int) -> list[tuple[int, float]]:
    """Count and |gap| of each non-empty right-closed bin, one sample at a time."""
    members: dict[int, list[int]] = {}
    for i, value in enumerate(confidence):
        index = next(b for b in range(bins) if value <= (b + 1) / bins)
        members.setdefault(index, []).append(i)
    return [(len(m), abs(confidence[m].mean() - correct[m].mean())) for m in members.values()]


@pytest.mark.parametrize("bins", [1, 4, 15])
def test_errors_match_a_loop_over_samples(bins):
    logits, labels = predictions()
    probs = logits.softmax(1)
    top = probs.numpy().max(1)
    right = (probs.numpy().argmax(1) == labels.numpy()).astype(float)
    gaps = loop_gaps(top, right, bins)
    ece = sum(n * g for n, g in gaps) / 400
    rms = math.sqrt(sum(n * g * g for n, g in gaps) / 400)
    assert expected_calibration_error(probs, labels, num_bins=bins) == pytest.approx(ece)
    assert expected_calibration_error_from_logits(logits, labels, num_bins=bins) == pytest.approx(
        ece
    )
    assert rms_calibration_error(probs, labels, num_bins=bins) == pytest.approx(rms)
    largest = max(g for _, g in gaps)
    assert maximum_calibration_error(probs, labels, num_bins=bins) == pytest.approx(largest)


def test_classwise_matches_a_loop_over_classes():
    logits, labels = predictions(classes=5)
    probs = logits.softmax(1)
    expected = [
        sum(n * g for n, g in loop_gaps(probs[:, k].numpy(), (labels == k).double().numpy(), 15))
        / 400
        for k in range(5)
    ]
    actual = classwise_ece_per_class(probs, labels)
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-10)
    assert classwise_ece(probs, labels) == pytest.approx(np.mean(expected))


def test_class_that_never_occurs_counts_with_its_mean_probability():
    probs = torch.tensor([[0.7, 0.3, 0.0], [0.6, 0.2, 0.2]], dtype=torch.float64)
    per_class = classwise_ece_per_class(probs, torch.tensor([0, 1]))
    assert float(per_class[2]) == pytest.approx(0.1)


@pytest.mark.parametrize(("closed", "counts"), [("right", [2, 1, 1, 1]), ("left", [1, 1, 1, 2])])
def test_edges_belong_to_the_bin_that_the_convention_names(closed, counts):
    table = ReliabilityTable(4, closed=closed)
    table.update(torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0]), torch.zeros(5, dtype=torch.bool))
    assert table.count.tolist() == counts


def test_certain_and_right_is_perfect_and_certain_and_wrong_is_worst():
    probs = torch.eye(3)
    assert expected_calibration_error(probs, torch.arange(3)) == 0
    assert expected_calibration_error(probs, torch.tensor([1, 2, 0])) == 1
    assert maximum_calibration_error(probs, torch.tensor([1, 2, 0])) == 1


def test_tied_classes_predict_the_first():
    probs = torch.tensor([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [0.5, 0.0, 0.5]])
    confidence, correct = confidence_and_correct(probs, torch.tensor([0, 1, 2]))
    assert correct.tolist() == [True, False, False]
    assert confidence.tolist() == pytest.approx([0.4, 0.4, 0.5])
    _, from_logits = confidence_and_correct_from_logits(probs.log(), torch.tensor([0, 1, 2]))
    assert from_logits.tolist() == [True, False, False]


def test_million_of_float32_confidences_add_up_exactly():
    """Sums of float32 in float32 lose this (torchmetrics: 2.68e-4 for 2.44e-4)."""
    generator = torch.Generator().manual_seed(0)
    confidence = 0.5 + 0.5 * torch.rand(1_000_000, generator=generator)
    correct = torch.rand(1_000_000, generator=generator) < confidence
    table = ReliabilityTable()
    table.update(confidence, correct)
    values, hits = confidence.double().numpy(), correct.numpy()
    index = np.ceil(values * 15).astype(int) - 1
    expected = sum(abs(math.fsum(values[index == b]) - hits[index == b].sum()) for b in range(15))
    assert table.ece() == pytest.approx(expected / 1e6, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    rows=st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60),
    cut=st.integers(0, 60),
    bins=st.integers(1, 20),
    closed=st.sampled_from(["right", "left"]),
)
def test_tables_add_up_whatever_the_batches(rows, cut, bins, closed):
    confidence = torch.tensor([r[0] for r in rows], dtype=torch.float64)
    correct = torch.tensor([r[1] for r in rows])
    whole, left, right = (ReliabilityTable(bins, closed=closed) for _ in range(3))
    whole.update(confidence, correct)
    left.update(confidence[:cut], correct[:cut])
    right.update(confidence[cut:], correct[cut:])
    merged = right.merge(left)
    assert torch.equal(merged.count, whole.count)
    assert torch.equal(merged.sum_correct, whole.sum_correct)
    assert merged.ece() == pytest.approx(whole.ece(), abs=1e-12)
    assert 0 <= whole.ece() <= whole.rms() + 1e-12 <= whole.maximum() + 2e-12 <= 1 + 3e-12
    assert int(whole.count.sum()) == len(rows)


def test_empty_bins_are_nan_and_an_empty_table_has_no_error():
    table = ReliabilityTable(4)
    assert all(math.isnan(value) for value in (table.ece(), table.maximum(), table.average()))
    table.update(torch.tensor([0.9]), torch.tensor([True]))
    rows = table.compute()
    assert torch.isnan(rows.accuracy).tolist() == [True, True, True, False]
    assert float(rows.mean_confidence[3]) == pytest.approx(0.9)


def test_equal_mass_bins_never_split_ties():
    """All confidences equal: cutting the sorted list into chunks would invent 0.236."""
    confidence = torch.full((100,), 0.93, dtype=torch.float64)
    probs = torch.stack([confidence, 1 - confidence], 1)
    labels = (torch.arange(100) >= 80).long()  # 80 % right
    assert adaptive_calibration_error(probs, labels) == pytest.approx(0.13)
    assert equal_mass_edges(confidence).tolist() == [0, pytest.approx(0.93), 1]


def test_equal_mass_bins_hold_equal_numbers_without_ties():
    confidence = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    table = ReliabilityTable(edges=equal_mass_edges(confidence, 10))
    table.update(confidence, confidence > 2)
    assert table.count.tolist() == [100] * 10


def test_debiased_error_is_near_zero_where_the_plain_one_is_not():
    """A calibrated model: the plain RMS error is sampling noise, the debiased one takes it off."""
    plain, debiased = [], []
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        confidence = 0.5 + 0.5 * torch.rand(500, generator=generator, dtype=torch.float64)
        probs = torch.stack([confidence, 1 - confidence], 1)
        labels = (torch.rand(500, generator=generator, dtype=torch.float64) > confidence).long()
        plain.append(rms_calibration_error(probs, labels) ** 2)
        debiased.append(debiased_l2_calibration_error(probs, labels) ** 2)
    assert np.mean(debiased) < 0.4 * np.mean(plain)


def test_two_forms_of_the_binary_error_differ():
    probs, labels = torch.tensor([0.2, 0.4, 0.9]), torch.tensor([0, 1, 1])
    assert binary_calibration_error(probs, labels) == pytest.approx((0.2 + 0.6 + 0.1) / 3)
    confidence = binary_calibration_error(probs, labels, form="confidence")
    assert confidence == pytest.approx((0.2 + 0.6 + 0.1) / 3)
    probs, labels = torch.tensor([0.1, 0.9]), torch.tensor([1, 1])
    assert binary_calibration_error(probs, labels) == pytest.approx(0.5)
    assert binary_calibration_error(probs, labels, form="confidence") == pytest.approx(0.4)


def test_logits_given_as_probabilities_are_refused():
    logits, labels = predictions()
    with pytest.raises(ValueError, match=r"sum to 1.*_from_logits"):
        expected_calibration_error(logits, labels)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got .*_from_logits"):
        ReliabilityTable().update(torch.tensor([1.5]), torch.tensor([True]))


@pytest.mark.parametrize("label", [-1, 6])
def test_labels_outside_the_classes_are_refused(label):
    logits, labels = predictions()
    labels[3] = label
    with pytest.raises(ValueError, match=r"labels must lie in 0\.\.5.*withheld"):
        expected_calibration_error_from_logits(logits, labels)


def test_tables_of_other_bins_do_not_merge():
    with pytest.raises(ValueError, match="different bins"):
        ReliabilityTable(10).merge(ReliabilityTable(15))
    with pytest.raises(ValueError, match="`num_bins` must be >= 1, got 0"):
        ReliabilityTable(0)


@pytest.mark.parametrize("closed", ["right", "left"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_classwise_table_equals_binning_every_entry(closed, dtype):
    """Three confident rows in ten, several chunks, entries on edges."""
    generator = torch.Generator().manual_seed(0)
    logits = (
        torch.randn(1200, 500, generator=generator)
        * torch.tensor([1.0, 9.0])[(torch.rand(1200, 1, generator=generator) < 0.3).long()]
    )
    probs = logits.to(dtype).softmax(1)
    probs[:5] = 0.0
    probs[:5, :5] = 0.2
    first = torch.tensor(1 / 15, dtype=dtype)
    probs[5:9] = 0.0
    probs[5:7, :15] = first.nextafter(torch.ones((), dtype=dtype))
    probs[7:9, :15] = first.nextafter(torch.zeros((), dtype=dtype))
    labels = torch.randint(0, 500, (1200,), generator=generator)
    table = ClasswiseTable(500, 15, closed=closed)
    table.update(probs, labels)
    values = probs.double().numpy()
    index = np.digitize(values, np.arange(1, 15) / 15, right=closed == "right")
    cells = np.arange(500) * 15 + index
    confidence = np.bincount(cells.ravel(), values.ravel(), minlength=7500).reshape(500, 15)
    rows = np.arange(1200)
    hits = np.bincount(cells[rows, labels.numpy()], minlength=7500).reshape(500, 15)
    np.testing.assert_allclose(table.sum_confidence.numpy(), confidence, rtol=0, atol=1e-11)
    assert np.array_equal(table.sum_correct.numpy(), hits)
    expected = np.abs(confidence - hits).sum(1) / 1200
    np.testing.assert_allclose(table.compute().numpy(), expected, rtol=1e-11)


def test_classwise_table_is_for_its_classes_only():
    with pytest.raises(ValueError, match="expected 3 classes, got 2"):
        ClasswiseTable(3).update(torch.eye(2), torch.tensor([0, 1]))
    assert math.isnan(ClasswiseTable(3).ece())


def test_ties_are_settled_for_transposed_and_half_precision_rows():
    probs = torch.tensor([[0.5, 0.5, 0.0], [0.25, 0.25, 0.5]])
    labels = torch.tensor([1, 2])
    for given_probs in (probs, probs.T.contiguous().T, probs.bfloat16()):
        confidence, correct = confidence_and_correct(given_probs, labels)
        assert correct.tolist() == [False, True]
        assert confidence.tolist() == [0.5, 0.5]
