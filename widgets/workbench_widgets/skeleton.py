"""Pieces that every skeleton is made of: layout, axes, labels, journal marks.

Text is never below 11 px; axes are fixed (nobody can drag them) and ranges are stated, never found
by Plotly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from workbench_widgets.tokens import FONT
from workbench_widgets.words import count

Node = Any
LABEL_PX: Final = 11
CHAR_PX: Final = 6.2
"""Mean width of a character at 11 px, for reserving room before the browser measures."""

CLEAR: Final = "rgba(0,0,0,0)"
MARK_PX: Final = 15
"""Room that the square of a journal mark takes."""
NARROW_PX, WIDE_PX = 240, 480
"""Widths of a plot for which squares are gathered."""


def layout(margin: Mapping[str, Node], **more: Node) -> dict[str, Node]:
    """The common layout; ``margin`` gives ``l``, ``r``, ``t``, ``b`` in pixels (nodes allowed)."""
    return {
        "font": {"family": FONT, "size": LABEL_PX, "color": "$ink2"},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "autosize": False,
        "margin": {**margin, "pad": 0, "autoexpand": False},
        "hoverlabel": {
            "bgcolor": "$surface",
            "bordercolor": "$line_strong",
            "font": {"family": FONT, "size": LABEL_PX, "color": "$ink"},
            "align": "left",
        },
        **more,
    }


def axis(
    range_: Node,
    *,
    title: Node = None,
    ticks: Sequence[float] | Node = None,
    labels: Sequence[str] | Node = None,
    colour: str = "$ink3",
    grid: bool = True,
    standoff: int = 4,
    **more: Node,
) -> dict[str, Node]:
    """One axis with a stated range, thin line and outside ticks."""
    made: dict[str, Node] = {
        "range": range_,
        "autorange": False,
        "fixedrange": True,
        "zeroline": False,
        "showline": True,
        "linewidth": 1,
        "linecolor": "$line_strong",
        "showgrid": grid,
        "gridcolor": "$line",
        "gridwidth": 1,
        "ticks": "outside",
        "ticklen": 3,
        "tickcolor": "$line_strong",
        "tickangle": 0,
        "tickfont": {"size": LABEL_PX, "color": colour},
    }
    if title is not None:
        made["title"] = {
            "text": title,
            "standoff": standoff,
            "font": {"size": LABEL_PX, "color": "$ink3"},
        }
    if ticks is not None:
        made |= {"tickmode": "array", "tickvals": ticks}
        if labels is not None:
            made["ticktext"] = labels
    return made | more


def bare_axis(range_: Node, **more: Node) -> dict[str, Node]:
    """An axis that only scales: no line, tick or label."""
    return {
        "range": range_,
        "autorange": False,
        "fixedrange": True,
        "visible": False,
        **more,
    }


def ghost(x: str, y: str) -> dict[str, Node]:
    """A trace without a point: Plotly draws only axes that some trace uses."""
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [None],
        "y": [None],
        "xaxis": x,
        "yaxis": y,
        "hoverinfo": "skip",
    }


def label(text: Node, x: Node, y: Node, **more: Node) -> dict[str, Node]:
    """A text without arrow at paper coordinates (or others by ``xref``, ``yref``)."""
    return {
        "text": text,
        "x": x,
        "y": y,
        "xref": "paper",
        "yref": "paper",
        "xanchor": "left",
        "yanchor": "bottom",
        # so that other words of another width stand where these stood
        "align": more.get("xanchor", "left"),
        "showarrow": False,
        "borderpad": 0,
        "font": {"size": LABEL_PX, "color": "$ink2"},
        **more,
    }


def mark_lines(marks: Sequence[Mapping[str, Any]], xref: str, yrefs: Sequence[str]) -> list[Node]:
    """Dashed verticals at journal marks, through each of the given ``... domain`` axes."""
    return [
        {
            "type": "line",
            "xref": xref,
            "yref": yref,
            "x0": mark["step"],
            "x1": mark["step"],
            "y0": 0,
            "y1": 1,
            "line": {"color": "$ink", "width": 1, "dash": "2px,2px"},
        }
        for mark in marks
        for yref in yrefs
    ]


def mark_numbers(
    marks: Sequence[Mapping[str, Any]], xref: str, yref: str, total: float
) -> list[Node]:
    """The black numbered square of each journal mark, standing on the floor of its axis.

    Squares that would lie on each other become one, ``4\u20137``; ``total`` is the axis' length in
    steps. A wide plot tells more of them apart.
    """
    made: list[Node] = []
    tight, wide = (_gathered(marks, MARK_PX * total / px) for px in (NARROW_PX, WIDE_PX))
    for group in tight:
        test = None if group in wide else {"W<": WIDE_PX}
        made.append(_square(group, xref, yref, test))
    made += [_square(group, xref, yref, {"W>=": WIDE_PX}) for group in wide if group not in tight]
    return made


def _gathered(marks: Sequence[Mapping[str, Any]], room: float) -> list[list[Mapping[str, Any]]]:
    """Marks in groups: one begins where the square of the group before it has ended."""
    groups: list[list[Mapping[str, Any]]] = []
    for mark in sorted(marks, key=lambda one: (one["step"], one["number"])):
        apart = mark["step"] - groups[-1][0]["step"] if groups else 0.0
        if groups and apart < room * (1 if len(groups[-1]) == 1 else 2.4):
            groups[-1].append(mark)
        else:
            groups.append([mark])
    return groups


def _square(group: Sequence[Mapping[str, Any]], xref: str, yref: str, test: Node) -> Node:
    numbers = sorted(mark["number"] for mark in group)
    text = f"{numbers[0]}" if len(group) == 1 else f"{numbers[0]}\u2013{numbers[-1]}"
    made = label(
        f"<b>{text}</b>",
        group[0]["step"],
        0.0,
        xref=xref,
        yref=yref,
        xanchor="center" if len(group) == 1 else "left",
        xshift=0 if len(group) == 1 else -MARK_PX / 2,
        yshift=2,
        bgcolor="$ink",
        borderpad=1.5,
        font={"size": 10.5, "color": "$surface"},
        hovertext="<br>".join(str(mark.get("text", "")) for mark in group),
        captureevents=True,
    )
    return made if test is None else {"$if": test, "then": made}


def nice_ticks(top: float, about: int = 4) -> list[float]:
    """Round ticks from 0 to ``top`` (> 0), about that many."""
    raw = top / max(about, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    return [float(v) for v in np.arange(0, top + step * 1e-6, step)]


def step_ticks(total: float, *, unit: str = "") -> dict[str, Node]:
    """Ticks of a step axis from 0 to the planned end, thin-spaced; the first may say the unit."""
    ticks = [t for t in nice_ticks(max(total, 1.0)) if float(t).is_integer()]
    if total <= 1:  # not known yet
        ticks = ticks[:1]
    return {"ticks": ticks, "labels": [unit + count(ticks[0]), *map(count, ticks[1:])]}


def fitting_ticks(names: Sequence[str], room: float) -> dict[str, Node]:
    """Tick positions 0, 1, ... thinned in Python to at most ``room`` names; the last is kept."""
    keep = max(1, math.ceil(len(names) / max(room, 1)))
    chosen = [i for i in range(len(names)) if (len(names) - 1 - i) % keep == 0]
    return {"ticks": chosen, "labels": [names[i] for i in chosen]}


def escape(text: str) -> str:
    """Text that Plotly must not read as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def paint(text: str, colour: str) -> str:
    """A coloured piece of a Plotly text."""
    return f'<span style="color:{colour}">{text}</span>'


def painted(node: Node, colour: str) -> list[Node]:
    """The same around a node, as parts of a ``$join``."""
    return [f'<span style="color:{colour}">', node, "</span>"]
