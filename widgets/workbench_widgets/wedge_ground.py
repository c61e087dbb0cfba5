"""The floors that samples lie on, one for each distance: a sector around the truth.

Unusual here: the floor is what is possible, so it depends on the distance. In L2 on probabilities
no angle at the truth is above 60 degrees and no side above sqrt 2; in Hellinger no side is above 1
and the cosine of the angle is at least half the product of the two sides at the truth, so near the
truth every angle below 90 degrees occurs: a quarter disc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from workbench_widgets.skeleton import CLEAR, Node, bare_axis, label, paint

METRIC: Final = "metric"
"""Name of the state that says which distance is shown."""
LARGE: Final = 64
"""Columns of cells over the radius of the large floor."""
SMALL: Final = 28
"""Of a small one."""
RUG: Final = 128
"""Of the teacher's rug."""


@dataclass(frozen=True)
class Ground:
    """One distance and its floor.

    Attributes:
        name: Value of the state ``metric``.
        word: What people call it.
        prefix: Of its arrays: ``x``, ``y``, ``teacher_x``.
        radius: Largest distance.
        degrees: Largest angle at the truth.
        ticks: Distances with their labels; all but the last have an arc.
        definition: What it is, in a sentence.
        line: What two classes leave of the floor, in a sentence.
        band: Height of a strip in which all samples lie side by side where no angle is above 0; 0
            elsewhere.
    """

    name: str
    word: str
    prefix: str
    radius: float
    degrees: int
    ticks: tuple[tuple[float, str], ...]
    definition: str
    line: str
    band: float = 0.0

    @property
    def height(self) -> float:
        """Of the floor."""
        return self.radius * math.sin(math.radians(self.degrees))

    @property
    def unit(self) -> float:
        """What a length on the L2 floor becomes here, so that both have the same proportions."""
        return self.radius / math.sqrt(2)

    def at(self, name: str) -> str:
        """The array of this distance."""
        return self.prefix + name

    def cells(self, columns: int) -> dict[str, Any]:
        """Places and grid of square cells, as ``$cells`` takes them; on a line they are one row."""
        side = self.radius / columns
        rows = 1 if self.band else math.ceil(self.height / side - 1e-9)
        return {
            "x": self.at("x"),
            "y": self.at("y"),
            "side": side,
            "rows": rows,
            "columns": columns,
        }

    def rug(self) -> dict[str, Any]:
        """The teacher's own distances in one row, as ``$cells`` takes them."""
        return {
            "x": self.at("teacher_x"),
            "side": self.radius / RUG,
            "rows": 1,
            "columns": RUG,
        }

    def selects(self) -> dict[str, Any]:
        """Where samples can be selected by a box or a lasso: their places, and the floor."""
        sector = {"radius": self.radius, "degrees": self.degrees, "band": self.band}
        return {"x": self.at("x"), "y": self.at("y"), "sector": sector}


L2: Final = Ground(
    name="l2",
    word="L2",
    prefix="",
    radius=math.sqrt(2),
    degrees=60,
    ticks=((0.5, "0.5"), (1.0, "1"), (math.sqrt(2), "√2")),
    definition="L2: radius r is close to the error on the labelled class (up to 41 %), the angle "
    "is a difference on the other classes only; no angle is above 60°.",
    line="With two classes there are no other classes: the angle is 0 and the wedge is a line.",
)
HELLINGER: Final = Ground(
    name="hellinger",
    word="Hellinger",
    prefix="hellinger_",
    radius=1.0,
    degrees=90,
    ticks=((0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1")),
    definition="Hellinger: distances of roots of probabilities, so small ones count more; r² is 1 "
    "minus the root of the labelled class's probability, and any angle below 90° occurs near G.",
    line="With two classes the angle tells nothing of its own: it follows from the two distances "
    "to the truth.",
)
GROUNDS: Final = (L2, HELLINGER)
LINE: Final = replace(L2, band=0.16)
"""L2 with two classes."""


def each(grounds: tuple[Ground, ...], made: dict[str, Node]) -> list[Node]:
    """One node, of the distance that is shown; ``made`` by the distance's name."""
    return [only(grounds, ground, made[ground.name]) for ground in grounds]


def only(grounds: tuple[Ground, ...], ground: Ground, node: Node) -> Node:
    """A node that is there while its distance is shown."""
    return node if len(grounds) == 1 else {"$if": {METRIC: ground.name}, "then": node}


def chosen(grounds: tuple[Ground, ...], made: dict[str, Node]) -> Node:
    """A value of the distance that is shown."""
    node = made[grounds[0].name]
    for ground in grounds[1:]:
        node = {"$if": {METRIC: ground.name}, "then": made[ground.name], "else": node}
    return node


def spans(ground: Ground, *, small: bool) -> tuple[list[float], list[float]]:
    """Ranges of x and y that hold the floor with its labels."""
    unit, right, top = ground.unit, ground.radius, ground.height
    if small:
        return [-0.06 * unit, right + 0.06 * unit], [-0.1 * unit, top + 0.02 * unit]
    return [-0.01 * unit, right + 0.05 * unit], [-0.1 * unit, top + 0.11 * unit]


def axes(
    grounds: tuple[Ground, ...], *, small: bool, x: dict[str, Any], y: dict[str, Any]
) -> tuple[dict[str, Node], dict[str, Node]]:
    """The two axes of a floor; ``x`` and ``y`` say what is theirs alone."""
    ranges = {ground.name: spans(ground, small=small) for ground in grounds}
    first, second = (
        chosen(grounds, {name: list(pair[k]) for name, pair in ranges.items()}) for k in (0, 1)
    )
    return bare_axis(first, constrain="domain", **x), bare_axis(
        second, constrain="domain", constraintoward="bottom", **y
    )


def floor(ground: Ground, xref: str, yref: str, *, detailed: bool) -> list[Node]:
    """A floor below the data, the teacher's edge, for the large one its grid."""
    base = {"xref": xref, "yref": yref, "layer": "below"}
    radius, band = ground.radius, ground.band
    around = f"L{radius:.4f},{band:.4f} L0,{band:.4f}" if band else _arc(radius, ground.degrees)
    made: list[Node] = [
        {
            **base,
            "type": "path",
            "path": f"M0,0 L{radius:.4f},0 {around} Z",
            "fillcolor": "$sunken",
            "line": {"color": "$line_strong", "width": 1},
        },
    ]
    if not detailed:
        edge = {"type": "line", "x0": 0, "y0": 0, "x1": radius, "y1": 0}
        return [*made, {**base, **edge, "line": {"color": "$teacher", "width": 1.2}}]
    if band:
        grey = {"color": "$line_strong", "width": 1}
        ticks = ({"x0": at, "x1": at, "y0": 0, "y1": band} for at, _ in ground.ticks[:-1])
        return [*made, *({**base, "type": "line", **tick, "line": grey} for tick in ticks)]
    for at, _ in ground.ticks[:-1]:
        path = f"M{at},0 {_arc(at, ground.degrees)}"
        line = {"color": "$line_strong", "width": 1}
        made.append({**base, "type": "path", "path": path, "line": line, "fillcolor": CLEAR})
    half = math.radians(ground.degrees / 2)
    ray = {"x0": 0, "y0": 0, "x1": radius * math.cos(half), "y1": radius * math.sin(half)}
    dashed = {"color": "$line_strong", "width": 1, "dash": "3px,3px"}
    return [*made, {**base, "type": "line", **ray, "line": dashed}]


def labels(ground: Ground) -> list[Node]:
    """Angles, distances, truth and teacher around the large floor."""
    at = {"xref": "x", "yref": "y"}
    radius, wide = ground.radius, math.radians(ground.degrees)
    grey = {"size": 11, "color": "$ink3"}
    below = {**at, "yanchor": "top", "xanchor": "center", "font": grey, "yshift": -2}
    # straight above G a centred label would leave the plot; the corner beside the arc is not empty
    straight = ground.degrees == 90
    side = {"xanchor": "left", "xshift": -1} if straight else {"xanchor": "center"}
    beside = {"xshift": 4, "yanchor": "middle"} if straight else {"xshift": 2}
    angles = [
        label(f"{ground.degrees}°", radius * math.cos(wide), ground.height, **at, **side, yshift=2),
        label(
            f"{ground.degrees // 2}°",
            radius * math.cos(wide / 2),
            radius * math.sin(wide / 2),
            **at,
            **beside,
        ),
    ]
    return [
        *([] if ground.band else angles),
        label(
            f"<b>{paint('G', '$truth')}</b>",
            0,
            0,
            **at,
            xanchor="right",
            yanchor="middle",
            xshift=-7,
        ),
        label(f"<b>{paint('T', '$teacher')}</b>", radius, 0, **at, yanchor="middle", xshift=6),
        *(label(text, x, -0.09 * ground.unit, **below) for x, text in ground.ticks),
    ]


def _arc(radius: float, degrees: int) -> str:
    """SVG lines along an arc from 0 (Plotly paths know no arcs)."""
    angles = np.linspace(0, math.radians(degrees), 31)
    return " ".join(f"L{radius * math.cos(a):.4f},{radius * math.sin(a):.4f}" for a in angles)
