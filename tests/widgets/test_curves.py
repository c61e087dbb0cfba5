"""Curves: values as given, colour by target, axes that do not jump."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from workbench_widgets import FrameError, curves
from workbench_widgets.curve_axes import accuracy_floor
from workbench_widgets.curves import smooth


def lines(figure: Any, axis: str) -> list[Any]:
    return [t for t in figure.data if t.yaxis == axis and t.mode == "lines" and t.x[0] is not None]


def test_accuracy_is_shown_in_percent_against_the_teachers(digits_run: Any) -> None:
    arrays, facts = digits_run["curves"]
    figure = curves.frame(arrays, facts).figure("light")
    shown = {t.line.color: t for t in figure.data if t.mode == "lines" and t.yaxis != "y2"}
    np.testing.assert_allclose(shown["#0B67C2"].y, arrays["student_accuracy"] * 100, rtol=1e-6)
    np.testing.assert_allclose(shown["#AD5108"].y, [facts["teacher_accuracy"] * 100] * 2)


def test_a_term_wears_the_colour_of_what_it_pulls_towards(digits_run: Any) -> None:
    arrays, facts = digits_run["curves"]
    terms = np.stack([arrays["terms"][0], arrays["terms"][1], arrays["terms"][0]])
    more = {"term_names": ["KD", "CE", "hint"], "term_targets": ["teacher", "labels", "teacher"]}
    shown = lines(curves.frame({**arrays, "terms": terms}, {**facts, **more}).figure("light"), "y2")
    smoothed = shown[1::2]  # each term: raw, then smoothed
    assert [t.line.color for t in smoothed] == ["#AD5108", "#0A7558", "#AD5108"]
    assert smoothed[0].line.dash != smoothed[2].line.dash


def test_raw_values_stay_under_the_smoothed_line(digits_run: Any) -> None:
    arrays, facts = digits_run["curves"]
    raw = lines(curves.frame(arrays, facts).figure(), "y2")[0]
    np.testing.assert_allclose(raw.y, arrays["terms"][0], rtol=1e-6)
    assert raw.opacity < 0.5


def test_a_term_switched_off_leaves_a_gap_on_the_log_axis(digits_run: Any) -> None:
    arrays, facts = digits_run["curves"]
    terms = arrays["terms"].copy()
    terms[0, 5:] = 0.0
    raw = lines(curves.frame({**arrays, "terms": terms}, facts).figure(), "y2")[0]
    assert np.isnan(np.asarray(raw.y)[5:]).all()


def test_x_runs_to_the_planned_end_from_the_first_frame(digits_run: Any) -> None:
    arrays, facts = digits_run["curves"]
    early = {k: v[..., :1] for k, v in arrays.items()}
    for given in (arrays, early, {}):
        assert tuple(curves.frame(given, facts).figure().layout.xaxis.range) == (0, 150 * 1.006)


def test_cost_axis_ends_at_whole_decades(digits_run: Any) -> None:
    low, high = curves.frame(*digits_run["curves"]).figure().layout.yaxis2.range
    assert low == int(low) and high == int(high) and low < high


@pytest.mark.parametrize("top", [5.0, 3e4, 3e31])
def test_labels_of_the_cost_axis_have_room_also_where_a_loss_broke(
    digits_run: Any, top: float
) -> None:
    arrays, facts = digits_run["curves"]
    terms = np.stack([np.full(arrays["terms"].shape[1], value) for value in (0.02, top)])
    cost = curves.frame({**arrays, "terms": terms}, facts).figure().layout.yaxis2
    low, high = cost.range
    assert 10**low <= 0.02 and top <= 10**high
    assert 3 <= sum(10**low <= tick <= 10**high for tick in cost.tickvals) <= 5
    assert len(set(cost.ticktext)) == len(cost.tickvals)


@pytest.mark.parametrize("paused", [True, False])
def test_the_curve_of_a_paused_run_ends_in_an_open_marker(digits_run: Any, paused: bool) -> None:
    arrays, facts = digits_run["curves"]
    figure = curves.frame(arrays, {**facts, "paused": paused}).figure()
    (head,) = [trace for trace in figure.data if trace.mode == "markers" and trace.marker.size == 8]
    assert (head.marker.color == head.marker.line.color) is not paused


def test_smoothing_of_a_constant_is_the_constant_and_skips_gaps() -> None:
    steps = np.array([0.0, 1.0, 5.0, 6.0])
    got = smooth(np.array([2.0, np.nan, 2.0, 2.0]), steps, half_life=1.0)
    np.testing.assert_allclose(got, 2.0)


def test_smoothing_forgets_half_after_one_half_life() -> None:
    """Weights 1 and 0.5: (2 * 0.5 + 8 * 1) / 1.5."""
    got = smooth(np.array([2.0, 8.0]), np.array([0.0, 10.0]), half_life=10.0)
    assert got[1] == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("values", "others", "floor"),
    [
        ([9, 80, 95, 96], [97.0], 90.0),
        ([9, 71.5], [97.0], 70.0),
        ([9, 51], [97.0], 40.0),
        ([9, 11], [97.0], 0.0),
        ([], [], 0.0),
        ([5, 100], [], 90.0),
    ],
)
def test_accuracy_floor_is_a_tick_below_the_late_half(
    values: list[float], others: list[float], floor: float
) -> None:
    assert accuracy_floor(np.array(values), others) == floor


@pytest.mark.parametrize("worst", [0.11, 0.45, 0.71, 0.85, 0.97])
def test_the_lowest_tick_of_the_accuracy_stands_at_the_end_of_its_axis(
    digits_run: Any, worst: float
) -> None:
    arrays, facts = digits_run["curves"]
    given = {**arrays, "student_accuracy": np.full(len(arrays["steps"]), worst)}
    axis = curves.frame(given, facts).figure().layout.yaxis
    shown = [tick for tick in axis.tickvals if tick >= axis.range[0]]
    assert shown[0] == axis.range[0] <= 100 * worst
    assert 3 <= len(shown) <= 6, "labels have room in a low plot"


def test_a_control_that_is_worse_stays_in_sight(digits_run: Any) -> None:
    arrays, facts = digits_run["curves"]
    steps = arrays["steps"]
    more = {"control_steps": steps, "control_accuracy": np.full(len(steps), 0.52)}
    figure = curves.frame({**arrays, **more}, facts).figure()
    assert figure.layout.yaxis.range[0] <= 52


def test_marks_run_through_both_plots_with_their_number(digits_run: Any) -> None:
    figure = curves.frame(*digits_run["curves"]).figure()
    at = [s.yref for s in figure.layout.shapes if s.x0 == 40 and s.x1 == 40]
    assert at == ["y domain", "y2 domain"]
    assert any(n.text == "<b>1</b>" and n.x == 40 for n in figure.layout.annotations)


@pytest.mark.parametrize("width", [336, 900])
def test_squares_of_thirty_marks_do_not_lie_on_each_other(digits_run: Any, width: int) -> None:
    arrays, facts = digits_run["curves"]
    marks = [{"step": 5 * k, "number": k + 1, "text": f"change {k + 1}"} for k in range(30)]
    layout = curves.frame(arrays, {**facts, "marks": marks}).figure(width=width).layout
    notes = [note for note in layout.annotations if "change" in (note.hovertext or "")]
    told = [text for note in notes for text in note.hovertext.split("<br>")]
    assert told == [mark["text"] for mark in marks], "each is told where one points"
    px = (width - layout.margin.l - layout.margin.r) / (150 * 1.006)
    spans = []
    for note in notes:
        wide = 6.2 * len(re.sub("<[^>]*>", "", note.text)) + 3
        left = note.x * px + (note.xshift or 0) - (wide / 2 if note.xanchor == "center" else 0)
        spans.append((left, left + wide))
    assert all(one[1] <= other[0] + 1 for one, other in pairwise(spans))
    assert (
        len(
            {mark.x0 for mark in layout.shapes if mark.yref == "y domain"}
            & {5 * k for k in range(30)}
        )
        >= 29
    )


def test_epochs_relabel_the_same_axis(digits_run: Any) -> None:
    layout = curves.frame(*digits_run["curves"]).figure(x="epoch").layout
    assert layout.xaxis.title.text == "epoch"
    assert layout.xaxis.tickvals[1] / 5 == float(layout.xaxis.ticktext[1])


def test_terms_without_names_are_refused(digits_run: Any) -> None:
    arrays, facts = digits_run["curves"]
    with pytest.raises(FrameError, match=r"'terms' has shape \(2, 24\), expected \(1, 24\)"):
        curves.frame(arrays, {**facts, "term_names": ["KD"], "term_targets": ["teacher"]})


def test_time_stands_at_the_steps_that_were_reached_then(digits_run: Any) -> None:
    arrays, facts = digits_run["curves"]
    times = [(0, 1000.0), (50, 1010.0), (100, 1030.0)]
    frame = curves.frame(arrays, {**facts, "times": times})
    assert [option["value"] for option in frame.controls[0]["options"]][-1] == "time"
    axis = frame.figure(x="time").layout.xaxis
    assert axis.title.text == "seconds since step 0"
    at = dict(zip(axis.ticktext, axis.tickvals, strict=True))
    assert (at["0"], at["10"], at["20"], at["30"]) == (0.0, 50.0, 75.0, 100.0)


@pytest.mark.parametrize("times", [[], [(0, 5.0)], [(0, 5.0), (10, 5.0)], [(0, 9.0), (10, 5.0)]])
def test_without_rising_times_there_is_no_axis_of_time(digits_run: Any, times: Any) -> None:
    arrays, facts = digits_run["curves"]
    controls = curves.frame(arrays, {**facts, "times": times}).controls
    assert not [o for c in controls for o in c["options"] if o["value"] == "time"]


def test_phases_of_the_rate_are_named_and_their_ends_run_through_both_plots(
    digits_run: Any,
) -> None:
    arrays, facts = digits_run["curves"]
    phases = [("warm-up", 0, 30), ("cosine <decay>", 30, 150)]
    layout = curves.frame(arrays, {**facts, "phases": phases}).figure().layout
    texts = [note.text for note in layout.annotations]
    assert {"warm-up", "cosine &lt;decay&gt;"} <= set(texts)
    ends = [shape for shape in layout.shapes if shape.x0 == shape.x1 == 30]
    assert sorted(shape.yref for shape in ends) == ["paper", "y domain", "y2 domain"]
    summary = curves.frame(arrays, {**facts, "phases": phases}).summary
    assert summary.endswith("Learning rate: warm-up to step 30, cosine <decay> to step 150.")


SIX = [(f"stair {k + 1}", 25 * k, 25 * (k + 1)) for k in range(6)]
NARROW = [("warm-up 200 steps", 0, 4), ("one-cycle", 4, 150)]


@pytest.mark.parametrize("width", [280, 336, 900])
@pytest.mark.parametrize("phases", [[("cosine decay", 0, 150)], SIX, NARROW])
def test_names_of_phases_have_a_strip_of_their_own_and_fit_their_phase(
    digits_run: Any, phases: list[Any], width: int
) -> None:
    arrays, facts = digits_run["curves"]
    frame = curves.frame(arrays, {**facts, "phases": phases})
    layout = frame.figure(width=width, height=300).layout
    inner = [getattr(layout, side) for side in ("width", "height")]
    across = inner[0] - layout.margin.l - layout.margin.r
    down = inner[1] - layout.margin.t - layout.margin.b
    assert layout.yaxis2.domain[0] * down == pytest.approx(15), "below the plot, above the axis"
    notes = [note for note in layout.annotations if ", steps " in (note.hovertext or "")]
    assert [note.hovertext.split(",")[0] for note in notes] == [
        f"LR: {name}" for name, *_ in phases
    ]
    for note, (_, first, last) in zip(notes, phases, strict=True):
        assert note.yref == "paper" and note.y == 0
        assert 6 * len(note.text) + 4 <= max(across * (last - first) / 150, 4)
    texts = [note.text for note in notes]
    assert len(set(texts)) == len(texts)
    assert texts[-1], "what has room is named"


def test_a_low_card_keeps_its_height_for_the_lines(digits_run: Any) -> None:
    arrays, facts = digits_run["curves"]
    figure = curves.frame(arrays, {**facts, "phases": SIX}).figure(height=240)
    assert figure.layout.yaxis2.domain[0] == 0
    assert not [note for note in figure.layout.annotations if "stair" in note.text]


@pytest.fixture
def some(digits_run: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The run with a selection whose accuracy was looked at in every fourth snapshot."""
    arrays, facts = digits_run["curves"]
    steps = arrays["steps"][::4]
    more = {
        "selected_steps": steps,
        "selected_student": np.linspace(0.25, 0.5, len(steps)),
        "selected_teacher": np.full(len(steps), 0.75),
    }
    return {**arrays, **more}, {**facts, "selected": {"n": 37, "of": 897}}


def test_selected_samples_have_a_point_a_snapshot_and_no_line_between(some: Any) -> None:
    arrays, facts = some
    figure = curves.frame(arrays, facts).figure("light")
    shown = {t.line.color: t for t in figure.data if t.mode == "lines+markers"}
    student, teacher = shown["#0B67C2"], shown["#AD5108"]
    np.testing.assert_array_equal(student.x, arrays["selected_steps"])
    np.testing.assert_allclose(student.y, arrays["selected_student"] * 100, rtol=1e-6)
    np.testing.assert_allclose(teacher.y, 75)
    assert student.line.shape == teacher.line.shape == "hv"
    assert student.line.dash != teacher.line.dash and student.marker.symbol != teacher.marker.symbol
    assert figure.layout.yaxis.range[0] < 40, "what the last half shows is in sight"
    texts = " ".join(note.text for note in figure.layout.annotations)
    assert "S selected, n = 37" in texts and "T selected" in texts


def test_all_samples_stay_faint_beside_the_selected_ones_and_are_named(some: Any) -> None:
    frame = curves.frame(*some)
    faint = [t for t in frame.figure().data if t.yaxis != "y2" and t.opacity == curves.FAINT]
    assert len(faint) == 3  # the teacher, the student, and its head
    assert frame.footer[0].startswith("n = 37 of 897 selected, test · faint: all 897")
    assert "Of the selected: student 50.0\u00a0%, teacher 75.0\u00a0%." in frame.summary
    assert frame.facts == {"selected": {"n": 37, "of": 897}}
    plain = curves.frame(*[{k: v for k, v in part.items() if "selected" not in k} for part in some])
    assert not [t for t in plain.figure().data if t.opacity == curves.FAINT]


def test_the_table_of_the_curves_has_the_selected_samples_too(some: Any) -> None:
    arrays, _ = some
    sheet = next(s for s in curves.frame(*some).sheets() if "selected" in s.title)
    assert sheet.title == "Accuracy, n = 37 of 897 selected"
    assert sheet.columns == ("step", "student accuracy, %", "teacher accuracy, %")
    assert [row[0] for row in sheet.rows] == arrays["selected_steps"].tolist()
    assert sheet.rows[0][1:] == (25.0, 75.0)


@pytest.mark.parametrize("value", [0.0, 0.5, 0.875, 1.0])
def test_the_names_of_the_selected_lines_stay_inside_the_plot(some: Any, value: float) -> None:
    arrays, facts = some
    arrays["selected_student"] = np.full_like(arrays["selected_student"], value)
    layout = curves.frame(arrays, facts).figure().layout
    name = next(n for n in layout.annotations if "S selected" in n.text)
    low, high = layout.yaxis.range
    assert name.yanchor != "bottom" or (high - name.y) / (high - low) > 0.27, "room in 64 px"
    inside = {0.0: ("bottom",), 0.5: ("bottom", "top"), 0.875: ("bottom", "top"), 1.0: ("top",)}
    assert low <= name.y <= high and name.yanchor in inside[value]
    assert name.xanchor == "right"


@pytest.mark.parametrize("width", [300, 336, 480, 900])
def test_seven_terms_are_named_beside_their_strokes_and_within_the_view(
    digits_run: Any, width: int
) -> None:
    """The legend breaks into lines, and the lower plot gives way to them."""
    arrays, facts = digits_run["curves"]
    names = ["kd", "ce", "dist", "dkd", "logits", "reverse", "a-very-long-name-of-a-term-of-mine"]
    targets = ["teacher", "labels", *["teacher"] * 5]
    terms = np.stack([arrays["terms"][0]] * len(names))
    seven = {**facts, "term_names": names, "term_targets": targets}
    layout = curves.frame({**arrays, "terms": terms}, seven).figure(width=width, height=420).layout
    legend = next(a for a in layout.annotations if "weighted loss" in a.text)
    lines = [re.sub("<[^>]*>", "", line) for line in legend.text.split("<br>")]
    assert [name for name in ("KD", "CE", "DIST", "DKD", "logits") if name in legend.text][-1]
    assert "a-very-…-of-mine" in legend.text and "kd" not in legend.text
    assert max(map(len, lines)) * 6.2 <= width
    high = 420 - layout.margin.t - layout.margin.b
    between = (layout.yaxis.domain[0] - layout.yaxis2.domain[1]) * high
    assert between >= 16 + 14 * (len(lines) - 1)


def test_a_low_card_leaves_the_names_of_many_terms_to_the_pointer(digits_run: Any) -> None:
    arrays, facts = digits_run["curves"]
    names = [f"a-term-of-mine-{k}" for k in range(7)]
    terms = np.stack([arrays["terms"][0]] * 7)
    seven = {**facts, "term_names": names, "term_targets": ["teacher"] * 7}
    figure = curves.frame({**arrays, "terms": terms}, seven).figure(width=336, height=240)
    legend = next(a for a in figure.layout.annotations if "weighted loss" in a.text)
    assert "7 terms, named where you point" in legend.text and "<br>" not in legend.text
    assert sum("a-term-of-mine-6" in str(t.hovertemplate) for t in figure.data) == 1
