"""Calibration: bins as given, ECE beside its null, hollow where few."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from workbench_widgets import FrameError, calibration


def points(figure: Any, axis: str) -> Any:
    return next(
        t for t in figure.data if t.type == "scatter" and t.mode == "markers" and t.xaxis == axis
    )


def test_points_and_wilson_bars_are_the_given_bins(digits_run: Any) -> None:
    arrays, facts = digits_run["calibration"]
    figure = calibration.frame(arrays, facts).figure()
    for side, axis in (("student", "x"), ("teacher", "x3")):
        shown = points(figure, axis)
        np.testing.assert_allclose(shown.y, arrays[f"{side}_accuracy"], rtol=1e-6)
        full = arrays[f"{side}_count"] > 0
        top = (np.asarray(shown.y) + np.asarray(shown.error_y.array))[full]
        np.testing.assert_allclose(top, arrays[f"{side}_wilson_high"][full], atol=1e-6)


def test_student_is_a_blue_circle_and_teacher_an_orange_square(digits_run: Any) -> None:
    figure = calibration.frame(*digits_run["calibration"]).figure("light")
    student, teacher = points(figure, "x"), points(figure, "x3")
    assert (student.marker.symbol, student.marker.line.color) == ("circle", "#0B67C2")
    assert (teacher.marker.symbol, teacher.marker.line.color) == ("square", "#AD5108")


def test_bins_of_fewer_than_ten_are_hollow(digits_run: Any) -> None:
    arrays, facts = digits_run["calibration"]
    shown = points(calibration.frame(arrays, facts).figure("light"), "x")
    hollow = np.array([colour == "#FFFFFF" for colour in shown.marker.color])
    np.testing.assert_array_equal(hollow, arrays["student_count"] < 10)


def test_ece_stands_beside_its_null(digits_run: Any) -> None:
    arrays, facts = digits_run["calibration"]
    notes = [n.text for n in calibration.frame(arrays, facts).figure().layout.annotations]
    assert any(f"ECE <b>{100 * facts['student']['ece']:.1f}" in text for text in notes)
    chance = f"null p95 {100 * facts['student']['ece_null_p95']:.1f}"
    assert any(chance in text for text in notes)


def test_scaled_toggle_shows_scaled_bins_and_names_the_fitting_split(digits_run: Any) -> None:
    arrays, facts = digits_run["calibration"]
    figure = calibration.frame(arrays, facts).figure(scaling="scaled")
    np.testing.assert_allclose(points(figure, "x").y, arrays["student_accuracy_scaled"], rtol=1e-6)
    assert any("T = 1.25 (val)" in note.text for note in figure.layout.annotations)


def test_without_scaled_bins_there_is_no_toggle(digits_run: Any) -> None:
    arrays, facts = digits_run["calibration"]
    raw = {name: values for name, values in arrays.items() if not name.endswith("_scaled")}
    assert calibration.frame(raw, facts).controls == ()


def test_band_is_a_closed_polygon_over_full_bins(digits_run: Any) -> None:
    arrays, facts = digits_run["calibration"]
    frame = calibration.frame(arrays, facts)
    full = int(np.sum(arrays["student_count"] > 0))
    assert frame.arrays["student_band_x"].shape == (2 * full,)
    assert np.isfinite(frame.arrays["student_band_y"]).all()


def test_axes_are_zero_to_one_whatever_the_data(digits_run: Any) -> None:
    layout = calibration.frame(*digits_run["calibration"]).figure().layout
    for axis in (layout.xaxis, layout.yaxis, layout.xaxis3, layout.yaxis3):
        assert tuple(axis.range) == (-0.012, 1.012)


def test_missing_teacher_facts_are_named(digits_run: Any) -> None:
    arrays, facts = digits_run["calibration"]
    with pytest.raises(FrameError, match="calibration: no fact 'teacher'"):
        calibration.frame(arrays, {k: v for k, v in facts.items() if k != "teacher"})
