"""Counting into cells loses no sample, whatever is asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from workbench_widgets.cells import cell_means, cells, counted, log_count, number
from workbench_widgets.wedge_ground import GROUNDS, L2, LARGE, Ground

GRID = L2.cells(LARGE)
SHAPE = (GRID["side"], GRID["rows"], GRID["columns"])


def cloud(ground: Ground = L2, n: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    radius, angle = ground.radius * rng.random(n) ** 2, rng.random(n) * math.radians(ground.degrees)
    return radius * np.cos(angle), radius * np.sin(angle)


def named() -> dict[str, Any]:
    """Samples of three labels, every fourth of them chosen, as a frame has them."""
    x, y = cloud()
    rows = np.arange(len(x))
    return {"x": x, "y": y, "labels": rows % 3, "chosen": (rows % 4 == 0).astype(np.int32)}


@pytest.mark.parametrize("ground", GROUNDS, ids=lambda ground: ground.name)
def test_every_sample_is_counted_once_also_on_the_outer_edge(ground: Ground) -> None:
    x, y = cloud(ground)
    grid = ground.cells(LARGE)
    x, y = np.append(x, [ground.radius, 0.0]), np.append(y, [0.0, ground.height])
    assert cells(x, y, grid["side"], grid["rows"], grid["columns"]).sum() == len(x)
    assert grid["side"] * grid["rows"] >= ground.height - 1e-9


def test_counts_equal_numpys_two_dimensional_histogram() -> None:
    x, y = cloud()
    counts = cells(x, y, *SHAPE)
    edges_x = np.arange(counts.shape[1] + 1) * GRID["side"]
    edges_y = np.arange(counts.shape[0] + 1) * GRID["side"]
    expected, _, _ = np.histogram2d(y, x, bins=(edges_y, edges_x))
    np.testing.assert_array_equal(counts, expected)


def test_empty_cells_are_not_drawn_and_one_sample_is_the_scales_start() -> None:
    got = log_count(np.array([[0, 1, 100]]))
    assert np.isnan(got[0, 0])
    np.testing.assert_array_equal(got[0, 1:], [0.0, 2.0])


def test_cell_means_ignore_what_is_no_number() -> None:
    x, y = np.array([0.1, 0.1, 1.0]), np.array([0.0, 0.0, 0.5])
    got = cell_means(x, y, np.array([1.0, np.nan, 0.4]), *SHAPE)
    np.testing.assert_allclose(np.sort(got[np.isfinite(got)]), [0.4, 1.0], rtol=1e-6)


def test_a_mean_over_a_base_leaves_out_samples_whose_base_is_short() -> None:
    arrays = {"x": np.array([0.1, 0.1]), "y": np.zeros(2), "base": np.array([0.2, 0.01])}
    asked = {**GRID, "mean": "x", "over": "base", "least": 0.05}
    got = counted(asked, arrays, {})
    np.testing.assert_allclose(got[np.isfinite(got)], [0.5], rtol=1e-6)


def test_without_y_all_lie_in_one_row() -> None:
    asked = {"x": "x", "side": 0.1, "rows": 1, "columns": 4}
    got = counted(asked, {"x": np.array([0.0, 0.15, 0.15, 9.0])}, {})
    np.testing.assert_allclose(10**got, [[1, 2, np.nan, 1]], rtol=1e-6)


def test_where_and_unless_split_all_samples_by_class_and_selection() -> None:
    arrays, state = named(), {"label": 2}
    tests: list[list[Any]] = [["chosen", 1], ["labels", "$label"]]
    inside = number({"of": "x", "where": tests}, arrays, state)
    assert inside == np.sum((arrays["chosen"] == 1) & (arrays["labels"] == 2))
    outside = number({"of": "x", "unless": tests}, arrays, state)
    assert inside + outside == len(arrays["x"])
    parts = [counted({**GRID, key: tests}, arrays, state) for key in ("where", "unless")]
    together = sum(10 ** np.nan_to_num(part, nan=-np.inf) for part in parts)
    everyone = counted(GRID, arrays, state)
    np.testing.assert_allclose(together, 10 ** np.nan_to_num(everyone, nan=-np.inf), rtol=1e-5)
    assert number({"of": "x", "where": [["labels", [0, 2]]]}, arrays, {}) == np.sum(
        arrays["labels"] != 1
    )


def test_a_sample_without_a_place_is_in_no_cell_and_still_counted_as_a_number() -> None:
    arrays = {"x": np.array([0.1, np.nan]), "y": np.array([np.inf, 0.2])}
    assert np.isnan(counted(GRID, arrays, {})).all()
    assert number({"of": "x"}, arrays, {}) == 2
