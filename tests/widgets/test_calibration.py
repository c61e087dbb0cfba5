"""Calibration: bins as given, ECE beside its null, hollow where few."""

from __future__ import annotations

import re
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


def with_mass(digits_run: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run's bins, and three (the teacher: four) of equal mass beside them."""
    arrays, facts = digits_run["calibration"]
    arrays, facts = dict(arrays), {**facts, "student": {**facts["student"]}}
    facts["student"] |= {"ece_mass": 0.0123, "ece_mass_null_p95": 0.0456}
    facts["student"] |= {"ece_mass_scaled": 0.0234, "ece_mass_scaled_null_p95": 0.0567}
    for side, bins in (("student", 3), ("teacher", 4)):
        for suffix in ("_mass", "_mass_scaled"):
            edges = np.concatenate([[0], 1 - 0.02 * np.arange(bins - 1, -1, -1)])
            middle = np.linspace(0.5, 0.99, bins)
            columns = dict.fromkeys(("accuracy", "confidence"), middle)
            columns |= dict.fromkeys(("wilson_low", "band_low"), middle - 0.1)
            columns |= dict.fromkeys(("wilson_high", "band_high"), np.minimum(middle + 0.1, 1))
            columns |= {"count": np.arange(8, 8 + bins), "edges": edges}
            arrays |= {f"{side}_{name}{suffix}": values for name, values in columns.items()}
    return arrays, facts


def test_bins_of_equal_mass_have_their_own_points_bars_and_ece(digits_run: Any) -> None:
    frame = calibration.frame(*with_mass(digits_run))
    figure = frame.figure("light", bins="mass")
    assert list(points(figure, "x").y) == pytest.approx([0.5, 0.745, 0.99])
    assert len(points(figure, "x3").y) == 4
    assert list(points(figure, "x").marker.color) == ["#FFFFFF", "#FFFFFF", "#0B67C2"]
    bars = next(t for t in figure.data if t.type == "bar" and t.xaxis == "x2")
    np.testing.assert_allclose(bars.width, [0.96, 0.02, 0.02], atol=1e-6)
    np.testing.assert_allclose(bars.x, [0.48, 0.97, 0.99], atol=1e-6)
    words = " ".join(note.text for note in figure.layout.annotations)
    assert "ECE <b>1.2" in words and "null p95 4.6" in words
    assert "3 to 4 equal-mass (a, b]" in words and "equal-width" not in words
    scaled = " ".join(
        note.text for note in frame.figure(bins="mass", scaling="scaled").layout.annotations
    )
    assert "ECE <b>2.3" in scaled and "T = 1.25 (val), null 5.7" in scaled


def test_bins_of_equal_width_are_shown_first_and_named(digits_run: Any) -> None:
    arrays, facts = with_mass(digits_run)
    frame = calibration.frame(arrays, facts)
    assert [control["name"] for control in frame.controls] == ["bins", "scaling"]
    figure = frame.figure()
    np.testing.assert_allclose(points(figure, "x").y, arrays["student_accuracy"], rtol=1e-6)
    words = " ".join(note.text for note in figure.layout.annotations)
    assert "15 equal-width (a, b] · Wilson 95 %" in words and "equal-mass" not in words
    assert "in bins of equal mass 1.2" in frame.summary


def test_tables_keep_bins_of_either_kind_apart(digits_run: Any) -> None:
    sheets = {s.title: s for s in calibration.frame(*with_mass(digits_run)).sheets()}
    assert list(sheets) == [
        f"Calibration, {side}, {bins}"
        for side in ("student", "teacher")
        for bins in (
            "15 equal-width (a, b]",
            "equal-mass (a, b]",
            "equal-mass (a, b], T-scaled",
        )
    ]
    mass = sheets["Calibration, student, equal-mass (a, b]"]
    assert len(mass.rows) == 3 and {"from", "to", "count"} <= set(mass.columns)
    assert not any("equal-" in note for sheet in sheets.values() for note in sheet.notes)
    assert not any("mass" in name for sheet in sheets.values() for name in sheet.columns)


def test_a_bin_of_equal_mass_selects_by_its_own_edges(digits_run: Any) -> None:
    arrays, facts = with_mass(digits_run)
    arrays |= {"ids": np.arange(4), "bin_student_mass": np.array([0, 1, 2, 2])}
    traces = calibration.frame(arrays, facts).skeleton["data"]
    picks = [
        trace["then"]["meta"]["picks"]
        for trace in traces
        if trace["$if"] == {"scaling": "raw", "bins": "mass"}
        and "picks" in trace["then"].get("meta", {})
    ]
    assert [pick["where"] for pick in picks] == [[["bin_student_mass", "$index"]]] * 2
    assert picks[0]["words"][1] == "student: confidence 0.9600 to 0.9800"


def test_edges_that_do_not_fit_their_bins_are_named(digits_run: Any) -> None:
    arrays, facts = with_mass(digits_run)
    arrays["teacher_edges_mass"] = np.zeros(4)
    with pytest.raises(FrameError, match=r"'teacher_edges_mass' has shape \(4,\), expected \(5\)"):
        calibration.frame(arrays, facts)


@pytest.mark.parametrize("scaling", ["raw", "scaled"])
def test_on_a_narrow_card_headings_of_both_networks_stay_apart(
    digits_run: Any, scaling: str
) -> None:
    """Between two plots lies no more room than their gap; ECE keeps its null beside it."""
    figure = calibration.frame(*digits_run["calibration"]).figure(
        width=270, height=360, scaling=scaling
    )
    layout = figure.layout
    wide = 270 - layout.margin.l - layout.margin.r
    room = (layout.xaxis3.domain[0] - layout.xaxis.domain[0]) * wide
    words = [a.text for a in layout.annotations if "ECE" in a.text or "null" in a.text]
    lines = [re.sub("<[^>]*>", "", line) for text in words for line in text.split("<br>")]
    assert sum("ECE" in line for line in lines) == sum("null" in line for line in lines) == 2
    assert max(map(len, lines)) * 6.2 <= room
    tops = [a.yshift for a in layout.annotations if "ECE" in a.text]
    assert max(tops) + 14 <= layout.margin.t
