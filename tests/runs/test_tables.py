"""Tables of a run hold every logged point; only a drawing is thinned."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import BadFile
from workbench.runs.history import decimate
from workbench.runs.tables import points_sheet, save_sheets
from workbench.store.metrics import MetricWriter

POINTS = 100_000


def test_no_logged_point_is_dropped_or_interpolated(store, accepted):
    run = accepted()
    steps = np.arange(1, POINTS + 1)
    values = np.random.default_rng(0).standard_normal((POINTS, 2))
    MetricWriter(store.database, run).append("train", ("loss", "kd"), steps, values)
    looks = np.array([7, POINTS + 5])
    MetricWriter(store.database, run).append("probe", ("accuracy",), looks, np.ones((2, 1)) / 3)
    sheet = points_sheet(store, run)
    assert sheet.columns == ("step", "train loss", "train kd", "probe accuracy")
    assert [row[0] for row in sheet.rows] == [*steps.tolist(), POINTS + 5]
    written = np.array([row[1:3] for row in sheet.rows[:-1]])
    assert np.array_equal(written, values), "the very floats"
    having = [row[0] for row in sheet.rows if row[3] is not None]
    assert having == looks.tolist(), "empty where nothing was logged"
    assert sheet.rows[-1][1:3] == (None, None)
    assert len(decimate(steps, values, 2000)[0]) <= 2000, "a drawing is thinned"


def test_a_table_is_not_written_over_a_file_unasked(store, accepted, tmp_path):
    sheet = points_sheet(store, accepted())
    path = save_sheets([sheet], tmp_path / "points.csv")
    with pytest.raises(BadFile, match="exists"):
        save_sheets([sheet], path)
    with pytest.raises(BadFile, match="ends in"):
        save_sheets([sheet], tmp_path / "points.xlsx")
