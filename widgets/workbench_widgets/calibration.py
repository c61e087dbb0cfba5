"""Calibration: reliability of student and teacher side by side, with what chance alone explains.

Unusual here: ECE never appears without the 95th percentile of its null, and bins with fewer than 10
samples are hollow. Papers: Guo et al. 2017, arXiv:1706.04599 (ECE, temperature scaling); Nguyen &
O'Connor 2015 (bins of equal mass); Wilson 1927 (intervals).
Shapes: every array is (bins,), NaN where a bin is empty; n = samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.frame import Arrays, Facts, Frame, Run, fact, need
from workbench_widgets.sheets import declared
from workbench_widgets.skeleton import Node, axis, ghost, label, layout, paint
from workbench_widgets.words import count, number, percent, sampled

TITLE: Final = "Calibration"
READ: Final = ("On the dotted line confidence = accuracy; band = chance.",)
DEFINITION: Final = (
    "Samples are binned by the confidence of the answer; each point is a bin's accuracy at its "
    "mean confidence, with its Wilson 95 % interval. The band is where 95 % of bins of a "
    "perfectly calibrated model of the same confidences would fall. ECE: mean gap, weighted by "
    "bin counts (Guo et al. 2017); read it against its null. Bins of equal mass hold equally many "
    "samples, equal confidences together (Nguyen & O'Connor 2015): they tell apart what a sure "
    "model puts into one bin of equal width, and have an ECE and a null of their own."
)
BIN_ARRAYS: Final = (
    "count",
    "confidence",
    "accuracy",
    "wilson_low",
    "wilson_high",
    "band_low",
    "band_high",
)
WIDTHS: Final = "15 equal-width (a, b]"
"""How bins of equal width are named if the facts do not."""
MASS: Final = "_mass"
"""Of the names of arrays and facts of equal-mass bins; ``_scaled`` may follow."""
BINS: Final = (
    {"value": "width", "lead": "equal ", "label": "width"},
    {"value": "mass", "lead": "equal ", "label": "mass", "title": "equally many samples a bin"},
)
THIN_BAR: Final = 0.012
"""Least width of a bar: bins of equal mass can be narrower than a pixel."""
FEW: Final = 10
"""Bins with fewer samples are hollow."""

NARROW_PX: Final = 250
"""Width of both plots below which a network is its letter and T-scaled facts take two lines."""

SIDES: Final = (("student", "Student", "circle", "●"), ("teacher", "Teacher", "square", "■"))
DOMAINS: Final[tuple[list[Node], ...]] = ([0, 0.43], [0.57, 1])


def frame(arrays: Arrays, facts: Facts) -> Frame:
    """The frame of one snapshot.

    Args:
        arrays: For each model (``student_...``, ``teacher_...``): ``count``, ``confidence``,
            ``accuracy``, ``wilson_low``, ``wilson_high``, ``band_low``, ``band_high``; the same
            with the suffix ``_scaled`` after temperature scaling, for both models or none;
            optionally the same with ``_mass`` (and ``_mass_scaled``) in bins of equal mass, then
            also ``edges`` (bins + 1,), with a number of bins for each; optionally ``ids`` and, for
            each model and suffix, ``bin_student`` and the like (n,): the bin of each sample, so
            that a click selects them. Empty while waiting.
        facts: ``student`` and ``teacher``, each with ``ece``, ``ece_null_p95``, ``nll``, ``brier``
            and, for scaled arrays, ``temperature``, ``ece_scaled`` and optionally
            ``ece_scaled_null_p95``, for bins of equal mass the same as ``ece_mass`` and so on;
            ``n``, ``split``, ``step``, ``bins`` (such as ``15 equal-width (a, b]``); optionally
            ``fitted_on`` (``val, n = 500``) and ``selected``.

    Raises:
        FrameError: If arrays or facts are missing or disagree.
    """
    if not arrays:
        return Frame(
            view="calibration",
            step=-1,
            title=TITLE,
            read=READ,
            footer=(str(facts.get("bins", WIDTHS)),),
            summary="No snapshot yet.",
            definition=DEFINITION,
            state={"scaling": "raw", "bins": "width"},
            parts=({"kind": "plot"},),
            skeleton=_skeleton({}, facts, [""]),
            waiting="Waits for the first snapshot.",
        )
    scaled = "student_count_scaled" in arrays
    suffixes = ["", "_scaled"] if scaled else [""]
    by_mass = f"student_count{MASS}" in arrays
    if by_mass:
        suffixes += [f"{MASS}{suffix}" for suffix in suffixes]
    needed: dict[str, tuple[int | str, ...]] = {}
    for side, *_ in SIDES:
        for suffix in suffixes:
            bins = f"{side}{suffix}" if MASS in suffix else "bins"
            needed |= {f"{side}_{name}{suffix}": (bins,) for name in BIN_ARRAYS}
    need(arrays, "calibration", needed)
    data = {name: np.asarray(arrays[name], dtype=np.float32) for name in needed}
    for side, *_ in SIDES:
        for suffix in suffixes:
            _derive(data, side, suffix)
            if MASS in suffix:
                edges = f"{side}_edges{suffix}"
                size = len(data[f"{side}_count{suffix}"]) + 1
                need(arrays, "calibration", {edges: (size,)})
                data |= _ends(np.asarray(arrays[edges], dtype=np.float32), side, suffix)
    if "ids" in arrays:
        each = ["ids", *(name for name in arrays if name.startswith("bin_"))]
        data |= {name: np.asarray(arrays[name], dtype=np.int32) for name in each}
    n = int(fact(facts, "calibration", "n"))
    scalings = [{"value": "raw", "label": "raw"}, {"value": "scaled", "label": "T-scaled"}]
    controls: list[dict[str, Any]] = []
    if by_mass:
        controls.append({"name": "bins", "options": list(BINS)})
    if scaled:
        controls.append({"name": "scaling", "options": scalings})
    return Frame(
        view="calibration",
        step=int(fact(facts, "calibration", "step")),
        title=TITLE,
        read=READ,
        footer=_footer(sampled(n, facts), facts, data),
        summary=" ".join(_spoken(side, fact(facts, "calibration", side)) for side, *_ in SIDES),
        definition=DEFINITION,
        arrays=data,
        tables=declared("calibration", data, facts),
        controls=tuple(controls),
        state={"scaling": "raw", "bins": "width"},
        parts=({"kind": "plot"},),
        skeleton=_skeleton(data, facts, suffixes),
        ids="ids" if "ids" in data else None,
    )


def _footer(n: str, facts: Facts, data: Mapping[str, NDArray[Any]]) -> tuple[Run, ...]:
    """n, the bins that are shown, and what bars and whiskers are."""
    widths = str(facts.get("bins", WIDTHS))
    rest = " · Wilson 95 % · bars: n"
    if f"student_count{MASS}" not in data:
        return (f"{n} · {widths}{rest}",)
    sizes = {len(data[name]) for name in data if f"_count{MASS}" in name}
    number_of = f"{min(sizes)} to {max(sizes)}" if len(sizes) > 1 else str(max(sizes))
    masses = f"{number_of} equal-mass (a, b]"
    shown = {"width": widths, "mass": masses}
    runs = ({"text": f" · {words}", "show": {"bins": own}} for own, words in shown.items())
    return (n, *runs, rest)


def _derive(data: dict[str, NDArray[Any]], side: str, suffix: str) -> None:
    """Bar lengths around a point, and the band as a closed polygon over non-empty bins."""
    accuracy = data[f"{side}_accuracy{suffix}"]
    data[f"{side}_up{suffix}"] = np.maximum(data[f"{side}_wilson_high{suffix}"] - accuracy, 0)
    data[f"{side}_down{suffix}"] = np.maximum(accuracy - data[f"{side}_wilson_low{suffix}"], 0)
    x = data[f"{side}_confidence{suffix}"]
    low, high = data[f"{side}_band_low{suffix}"], data[f"{side}_band_high{suffix}"]
    there = np.isfinite(x) & np.isfinite(low) & np.isfinite(high)
    data[f"{side}_band_x{suffix}"] = np.concatenate([x[there], x[there][::-1]])
    data[f"{side}_band_y{suffix}"] = np.concatenate([low[there], high[there][::-1]])


def _ends(edges: NDArray[Any], side: str, suffix: str) -> dict[str, NDArray[Any]]:
    """Where each bin begins and ends."""
    return {f"{side}_from{suffix}": edges[:-1], f"{side}_to{suffix}": edges[1:]}


def _spoken(side: str, facts: Mapping[str, Any]) -> str:
    mass = ""
    if f"ece{MASS}" in facts:
        mass = (
            f"in bins of equal mass {percent(facts[f'ece{MASS}'])}, null p95 "
            f"{percent(facts.get(f'ece{MASS}_null_p95'))}, "
        )
    return (
        f"{side.capitalize()}: ECE {percent(facts.get('ece'))}, null p95 "
        f"{percent(facts.get('ece_null_p95'))}, {mass}NLL {number(facts.get('nll'))}, "
        f"Brier {number(facts.get('brier'))}."
    )


def _test(suffix: str) -> dict[str, str]:
    """The toggles under which what has this suffix is shown."""
    return {
        "scaling": "scaled" if suffix.endswith("_scaled") else "raw",
        "bins": "mass" if MASS in suffix else "width",
    }


def _skeleton(data: dict[str, NDArray[Any]], facts: Facts, suffixes: list[str]) -> dict[str, Node]:
    n = max(int(facts.get("n", 1000)), 10)
    decades = math.ceil(math.log10(n))
    counts_top: Node = {"$px": [0, 50, "y"]}
    plot_floor: Node = {"$px": [0, 64, "y"]}
    small = {"h<": 300}
    counts_top = {"$if": small, "then": {"$px": [0, 30, "y"]}, "else": counts_top}
    plot_floor = {"$if": small, "then": {"$px": [0, 40, "y"]}, "else": plot_floor}
    # a margin is asked for while W is still the whole width
    two_lines = {"scaling": "scaled", "W<": NARROW_PX + 50}
    top: Node = {"$if": two_lines, "then": 34 + 13, "else": 34}
    shape = layout({"l": 42, "r": 8, "t": top, "b": 34}, shapes=[], annotations=[], bargap=0.12)
    traces: list[Node] = []
    for k, (side, name, symbol, sign) in enumerate(SIDES):
        main, bars = str(2 * k + 1), str(2 * k + 2)
        main = "" if main == "1" else main
        first = k == 0
        half: list[float] = [0, 0.5, 1]
        shape[f"xaxis{main}"] = axis(
            [-0.012, 1.012],
            ticks=half,
            labels=["", "", ""],
            domain=DOMAINS[k],
            anchor=f"y{main}",
        )
        shape[f"yaxis{main}"] = axis(
            [-0.012, 1.012],
            ticks=half,
            labels=["0", ".5", "1"],
            domain=[plot_floor, 1],
            anchor=f"x{main}",
            title="accuracy" if first else None,
        )
        shape[f"xaxis{bars}"] = axis(
            [-0.012, 1.012],
            ticks=half,
            labels=["0", ".5", "1"],
            domain=DOMAINS[k],
            anchor=f"y{bars}",
            title="confidence",
            standoff=2,
            grid=False,
        )
        shape[f"yaxis{bars}"] = axis(
            [math.log10(0.7), decades],
            type="log",
            ticks=[1, 10 ** max(decades - 1, 1)],
            labels=["1", count(10 ** max(decades - 1, 1))],
            domain=[0, counts_top],
            anchor=f"x{bars}",
            title="n" if first else None,
        )
        diagonal = {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1}
        shape["shapes"].append(
            {
                **diagonal,
                "xref": f"x{main}",
                "yref": f"y{main}",
                "line": {"color": "$ink3", "width": 1, "dash": "3px,2px"},
            }
        )
        shape["annotations"] += _headings(side, name, sign, facts, DOMAINS[k][0], data, suffixes)
        if not data:
            traces += [ghost(f"x{main}", f"y{main}"), ghost(f"x{bars}", f"y{bars}")]
        for suffix in suffixes if data else []:
            test = _test(suffix)
            shown = _side(data, side, suffix, symbol, main, bars)
            traces += [{"$if": test, "then": trace} for trace in shown]
    return {"data": traces, "layout": shape}


def _headings(
    side: str,
    name: str,
    sign: str,
    facts: Facts,
    x: Node,
    data: dict[str, NDArray[Any]],
    suffixes: list[str],
) -> list[Node]:
    title, short = (f"<b>{paint(f'{sign} {word}', f'${side}')}</b>" for word in (name, name[0]))
    narrow = {"W<": NARROW_PX}
    place = {"xshift": -4, "yshift": 18, "font": {"size": 12, "color": "$ink"}}
    under = {"xshift": -4, "yshift": 3, "font": {"size": 11, "color": "$ink3"}}
    if not data:
        return [label(title, x, 1, **place)]
    own: Mapping[str, Any] = fact(facts, "calibration", side)
    made: list[Node] = []
    for suffix in suffixes:
        test = _test(suffix)
        key = f"ece{suffix}"
        chance = own.get(f"{key}_null_p95")
        line: Node = f"null p95 {percent(chance)}"
        above: Node = 18
        if suffix.endswith("_scaled"):
            fit = str(facts.get("fitted_on", "val")).partition(",")[0]
            null = f"null {percent(chance)}"
            if chance is None:
                raw = own.get(f"{key.removesuffix('_scaled')}_null_p95")
                null = f"raw null {percent(raw)}"
            heat = f"T = {number(own.get('temperature'))} ({fit})"
            line = {"$if": narrow, "then": f"{heat}<br>{null}", "else": f"{heat}, {null}"}
            above = {"$if": narrow, "then": 18 + 13, "else": 18}
        ece = f"ECE <b>{percent(own.get(key))}</b>"
        text = {"$if": narrow, "then": f"{short} {ece}", "else": f"{title}  {ece}"}
        made.append({"$if": test, "then": label(text, x, 1, **{**place, "yshift": above})})
        made.append({"$if": test, "then": label(line, x, 1, **under)})
    return made


def _side(
    data: dict[str, NDArray[Any]], side: str, suffix: str, symbol: str, main: str, bars: str
) -> list[Node]:
    colour = f"${side}"
    few = data[f"{side}_count{suffix}"] < FEW
    counts = [int(c) for c in data[f"{side}_count{suffix}"]]
    on = {"xaxis": f"x{main}", "yaxis": f"y{main}"}
    x = {"$data": f"{side}_confidence{suffix}"}
    bins = len(counts)
    starts = np.arange(bins + 1) / bins
    edges: tuple[Sequence[float], Sequence[float]] = (starts[:-1].tolist(), starts[1:].tolist())
    gap, line = 0.88, 0.0
    if MASS in suffix:
        edges = tuple(data[f"{side}_{end}{suffix}"].tolist() for end in ("from", "to"))
        gap, line = 1.0, 0.5
    meta: dict[str, Node] = {"event": {"kind": "bin", "model": side}}
    if f"bin_{side}{suffix}" in data:
        digits = 4 if MASS in suffix else 2
        ends = [
            (f"{low:.{digits}f}", f"{high:.{digits}f}") for low, high in zip(*edges, strict=True)
        ]
        words = [f"{side}: confidence {low} to {high}" for low, high in ends]
        meta["picks"] = {"where": [[f"bin_{side}{suffix}", "$index"]], "words": words}
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": {"$data": f"{side}_band_x{suffix}"},
        "y": {"$data": f"{side}_band_y{suffix}"},
        "fill": "toself",
        "fillcolor": "$null_band",
        "line": {"width": 0, "color": "$null_band"},
        "hoverinfo": "skip",
        **on,
    }
    points = {
        "type": "scatter",
        "mode": "markers",
        "x": x,
        "y": {"$data": f"{side}_accuracy{suffix}"},
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": {"$data": f"{side}_up{suffix}"},
            "arrayminus": {"$data": f"{side}_down{suffix}"},
            "color": colour,
            "thickness": 1.4,
            "width": 0,
        },
        "marker": {
            "symbol": symbol,
            "size": 6 if MASS in suffix else 7.5,
            "opacity": 1,
            "color": ["$surface" if f else colour for f in few],
            "line": {"color": colour, "width": 1.4},
        },
        "customdata": counts,
        "cliponaxis": False,
        "hovertemplate": "confidence %{x:.3f}<br>accuracy %{y:.3f}<br>n = %{customdata}"
        "<extra></extra>",
        "meta": meta,
        **on,
    }
    heights = {
        "type": "bar",
        "x": [(low + high) / 2 for low, high in zip(*edges, strict=True)],
        "y": counts,
        "width": [max(gap * (high - low), THIN_BAR) for low, high in zip(*edges, strict=True)],
        # what is as wide as its bin needs a line between it and the next
        "marker": {"color": "$line_strong", "line": {"width": line, "color": "$surface"}},
        "hovertemplate": "n = %{y}<extra></extra>",
        "xaxis": f"x{bars}",
        "yaxis": f"y{bars}",
        "meta": meta,
    }
    return [band, points, heights]
