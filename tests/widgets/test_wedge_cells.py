"""Counting into the wedge's cells loses no sample."""

from __future__ import annotations

import math

import numpy as np
from workbench_widgets.wedge_cells import CELL, RADIUS, cell_means, cells, log_count, rug


def cloud(n: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    radius, angle = RADIUS * rng.random(n) ** 2, rng.random(n) * math.pi / 3
    return radius * np.cos(angle), radius * np.sin(angle)


def test_every_sample_is_counted_once_also_on_the_outer_edge() -> None:
    x, y = cloud()
    x, y = np.append(x, [RADIUS, 0.0]), np.append(y, [0.0, RADIUS * math.sin(math.pi / 3)])
    assert cells(x, y, CELL).sum() == len(x)


def test_counts_equal_numpys_two_dimensional_histogram() -> None:
    x, y = cloud()
    counts = cells(x, y, CELL)
    edges_x = np.arange(counts.shape[1] + 1) * CELL
    edges_y = np.arange(counts.shape[0] + 1) * CELL
    expected, _, _ = np.histogram2d(y, x, bins=(edges_y, edges_x))
    np.testing.assert_array_equal(counts, expected)


def test_empty_cells_are_not_drawn_and_one_sample_is_the_scales_start() -> None:
    got = log_count(np.array([[0, 1, 100]]))
    assert np.isnan(got[0, 0])
    np.testing.assert_array_equal(got[0, 1:], [0.0, 2.0])


def test_cell_means_ignore_samples_without_an_axis() -> None:
    x, y = np.array([0.1, 0.1, 1.0]), np.array([0.0, 0.0, 0.5])
    values, valid = np.array([1.0, 99.0, 0.4]), np.array([True, False, True])
    got = cell_means(x, y, values, valid, CELL)
    np.testing.assert_allclose(np.sort(got[np.isfinite(got)]), [0.4, 1.0], rtol=1e-6)


def test_rug_holds_every_teacher_distance() -> None:
    reach = np.array([0.0, 0.5, 0.5, RADIUS])
    counts = 10 ** rug(reach)
    assert np.nansum(counts) == 4


def test_no_sample_with_an_axis_leaves_every_cell_undefined() -> None:
    none = np.zeros(0)
    got = cell_means(none, none, none, none.astype(bool), CELL)
    assert np.isnan(got).all()
