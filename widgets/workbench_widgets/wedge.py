"""The wedge's picture: one large density, the teacher's rug, four small multiples.

Unusual here: Plotly draws heat maps below lines, so the floor is a layout shape; its paths know no
arcs, so an arc is thirty lines. Equal axes; the frame is fixed: all that a distance allows.
"""

from __future__ import annotations

from typing import Any, Final

from workbench_widgets.skeleton import CLEAR, Node, label, layout, paint
from workbench_widgets.wedge_colour import Colours
from workbench_widgets.wedge_ground import (
    GROUNDS,
    LARGE,
    SMALL,
    Ground,
    axes,
    chosen,
    each,
    floor,
    labels,
    only,
)

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

# The wedge takes the left, the four small ones the right; fractions of the plot area.
WEDGE_RIGHT: Final = 0.585
SMALL_COLUMNS: Final = ((0.63, 0.808), (0.822, 1.0))


def skeleton(colours: Colours | None) -> dict[str, Node]:
    """The skeleton of the whole picture.

    Args:
        colours: What the cells are coloured by; None while waiting.
    """
    grounds = colours.grounds if colours is not None else GROUNDS[:1]
    small = _small_wedges(colours, grounds)
    x, y = axes(
        grounds,
        small=False,
        x={"domain": [0, WEDGE_RIGHT]},
        y={"scaleanchor": "x"},
    )
    large = [
        node for one in grounds for node in _all(grounds, one, floor(one, "x", "y", detailed=True))
    ]
    around = [node for one in grounds for node in _all(grounds, one, labels(one))]
    shape = layout(
        {"l": 18, "r": 2, "t": 4, "b": 16},
        xaxis=x,
        yaxis=y,
        shapes=[*large, *small["shapes"]],
        annotations=[*around, *small["annotations"]],
        **small["axes"],
        **(colours.axes(WEDGE_RIGHT) if colours is not None else {}),
    )
    if colours is None:
        return {"data": [_corners(grounds), *small["furniture"]], "layout": shape}
    traces = [
        *_cells(colours),
        *each(grounds, {one.name: _rug(one, colours) for one in grounds}),
        _corners(grounds),
        *each(grounds, {one.name: _rings(one) for one in grounds}),
        *each(grounds, {one.name: _trail(one) for one in grounds}),
        *each(grounds, {one.name: _side(one) for one in grounds}),
        *small["traces"],
        *small["furniture"],
    ]
    return {"data": traces, "layout": shape}


def _all(grounds: tuple[Ground, ...], ground: Ground, nodes: list[Node]) -> list[Node]:
    return [only(grounds, ground, node) for node in nodes]


def _cells(colours: Colours) -> list[Node]:
    """The cells of the large floor."""
    return [
        node
        for one in colours.grounds
        for node in _all(colours.grounds, one, colours.cells(one, LARGE, []))
    ]


def _rug(ground: Ground, colours: Colours) -> Node:
    """The teacher's own distances, on its edge."""
    asked = ground.rug()
    return {
        "type": "heatmap",
        "z": {"$cells": {**asked, "where": colours.where}},
        "x0": asked["side"] / 2,
        "dx": asked["side"],
        "y0": -0.052 * ground.unit,
        "dy": 0.076 * ground.unit,
        "zmin": 0,
        "zmax": 2.5,
        "colorscale": [[0, {"$fade": "teacher", "alpha": 0.3}], [1, "$teacher"]],
        "showscale": False,
        "hoverinfo": "skip",
    }


def _corners(grounds: tuple[Ground, ...]) -> Node:
    """Truth at the origin, the teacher's edge from it to the outer end."""
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [0, chosen(grounds, {one.name: one.radius for one in grounds})],
        "y": [0, 0],
        "line": {"color": "$teacher", "width": 1.5},
        "marker": {
            "size": [10, 8],
            "opacity": 1,
            "line": {"width": 0},
            "symbol": ["diamond", "square"],
            "color": ["$truth", "$teacher"],
        },
        "cliponaxis": False,
        "hoverinfo": "skip",
        "meta": {
            "selects": chosen(grounds, {one.name: one.selects() for one in grounds}),
            "nearest": {"state": "picked"},
        },
    }


def _rings(ground: Ground) -> Node:
    """Selected samples."""
    return {
        "type": "scatter",
        "mode": "markers",
        "x": {"$data": ground.at("x"), "pick": True},
        "y": {"$data": ground.at("y"), "pick": True},
        "marker": {
            "size": 5,
            "color": CLEAR,
            "line": {"color": "$ink", "width": 1},
            "symbol": "circle",
        },
        "hoverinfo": "skip",
    }


def _trail(ground: Ground) -> Node:
    """Where the sample that was clicked has stood."""
    trail = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": {"$data": f"trail_{ground.at('x')}"},
        "y": {"$data": f"trail_{ground.at('y')}"},
        "customdata": {"$data": "trail_step"},
        "line": {"color": "$student", "width": 1, "dash": "2px,2px"},
        "marker": {"size": 3, "color": "$student", "symbol": "circle"},
        "hovertemplate": "this sample at step %{customdata:d}<extra></extra>",
    }
    none: dict[str, Node] = {"x": [], "y": [], "customdata": []}
    return {"$if": {"picked": -1}, "then": {**trail, **none}, "else": trail}


def _side(ground: Ground) -> Node:
    """The line from the sample that was clicked to its T."""
    names = [ground.at(name) for name in ("x", "y", "teacher_x")]
    x, y, reach = ({"$data": name, "at": ["$picked"]} for name in names)
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [x, reach],
        "y": [y, 0],
        "line": {"color": "$student", "width": 1.5},
        "marker": {
            "size": 8,
            "line": {"width": 0},
            "symbol": ["circle", "square"],
            "color": ["$student", "$teacher"],
        },
        "hoverinfo": "skip",
    }
    return {"$if": {"picked": -1}, "then": {**line, "x": [], "y": []}, "else": line}


def _small_wedges(colours: Colours | None, grounds: tuple[Ground, ...]) -> dict[str, Any]:
    """The four floors by who is right, in the order of the loyalty table."""
    made_axes: dict[str, Node] = {}
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
        bottom: Node = {"$px": [0.5, -4, "y"]} if student_right else {"$px": [0, 2, "y"]}
        ceiling: Node = {"$px": [1, -50, "y"]} if student_right else {"$px": [0.5, -43.5, "y"]}
        box = {"type": "rect", "xref": "paper", "yref": "paper", "x0": left, "x1": right}
        line = {"color": "$line", "width": 1}
        shapes.append({**box, "y0": low, "y1": high, "line": line, "fillcolor": CLEAR})
        own: list[list[Any]] = [["quadrant", index]]
        words: Node = {"$if": {"w>=": 420}, "then": name, "else": short}
        if colours is not None:
            number = ['<br><b><span style="color:$ink">', colours.num(own), "</span></b>"]
            words = {"$join": [words, *number]}
        notes.append(
            label(
                words, left, high, xshift=4, yshift=-3, xanchor="left", yanchor="top", align="left"
            )
        )
        x, y = f"x{index + 2}", f"y{index + 2}"
        made_axes[f"xaxis{index + 2}"], made_axes[f"yaxis{index + 2}"] = axes(
            grounds,
            small=True,
            x={"anchor": y, "domain": [{"$px": [left, 4, "x"]}, {"$px": [right, -4, "x"]}]},
            y={"anchor": x, "domain": [bottom, ceiling], "scaleanchor": x},
        )
        on = {"xaxis": x, "yaxis": y, "hoverinfo": "skip"}
        for one in grounds:
            shapes += _all(grounds, one, floor(one, x, y, detailed=False))
            if colours is not None:
                traces += _all(grounds, one, colours.cells(one, SMALL, own, **on))
        marker = {"size": 6, "symbol": "diamond", "color": "$truth"}
        point = {"type": "scatter", "mode": "markers", "x": [0], "y": [0], "marker": marker}
        selects = {one.name: {**one.selects(), "where": own} for one in grounds}
        meta = {
            "selects": chosen(grounds, selects),
            "picks": {"where": own, "words": QUADRANT_WORDS[index]},
        }
        furniture.append({**point, **on, "cliponaxis": False, "meta": meta})
    return {
        "axes": made_axes,
        "traces": traces,
        "furniture": furniture,
        "shapes": shapes,
        "annotations": notes,
    }
