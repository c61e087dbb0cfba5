"""The wedge: fixed frame, honest counts, medians with their n."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from workbench_widgets import FrameError, trilateral
from workbench_widgets.frame import plain


def test_density_holds_every_image_and_the_four_wedges_split_them(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    frame = trilateral.frame(arrays, facts)
    assert np.nansum(10 ** frame.arrays["density"]) == pytest.approx(facts["n"], rel=1e-4)
    both = np.sum((arrays["student_right"] > 0) & (arrays["teacher_right"] > 0))
    assert frame.facts["shares"]["both"] == str(both)
    assert sum(int(v) for v in frame.facts["shares"].values()) == facts["n"]
    assert np.nansum(10 ** frame.arrays["both"]) == pytest.approx(both, rel=1e-4)


def test_the_frame_is_zero_to_root_two_with_equal_axes(digits_run: Any) -> None:
    layout = trilateral.frame(*digits_run["trilateral"]).figure().layout
    assert layout.xaxis.range[0] <= 0 and layout.xaxis.range[1] >= math.sqrt(2)
    assert layout.yaxis.scaleanchor == "x"
    assert layout.xaxis.autorange is False


def test_medians_are_of_the_samples_for_which_they_mean_something(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    frame = trilateral.frame(arrays, facts)
    radius = np.hypot(arrays["x"], arrays["y"]).astype(np.float64)
    stats = next(part for part in frame.parts if part["kind"] == "stats")["rows"]
    assert stats[0][1] == f"median {np.median(radius):.3f}"
    far = radius > 0.1
    angle = np.degrees(np.arctan2(arrays["y"], arrays["x"])[far])
    assert stats[1][1] == f"median {np.median(angle):.0f}°"
    assert f"θ: r > 0.1, n = {far.sum()}" in frame.footer[0]


def test_images_without_an_axis_are_counted_in_the_footer(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    frame = trilateral.frame(arrays, {**facts, "no_axis": 12})
    assert "|TG| = 0: 12" in frame.footer[0]


def test_two_classes_say_why_the_wedge_is_a_line(digits_run: Any) -> None:
    arrays, facts = digits_run["trilateral"]
    frame = trilateral.frame(arrays, {**facts, "num_classes": 2})
    assert "wedge is a line" in str(frame.parts[-1]["text"])


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
    with pytest.raises(FrameError, match="'alpha' has shape"):
        trilateral.frame({**arrays, "alpha": arrays["alpha"][:5]}, facts)


def test_of_a_selection_the_numbers_are_theirs_and_the_others_stay_as_a_grey_floor(
    digits_run: Any,
) -> None:
    arrays, facts = digits_run["trilateral"]
    chosen = arrays["student_right"] == 0
    told = {"n": int(chosen.sum()), "selected": {"n": int(chosen.sum()), "of": len(chosen)}}
    frame = trilateral.frame({**arrays, "chosen": chosen.astype(np.uint8)}, {**facts, **told})
    alone = trilateral.frame({name: values[chosen] for name, values in arrays.items()}, facts)
    for name in ("density", "ratio", "rug", "both", "neither", "teacher_only"):
        np.testing.assert_array_equal(frame.arrays[name], alone.arrays[name], err_msg=name)
    assert frame.parts[1] == alone.parts[1], "medians"
    everything = trilateral.frame(arrays, facts)
    assert frame.facts["zmax"] == everything.facts["zmax"], "a colour keeps its meaning"
    both = [10 ** np.nan_to_num(frame.arrays[name], nan=-np.inf) for name in ("density", "others")]
    all_cells = 10 ** np.nan_to_num(everything.arrays["density"], nan=-np.inf)
    np.testing.assert_allclose(sum(both), all_cells, rtol=1e-4)
    assert plain(frame.footer).startswith(f"n = {chosen.sum()} of {len(chosen)} selected, test")
