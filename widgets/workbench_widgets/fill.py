"""Fills a skeleton: data references, colour tokens and size rules become plain Plotly JSON.

Unusual here: this file and the ``fill`` of ``esm/fill.js`` are the same small interpreter in two
languages, and a browser test holds them equal on every view. Neither knows a view; all drawing
decisions are in the skeletons.

A node of a skeleton is a plain value or one of these (a ``"$name"`` inside a path or an ``at``
reads the state): "$student"                            a colour token, also inside a longer string
    {"$data": name, "at": [None, "$i"]}   an array, sliced; ``"pick": True`` keeps the selected
    samples only
    {"$stack": [name, ...]}               arrays of one shape, stacked on a new last axis; one of
    more axes as ``[name, at, ...]``
    {"$fact": [key, ...]}                 a value of the frame's facts
    {"$state": name, "add": number}       a value of the view's state (what a person clicked)
    {"$if": test, "then": a, "else": b}   a or b; without ``else`` the entry vanishes
    {"$join": [node, ...]}                strings glued
    {"$px": [part, pixels, "x" | "y"]}    a paper coordinate: part of the plot area plus pixels
    {"$scale": name, "floor": low}        a colour scale, extended below 0 without moving a colour
    {"$fade": token, "alpha": a}          a colour token with opacity
    {"$contrast": name, "scale": s, "over": [low, high]}  black or white for text on each value;
    a slice of them, with an ``at``
    {"$hold": name, "range": [low, high]} a range that grows at once and shrinks late (the browser
    remembers it)
    {"$held": name, "range": [low, high], "from": [[floor, node], ...]}  the first node whose floor
    lies at or below the low end that ``$hold`` shows under that name
    {"$cells": asked}, {"$count": asked}  samples counted now, into cells or as text (see
    ``cells``)
A test is ``{"mode": "now"}`` (a state), ``{"w>=": 600}`` or ``{"h<": 360}`` (pixels of the view),
``{"W<": n}`` or ``{"H<": n}`` (pixels of the plot area); all entries must hold.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.cells import counted, number
from workbench_widgets.tokens import SCALES, rgb, scale_colour, text_on
from workbench_widgets.words import count

OMIT: Final = object()
"""What an ``$if`` without a matching branch becomes; lists and dicts drop it."""

TOKEN: Final = re.compile(r"\$([a-z][a-z0-9_]*)")


@dataclass(frozen=True)
class Surroundings:
    """All that a skeleton may refer to.

    Attributes:
        tokens: Token name to colour.
        arrays: Array name to values.
        facts: JSON-able numbers and names.
        state: What was chosen in the view (mode, clicked cell).
        size: Pixels: ``w``, ``h`` of the view; ``W``, ``H`` of the plot area.
        selected: Positions of the selected samples in the per-sample arrays, or None.
    """

    tokens: Mapping[str, str]
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any]
    state: Mapping[str, Any] = field(default_factory=dict)
    size: Mapping[str, float] = field(default_factory=dict)
    selected: NDArray[np.intp] | None = None


def fill(node: Any, around: Surroundings) -> Any:
    """The node with every reference replaced; arrays stay numpy arrays.

    Raises:
        KeyError: If a skeleton names an array, fact or state that is not there.
    """
    if isinstance(node, str):
        return colour_text(node, around.tokens)
    if isinstance(node, Mapping):
        for key, value in node.items():
            handler = _HANDLERS.get(key)
            if handler is not None:
                return handler(value, node, around)
        filled = {key: fill(value, around) for key, value in node.items()}
        return {key: value for key, value in filled.items() if value is not OMIT}
    if isinstance(node, (list, tuple)):
        return [value for value in (fill(item, around) for item in node) if value is not OMIT]
    return node


def holds(test: Mapping[str, Any], around: Surroundings) -> bool:
    """Whether every entry of a test is true."""
    for key, wanted in test.items():
        if key.endswith(">="):
            true = around.size[key[:-2]] >= wanted
        elif key.endswith("<"):
            true = around.size[key[:-1]] < wanted
        else:
            actual = around.state.get(key)
            true = actual in wanted if isinstance(wanted, (list, tuple)) else actual == wanted
        if not true:
            return False
    return True


def colour_text(text: str, table: Mapping[str, str]) -> str:
    """A string with its token names replaced; other dollar signs stay."""
    if "$" not in text:
        return text
    return TOKEN.sub(lambda match: table.get(match[1], match[0]), text)


def _data(name: str, node: Mapping[str, Any], around: Surroundings) -> Any:
    value = around.arrays[name]
    if node.get("pick"):
        return value[around.selected] if around.selected is not None else value[:0]
    if "at" in node:
        value = _cut(name, node["at"], around)
    return float(value) if value.ndim == 0 else value


def _cut(name: str, at: Sequence[Any], around: Surroundings) -> NDArray[Any]:
    """An array, sliced."""
    index = tuple(slice(None) if place is None else place for place in _path(at, around))
    return np.asarray(around.arrays[name][index])


def _stack(
    names: Sequence[str | Sequence[Any]], node: Mapping[str, Any], around: Surroundings
) -> Any:
    made = [
        around.arrays[name] if isinstance(name, str) else _cut(name[0], name[1:], around)
        for name in names
    ]
    return np.stack(made, axis=-1)


def _fact(path: Sequence[Any], node: Mapping[str, Any], around: Surroundings) -> Any:
    value: Any = around.facts
    for key in _path(path, around):
        value = value[key]
    return value


def _state(name: str, node: Mapping[str, Any], around: Surroundings) -> Any:
    value = around.state[name]
    return value + node["add"] if "add" in node else value


def _if(test: Mapping[str, Any], node: Mapping[str, Any], around: Surroundings) -> Any:
    branch = "then" if holds(test, around) else "else"
    return fill(node[branch], around) if branch in node else OMIT


def _join(parts: Sequence[Any], node: Mapping[str, Any], around: Surroundings) -> str:
    return "".join(str(part) for part in (fill(p, around) for p in parts) if part is not OMIT)


def _px(value: Sequence[Any], node: Mapping[str, Any], around: Surroundings) -> float:
    part, pixels, axis = (fill(item, around) for item in value)
    return float(part + pixels / max(around.size["W" if axis == "x" else "H"], 1))


def _scale(name: str, node: Mapping[str, Any], around: Surroundings) -> list[list[Any]]:
    low = float(node.get("floor", 0.0))
    stops = [[(at - low) / (1 - low), around.tokens[token]] for at, token in SCALES[name]]
    return stops if low == 0 else [[0.0, stops[0][1]], *stops]


def _fade(name: str, node: Mapping[str, Any], around: Surroundings) -> str:
    red, green, blue = (int(channel) for channel in rgb(around.tokens[name]))
    return f"rgba({red},{green},{blue},{node['alpha']})"


def _contrast(name: str, node: Mapping[str, Any], around: Surroundings) -> list[str]:
    low, high = node["over"]
    table = dict(around.tokens)
    values = _cut(name, node.get("at", ()), around)
    positions = (np.nan_to_num(values.ravel()) - low) / (high - low)
    return [text_on(scale_colour(node["scale"], float(at), table)) for at in positions]


def _hold(name: str, node: Mapping[str, Any], around: Surroundings) -> Any:
    held = fill(node["range"], around)
    return held[node["part"]] if "part" in node else held


def _held(name: str, node: Mapping[str, Any], around: Surroundings) -> Any:
    low = fill(node["range"], around)[0]
    return fill(next(then for floor, then in node["from"] if floor <= low), around)


def _counted(asked: Mapping[str, Any], node: Mapping[str, Any], around: Surroundings) -> Any:
    return counted(asked, around.arrays, around.state)


def _count(asked: Mapping[str, Any], node: Mapping[str, Any], around: Surroundings) -> str:
    return count(number(asked, around.arrays, around.state))


def _path(path: Sequence[Any], around: Surroundings) -> list[Any]:
    return [
        around.state[key[1:]] if isinstance(key, str) and key.startswith("$") else key
        for key in path
    ]


_HANDLERS: Final[dict[str, Any]] = {
    "$data": _data,
    "$stack": _stack,
    "$fact": _fact,
    "$state": _state,
    "$if": _if,
    "$join": _join,
    "$px": _px,
    "$scale": _scale,
    "$fade": _fade,
    "$contrast": _contrast,
    "$hold": _hold,
    "$held": _held,
    "$cells": _counted,
    "$count": _count,
}
