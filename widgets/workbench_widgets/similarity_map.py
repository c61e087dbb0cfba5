"""The picture of layer similarity: the map, its numbers, undefined cells, one cell over training.

Unusual here: a number is black or white by measured contrast with its own cell, in either theme;
the scale reaches below 0 without moving any colour above it. Shapes: Lt, Ls = layers of teacher,
student; S = snapshots.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.control_map import (
    control_facts,
    control_or,
    difference_map,
    over_training,
)
from workbench_widgets.frame import Facts
from workbench_widgets.map_room import RIGHT_PX, MapRoom
from workbench_widgets.skeleton import (
    CLEAR,
    Node,
    axis,
    escape,
    ghost,
    label,
    layout,
    mark_lines,
    mark_numbers,
    painted,
    step_ticks,
)
from workbench_widgets.words import count, shorten, signed, unit_cell

ANNOTATED: Final = 12
"""Cells carry their number up to this many layers a side."""

NAME_LENGTH: Final = 16
HISTORY_PX: Final = 46
"""Height of the plot of a cell over training; its heading takes another ``HEADING_PX``."""

HEADING_PX: Final = 24
BOLD_PX: Final = 5.8
"""Mean width of a bold character of the heading of a cell over training."""
TITLE_PX: Final = 118
"""Of the teacher's axis title, upright."""
TALL: Final = {"h>=": 330}
"""The history gives way first."""


class Picture:
    """Builds the skeleton; holds what its parts share.

    Args:
        teacher: Layer names, input to output.
        student: The same of the student.
        data: Arrays of the frame; empty while waiting.
        facts: Facts of the frame.
        history: Whether ``data`` holds the cells over training.
    """

    def __init__(
        self,
        teacher: list[str],
        student: list[str],
        data: dict[str, NDArray[Any]],
        facts: Facts,
        *,
        history: bool,
    ) -> None:
        self.teacher = [escape(shorten(name, NAME_LENGTH)) for name in teacher]
        self.student = [escape(shorten(name, NAME_LENGTH)) for name in student]
        self.data = data
        self.history = history
        # of some samples there is no history, but keys still move over cells and propose pairs
        self.cursor = bool(data) and "selected" in facts
        self.marks = list(facts.get("marks", ()))
        self.reasons = {str(k): str(v) for k, v in dict(facts.get("reasons", {})).items()}
        self.n = int(facts.get("n", 0))
        last = float(data["steps"][-1]) if history else 1.0
        self.last = last
        self.total = max(float(facts.get("steps_total", last)), last, 1.0)
        self.floor = -0.2 if self._lowest() < 0 else 0.0
        self.rows, self.columns = max(len(teacher), 1), max(len(student), 1)
        under = HISTORY_PX + HEADING_PX if history else 0
        self.room = MapRoom(self.teacher, self.student, under, TALL)

    def _lowest(self) -> float:
        shown = [self.data[name] for name in ("unbiased", "history") if name in self.data]
        finite = [values[np.isfinite(values)] for values in shown]
        return min((float(values.min()) for values in finite if values.size), default=0.0)

    def summary(self) -> str:
        values = self.data["unbiased"]
        if not np.isfinite(values).any():
            return "No pair of layers is defined."
        i, j = np.unravel_index(int(np.nanargmax(values)), values.shape)
        below = int(np.sum(values < self.data["null_p95"]))
        return (
            f"{values.shape[0]} teacher by {values.shape[1]} student layers. Highest "
            f"{values[i, j]:.2f}, teacher {self.teacher[i]} with student {self.student[j]}. "
            f"{below} below their null."
        )

    def facts(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "teacher": self.teacher,
            "student": self.student,
            "cells": self._texts("unbiased"),
            "names_px": self.room.names_px,
        }
        if "change" in self.data:
            changes = self.data["change"].reshape(len(self.data["change"]), -1)
            made["cells_change"] = [[_change_cell(float(v)) for v in one] for one in changes]
        return made | control_facts(self.data)

    def _texts(self, name: str) -> list[str]:
        values, chance = self.data[name].ravel(), self.data["null_p95"].ravel()
        return [_cell(float(v), float(c)) for v, c in zip(values, chance, strict=True)]

    def skeleton(self) -> dict[str, Node]:
        room = self.room
        floor = room.below(lambda px: {"$px": [0, px, "y"]}, 0)
        height = room.below(lambda px: {"$px": [1, -px, "y"]}, 1)
        shape = layout(
            {"l": room.left, "r": RIGHT_PX, "t": 7, "b": room.margin()},
            xaxis=axis(
                [-0.5, self.columns - 0.5],
                title="student layer → output",
                **room.under(self.student),
                colour="$student",
                grid=False,
                standoff=2,
                anchor="y",
                tickangle={"$if": room.flat, "then": 0, "else": -45},
            ),
            yaxis=axis(
                [-0.5, self.rows - 0.5],
                title=room.high(TITLE_PX, "teacher layer → output", "teacher"),
                **room.beside(self.teacher),
                colour="$teacher",
                grid=False,
                domain=[floor, 1],
            ),
            shapes=[],
            annotations=[],
        )
        traces: list[Node] = []
        if not self.data:
            traces = [ghost("x", "y")]
        else:
            traces = [*self._maps(height), *self._numbers(), *self._undefined()]
        if self.history or self.cursor:
            shape["shapes"] += self._outline()
        if self.history:
            history = self._history(shape)
            traces += [{"$if": TALL, "then": trace} for trace in history]
        return {"data": traces, "layout": shape}

    def _maps(self, height: Node) -> list[Node]:
        bar = {
            "thickness": 8,
            "len": height,
            "y": 1,
            "yanchor": "top",
            "x": 1,
            "xpad": 8,
            "ypad": 0,
            "outlinewidth": 0,
            "tickmode": "array",
            "ticks": "outside",
            "ticklen": 3,
            "tickcolor": "$line_strong",
            "ticklabeloverflow": "allow",
            "tickfont": {"size": 11, "color": "$ink3"},
            "tickvals": [self.floor + 0.004, 0, 0.5, 0.996] if self.floor else [0.004, 0.5, 0.996],
            "ticktext": ["−.2", "0", ".5", "1"] if self.floor else ["0", ".5", "1"],
        }
        common: dict[str, Node] = {
            "type": "heatmap",
            "xgap": 1,
            "ygap": 1,
            "zmin": self.floor,
            "zmax": 1,
            "colorscale": {"$scale": "measure", "floor": self.floor},
            "colorbar": bar,
            "hoverongaps": False,
            "x": list(range(self.columns)),
            "y": list(range(self.rows)),
            "meta": {"click": {"j": "x", "i": "y"}},
        }
        values = "unbiased %{z:.3f}<br>biased %{customdata[0]:.3f}"
        chance = f"null p95 %{{customdata[1]:.3f}}<br>n = {count(self.n)}<extra></extra>"
        names = {"teacher": self.teacher, "student": self.student}
        pair = [[f"{t} × {s}" for s in names["student"]] for t in names["teacher"]]
        now = {
            **common,
            "z": {"$data": "unbiased"},
            "text": pair,
            "customdata": {"$stack": ["biased", "null_p95"]},
            "hovertemplate": f"<b>%{{text}}</b><br>{values}<br>{chance}",
        }
        against = difference_map({**common, "text": pair}, self.data)
        shown = control_or(self.data, against, now)
        if "change" not in self.data:
            return [shown]
        change = {
            **common,
            "zmin": 0,
            "colorscale": {"$scale": "measure"},
            "z": {"$data": "change_size", "at": ["$since"]},
            "text": pair,
            "customdata": {"$stack": [["change", "$since"], "unbiased"]},
            "hovertemplate": "<b>%{text}</b><br>change %{customdata[0]:+.3f}"
            "<br>now %{customdata[1]:.3f}<extra></extra>",
        }
        return [{"$if": {"mode": "change"}, "then": change, "else": shown}]

    def _numbers(self) -> list[Node]:
        if max(self.rows, self.columns) > ANNOTATED:
            return []
        where = np.indices((self.rows, self.columns)).reshape(2, -1)

        def written(cells: list[str], name: str, at: list[str]) -> dict[str, Node]:
            return {
                "type": "scatter",
                "mode": "text",
                "x": where[1].tolist(),
                "y": where[0].tolist(),
                "text": {"$fact": cells},
                "hoverinfo": "skip",
                "cliponaxis": False,
                "textfont": {
                    "size": 11,
                    "color": {"$contrast": name, "scale": "measure", "over": [0, 1], "at": at},
                },
            }

        node: Node = written(["cells"], "unbiased", [])
        node = control_or(self.data, written(["cells_beside"], "beside_size", []), node)
        if "change" in self.data:
            change = written(["cells_change", "$since"], "change_size", ["$since"])
            node = {"$if": {"mode": "change"}, "then": change, "else": node}
        wide, high = {"W>=": 28 * self.columns}, 13 * self.rows
        return [
            self.room.below(
                lambda px: {"$if": {**wide, "H>=": high + px}, "then": node},
                {"$if": {**wide, "H>=": high}, "then": node},
            )
        ]

    def _undefined(self) -> list[Node]:
        """Hatched bars over cells without a value; their hover gives the reason."""
        holes = np.argwhere(~np.isfinite(self.data["unbiased"])).tolist()
        if not holes:
            return []
        reasons = [escape(self.reasons.get(f"{i},{j}", "not defined here")) for i, j in holes]
        return [
            {
                "type": "bar",
                "x": [j for _, j in holes],
                "y": [0.94] * len(holes),
                "base": [i - 0.47 for i, _ in holes],
                "width": [0.94] * len(holes),
                "marker": {
                    "color": "$surface",
                    "line": {"width": 1, "color": "$line_strong"},
                    "pattern": {
                        "shape": "/",
                        "size": 5,
                        "solidity": 0.18,
                        "fillmode": "overlay",
                        "fgcolor": "$ink3",
                    },
                },
                "customdata": [
                    [f"{self.teacher[i]} × {self.student[j]}", reason]
                    for (i, j), reason in zip(holes, reasons, strict=True)
                ],
                "hovertemplate": "<b>%{customdata[0]}</b><br>%{customdata[1]}<extra></extra>",
            }
        ]

    def _outline(self) -> list[Node]:
        """The chosen cell: two pixels of ink with a one-pixel gap."""
        corner = {
            "x0": {"$state": "j", "add": -0.5},
            "x1": {"$state": "j", "add": 0.5},
            "y0": {"$state": "i", "add": -0.5},
            "y1": {"$state": "i", "add": 0.5},
        }
        rect = {"type": "rect", "xref": "x", "yref": "y", "layer": "above", "fillcolor": CLEAR}
        return [
            {**rect, **corner, "line": {"color": "$surface", "width": 4}},
            {**rect, **corner, "line": {"color": "$ink", "width": 2}},
        ]

    def _history(self, shape: dict[str, Node]) -> list[Node]:
        """The chosen cell over training; adds its axes, null band and labels to the layout."""
        ticks = step_ticks(self.total, unit="step ")
        shape["xaxis2"] = axis([0, self.total], **ticks, anchor="y2", domain=[0, 1], grid=False)
        shape["yaxis2"] = axis(
            [self.floor, 1.02],
            ticks=[0, 0.5, 1],
            labels=["0", ".5", "1"],
            anchor="x2",
            domain=[0, {"$px": [0, HISTORY_PX, "y"]}],
        )
        for name in ("xaxis2", "yaxis2"):
            shape[name] = {"$if": TALL, "then": shape[name]}
        longest = sum(max(map(len, names), default=0) for names in (self.teacher, self.student))
        pair_px = round(BOLD_PX * longest) + 16
        words_px = pair_px + 76
        heading = {
            "$join": [
                "<b>",
                *painted({"$fact": ["teacher", "$i"]}, "$teacher"),
                " × ",
                *painted({"$fact": ["student", "$j"]}, "$student"),
                "</b>",
                {"$if": {"W>=": words_px + 42}, "then": " over training", "else": ""},
            ]
        }
        notes = [
            label(
                heading,
                0,
                {"$px": [0, HISTORY_PX, "y"]},
                yshift=5,
                font={"size": 12, "color": "$ink"},
            ),
            label("null", 1, 0, xref="x2 domain", yref="y2 domain", xanchor="right", yshift=2),
            *mark_numbers(self.marks, "x2", "y2 domain", self.total),
        ]
        pair = label(
            {
                "$if": {"W>=": words_px + 160},
                "then": "pair for a feature term <b>[P]</b>",
                "else": {"$if": {"W>=": pair_px + 42}, "then": "pair <b>[P]</b>", "else": ""},
            },
            1,
            {"$px": [0, HISTORY_PX, "y"]},
            xanchor="right",
            yshift=5,
            name="pair",
            captureevents=True,
            hovertext="Or drag from a teacher layer's name to a student layer's",
        )
        band = {
            "type": "rect",
            "xref": "x2",
            "yref": "y2",
            "x0": 0,
            "x1": self.total,
            "y0": self.floor,
            "y1": {"$data": "null_p95", "at": ["$i", "$j"]},
            "fillcolor": "$null_band",
            "line": {"width": 0},
            "layer": "below",
        }
        lines = [band, *mark_lines(self.marks, "x2", ["y2 domain"])]
        shape["annotations"] += [{"$if": TALL, "then": note} for note in notes]
        shape["annotations"].append({"$if": {**TALL, "pairing": True}, "then": pair})
        shape["shapes"] += [{"$if": TALL, "then": line} for line in lines]
        line = {
            "type": "scatter",
            "mode": "lines",
            "x": {"$data": "steps"},
            "y": {"$data": "history", "at": [None, "$i", "$j"]},
            "xaxis": "x2",
            "yaxis": "y2",
            "line": {"color": "$measure3", "width": 1.8},
            "hovertemplate": "step %{x:d}<br>CKA %{y:.3f}<extra></extra>",
        }
        head = {
            **line,
            "mode": "markers",
            "x": [self.last],
            "y": [{"$data": "history", "at": [len(self.data["steps"]) - 1, "$i", "$j"]}],
            "marker": {"color": "$measure3", "size": 7},
            "cliponaxis": False,
            "hoverinfo": "skip",
        }
        head.pop("hovertemplate")
        return [*over_training(line, self.data), line, head]


def _cell(value: float, chance: float) -> str:
    if not np.isfinite(value):
        return ""
    return "n.s." if np.isfinite(chance) and value < chance else unit_cell(value)


def _change_cell(value: float) -> str:
    if not np.isfinite(value):
        return ""
    return signed(0) if abs(value) < 0.005 else ("+" if value > 0 else "") + unit_cell(value)
