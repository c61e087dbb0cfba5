"""The planar picture of student, teacher and truth: distances survive, and the wedge holds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workbench.errors import ShapeMismatch
from workbench.functional.loyalty import hellinger, sqrt_js, total_variation
from workbench.functional.trilateral import (
    METRICS,
    density,
    embed,
)

DISTANCES = {
    "l2": lambda a, b: (a - b).norm(dim=-1),
    "hellinger": hellinger,
    "tv": total_variation,
    "sqrt_js": sqrt_js,
}


def rows(n: int, classes: int, seed: int, sharp: float = 3.0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    logits = sharp * torch.randn(2, n, classes, generator=generator, dtype=torch.float64)
    student, teacher = logits.softmax(-1)
    labels = torch.randint(0, classes, (n,), generator=generator)
    return student, teacher, labels


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    classes=st.integers(2, 12),
    seed=st.integers(0, 10_000),
    sharp=st.floats(0.1, 12),
    metric=st.sampled_from(METRICS),
)
@example(classes=2, seed=1, sharp=12.0, metric="tv")  # a base of 1e-12 under sides of 0.1
def test_the_three_distances_survive(classes, seed, sharp, metric):
    student, teacher, labels = rows(6, classes, seed, sharp)
    truth = torch.nn.functional.one_hot(labels, classes).double()
    tri = embed(student, teacher, labels, metric=metric)
    measure = DISTANCES[metric]
    to_truth, axis, between = (
        measure(student, truth),
        measure(teacher, truth),
        measure(student, teacher),
    )
    close = {"rtol": 0, "atol": 1e-10}
    torch.testing.assert_close(tri.radius, to_truth, **close)
    torch.testing.assert_close(tri.teacher_radius, axis, **close)
    torch.testing.assert_close(tri.distance, between, **close)
    drawn_at = 1e-7 if metric in ("tv", "sqrt_js") else 1e-10  # heights of flat triangles
    torch.testing.assert_close(torch.hypot(tri.x, tri.y), to_truth, rtol=0, atol=drawn_at)
    torch.testing.assert_close(torch.hypot(tri.x - axis, tri.y), between, rtol=0, atol=drawn_at)
    assert bool((tri.y >= 0).all()) and bool(tri.axis_defined.all())


@settings(max_examples=30, deadline=None)
@given(classes=st.integers(2, 50), seed=st.integers(0, 10_000), sharp=st.floats(0.1, 30))
def test_every_student_lies_in_a_wedge_of_60_degrees(classes, seed, sharp):
    student, teacher, labels = rows(20, classes, seed, sharp)
    tri = embed(student, teacher, labels)
    angle = tri.angle[~tri.angle.isnan()]
    assert bool(((angle >= 0) & (angle <= 60 + 1e-6)).all())
    assert bool((tri.radius <= math.sqrt(2) + 1e-12).all())


def test_widest_angle_is_reached_by_disjoint_wrong_beliefs():
    tri = embed(torch.tensor([[0.5, 0.5, 0.0]]), torch.tensor([[0.5, 0.0, 0.5]]), torch.tensor([0]))
    assert float(tri.angle) == pytest.approx(60, abs=1e-5)


def test_angle_depends_on_the_other_classes_alone_and_radius_is_label_error():
    student, teacher, labels = rows(8, 5, seed=0)
    first = embed(student, teacher, labels)
    mask = torch.nn.functional.one_hot(labels, 5).bool()
    rest = student.masked_fill(mask, 0.0)
    moved = torch.where(mask, 1 - 0.3 * rest.sum(1, keepdim=True), 0.3 * rest)
    second = embed(moved, teacher, labels)
    torch.testing.assert_close(second.angle, first.angle)
    torch.testing.assert_close(second.radius, 0.3 * first.radius)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("metric", ["l2", "tv"])
def test_mixture_of_teacher_and_truth_lies_on_the_axis_at_its_ratio(alpha, metric):
    _, teacher, labels = rows(8, 5, seed=0)
    truth = torch.nn.functional.one_hot(labels, 5).double()
    tri = embed(alpha * teacher + (1 - alpha) * truth, teacher, labels, metric=metric)
    torch.testing.assert_close(tri.alpha, torch.full((8,), alpha, dtype=torch.float64))
    torch.testing.assert_close(tri.y, torch.zeros(8, dtype=torch.float64), rtol=0, atol=1e-7)


def test_student_a_millionth_from_the_truth_keeps_its_digits_in_float32():
    student = torch.tensor([[1 - 1e-6, 4e-7, 6e-7]])
    teacher = torch.tensor([[0.2, 0.4, 0.4]])
    exact = embed(student.double(), teacher.double(), torch.tensor([0]))
    tri = embed(student, teacher, torch.tensor([0]))
    for name in ("x", "y", "radius", "alpha", "angle"):
        torch.testing.assert_close(
            getattr(tri, name).double(), getattr(exact, name), rtol=2e-5, atol=0
        )
    assert float(exact.radius) == pytest.approx(math.sqrt(1e-12 + 16e-14 + 36e-14), rel=1e-6)


@pytest.mark.parametrize("metric", METRICS)
def test_certain_and_right_teacher_has_no_axis(metric):
    labels = torch.tensor([1])
    student = torch.tensor([[0.3, 0.7]], dtype=torch.float64)
    tri = embed(student, torch.tensor([[0.0, 1.0]], dtype=torch.float64), labels, metric=metric)
    assert tri.axis_defined.tolist() == [False]
    assert float(tri.x) == 0 and float(tri.y) == float(tri.radius) > 0
    assert torch.isnan(tri.angle).all() and torch.isnan(tri.alpha).all()


def test_student_at_the_truth_has_no_angle_but_a_ratio_of_zero():
    tri = embed(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.4]]), torch.tensor([0]))
    assert float(tri.radius) == 0 and float(tri.alpha) == 0
    assert torch.isnan(tri.angle).all()


def test_sqrt_js_distance_is_one_minus_probability_loyalty():
    student, teacher, labels = rows(8, 5, seed=0)
    tri = embed(student, teacher, labels, metric="sqrt_js")
    assert torch.equal(tri.distance, sqrt_js(student, teacher))


def test_order_of_classes_changes_nothing():
    student, teacher, labels = rows(8, 5, seed=3)
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = embed(student[:, order], teacher[:, order], order.argsort()[labels])
    plain = embed(student, teacher, labels)
    for name in ("x", "y", "radius", "distance", "angle"):
        torch.testing.assert_close(getattr(moved, name), getattr(plain, name))


def test_density_matches_numpy_and_loses_no_point():
    generator = torch.Generator().manual_seed(0)
    x, y = 2 * torch.rand(2, 5000, generator=generator, dtype=torch.float64) - 0.2
    x[:3], y[3] = torch.nan, 1.0
    grid = density(x, y, bins=16, x_range=(0.0, 1.0), y_range=(0.0, 1.0))
    inside = ~x.isnan()
    expected, _, _ = np.histogram2d(
        y[inside].numpy(), x[inside].numpy(), bins=16, range=[[0, 1], [0, 1]]
    )
    np.testing.assert_array_equal(grid.counts.numpy(), expected)
    assert int(grid.counts.sum()) + grid.outside == 5000
    assert grid.x_edges.shape == (17,)


def test_default_grid_holds_the_whole_wedge():
    tri = embed(*rows(500, 4, seed=0, sharp=8))
    assert density(tri.x, tri.y).outside == 0


def test_bad_input_says_what_and_what_is_known():
    student, teacher, labels = rows(4, 3, seed=0)
    with pytest.raises(ValueError, match=r"No metric 'kl'\. Known: l2, hellinger, tv, sqrt_js"):
        embed(student, teacher, labels, metric="kl")
    with pytest.raises(ShapeMismatch, match="one label set"):
        embed(student[:, :2], teacher, labels)
    with pytest.raises(ValueError, match="ascending ranges"):
        density(student[:, 0], student[:, 1], x_range=(1.0, 0.0))


@pytest.mark.parametrize("metric", METRICS)
def test_many_samples_are_placed_as_each_alone(metric):
    """More rows than one chunk holds."""
    student, teacher, labels = rows(60, 5000, 0)
    whole = embed(student, teacher, labels, metric=metric)
    for row in (0, 26, 27, 59):
        only = slice(row, row + 1)
        alone = embed(student[only], teacher[only], labels[only], metric=metric)
        for name in ("x", "y", "radius", "distance", "angle", "axis_defined"):
            torch.testing.assert_close(getattr(whole, name)[only], getattr(alone, name))
