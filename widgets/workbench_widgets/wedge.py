"""The wedge's picture: one large density, the teacher's rug, four small multiples.

Unusual here: Plotly draws heat maps below lines, so the floor is a layout shape; its paths know no
arcs, so an arc is thirty lines. Equal axes; the frame is fixed at 0 to sqrt 2.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from workbench_widgets.skeleton import CLEAR, Node, bare_axis, label, layout, paint
from workbench_widgets.wedge_cells import CELL, HEIGHT, RADIUS, RUG_COLUMNS, SMALL_CELL

QUADRANTS: Final = (
    ("both", "both", 1, 1),
    ("student only", "S only", 1, 0),
    ("teacher only", "T only", 0, 1),
    ("neither", "neither", 0, 0),
)
"""Name, short name, student right, teacher right: the order of the loyalty table, row by row."""

QUADRANT_WORDS: Final = (
    "both right",
    "only the student right",
    "only the teacher right",
    "both wrong",
)

SELECTS: Final = {"x": "x", "y": "y", "sector": {"radius": RADIUS, "degrees": 60}}
"""Where samples can be selected by a box or a lasso: their places, and the floor they lie on."""

# The wedge takes the left, the four small ones the right; fractions of the plot area.
WEDGE_RIGHT: Final = 0.585
SMALL_COLUMNS: Final = ((0.63, 0.808), (0.822, 1.0))


def skeleton(
    zmax: float, shares: dict[str, str] | None, *, others: bool = False
) -> dict[str, Node]:
    """The skeleton of the whole picture.

    Args:
        zmax: log10 of the count at the top of the colour scale, a whole number.
        shares: Count of each quadrant as text, by name with underscores; None while waiting.
        others: Whether samples that are not selected lie in grey under those that are.
    """
    small = _small_wedges(shares)
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
                "range": [0, zmax],
                "part": 1,
                "shrinks": False,
            },
            "colorscale": {"$scale": "density"},
            "colorbar": _bar(
                "samples", [0, 1, 2, 3, 4, 5], ["1", "10", "100", "1k", "10k", "100k"]
            ),
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
        **small["axes"],
    )
    if shares is None:
        shape.pop("coloraxis")
        shape.pop("coloraxis2")
        return {"data": [_corners(), *small["furniture"]], "layout": shape}
    floor = [_others()] if others else []
    traces = [*floor, *_densities(), _corners(), *_chosen(), *small["traces"], *small["furniture"]]
    return {"data": traces, "layout": shape}


def _bar(title: str, ticks: list[int], labels: list[str]) -> dict[str, Node]:
    """A short horizontal colour bar in the empty corner left of the wedge."""
    sparse = [text if k % 2 == 0 else "" for k, text in enumerate(labels)] if labels[2:] else labels
    return {
        "orientation": "h",
        "x": 0,
        "xanchor": "left",
        "xpad": 0,
        "y": 1,
        "yanchor": "top",
        "ypad": 0,
        "lenmode": "pixels",
        "len": {"$if": {"w>=": 420}, "then": 76, "else": 56},
        "thickness": 7,
        "outlinewidth": 0,
        "tickmode": "array",
        "tickvals": ticks,
        "ticktext": {"$if": {"w>=": 420}, "then": labels, "else": sparse},
        "ticklen": 2,
        "ticks": "outside",
        "tickcolor": "$line_strong",
        "tickangle": 0,
        "tickfont": {"size": 11, "color": "$ink3"},
        "title": {"text": title, "side": "top", "font": {"size": 11, "color": "$ink3"}},
    }


def _densities() -> list[Node]:
    """The cells of the large wedge and the rug of the teacher's own distances."""
    grid = {"x0": CELL / 2, "dx": CELL, "y0": CELL / 2, "dy": CELL}
    common: dict[str, Node] = {
        "type": "heatmap",
        **grid,
        "hoverongaps": False,
    }
    by_count = {
        **common,
        "z": {"$data": "density"},
        "coloraxis": "coloraxis",
        "hovertemplate": "about x %{x:.2f}, y %{y:.2f}<br>10^%{z:.2f} samples<extra></extra>",
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
    return [{"$if": {"colour": "count"}, "then": by_count, "else": by_ratio}, edge]


def _others() -> Node:
    """Cells of the samples that are not selected: where they lie, in grey."""
    return {
        "type": "heatmap",
        "z": {"$data": "others"},
        "x0": CELL / 2,
        "dx": CELL,
        "y0": CELL / 2,
        "dy": CELL,
        "zmin": 0,
        "zmax": 1,
        "colorscale": [[0, "$line_strong"], [1, "$line_strong"]],
        "showscale": False,
        "hoverongaps": False,
        "hovertemplate": "about x %{x:.2f}, y %{y:.2f}<br>not selected<extra></extra>",
    }


def _corners() -> Node:
    """Truth at the origin, the teacher's edge from it to the outer end."""
    return {
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
        "meta": {"selects": SELECTS, "nearest": {"state": "picked"}},
    }


def _chosen() -> list[Node]:
    """Selected samples as rings; of the one that was clicked its trail and its line to T."""
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
        "hoverinfo": "skip",
    }
    trail = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": {"$data": "trail_x"},
        "y": {"$data": "trail_y"},
        "customdata": {"$data": "trail_step"},
        "line": {"color": "$student", "width": 1, "dash": "2px,2px"},
        "marker": {"size": 3, "color": "$student", "symbol": "circle"},
        "hovertemplate": "this sample at step %{customdata:d}<extra></extra>",
    }
    empty: dict[str, Node] = {"x": [], "y": []}
    return [
        chosen,
        {"$if": picked, "then": {**trail, **empty, "customdata": []}, "else": trail},
        {"$if": picked, "then": {**triangle, **empty}, "else": triangle},
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
    furniture: list[Node] = []
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
    for index, (name, short, student_right, teacher_right) in enumerate(QUADRANTS):
        left, right = SMALL_COLUMNS[0 if teacher_right else 1]
        # 18 px of heading above, 5 px between the rows; the rest is shared by two boxes.
        low: Node = {"$px": [0.5, -6.5, "y"]} if student_right else 0
        high: Node = {"$px": [1, -18, "y"]} if student_right else {"$px": [0.5, -11.5, "y"]}
        floor: Node = {"$px": [0.5, -4, "y"]} if student_right else {"$px": [0, 2, "y"]}
        ceiling: Node = {"$px": [1, -50, "y"]} if student_right else {"$px": [0.5, -43.5, "y"]}
        box = {"type": "rect", "xref": "paper", "yref": "paper", "x0": left, "x1": right}
        line = {"color": "$line", "width": 1}
        shapes.append({**box, "y0": low, "y1": high, "line": line, "fillcolor": CLEAR})
        key = name.replace(" ", "_")
        number = f"<br><b>{paint(shares[key], '$ink')}</b>" if shares else ""
        text = {"$if": {"w>=": 420}, "then": name + number, "else": short + number}
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
        on = {"xaxis": x, "yaxis": y, "hoverinfo": "skip"}
        grid = {"x0": SMALL_CELL / 2, "dx": SMALL_CELL, "y0": SMALL_CELL / 2, "dy": SMALL_CELL}
        cells = {"type": "heatmap", "z": {"$data": key}, "coloraxis": "coloraxis"}
        traces.append({**cells, **grid, **on})
        marker = {"size": 6, "symbol": "diamond", "color": "$truth"}
        point = {"type": "scatter", "mode": "markers", "x": [0], "y": [0], "marker": marker}
        own = [["quadrant", index]]
        meta = {
            "selects": {**SELECTS, "where": own},
            "picks": {"where": own, "words": QUADRANT_WORDS[index]},
        }
        furniture.append({**point, **on, "cliponaxis": False, "meta": meta})
    return {
        "axes": axes,
        "traces": traces,
        "furniture": furniture,
        "shapes": shapes,
        "annotations": notes,
    }
