"""The map beside the control's: differences of one step, n.s. where neither is above its null."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from workbench_widgets import FrameError, cka
from workbench_widgets.frame import plain

CONTROL = {
    "run": "quick-1-control",
    "label": "vs CE",
    "words": "CE only",
    "seed": 3,
}


@pytest.fixture
def given() -> tuple[dict[str, Any], dict[str, Any]]:
    unbiased = np.array([[0.9, 0.02], [np.nan, 0.5]], dtype=np.float32)
    control = np.array([[0.6, 0.01], [0.4, 0.504]], dtype=np.float32)
    null = np.full((2, 2), 0.04, dtype=np.float32)
    arrays = {
        "unbiased": unbiased,
        "biased": unbiased + 0.05,
        "null_p95": null,
        "history": np.stack([unbiased - 0.1, unbiased]),
        "steps": np.array([0, 80]),
        "control": control,
        "control_null_p95": null,
        "control_history": np.stack([control - 0.2, control]),
        "control_steps": np.array([0, 80]),
    }
    facts = {
        "teacher_layers": ["t.0", "t.1"],
        "student_layers": ["s.0", "s.1"],
        "n": 256,
        "split": "probe",
        "step": 80,
        "control": CONTROL,
    }
    return arrays, facts


def texts(figure: Any) -> list[str]:
    return list(next(t for t in figure.data if t.type == "scatter" and t.mode == "text").text)


def test_cells_are_the_student_minus_the_control_with_their_sign(given: Any) -> None:
    frame = cka.frame(*given)
    figure = frame.figure(mode="control")
    assert texts(figure) == ["+.30", "n.s.", "", "0"]
    heat = next(trace for trace in figure.data if trace.type == "heatmap")
    np.testing.assert_allclose(heat.z, [[0.3, 0.01], [np.nan, 0.004]], atol=1e-6)
    assert (heat.zmin, heat.zmax) == (0, 1)
    np.testing.assert_allclose(heat.customdata[0][0], [0.3, 0.9, 0.6], atol=1e-6)
    assert texts(frame.figure()) == [".90", "n.s.", "", ".50"], "nothing else changes"
    assert "+" in texts(frame.figure(mode="change"))[0]


def test_the_toggle_names_the_run_and_a_note_says_step_and_one_seed(given: Any) -> None:
    frame = cka.frame(*given)
    options = frame.controls[-1]["options"]
    assert [one["label"] for one in options] == ["now", "Δ", "vs CE"]
    assert "quick-1-control" in options[-1]["title"]
    (words,) = [plain(p["text"]) for p in frame.parts if p.get("show") == {"mode": "control"}]
    assert "(CE only), both at step 80; one seed, 3." in words
    assert (
        "Largest difference from the control +.30, teacher t.0 with student s.0." in frame.summary
    )


def test_a_cell_over_training_has_the_controls_line_dashed_beside_it(given: Any) -> None:
    figure = cka.frame(*given).figure(mode="control", i=0, j=0)
    lines = [t for t in figure.data if t.type == "scatter" and t.mode == "lines"]
    control = next(t for t in lines if t.line.dash == "4px,3px")
    np.testing.assert_allclose(control.y, [0.4, 0.6], atol=1e-6)
    plain_ = cka.frame(*given).figure(i=0, j=0)
    assert not any(t.line.dash == "4px,3px" for t in plain_.data if t.type == "scatter")


def test_without_a_map_of_this_step_it_says_why_and_draws_no_number(given: Any) -> None:
    arrays, facts = given
    arrays = {name: v for name, v in arrays.items() if name not in ("control", "control_null_p95")}
    why = "The control has no snapshot at step 80; the nearest are at 75 and 90."
    frame = cka.frame(arrays, {**facts, "control": {**CONTROL, "why": why}})
    figure = frame.figure(mode="control")
    assert texts(figure) == [""] * 4
    heat = next(trace for trace in figure.data if trace.type == "heatmap")
    assert not np.isfinite(np.asarray(heat.z, dtype=float)).any()
    assert [plain(p["text"]) for p in frame.parts if p.get("show") == {"mode": "control"}] == [why]
    assert "control" not in frame.summary


def test_a_first_snapshot_offers_it_too_and_a_run_without_a_control_does_not(given: Any) -> None:
    arrays, facts = given
    first = {name: v for name, v in arrays.items() if name not in ("history", "steps")}
    labels = [one["label"] for one in cka.frame(first, facts).controls[-1]["options"]]
    assert labels == ["now", "vs CE"]
    frame = cka.frame(arrays, {k: v for k, v in facts.items() if k != "control"})
    assert [one["label"] for one in frame.controls[-1]["options"]] == ["now", "Δ"]
    assert not [name for name in frame.arrays if "control" in name or "beside" in name]


def test_the_table_holds_both_maps_and_their_difference(given: Any) -> None:
    sheet = cka.frame(*given).sheets()[0]
    row = dict(zip(sheet.columns, sheet.rows[0], strict=True))
    assert (row["CKA, unbiased"], row["control"]) == (pytest.approx(0.9), pytest.approx(0.6))
    assert row["minus control"] == pytest.approx(0.3)
    assert "beside size" not in row


def test_a_control_with_other_layers_is_refused(given: Any) -> None:
    arrays, facts = given
    arrays["control"] = np.zeros((2, 3), np.float32)
    with pytest.raises(FrameError, match=r"'control' has shape \(2, 3\), expected \(2, 2\)"):
        cka.frame(arrays, facts)
