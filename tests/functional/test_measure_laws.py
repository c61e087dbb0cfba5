"""Invariances and bounds of the measures, on many small inputs, the degenerate ones included."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workbench.functional.calibration import (
    ReliabilityTable,
    ScoreTable,
    classwise_ece,
    expected_calibration_error,
    maximum_calibration_error,
)
from workbench.functional.cka import linear_cka, rbf_cka
from workbench.functional.knowledge import FlipTable
from workbench.functional.loyalty import (
    label_loyalty,
    probability_loyalty,
    sqrt_js,
    total_variation,
)
from workbench.functional.trilateral import embed

laws = settings(max_examples=40, deadline=None, derandomize=True)
seeds = st.integers(0, 2**31)


def layers(seed: int, num: int, width: int, other: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num, width, generator=generator, dtype=torch.float64)
    mixed = x @ torch.randn(width, other, generator=generator, dtype=torch.float64)
    noise = torch.randn(num, other, generator=generator, dtype=torch.float64)
    return x, mixed + noise


def rotation(size: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64)).Q


@st.composite
def distributions(draw: st.DrawFn, *, rows: int = 2) -> Tensor:
    """Rows of probabilities over few classes: spread, peaked, with zeros, nearly equal."""
    classes = draw(st.integers(2, 8))
    sharpness = draw(st.sampled_from([0.0, 1e-6, 1.0, 8.0, 60.0]))
    generator = torch.Generator().manual_seed(draw(seeds))
    scores = torch.randn(rows, 5, classes, generator=generator, dtype=torch.float64)
    probs = (sharpness * scores).softmax(-1)
    if draw(st.booleans()):  # one-hot rows among them
        probs[0, 0] = torch.eye(classes, dtype=torch.float64)[0]
        probs[1, 0] = torch.eye(classes, dtype=torch.float64)[classes - 1]
    return probs


@laws
@given(
    seed=seeds,
    num=st.integers(4, 20),
    width=st.integers(1, 24),
    other=st.integers(1, 24),
    unbiased=st.booleans(),
    scale=st.sampled_from([1e-4, 1.0, 1e5]),
    shift=st.sampled_from([0.0, -3.0, 1e3]),
)
def test_cka_ignores_rotation_scale_shift_and_a_common_order(
    seed, num, width, other, unbiased, scale, shift
):
    x, y = layers(seed, num, width, other)
    value = linear_cka(x, y, unbiased=unbiased)
    moved = scale * (x @ rotation(width, seed)) + shift
    order = torch.randperm(num, generator=torch.Generator().manual_seed(seed))
    for again in (
        linear_cka(moved, y, unbiased=unbiased),
        linear_cka(y, x, unbiased=unbiased),
        linear_cka(x[order], y[order], unbiased=unbiased),
    ):
        torch.testing.assert_close(again, value, rtol=0, atol=1e-8)


@laws
@given(seed=seeds, num=st.integers(4, 20), width=st.integers(1, 200), other=st.integers(1, 30))
def test_unbiased_cka_lies_within_one_and_biased_within_zero_and_one(seed, num, width, other):
    x, y = layers(seed, num, width, other)
    slack = 1e-12
    for function in (linear_cka, rbf_cka):
        assert abs(float(function(x, y))) <= 1 + slack
        assert -slack <= float(function(x, y, unbiased=False)) <= 1 + slack
        assert float(function(x, x)) == pytest.approx(1, abs=1e-9)


@laws
@given(pair=distributions())
def test_js_distance_is_a_symmetric_bounded_function_of_the_classes_as_a_set(pair):
    p, q = pair
    distance = sqrt_js(p, q)
    assert bool((distance >= 0).all() and (distance <= 1 + 1e-15).all())
    assert torch.equal(distance, sqrt_js(q, p))
    assert torch.equal(sqrt_js(p, p), torch.zeros(len(p), dtype=torch.float64))
    js, slack, variation = distance.square(), 1e-12, total_variation(p, q)
    assert bool((js <= variation + slack).all())  # Lin 1991, theorem 3
    assert bool((js * math.log(2) >= variation.square() / 2 - slack).all())  # Pinsker, twice


@laws
@given(pair=distributions(), seed=seeds)
def test_renaming_the_classes_changes_no_measure(pair, seed):
    p, q = pair
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, p.shape[-1], (len(p),), generator=generator)
    order = torch.randperm(p.shape[-1], generator=generator)
    renamed = order.argsort()[labels]
    unique = all(int((v == v.amax(-1, keepdim=True)).sum()) == len(v) for v in (p, q))
    measures = [
        probability_loyalty(p, q) - probability_loyalty(p[:, order], q[:, order]),
        classwise_ece(p, labels) - classwise_ece(p[:, order], renamed),
    ]
    if unique:  # of tied classes the first is predicted, and renaming changes which that is
        measures += [
            label_loyalty(p, q) - label_loyalty(p[:, order], q[:, order]),
            expected_calibration_error(p, labels)
            - expected_calibration_error(p[:, order], renamed),
        ]
    assert measures == pytest.approx([0.0] * len(measures), abs=1e-12)
    before, after = embed(p, q, labels), embed(p[:, order], q[:, order], renamed)
    torch.testing.assert_close(after.x, before.x, rtol=0, atol=1e-12)
    torch.testing.assert_close(after.y, before.y, rtol=0, atol=1e-12)


@laws
@given(pair=distributions(), seed=seeds, bins=st.integers(1, 30))
def test_errors_are_ordered_and_the_pass_over_scores_says_the_same(pair, seed, bins):
    p = pair[0]
    labels = torch.randint(0, p.shape[-1], (len(p),), generator=torch.Generator().manual_seed(seed))
    ece = expected_calibration_error(p, labels, num_bins=bins)
    assert 0 <= ece <= maximum_calibration_error(p, labels, num_bins=bins) + 1e-15 <= 1 + 2e-15
    assert 0 <= classwise_ece(p, labels, num_bins=bins) <= 2 / p.shape[-1] + 1e-12
    table = ScoreTable(bins)
    table.update(p.clamp_min(1e-300).log(), labels)
    scores = table.compute()
    assert 0 <= scores.brier <= 2 and scores.nll >= 0
    assert 1 / p.shape[-1] - 1e-12 <= scores.confidence <= 1


@laws
@given(value=st.floats(0, 1), bins=st.integers(1, 40), closed=st.sampled_from(["right", "left"]))
def test_a_confidence_lies_between_the_edges_of_its_bin(value, bins, closed):
    table = ReliabilityTable(bins, closed=closed)
    table.update(torch.tensor([value], dtype=torch.float64), torch.tensor([True]))
    index = int(table.count.argmax())
    low, high = float(table.edges[index]), float(table.edges[index + 1])
    if closed == "right":
        assert low < value <= high or (value == 0 and index == 0)
    else:
        assert low <= value < high or (value == 1 and index == bins - 1)


@pytest.mark.parametrize("bins", [1, 3, 7, 10, 15, 20, 49, 100])
@pytest.mark.parametrize("closed", ["right", "left"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_every_edge_and_its_neighbours_fall_on_the_side_that_search_finds(bins, closed, dtype):
    """Multiplying by the number of bins alone puts some edges on the wrong side."""
    edges = torch.arange(bins + 1, dtype=torch.float64) / bins
    near = edges.to(dtype)
    below, above = (torch.nextafter(near, torch.full_like(near, end)) for end in (-1.0, 2.0))
    values = torch.cat([near, below, above]).clamp(0, 1)
    table = ReliabilityTable(bins, closed=closed)
    table.update(values, torch.ones_like(values, dtype=torch.bool))
    index = torch.searchsorted(edges[1:-1].contiguous(), values.double(), right=closed == "left")
    assert torch.equal(table.count, torch.bincount(index, minlength=bins))


@laws
@given(
    outcomes=st.lists(
        st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40
    )
)
def test_flips_add_up(outcomes):
    before, after, teacher = torch.tensor(outcomes).unbind(1)
    table = FlipTable()
    table.update(before, after, teacher)
    assert int(table.counts.sum()) == len(outcomes)
    flips = table.compute()
    assert flips.delta == pytest.approx(flips.gain - flips.loss, abs=1e-12)
    change = float(after.double().mean() - before.double().mean())
    assert flips.delta == pytest.approx(change, abs=1e-12)
    assert flips.spontaneous_gain <= flips.gain


@laws
@given(pair=distributions(), seed=seeds)
def test_the_picture_keeps_all_three_distances_within_sixty_degrees(pair, seed):
    p, q = pair
    labels = torch.randint(0, p.shape[-1], (len(p),), generator=torch.Generator().manual_seed(seed))
    truth = torch.eye(p.shape[-1], dtype=torch.float64)[labels]
    found = embed(p, q, labels)
    tight = {"rtol": 1e-12, "atol": 1e-12}
    student = torch.hypot(found.x, found.y)
    torch.testing.assert_close(student, (p - truth).norm(dim=-1), **tight)
    torch.testing.assert_close(found.teacher_radius, (q - truth).norm(dim=-1), **tight)
    to_teacher = torch.hypot(found.x - found.teacher_radius, found.y)
    torch.testing.assert_close(to_teacher, (p - q).norm(dim=-1), **tight)
    angles = found.angle[~found.angle.isnan()]
    assert bool((angles <= 60 + 1e-6).all() and (angles >= 0).all())
