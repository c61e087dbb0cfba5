"""The wedge: fixed frame, honest counts, medians with their n."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from workbench_widgets import FrameError, trilateral
from workbench_widgets.frame import plain
from workbench_widgets.printing import printed, unpacked


def heat(frame: Any, **state: Any) -> list[dict[str, Any]]:
    """Filled heat maps of the figure: the large floor's, its rug, those of the four small ones."""
    figure = frame.figure(**state).to_dict()
    return [unpacked(trace) for trace in figure["data"] if trace["type"] == "heatmap"]


def held(trace: dict[str, Any]) -> float:
    """Samples that a map of log counts holds."""
    return float(np.nansum(10.0 ** np.asarray(trace["z"], dtype=np.float64)))


def selected(digits_run: Any) -> tuple[Any, Any, np.ndarray]:
    """Arrays and facts of a selection: what the student has wrong."""
    arrays, facts = digits_run["trilateral"]
    chosen = arrays["student_right"] == 0
    told = {"n": int(chosen.sum()), "selected": {"n": int(chosen.sum()), "of": len(chosen)}}
    return {**arrays, "chosen": chosen.astype(np.uint8)}, {**facts, **told}, chosen


@pytest.mark.parametrize("metric", ["l2", "hellinger"])
def test_density_holds_every_sample_and_the_four_wedges_split_them(
    digits_run: Any, metric: str
) -> None:
    arrays, facts = digits_run["trilateral"]
    frame = trilateral.frame(arrays, facts)
    large, rug, *small = heat(frame, metric=metric)
    assert held(large) == pytest.approx(facts["n"], rel=1e-4)
    assert held(rug) == pytest.approx(facts["n"], rel=1e-4)
    both = np.sum((arrays["student_right"] > 0) & (arrays["teacher_right"] > 0))
    assert frame.facts["shares"]["both"] == str(both)
    assert sum(int(v) for v in frame.facts["shares"].values()) == facts["n"]
    assert [held(one) for one in small] == pytest.approx(
        [int(n) for n in frame.facts["shares"].values()], rel=1e-4
    )


def test_the_frame_is_zero_to_root_two_with_equal_axes(digits_run: Any) -> None:
    layout = trilateral.frame(*digits_run["trilateral"]).figure().layout
    assert layout.xaxis.range[0] <= 0 and layout.xaxis.range[1] >= math.sqrt(2)
    assert layout.yaxis.scaleanchor == "x"
    assert layout.xaxis.autorange is False


def test_hellinger_has_a_quarter_disc_of_radius_one_as_its_floor(digits_run: Any) -> None:
    """The bound: cos of the angle at G >= r_S r_T / 2, and every side is at most 1."""
    arrays, facts = digits_run["trilateral"]
    figure = trilateral.frame(arrays, facts).figure(metric="hellinger")
    shapes = [shape for shape in figure.layout.shapes if shape.xref == "x"]
    assert shapes[0].path.startswith("M0,0 L1.0000,0") and shapes[0].path.endswith(
        "L0.0000,1.0000 Z"
    )
    words = {note.text for note in figure.layout.annotations}
    assert "90°" in words and "60°" not in words
    assert figure.layout.xaxis.range[1] == pytest.approx(figure.layout.yaxis.range[1], abs=0.06)
    radius = np.hypot(arrays["hellinger_x"], arrays["hellinger_y"])
    cosine = arrays["hellinger_x"] / radius
    assert (cosine >= radius * arrays["hellinger_teacher_x"] / 2 - 1e-4).all()
    assert max(radius.max(), arrays["hellinger_teacher_x"].max()) <= 1 + 1e-6


def test_a_snapshot_of_an_older_run_offers_no_other_distance(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    older = {name: values for name, values in arrays.items() if "hellinger" not in name}
    frame = trilateral.frame(older, facts)
    assert [control["name"] for control in frame.controls] == ["colour", "label"]
    assert "$if" not in str(frame.footer) and "Hellinger" not in frame.definition
    with pytest.raises(FrameError, match="no toggle metric"):
        frame.figure(metric="hellinger")
    assert held(heat(frame)[0]) == pytest.approx(facts["n"], rel=1e-4)


def test_medians_are_of_the_samples_for_which_they_mean_something(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    frame = trilateral.frame(arrays, facts)
    radius = np.hypot(arrays["x"], arrays["y"]).astype(np.float64)
    stats = next(part for part in frame.parts if part["kind"] == "stats")["rows"]
    assert stats[0][1] == f"median {np.median(radius):.3f}"
    far = radius > 0.1
    angle = np.degrees(np.arctan2(arrays["y"], arrays["x"])[far])
    assert stats[1][1] == f"median {np.median(angle):.0f}°"
    assert f"(r > 0.1: n = {far.sum()})" in stats[1][0]
    ratio = far & (arrays["teacher_x"] > 0.05)
    alpha = (arrays["x"] / arrays["teacher_x"])[ratio]
    assert stats[2][1] == f"median {np.median(alpha):.2f}"
    assert f"n = {ratio.sum()})" in stats[2][0]


def test_each_distance_has_its_own_medians_and_says_which_it_is(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    frame = trilateral.frame(arrays, facts)
    for metric, word, prefix in (("l2", "L2", ""), ("hellinger", "Hellinger", "hellinger_")):
        notes = [note.text for note in frame.figure(metric=metric).layout.annotations]
        radius = np.hypot(arrays[f"{prefix}x"], arrays[f"{prefix}y"])
        assert f"<b>median {np.median(radius):.3f}</b>" in notes
        assert any(f"{word}, τ = 1" in note for note in notes)
    assert frame.sheets()[0].notes[0].endswith("n = 897 test · no axis (|TG| = 0): 0")


def test_samples_without_an_axis_are_counted_in_the_footer(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    frame = trilateral.frame(arrays, {**facts, "no_axis": 12})
    assert "no axis (|TG| = 0): 12" in frame.footer[-1]


def test_a_sample_without_a_place_is_drawn_nowhere_and_counted_in_the_footer(
    digits_run: Any,
) -> None:
    arrays, facts = digits_run["trilateral"]
    broken = {name: np.array(values) for name, values in arrays.items()}
    for name in ("x", "y", "hellinger_x", "hellinger_y"):
        broken[name][:3] = np.nan
    frame = trilateral.frame(broken, facts)
    assert "no place (not finite): 3" in frame.footer[-1]
    assert held(heat(frame)[0]) == pytest.approx(facts["n"] - 3, rel=1e-4)


def test_two_classes_are_drawn_as_a_line_that_says_why(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    two = {**facts, "num_classes": 2, "class_names": ["no", "yes"]}
    frame = trilateral.frame({**arrays, "labels": arrays["labels"] % 2}, two)

    def notes(**state: Any) -> str:
        return " ".join(note.text for note in frame.figure(**state).layout.annotations)

    assert "the wedge is a line" in notes() and "60°" not in notes()
    flat = frame.figure().to_dict()
    large = heat(frame)[0]
    assert np.shape(large["z"]) == (1, 64) and held(large) == pytest.approx(facts["n"], rel=1e-4)
    assert flat["layout"]["shapes"][0]["path"].endswith("L1.4142,0.1600 L0,0.1600 Z")
    assert "the wedge is a line" not in notes(metric="hellinger")
    assert "follows from the two distances" in notes(metric="hellinger")


# ---- colours


def test_one_class_is_in_ink_over_the_grey_of_all_others(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    frame = trilateral.frame(arrays, facts)
    grey, ink, _, *small = heat(frame, colour="class", label=3)
    of_class = arrays["labels"] == 3
    assert held(ink) == pytest.approx(of_class.sum(), rel=1e-4)
    assert held(grey) == pytest.approx((~of_class).sum(), rel=1e-4)
    assert "coloraxis" not in grey
    right = (arrays["student_right"] > 0, arrays["teacher_right"] > 0)
    for k, (mine, theirs) in enumerate(((1, 1), (1, 0), (0, 1), (0, 0))):
        quadrant = (right[0] == bool(mine)) & (right[1] == bool(theirs))
        assert held(small[2 * k]) == pytest.approx((quadrant & ~of_class).sum(), rel=1e-4)
        assert held(small[2 * k + 1]) == pytest.approx((quadrant & of_class).sum(), rel=1e-4)
    figure = frame.figure(colour="class", label=3)
    assert figure.layout.coloraxis3.showscale and not figure.layout.coloraxis.showscale
    assert figure.layout.coloraxis3.colorbar.title.text == "class 3"
    notes = [note.text for note in figure.layout.annotations]
    assert f"<b>n = {of_class.sum()}</b>" in notes
    assert f"<b>{(right[0] & of_class).sum()}</b>" in notes


def test_of_a_selection_the_ink_is_what_both_have_in_common(digits_run: Any) -> None:
    arrays, facts, chosen = selected(digits_run)
    frame = trilateral.frame(arrays, facts)
    grey, ink, *_ = heat(frame, colour="class", label=8)
    common = chosen & (arrays["labels"] == 8)
    assert held(ink) == pytest.approx(common.sum(), rel=1e-4)
    assert held(grey) == pytest.approx((~common).sum(), rel=1e-4)


def test_names_of_classes_are_the_snapshots_own_or_numbers(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    assert trilateral.frame(arrays, facts).facts["class_names"] == [str(k) for k in range(10)]
    names = ["<b>nought</b>", *(f"number {k}" for k in range(1, 10))]
    frame = trilateral.frame(arrays, {**facts, "class_names": names})
    assert frame.facts["class_names"] == names
    title = frame.figure(colour="class").layout.coloraxis3.colorbar.title.text
    assert title == "&lt;b&gt;nought&lt;/b&gt;", "text, not markup"


def test_a_class_that_is_none_is_refused(digits_run: Any) -> None:
    frame = trilateral.frame(*digits_run["trilateral"])
    with pytest.raises(FrameError, match=r"label.*10.*0 to 9"):
        frame.figure(colour="class", label=10)
    with pytest.raises(FrameError, match=r"colour.*'red'.*count, class, alpha"):
        frame.figure(colour="red")


def test_what_a_mix_gives_each_sample_is_a_colour_only_where_there_is_one(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]

    def colours(frame: Any) -> list[str]:
        return [option["label"] for option in frame.controls[0]["options"]]

    assert colours(trilateral.frame(arrays, facts)) == ["count", "class", "α̂"]
    given = np.where(arrays["teacher_right"] > 0, 0.75, 0.25).astype(np.float32)
    frame = trilateral.frame({**arrays, "ratio fuse": given}, facts)
    assert colours(frame) == ["count", "class", "α̂", "ratio"]
    _, _, *small = heat(frame, colour="ratio fuse")
    for k, expected in enumerate((0.75, 0.25, 0.75, 0.25)):
        z = np.asarray(small[k]["z"], dtype=np.float64)
        np.testing.assert_allclose(z[np.isfinite(z)], expected)
    assert frame.figure(colour="ratio fuse").layout.coloraxis4.showscale


def test_colour_top_rises_in_powers_of_ten() -> None:
    def top(n: int) -> float:
        arrays: dict[str, Any] = dict.fromkeys(("x", "y", "teacher_x", "alpha"), np.zeros(n))
        ones = np.ones(n, dtype=np.uint8)
        arrays |= {"ids": np.arange(n), "labels": ones, "axis_defined": ones}
        arrays |= {"student_right": ones, "teacher_right": ones}
        frame = trilateral.frame(arrays, {"n": n, "step": 0})
        return float(frame.figure().layout.coloraxis.cmax)

    assert [top(n) for n in (3, 10, 11, 1000, 1001)] == [1, 1, 2, 3, 4]


def test_arrays_of_two_snapshots_are_refused(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    with pytest.raises(FrameError, match="'teacher_x' has shape"):
        trilateral.frame({**arrays, "teacher_x": arrays["teacher_x"][:5]}, facts)


@pytest.mark.parametrize("metric", ["l2", "hellinger"])
def test_of_a_selection_the_numbers_are_theirs_and_the_others_stay_as_a_grey_floor(
    digits_run: Any, metric: str
) -> None:
    arrays, facts, chosen = selected(digits_run)
    frame = trilateral.frame(arrays, facts)
    alone = trilateral.frame(
        {name: values[chosen] for name, values in digits_run["trilateral"][0].items()}, facts
    )
    state = {"metric": metric}
    grey, large, rug, *small = heat(frame, **state)
    coloured = [large, rug, *small[1::2]]
    for mine, theirs in zip(coloured, heat(alone, **state), strict=True):
        np.testing.assert_array_equal(mine["z"], theirs["z"])
    assert [part for part in frame.parts if part["kind"] == "stats"][:2] == [
        part for part in alone.parts if part["kind"] == "stats"
    ][:2], "medians"
    everything = trilateral.frame(*digits_run["trilateral"])
    assert frame.facts["zmax"] == everything.facts["zmax"], "a colour keeps its meaning"
    together = held(grey) + held(large)
    assert together == pytest.approx(len(chosen), rel=1e-4)
    assert plain(frame.footer[:1]).startswith(f"n = {chosen.sum()} of {len(chosen)} selected, test")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("state", [{"colour": "class", "label": 4}, {"metric": "hellinger"}])
def test_a_printed_figure_shows_what_is_asked_for(
    digits_run: Any, theme: Any, state: dict[str, Any]
) -> None:
    frame = trilateral.frame(*digits_run["trilateral"])
    svg = printed(frame.figure(theme, **state), "svg").decode()
    wanted = {"colour": "class 4", "metric": "90°"}[next(iter(state))]
    assert svg.count(f"<!-- {wanted} -->") == 1, "several maps share one bar"
