"""Student, teacher, truth: each sample's triangle drawn exactly in the plane.

Unusual here: truth is the origin, the teacher lies on the x axis at its own distance, and in L2 on
probabilities every student falls inside a 60 degree wedge of radius sqrt 2. The picture is a log
count of cells, not 50 000 points.
Paper: the three sides come from TGeo-KD (arXiv:2312.15112). Shapes: n = samples; cells are (rows,
    columns) = (y, x).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.frame import Arrays, Facts, Frame, Run, fact, need
from workbench_widgets.skeleton import (
    CLEAR,
    Node,
    bare_axis,
    label,
    layout,
    paint,
)
from workbench_widgets.wedge_cells import (
    CELL,
    HEIGHT,
    RADIUS,
    RUG_COLUMNS,
    SMALL_CELL,
    cell_means,
    cells,
    log_count,
    rug,
)
from workbench_widgets.words import count, fixed

TITLE: Final = "Student · Teacher · Truth"
READ: Final[tuple[Run, ...]] = (
    "Each image is a point. Near ",
    {"text": "G", "colour": "$truth", "strong": True},
    " = right; along the ",
    {"text": "T", "colour": "$teacher", "strong": True},
    " edge = like the teacher.",
)
DEFINITION: Final = (
    "Truth, teacher and student of one sample are three points in probability space; their "
    "three distances are drawn without distortion. Radius r: distance to the truth, close to "
    "the error on the labelled class. Angle: difference on the other classes only. α̂ = x / "
    "|TG|: how far towards the teacher; 1 copies it, above 1 overshoots it."
)
FAR: Final = 0.1
"""Below this radius an angle means nothing."""

AXIS_LENGTH: Final = 0.05
"""Below this |TG| a fusion ratio means nothing."""

QUADRANTS: Final = (
    ("both", 1, 1),
    ("student only", 1, 0),
    ("teacher only", 0, 1),
    ("neither", 0, 0),
)
"""Name, student right, teacher right: the order of the loyalty table, row by row."""


def frame(arrays: Arrays, facts: Facts) -> Frame:
    """The frame of one snapshot.

    Args:
        arrays: Per sample (n,): ``ids``, ``x``, ``y``, ``teacher_x`` (= |TG|), ``alpha``,
            ``student_right``, ``teacher_right``, ``labels``, ``axis_defined``. Empty while waiting.
        facts: ``n``, ``split``, ``step``, ``metric`` (``L2``), ``temperature``, ``num_classes``,
            ``no_axis`` (samples with |TG| = 0).

    Raises:
        FrameError: If arrays are missing or disagree in length.
    """
    if not arrays:
        return _frame({}, {"zmax": 1.0}, facts, step=-1)
    per_sample: tuple[int | str, ...] = ("n",)
    names = ("ids", "x", "y", "teacher_x", "alpha", "student_right", "teacher_right")
    need(arrays, "trilateral", dict.fromkeys((*names, "labels", "axis_defined"), per_sample))
    x = np.asarray(arrays["x"], dtype=np.float64)
    y = np.asarray(arrays["y"], dtype=np.float64)
    alpha = np.asarray(arrays["alpha"], dtype=np.float64)
    student = np.asarray(arrays["student_right"]) > 0
    teacher = np.asarray(arrays["teacher_right"]) > 0
    reach = np.asarray(arrays["teacher_x"], dtype=np.float64)
    counts = cells(x, y, CELL)
    has_ratio = (np.asarray(arrays["axis_defined"]) > 0) & (reach > AXIS_LENGTH)
    data: dict[str, NDArray[Any]] = {
        "ids": np.asarray(arrays["ids"], dtype=np.int32),
        "x": x.astype(np.float32),
        "y": y.astype(np.float32),
        "teacher_x": reach.astype(np.float32),
        "density": log_count(counts),
        "ratio": cell_means(x, y, alpha, has_ratio, CELL),
        "rug": rug(reach),
    }
    shares: dict[str, Any] = {}
    for name, student_right, teacher_right in QUADRANTS:
        chosen = (student == bool(student_right)) & (teacher == bool(teacher_right))
        key = name.replace(" ", "_")
        data[key] = log_count(cells(x[chosen], y[chosen], SMALL_CELL))
        shares[key] = count(int(chosen.sum()))
    top = max(int(counts.max(initial=0)), 1)
    facts_drawn = {"zmax": float(max(math.ceil(math.log10(top)), 1)), "shares": shares}
    stats = _Stats(np.hypot(x, y), np.arctan2(y, x), alpha, has_ratio)
    return _frame(
        data, facts_drawn, facts, step=int(fact(facts, "trilateral", "step")), stats=stats
    )


class _Stats:
    """Medians with the number of samples behind each."""

    def __init__(
        self,
        radius: NDArray[np.float64],
        angle: NDArray[np.float64],
        alpha: NDArray[np.float64],
        has_ratio: NDArray[np.bool_],
    ) -> None:
        far = radius > FAR
        ratio = far & has_ratio & np.isfinite(alpha)
        self.n_far, self.n_ratio = int(far.sum()), int(ratio.sum())
        self.near = int((radius < 0.02).sum())
        self.radius = _median(radius)
        self.angle = _median(np.degrees(angle[far]))
        self.alpha = _median(alpha[ratio])

    def rows(self) -> list[list[Node]]:
        angle = "–" if self.angle is None else f"{self.angle:.0f}°"
        near = f" ({count(self.near)} have r < 0.02)" if self.near else ""
        return [
            [f"radius r = distance to truth{near}", f"median {fixed(self.radius, 3)}"],
            ["angle θ = other classes", f"median {angle}"],
            ["α̂: 1 like the teacher, above 1 beyond it", f"median {fixed(self.alpha, 2)}"],
        ]


def _median(values: NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if values.size else None


def _frame(
    data: dict[str, NDArray[Any]],
    drawn: dict[str, Any],
    facts: Facts,
    *,
    step: int,
    stats: _Stats | None = None,
) -> Frame:
    metric = str(facts.get("metric", "L2"))
    footer = f"{metric}, τ = {facts.get('temperature', 1):g}"
    summary = "No snapshot yet."
    parts: tuple[dict[str, Any], ...] = ({"kind": "plot"},)
    if stats is not None:
        n = int(fact(facts, "trilateral", "n"))
        footer = f"n = {count(n)} {facts.get('split', '')} · {footer}"
        footer += f" · θ: r > {FAR}, n = {count(stats.n_far)}"
        footer += f" · α̂: and |TG| > {AXIS_LENGTH}, n = {count(stats.n_ratio)}"
        if no_axis := int(facts.get("no_axis", 0)):
            footer += f" · |TG| = 0: {count(no_axis)}"
        summary = (
            f"{count(n)} images. Median distance to truth {fixed(stats.radius, 3)}. "
            + "; ".join(f"{k.replace('_', ' ')} {v}" for k, v in drawn["shares"].items())
            + "."
        )
        parts = (
            {"kind": "plot"},
            {"kind": "stats", "rows": stats.rows(), "columns": 1, "show": {"h>=": 340}},
        )
    if int(facts.get("num_classes", 0)) == 2:
        note = (
            "With two classes there are no other classes: the angle is 0 and the wedge is a line."
        )
        parts = (*parts, {"kind": "note", "text": [note]})
    controls = ({"value": "count", "label": "count"}, {"value": "ratio", "label": "α̂"})
    return Frame(
        view="trilateral",
        step=step,
        title=TITLE,
        read=READ,
        footer=(footer,),
        summary=summary,
        definition=DEFINITION,
        arrays=data,
        facts=drawn,
        controls=({"name": "colour", "options": list(controls)},) if data else (),
        state={"colour": "count", "picked": -1},
        parts=parts,
        skeleton=_skeleton(data, drawn),
        ids="ids" if data else None,
        waiting=None
        if data
        else "Waits for the first snapshot: both networks' probabilities on the probe images.",
    )


# The wedge takes the left, the four small ones the right; fractions of the plot area.
WEDGE_RIGHT: Final = 0.585
SMALL_COLUMNS: Final = ((0.63, 0.808), (0.822, 1.0))


def _skeleton(data: dict[str, NDArray[Any]], drawn: dict[str, Any]) -> dict[str, Node]:
    small = _small_wedges(drawn.get("shares"))
    shape = layout(
        {"l": 18, "r": 2, "t": 4, "b": 16},
        xaxis=bare_axis([-0.01, RADIUS + 0.05], domain=[0, WEDGE_RIGHT], constrain="domain"),
        yaxis=bare_axis(
            [-0.1, HEIGHT + 0.11],
            scaleanchor="x",
            constrain="domain",
            constraintoward="bottom",
        ),
        coloraxis={
            "cmin": 0,
            "cmax": {
                "$hold": "density_top",
                "range": [0, drawn["zmax"]],
                "part": 1,
                "shrinks": False,
            },
            "colorscale": {"$scale": "density"},
            "colorbar": _bar("images", [0, 1, 2, 3, 4], ["1", "10", "100", "1k", "10k"]),
            "showscale": {"$if": {"colour": "count"}, "then": True, "else": False},
        },
        coloraxis2={
            "cmin": 0,
            "cmax": 1.5,
            "colorscale": {"$scale": "measure"},
            "colorbar": _bar("mean α̂", [0, 1], ["0", "1"]),
            "showscale": {"$if": {"colour": "ratio"}, "then": True, "else": False},
        },
        shapes=[*_floor("x", "y", detailed=True), *small["shapes"]],
        annotations=[*_wedge_labels(), *small["annotations"]],
        dragmode="select",
        selectdirection="any",
        newselection={"line": {"color": "$ink", "width": 1, "dash": "dot"}},
        **small["axes"],
    )
    if not data:
        shape.pop("coloraxis")
        shape.pop("coloraxis2")
        return {"data": [], "layout": shape}
    return {"data": [*_wedge_traces(), *small["traces"]], "layout": shape}


def _bar(title: str, ticks: list[int], labels: list[str]) -> dict[str, Node]:
    """A short horizontal colour bar in the empty corner left of the wedge."""
    return {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "xpad": 0,
        "y": 1,
        "yanchor": "top",
        "ypad": 0,
        "len": 0.19,
        "thickness": 7,
        "outlinewidth": 0,
        "tickmode": "array",
        "tickvals": ticks,
        "ticktext": labels,
        "ticklen": 2,
        "ticks": "outside",
        "tickcolor": "$line_strong",
        "tickangle": 0,
        "tickfont": {"size": 11, "color": "$ink3"},
        "title": {"text": title, "side": "top", "font": {"size": 11, "color": "$ink3"}},
    }


def _wedge_traces() -> list[Node]:
    grid = {"x0": CELL / 2, "dx": CELL, "y0": CELL / 2, "dy": CELL}
    common: dict[str, Node] = {
        "type": "heatmap",
        **grid,
        "hoverongaps": False,
        "meta": {"nearest": {"state": "picked", "x": "x", "y": "y"}},
    }
    by_count = {
        **common,
        "z": {"$data": "density"},
        "coloraxis": "coloraxis",
        "hovertemplate": "about x %{x:.2f}, y %{y:.2f}<br>10^%{z:.2f} images<extra></extra>",
    }
    by_ratio = {
        **common,
        "z": {"$data": "ratio"},
        "coloraxis": "coloraxis2",
        "hovertemplate": "x %{x:.2f}, y %{y:.2f}<br>mean α̂ %{z:.2f}<extra></extra>",
    }
    edge = {
        "type": "heatmap",
        "z": {"$data": "rug"},
        "x0": RADIUS / RUG_COLUMNS / 2,
        "dx": RADIUS / RUG_COLUMNS,
        "y0": -0.052,
        "dy": 0.076,
        "zmin": 0,
        "zmax": 2.5,
        "colorscale": [[0, {"$fade": "teacher", "alpha": 0.3}], [1, "$teacher"]],
        "showscale": False,
        "hoverinfo": "skip",
    }
    picked = {"picked": -1}
    triangle = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [{"$data": "x", "at": ["$picked"]}, {"$data": "teacher_x", "at": ["$picked"]}],
        "y": [{"$data": "y", "at": ["$picked"]}, 0],
        "line": {"color": "$student", "width": 1.5},
        "marker": {
            "size": 8,
            "symbol": ["circle", "square"],
            "color": ["$student", "$teacher"],
        },
        "hoverinfo": "skip",
    }
    corners = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [0, RADIUS],
        "y": [0, 0],
        "line": {"color": "$teacher", "width": 1.5},
        "marker": {
            "size": [10, 8],
            "opacity": 1,
            "symbol": ["diamond", "square"],
            "color": ["$truth", "$teacher"],
        },
        "cliponaxis": False,
        "hoverinfo": "skip",
        # Plotly only lets people draw a selection where some trace has markers: these two.
        "selected": {"marker": {"opacity": 1}},
        "unselected": {"marker": {"opacity": 1}},
        "meta": {"selects": {"x": "x", "y": "y"}},
    }
    chosen = {
        "type": "scatter",
        "mode": "markers",
        "x": {"$data": "x", "pick": True},
        "y": {"$data": "y", "pick": True},
        "marker": {
            "size": 5,
            "color": CLEAR,
            "line": {"color": "$ink", "width": 1},
            "symbol": "circle",
        },
        "selected": {"marker": {"opacity": 1}},
        "unselected": {"marker": {"opacity": 1}},
        "hoverinfo": "skip",
    }
    return [
        {"$if": {"colour": "count"}, "then": by_count, "else": by_ratio},
        edge,
        corners,
        chosen,
        {"$if": picked, "then": {**triangle, "x": [], "y": []}, "else": triangle},
    ]


def _floor(xref: str, yref: str, *, detailed: bool) -> list[Node]:
    """The wedge: a floor below the data, the teacher's edge, for the large one its grid."""
    base = {"xref": xref, "yref": yref, "layer": "below"}
    outline = f"M0,0 L{RADIUS:.4f},0 {_arc(RADIUS)} Z"
    made: list[Node] = [
        {
            **base,
            "type": "path",
            "path": outline,
            "fillcolor": "$sunken",
            "line": {"color": "$line_strong", "width": 1},
        },
    ]
    if not detailed:
        edge = {"type": "line", "x0": 0, "y0": 0, "x1": RADIUS, "y1": 0}
        return [*made, {**base, **edge, "line": {"color": "$teacher", "width": 1.2}}]
    for radius in (0.5, 1.0):
        path = f"M{radius},0 {_arc(radius)}"
        line = {"color": "$line_strong", "width": 1}
        made.append({**base, "type": "path", "path": path, "line": line, "fillcolor": CLEAR})
    half = math.pi / 6
    ray = {"x0": 0, "y0": 0, "x1": RADIUS * math.cos(half), "y1": RADIUS * math.sin(half)}
    dashed = {"color": "$line_strong", "width": 1, "dash": "3px,3px"}
    return [*made, {**base, "type": "line", **ray, "line": dashed}]


def _arc(radius: float) -> str:
    """SVG lines along 0 to 60 degrees (Plotly paths know no arcs)."""
    angles = np.linspace(0, math.pi / 3, 31)
    return " ".join(f"L{radius * math.cos(a):.4f},{radius * math.sin(a):.4f}" for a in angles)


def _wedge_labels() -> list[Node]:
    at = {"xref": "x", "yref": "y"}
    third, sixth = math.pi / 3, math.pi / 6
    grey = {"size": 11, "color": "$ink3"}
    below = {**at, "yanchor": "top", "xanchor": "center", "font": grey, "yshift": -2}
    return [
        label("60°", RADIUS * math.cos(third), HEIGHT, **at, xanchor="center", yshift=2),
        label("30°", RADIUS * math.cos(sixth), RADIUS * math.sin(sixth), **at, xshift=2),
        label(
            f"<b>{paint('G', '$truth')}</b>",
            0,
            0,
            **at,
            xanchor="right",
            yanchor="middle",
            xshift=-7,
        ),
        label(f"<b>{paint('T', '$teacher')}</b>", RADIUS, 0, **at, yanchor="middle", xshift=6),
        *(label(text, x, -0.09, **below) for text, x in (("0.5", 0.5), ("1", 1.0), ("√2", RADIUS))),
    ]


def _small_wedges(shares: dict[str, str] | None) -> dict[str, Any]:
    """The four wedges by who is right, in the order of the loyalty table."""
    axes: dict[str, Node] = {}
    traces: list[Node] = []
    shapes: list[Node] = []
    notes: list[Node] = [
        label(
            f"<b>{paint('T', '$teacher')}</b> {word}",
            (low + high) / 2,
            1,
            xanchor="center",
            yanchor="top",
        )
        for (low, high), word in zip(SMALL_COLUMNS, ("right", "wrong"), strict=True)
    ]
    for index, (name, student_right, teacher_right) in enumerate(QUADRANTS):
        left, right = SMALL_COLUMNS[0 if teacher_right else 1]
        # 18 px of heading above, 5 px between the rows; the rest is shared by two boxes.
        low: Node = {"$px": [0.5, -6.5, "y"]} if student_right else 0
        high: Node = {"$px": [1, -18, "y"]} if student_right else {"$px": [0.5, -11.5, "y"]}
        floor: Node = {"$px": [0.5, -4, "y"]} if student_right else {"$px": [0, 2, "y"]}
        ceiling: Node = {"$px": [1, -50, "y"]} if student_right else {"$px": [0.5, -43.5, "y"]}
        box = {"type": "rect", "xref": "paper", "yref": "paper", "x0": left, "x1": right}
        line = {"color": "$line", "width": 1}
        shapes.append({**box, "y0": low, "y1": high, "line": line, "fillcolor": CLEAR})
        text = (
            f"{name}<br><b>{paint(shares[name.replace(' ', '_')], '$ink')}</b>" if shares else name
        )
        notes.append(
            label(
                text, left, high, xshift=4, yshift=-3, xanchor="left", yanchor="top", align="left"
            )
        )
        x, y = f"x{index + 2}", f"y{index + 2}"
        axes[f"xaxis{index + 2}"] = bare_axis(
            [-0.06, RADIUS + 0.06],
            anchor=y,
            domain=[{"$px": [left, 4, "x"]}, {"$px": [right, -4, "x"]}],
            constrain="domain",
        )
        axes[f"yaxis{index + 2}"] = bare_axis(
            [-0.1, HEIGHT + 0.02],
            anchor=x,
            domain=[floor, ceiling],
            scaleanchor=x,
            constrain="domain",
            constraintoward="bottom",
        )
        shapes += _floor(x, y, detailed=False)
        traces += [
            {
                "type": "heatmap",
                "z": {"$data": name.replace(" ", "_")},
                "x0": SMALL_CELL / 2,
                "dx": SMALL_CELL,
                "y0": SMALL_CELL / 2,
                "dy": SMALL_CELL,
                "xaxis": x,
                "yaxis": y,
                "coloraxis": "coloraxis",
                "hoverinfo": "skip",
            },
            {
                "type": "scatter",
                "mode": "markers",
                "x": [0],
                "y": [0],
                "xaxis": x,
                "yaxis": y,
                "marker": {"size": 6, "symbol": "diamond", "color": "$truth"},
                "cliponaxis": False,
                "hoverinfo": "skip",
            },
        ]
    return {"axes": axes, "traces": traces, "shapes": shapes, "annotations": notes}
