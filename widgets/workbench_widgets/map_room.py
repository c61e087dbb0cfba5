"""What a layer map of any size has room for: names flat or slanted, all or every so many.

Unusual here: the plot's size is the reader's, so each answer is a node that the size decides when
the picture is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from workbench_widgets.skeleton import CHAR_PX, Node, fitting_ticks

FLAT_PX: Final = 34
"""Room below the map for names that stay flat, and for the axis title."""
RIGHT_PX: Final = 36
"""Room for the colour bar."""
LINE_PX: Final = 13
SLANTED_PX: Final = 16
"""What a name takes of its axis: beside the map, and slanted below it."""
NAME_PX: Final = 5.8
"""Mean width of a character of a layer's name: many dots and digits."""
STRIDES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)
"""Every so many layers are named where there is no room for all."""
MOST_LEFT_PX: Final = 110

Fits = Callable[[float, Node, Node], Node]
"""Pixels that are needed, what stands there if the map has them, and what if not."""


class MapRoom:
    """Room around and inside a map.

    Args:
        teacher: Names beside the map.
        student: Names below it.
        under_px: Height of what stands below map and names; 0 for nothing.
        tall: Test under which that is shown at all.
    """

    def __init__(
        self, teacher: Sequence[str], student: Sequence[str], under_px: float, tall: Node
    ) -> None:
        self.under_px, self.tall = under_px, tall
        characters = max([len(name) for name in student] or [4])
        self.left = round(
            min(CHAR_PX * max([len(name) for name in teacher] or [6]), MOST_LEFT_PX) + 24
        )
        self._flat_px = round((NAME_PX * characters + 6) * max(len(student), 1))
        self.flat = {"W>=": self._flat_px}
        self.names_px = [FLAT_PX, round(CHAR_PX * characters * 0.72 + 32)]
        """Height of names and axis title: flat, slanted."""

    def margin(self) -> Node:
        """Below the plot. It is asked for while ``W`` is still the whole width."""
        flat, slanted = self.names_px
        whole = {"W>=": self._flat_px + self.left + RIGHT_PX}
        margin: Node = {"$if": whole, "then": flat, "else": slanted}
        return {"$if": self.tall, "then": 20, "else": margin} if self.under_px else margin

    def below(self, make: Callable[[float], Node], alone: Node) -> Node:
        """A node of the pixels that the plot needs below the map; ``alone`` where it needs none."""
        if not self.under_px:
            return alone
        flat, slanted = (make(self.under_px + px) for px in self.names_px)
        return {
            "$if": self.tall,
            "then": {"$if": self.flat, "then": flat, "else": slanted},
            "else": alone,
        }

    def high(self, px: float, then: Node, other: Node) -> Node:
        """One node if the map is so high, another if not."""
        return self.below(
            lambda low: {"$if": {"H>=": px + low}, "then": then, "else": other},
            {"$if": {"H>=": px}, "then": then, "else": other},
        )

    def wide(self, px: float, then: Node, other: Node) -> Node:
        """The same by the width."""
        return {"$if": {"W>=": px}, "then": then, "else": other}

    def beside(self, names: Sequence[str]) -> dict[str, Node]:
        """Ticks of as many names as the height has room for."""
        return _thinned(names, LINE_PX, self.high)

    def under(self, names: Sequence[str]) -> dict[str, Node]:
        """Ticks of as many names as the width has room for; all where they fit flat."""
        return _thinned(names, min(SLANTED_PX, self._flat_px / max(len(names), 1)), self.wide)


def _thinned(names: Sequence[str], each: float, fits: Fits) -> dict[str, Node]:
    """Ticks from the sparsest to all; the last layer is always named."""
    node: dict[str, Node] = fitting_ticks(names, 1)
    for stride in reversed([stride for stride in STRIDES if stride < len(names)]):
        shown = -(-len(names) // stride)
        denser = fitting_ticks(names, shown)
        node = {key: fits(round(each * shown), denser[key], node[key]) for key in denser}
    return node
