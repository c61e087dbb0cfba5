"""Figures as files without a browser: what is drawn lies where Plotly would draw it."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image
from workbench_widgets import VIEWS
from workbench_widgets.canvas import Letters, colour_of, dash_of, pieces
from workbench_widgets.printed_axes import axes_of
from workbench_widgets.printing import coloured, printed
from workbench_widgets.tokens import TOKENS, rgb


def frame_of(view: str, run: Any) -> Any:
    return import_module(f"workbench_widgets.{view}").frame(*run[view])


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_prints_in_its_own_colours(view: str, digits_run: Any) -> None:
    for theme in ("light", "dark"):
        figure = frame_of(view, digits_run).figure(theme, width=560, height=460)
        seen = pixels(printed(figure, "png"))
        assert seen.shape == (460, 560, 3)
        assert tuple(seen[2, 2]) == rgb(TOKENS[theme]["surface"]), "the paper"
        ink = rgb(TOKENS[theme]["teacher"])
        assert np.any(np.all(np.abs(seen.astype(int) - ink) < 12, axis=-1)), "the teacher's colour"


def test_an_svg_is_one_picture_without_scripts_or_addresses(digits_run: Any) -> None:
    figure = frame_of("cka", digits_run).figure()
    svg = printed(figure, "svg")
    root = ElementTree.fromstring(svg)  # noqa: S314 - what we have just written ourselves
    assert not [node for node in root.iter() if node.tag.endswith(("script", "foreignObject"))]
    assert printed(figure, "svg") == svg, "the same picture is the same file"
    assert printed(figure, "pdf").startswith(b"%PDF-")


def test_a_value_lies_where_its_axis_says() -> None:
    layout = {
        "xaxis": {"range": [0, 10], "domain": [0, 0.5]},
        "yaxis": {"range": [-1, 1], "type": "log", "domain": [0, 1]},
    }
    axes = axes_of(layout, (100, 50, 300, 250))
    assert axes["x"].pixel(5) == 150
    assert axes["y"].pixel(1) == 150, "10^0 is the middle of 0.1 to 10"
    assert np.isnan(axes["y"].pixel(0)), "a log axis has no 0"


def test_equal_scales_shrink_the_room_and_keep_the_range() -> None:
    layout = {
        "xaxis": {"range": [0, 1], "domain": [0, 1]},
        "yaxis": {
            "range": [0, 1], "domain": [0, 1], "scaleanchor": "x", "constraintoward": "bottom",
        },
    }  # fmt: skip
    axes = axes_of(layout, (0, 0, 400, 100))
    assert abs(axes["x"].stop - axes["x"].start) == abs(axes["y"].stop - axes["y"].start) == 100
    assert (axes["x"].start, axes["y"].start) == (150, 100)


def test_a_cell_of_a_heat_map_has_its_colour_at_its_place() -> None:
    bare = {"visible": False, "autorange": False}
    figure = go.Figure(
        {
            "data": [
                {
                    "type": "heatmap", "z": [[0.0, 1.0], [np.nan, 0.5]], "zmin": 0, "zmax": 1,
                    "colorscale": [[0, "#000000"], [1, "#FF0000"]], "showscale": False,
                }
            ],
            "layout": {
                "width": 100, "height": 100, "paper_bgcolor": "#FFFFFF",
                "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
                "font": {"size": 11, "color": "#000000"},
                "xaxis": {**bare, "range": [-0.5, 1.5]}, "yaxis": {**bare, "range": [-0.5, 1.5]},
            },
        }
    )  # fmt: skip
    seen = pixels(printed(figure, "png"))
    assert tuple(seen[75, 25]) == (0, 0, 0), "the first row is at the bottom"
    assert tuple(seen[75, 75]) == (255, 0, 0)
    assert tuple(seen[25, 25]) == (255, 255, 255), "a hole is left open"
    assert seen[25, 75][0] in (127, 128)


def test_small_pieces_are_read_as_plotly_reads_them() -> None:
    assert pieces("a &lt;b&gt; <b>c</b>", "#000000") == [
        [Letters("a <b> ", "#000000"), Letters("c", "#000000", bold=True)]
    ]
    assert dash_of("8px,3px") == (8.0, 3.0) and dash_of("solid") is None
    assert colour_of("rgba(255,0,0,0.5)") == (1.0, 0.0, 0.0, 0.5)
    clear = coloured(np.array([np.nan]), 0, 1, [[0, "#000000"], [1, "#FFFFFF"]])
    assert clear[0, 3] == 0


def test_a_line_of_steps_stays_level_until_its_next_point() -> None:
    line = {"color": "#0B67C2", "width": 3}
    axis = {"domain": [0, 1], "visible": False}
    layout = {
        "width": 100, "height": 100, "paper_bgcolor": "#FFFFFF",
        "font": {"size": 11, "color": "#000000"},
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "xaxis": {**axis, "range": [0, 10]}, "yaxis": {**axis, "range": [0, 10]},
    }  # fmt: skip
    rows = {}
    for shape in ("hv", "linear"):
        trace = go.Scatter(x=[1, 9], y=[2, 8], mode="lines", line={**line, "shape": shape})
        seen = pixels(printed(go.Figure([trace], layout), "png"))
        blue = np.all(np.abs(seen.astype(int) - rgb("#0B67C2")) < 40, axis=-1)
        rows[shape] = float(np.argwhere(blue[:, 50])[:, 0].mean())
    assert rows["hv"] == pytest.approx(80, abs=1.5), "the first value, up to the second point"
    assert rows["linear"] == pytest.approx(50, abs=1.5)
