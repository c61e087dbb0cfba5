"""Layer similarity: the map shows what was measured, and n.s. where chance explains it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from workbench_widgets import Frame, FrameError, cka


@pytest.fixture
def given() -> tuple[dict[str, Any], dict[str, Any]]:
    unbiased = np.array([[0.9, -0.03], [np.nan, 0.5]], dtype=np.float32)
    arrays = {
        "unbiased": unbiased,
        "biased": unbiased + 0.05,
        "null_p95": np.full((2, 2), 0.04, dtype=np.float32),
    }
    facts = {
        "teacher_layers": ["t.0", "t.1"],
        "student_layers": ["s.0", "s.1"],
        "n": 1512,
        "split": "probe",
        "step": 80,
        "feature": "pooled (N, C)",
        "reasons": {"1,0": "constant layer"},
    }
    return arrays, facts


def test_cells_show_the_measured_values_unclipped(given: Any) -> None:
    figure = cka.frame(*given).figure()
    heat = next(trace for trace in figure.data if trace.type == "heatmap")
    np.testing.assert_array_equal(np.asarray(heat.z), given[0]["unbiased"])
    assert (heat.zmin, heat.zmax) == (-0.2, 1)  # a negative value is shown, so the scale reaches it


def test_scale_is_0_to_1_while_nothing_is_negative(given: Any) -> None:
    arrays, facts = given
    arrays["unbiased"] = np.abs(arrays["unbiased"])
    heat = next(t for t in cka.frame(arrays, facts).figure().data if t.type == "heatmap")
    assert (heat.zmin, heat.zmax) == (0, 1)


def test_below_its_null_a_cell_reads_ns_and_an_undefined_one_nothing(given: Any) -> None:
    texts = next(
        t for t in cka.frame(*given).figure().data if t.type == "scatter" and t.mode == "text"
    )
    assert list(texts.text) == [".90", "n.s.", "", ".50"]


def test_undefined_cells_are_hatched_and_give_the_reason(given: Any) -> None:
    hatched = next(t for t in cka.frame(*given).figure().data if t.type == "bar")
    assert hatched.marker.pattern.shape == "/"
    assert (list(hatched.x), list(hatched.base)) == ([0], [0.53])
    assert "constant layer" in str(hatched.customdata)


def test_hover_carries_biased_value_null_and_n(given: Any) -> None:
    heat = next(t for t in cka.frame(*given).figure().data if t.type == "heatmap")
    np.testing.assert_allclose(heat.customdata[0][0], [0.95, 0.04], rtol=1e-6)
    assert "n = 1\u2009512" in heat.hovertemplate


def test_layers_wear_their_owners_colours(given: Any) -> None:
    layout = cka.frame(*given).figure("light").layout
    assert layout.xaxis.tickfont.color == "#0B67C2"
    assert layout.yaxis.tickfont.color == "#AD5108"


def test_chosen_cell_shows_its_own_history_and_null(digits_run: Any) -> None:
    arrays, facts = digits_run["cka"]
    figure = cka.frame(arrays, facts).figure(i=0, j=1)
    line = next(t for t in figure.data if t.xaxis == "x2" and t.mode == "lines")
    np.testing.assert_array_equal(np.asarray(line.y), arrays["history"][:, 0, 1])
    tops = [s.y1 for s in figure.layout.shapes if s.xref == "x2" and s.type == "rect"]
    assert tops == [pytest.approx(float(arrays["null_p95"][0, 1]))]
    assert figure.layout.xaxis2.range == (0, pytest.approx(150 * 1.006, rel=0.01))


def test_a_static_figure_asks_for_no_press_that_it_cannot_answer(digits_run: Any) -> None:
    frame = cka.frame(*digits_run["cka"])
    words = [str(note.text) for note in frame.figure(height=500).layout.annotations]
    assert "Click" in str(frame.read) and not any("Click" in one for one in words)
    assert not any("[P]" in one for one in words)
    assert any(one.startswith("<b>") and "over training" in one for one in words), "its history"


def test_the_history_says_what_it_runs_over(digits_run: Any) -> None:
    figure = cka.frame(*digits_run["cka"]).figure(height=500)
    assert figure.layout.xaxis2.ticktext[:2] == ("step 0", "50")


def test_history_gives_way_first_when_the_card_is_low(digits_run: Any) -> None:
    figure = cka.frame(*digits_run["cka"]).figure(height=300)
    assert not [t for t in figure.data if t.xaxis == "x2"]
    assert [t for t in figure.data if t.type == "heatmap"]


def test_the_teachers_axis_title_is_as_long_as_its_map_is_high(digits_run):
    def title(height: int) -> str:
        figure = cka.frame(*digits_run["cka"]).figure(height=height)
        return str(figure.layout.yaxis.title.text)

    assert title(500) == title(300) == "teacher layer → output"
    assert title(200) == "teacher"


def test_delta_is_the_change_since_the_first_snapshot_with_its_sign(given: Any) -> None:
    arrays, facts = given
    first = np.array([[0.7, 0.2], [np.nan, 0.5]], dtype=np.float32)
    arrays |= {"history": np.stack([first, arrays["unbiased"]]), "steps": np.array([0, 80])}
    frame = cka.frame(arrays, facts)
    texts = next(
        t for t in frame.figure(mode="change").data if t.type == "scatter" and t.mode == "text"
    )
    assert list(texts.text) == ["+.20", "−.23", "", "0"]
    assert frame.controls[0]["options"][1]["label"] == "Δ"


def test_more_than_twelve_layers_are_not_annotated() -> None:
    names = [f"layer{k}" for k in range(20)]
    map_ = np.full((20, 20), 0.5, dtype=np.float32)
    facts = {"teacher_layers": names, "student_layers": names, "n": 8, "step": 1}
    frame = cka.frame(dict.fromkeys(("unbiased", "biased", "null_p95"), map_), facts)
    figure = frame.figure(width=1200, height=900)
    assert not [t for t in figure.data if t.type == "scatter" and t.mode == "text"]


def tall_frame(history: bool) -> Frame:
    """40 teacher layers by 16 student layers."""
    teacher, student = [f"blocks.{k}" for k in range(40)], [f"blocks.{k}" for k in range(16)]
    map_ = np.full((40, 16), 0.5, dtype=np.float32)
    facts = {"teacher_layers": teacher, "student_layers": student, "n": 8, "step": 1}
    arrays: dict[str, Any] = dict.fromkeys(("unbiased", "biased", "null_p95"), map_)
    if history:
        arrays |= {"history": np.stack([map_, map_]), "steps": np.array([0, 1])}
    return cka.frame(arrays, facts)


@pytest.mark.parametrize("history", [True, False])
@pytest.mark.parametrize(("width", "height"), [(290, 400), (366, 404), (480, 300), (1400, 900)])
def test_names_have_a_line_each_and_the_last_is_named(
    history: bool, width: int, height: int
) -> None:
    layout = tall_frame(history).figure(width=width, height=height).layout
    high = height - layout.margin.t - layout.margin.b
    wide = width - layout.margin.l - layout.margin.r
    map_high = high * (layout.yaxis.domain[1] - layout.yaxis.domain[0])
    for axis, pixels, least, last in (
        (layout.yaxis, map_high, 12, 39),
        (layout.xaxis, wide, 14, 15),
    ):
        assert axis.tickvals[-1] == last
        one = pixels / (axis.range[1] - axis.range[0])
        gaps = np.diff(axis.tickvals) * one
        assert gaps.size == 0 or gaps.min() >= least


def test_slanted_names_have_room_above_what_stands_below() -> None:
    """On a narrow map names slant: the heading of the history stands under them."""
    arrays = dict.fromkeys(("unbiased", "biased", "null_p95"), np.full((3, 3), 0.5))
    arrays |= {"history": np.full((2, 3, 3), 0.5), "steps": np.array([0, 1])}
    names = ["blocks.0", "blocks.1", "logits"]
    facts = {"teacher_layers": names, "student_layers": names, "n": 8, "step": 1}
    below = {}
    for width in (250, 366):
        layout = cka.frame(arrays, facts).figure(width=width, height=404).layout
        high = 404 - layout.margin.t - layout.margin.b
        below[layout.xaxis.tickangle] = high * layout.yaxis.domain[0]
    assert set(below) == {0, -45}
    assert below[-45] >= below[0] + 25


def test_a_map_that_does_not_fit_its_layers_is_refused(given: Any) -> None:
    arrays, facts = given
    facts["student_layers"] = ["only one"]
    with pytest.raises(FrameError, match=r"'unbiased' has shape \(2, 2\), expected \(2, 1\)"):
        cka.frame(arrays, facts)


def test_a_layer_name_is_never_markup(given: Any) -> None:
    arrays, facts = given
    facts["student_layers"] = ["<b>x</b>", "y"]
    assert cka.frame(arrays, facts).figure().layout.xaxis.ticktext[0] == "&lt;b&gt;x&lt;/b&gt;"


def test_a_map_of_some_samples_says_so_and_keeps_its_cursor_without_a_history(given: Any) -> None:
    arrays, facts = given
    some = {"selected": {"n": 1512, "of": 2000}, "weights_step": 60}
    frame = cka.frame(arrays, {**facts, **some})
    assert frame.footer[0].startswith("n = 1\u2009512 of 2\u2009000 selected, probe · unbiased")
    assert {name: frame.facts[name] for name in some} == some and not frame.controls
    assert "history" not in frame.read_line
    assert frame.summary.startswith(
        "Of 1\u2009512 selected samples. 2 teacher by 2 student layers."
    )
    outlines = [s for s in frame.figure(i=0, j=1).layout.shapes if s.type == "rect"]
    assert [(s.x0, s.y0) for s in outlines] == [(0.5, -0.5)] * 2
    assert not [s for s in cka.frame(arrays, facts).figure().layout.shapes if s.type == "rect"]
