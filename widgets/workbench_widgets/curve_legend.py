"""The names of the terms between the two plots of the curves: stroke and name in the term's colour.

Unusual here: a legend as wide as its plot breaks into lines, and both plots give way to them; how
many there are is decided by the width when the picture is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from workbench_widgets.skeleton import CHAR_PX, Node, escape, label, paint
from workbench_widgets.words import shorten, term_name

STROKES: Final = {
    "solid": "━━",
    "3px,2px": "┅┅",
    "8px,3px": "╍╍",
    "8px,2px,2px,2px": "━╸╺",
    "2px,2px": "┈┈",
}
UNIT: Final = "weighted loss, batch mean"
LONGEST_NAME: Final = 16
LINE_PX: Final = 14
GAP_PX: Final = 12
STROKE_PX: Final = 28
SIDE_PX: Final = 36
"""The legend begins left of the plot and may end right of it."""
LOW_PX: Final = 150
"""Height of both plots below which more than two lines leave them too little."""
ROOMS: Final = (240, 256, 330, 440, 620, 860, 1200)
"""Widths of a plot at which its lines are broken anew."""


def term_legend(names: Sequence[str], styles: Sequence[tuple[str, str]]) -> tuple[Node, Node, Node]:
    """The legend as an annotation, and the ends of both plots that leave room for it.

    Args:
        names: Of the terms.
        styles: Colour token and dash of each.

    Returns:
        The annotation, the top of the lower plot, the floor of the upper one.
    """
    text, top, floor = _placed(_lines(names, styles, ROOMS[0]), len(names))
    for room in ROOMS[1:]:
        wide = {"W>=": room}
        then = _placed(_lines(names, styles, room), len(names))
        text, top, floor = (
            {"$if": wide, "then": one, "else": other}
            for one, other in zip(then, (text, top, floor), strict=True)
        )
    return label(text, 0, 1, yref="y2 domain", yshift=9, xshift=6 - SIDE_PX), top, floor


def _placed(lines: Sequence[str], terms: int) -> tuple[Node, Node, Node]:
    """The lines and the ends of both plots; low plots leave the names to the pointer."""
    text: Node = "<br>".join(lines)
    top, floor = _ends(len(lines))
    if len(lines) <= 2:
        return text, top, floor
    low = {"H<": LOW_PX}
    short = paint(f"{terms} terms, named where you point · {UNIT}", "$ink3")
    top, floor = (
        {"$if": low, "then": one, "else": other}
        for one, other in zip(_ends(1), (top, floor), strict=True)
    )
    return {"$if": low, "then": short, "else": text}, top, floor


def _ends(lines: int) -> tuple[Node, Node]:
    """Top of the lower plot, floor of the upper one."""
    half = LINE_PX * (lines - 1) / 2
    return {"$px": [0.5, -22 - half, "y"]}, {"$px": [0.5, 8 + half, "y"]}


def _lines(names: Sequence[str], styles: Sequence[tuple[str, str]], room: float) -> list[str]:
    """Names and the unit, as many a line as fit."""
    pieces = [
        (paint(f"{STROKES[dash]} {escape(shorten(term_name(name), LONGEST_NAME))}", colour), name)
        for name, (colour, dash) in zip(names, styles, strict=True)
    ]
    sizes = [STROKE_PX + CHAR_PX * min(len(name), LONGEST_NAME) for _, name in pieces]
    texts = [text for text, _ in pieces] + [paint(UNIT, "$ink3")]
    sizes.append(CHAR_PX * len(UNIT) * 0.9)
    lines: list[list[str]] = [[]]
    used = 0.0
    for text, size in zip(texts, sizes, strict=True):
        if lines[-1] and used + size > room + SIDE_PX:
            lines.append([])
            used = 0.0
        lines[-1].append(text)
        used += size + GAP_PX
    return ["   ".join(line) for line in lines]
