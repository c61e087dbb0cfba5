"""What the cells of the wedge are coloured by: how many samples, one class, or a mean.

Unusual here: cells are counted by whoever draws them (``$cells``), so that another colour, another
class or another distance asks nobody for a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from workbench_widgets.skeleton import Node
from workbench_widgets.wedge_ground import Ground, chosen

COLOUR: Final = "colour"
"""Name of the state that says by what."""
COUNT, CLASS, ALPHA = "count", "class", "alpha"
LABEL: Final = "label"
"""Name of the state that says which class."""
AXIS_LENGTH: Final = 0.05
"""Below this |TG| a fusion ratio means nothing."""
COUNTS: Final = ([0, 1, 2, 3, 4, 5], ["1", "10", "100", "1k", "10k", "100k"])

Tests = list[list[Any]]


@dataclass(frozen=True)
class Colours:
    """What a frame can be coloured by.

    Attributes:
        grounds: Distances that it has.
        ratios: Arrays of what a mix gives each sample, and so the values of the state.
        selected: Whether some samples are selected: the others are grey.
        top: log10 of the count at the top of the scale, whole, by distance.
    """

    grounds: tuple[Ground, ...]
    ratios: tuple[str, ...]
    selected: bool
    top: dict[str, float]

    @property
    def where(self) -> Tests:
        """Which samples are in colour."""
        return [["chosen", 1]] if self.selected else []

    def toggle(self) -> dict[str, Any]:
        """The control, each value with a word."""
        options = [
            {"value": COUNT, "label": "count", "title": "samples in a cell"},
            {"value": CLASS, "label": "class", "title": "one class in ink, the others in grey"},
            {"value": ALPHA, "label": "α̂", "title": "mean of x / |TG|: how far to the teacher"},
        ]
        for name in self.ratios:
            label = "ratio" if len(self.ratios) == 1 else name
            title = f"{name}: the share that the loss gives to its first term"
            options.append({"value": name, "label": label, "title": title})
        return {"name": COLOUR, "options": options}

    def axes(self, right: float) -> dict[str, Node]:
        """Colour scales with their bars; one sample is visible wherever a scale begins.

        Args:
            right: Where the large floor ends, as a share of the plot.
        """
        held: dict[str, Node] = {
            ground.name: {
                "$hold": f"{ground.prefix}density_top",
                "range": [0, self.top[ground.name]],
                "part": 1,
                "shrinks": False,
            }
            for ground in self.grounds
        }
        top = chosen(self.grounds, held)
        made: dict[str, Node] = {
            "coloraxis": {
                "cmin": 0,
                "cmax": top,
                "colorscale": {"$scale": "density"},
                "colorbar": self._bar("samples", *COUNTS, right),
                "showscale": self._shown(CLASS, ALPHA, *self.ratios, then=False),
            },
            "coloraxis2": {
                "cmin": 0,
                "cmax": 1.5,
                "colorscale": {"$scale": "density"},
                "colorbar": self._bar("mean α̂", [0, 1], ["0", "1"], right),
                "showscale": self._shown(ALPHA),
            },
            "coloraxis3": {
                "cmin": 0,
                "cmax": top,
                "colorscale": [[0, {"$fade": "ink", "alpha": 0.65}], [1, "$ink"]],
                "colorbar": self._bar({"$fact": ["class_titles", f"${LABEL}"]}, *COUNTS, right),
                "showscale": self._shown(CLASS),
            },
        }
        if self.ratios:
            made["coloraxis4"] = {
                "cmin": 0,
                "cmax": 1,
                "colorscale": {"$scale": "density"},
                "colorbar": self._bar("mean ratio", [0, 1], ["0", "1"], right),
                "showscale": self._shown(*self.ratios),
            }
        return made

    def cells(self, ground: Ground, columns: int, where: Tests, **on: Any) -> list[Node]:
        """Heat maps of one floor: what is grey, then what is in colour.

        Args:
            ground: The distance.
            columns: Cells over the radius.
            where: Which samples lie here.
            on: Further keys of each trace, such as its axes.
        """
        asked = ground.cells(columns)
        side, here = asked["side"], [*where, *self.where]
        high = ground.band or side
        grid = {"x0": side / 2, "dx": side, "y0": high / 2, "dy": high}
        common: dict[str, Any] = {"type": "heatmap", **grid, "hoverongaps": False, **on}

        def map_of(axis: str, words: str, tests: Tests, **more: Any) -> Node:
            trace = {**common, "z": {"$cells": {**asked, "where": tests, **more}}}
            trace["coloraxis"] = axis
            if "hoverinfo" not in on:
                trace["hovertemplate"] = f"about x %{{x:.2f}}, y %{{y:.2f}}<br>{words}"
                trace["hovertemplate"] += "<extra></extra>"
            return trace

        def grey(words: str, tests: Tests, unless: Tests) -> Node:
            trace = map_of("", words, tests, unless=unless)
            del trace["coloraxis"]
            scale = [[0, "$line_strong"], [1, "$line_strong"]]
            return {**trace, "zmin": 0, "zmax": 1, "colorscale": scale, "showscale": False}

        own = ["labels", f"${LABEL}"]
        of_class = map_of("coloraxis3", "10^%{z:.2f} samples of the class", [*here, own])
        share = {"mean": ground.at("x"), "over": ground.at("teacher_x"), "least": AXIS_LENGTH}
        of_alpha = map_of("coloraxis2", "mean α̂ %{z:.2f}", here, **share)
        node = map_of("coloraxis", "10^%{z:.2f} samples", here)
        for name in self.ratios:
            of_ratio = map_of("coloraxis4", "mean ratio %{z:.2f}", here, mean=name)
            node = {"$if": {COLOUR: name}, "then": of_ratio, "else": node}
        node = {"$if": {COLOUR: ALPHA}, "then": of_alpha, "else": node}
        node = {"$if": {COLOUR: CLASS}, "then": of_class, "else": node}
        others = grey("others", where, [*self.where, own])
        floor: Node = {"$if": {COLOUR: CLASS}, "then": others}
        if self.selected:
            floor["else"] = grey("not selected", where, self.where)
        return [floor, node]

    def num(self, where: Tests) -> Node:
        """How many samples are in colour here, as text."""
        here = [*where, *self.where]
        of_class = {"$count": {"of": "ids", "where": [*here, ["labels", f"${LABEL}"]]}}
        everyone = {"$count": {"of": "ids", "where": here}}
        return {"$if": {COLOUR: CLASS}, "then": of_class, "else": everyone}

    def _shown(self, *values: str, then: bool = True) -> Node:
        return {"$if": {COLOUR: list(values)}, "then": then, "else": not then}

    def _bar(
        self, title: Node, ticks: Sequence[float], words: Sequence[str], right: float
    ) -> dict[str, Node]:
        """A short horizontal colour bar in the corner that the large floor leaves empty."""
        sparse = [text if k % 2 == 0 else "" for k, text in enumerate(words)]
        # 60 degrees leave the corner above the truth empty, 90 the one above the teacher
        wide = {ground.name: ground.degrees == 90 for ground in self.grounds}
        x = {name: right if corner else 0 for name, corner in wide.items()}
        anchor = {name: "right" if corner else "left" for name, corner in wide.items()}
        return {
            "orientation": "h",
            "x": chosen(self.grounds, x),
            "xanchor": chosen(self.grounds, anchor),
            "xpad": 0,
            "y": 1,
            "yanchor": "top",
            "ypad": 0,
            "lenmode": "pixels",
            "len": {"$if": {"w>=": 420}, "then": 76, "else": 56},
            "thickness": 7,
            "outlinewidth": 0,
            "tickmode": "array",
            "tickvals": list(ticks),
            "ticktext": {
                "$if": {"w>=": 420},
                "then": list(words),
                "else": sparse if len(words) > 2 else list(words),
            },
            "ticklen": 2,
            "ticks": "outside",
            "tickcolor": "$line_strong",
            "tickangle": 0,
            "tickfont": {"size": 11, "color": "$ink3"},
            "title": {"text": title, "side": "top", "font": {"size": 11, "color": "$ink3"}},
        }
