"""A frame as JSON and buffers, and what every view keeps to."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from workbench_widgets import VIEWS, Frame, FrameError, css_variables
from workbench_widgets.frame import need
from workbench_widgets.tokens import TOKENS


def built(view: str, run: Any) -> Frame:
    frame: Frame = import_module(f"workbench_widgets.{view}").frame(*run[view])
    return frame


def waiting(view: str) -> Frame:
    frame: Frame = import_module(f"workbench_widgets.{view}").frame({}, {"steps_total": 100})
    return frame


@pytest.mark.parametrize("view", VIEWS)
def test_payload_is_json_and_its_buffers_give_back_the_arrays(view: str, digits_run: Any) -> None:
    frame = built(view, digits_run)
    content, buffers = frame.payload()
    content = json.loads(json.dumps(content, allow_nan=False))
    assert [entry["name"] for entry in content["arrays"]] == list(frame.arrays)
    for entry, buffer in zip(content["arrays"], buffers, strict=True):
        values = np.frombuffer(buffer, dtype=f"<{entry['type']}").reshape(entry["shape"])
        np.testing.assert_array_equal(values, frame.arrays[entry["name"]])


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_without_data_has_axes_title_and_says_what_it_waits_for(view: str) -> None:
    frame = waiting(view)
    assert frame.step == -1
    assert frame.waiting is not None and frame.waiting.startswith("Waits for the first")
    figure = frame.figure()
    texts = " ".join(str(note.text) for note in figure.layout.annotations)
    assert frame.title in texts and frame.waiting in texts
    if view != "loyalty":
        assert len(list(figure.select_xaxes())) >= 1


@pytest.mark.parametrize("view", VIEWS)
def test_a_skeleton_names_no_colour_but_tokens(view: str, digits_run: Any) -> None:
    for frame in (built(view, digits_run), waiting(view)):
        drawn = json.dumps([frame.skeleton, frame.parts, frame.read, frame.footer])
        assert not re.findall(r"#[0-9A-Fa-f]{6}|rgb\(", drawn)
        named = set(re.findall(r"\$([a-z][a-z0-9_]*)", drawn))
        nodes = {"data", "stack", "fact", "state", "if", "join", "px", "scale", "fade"}
        nodes |= {"contrast", "hold", "held", "cells", "count"}
        assert named - nodes - set(frame.state) <= TOKENS["light"].keys()


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_text_is_smaller_than_11_pixels_but_journal_marks(
    view: str, theme: Any, digits_run: Any
) -> None:
    figure = built(view, digits_run).figure(theme).to_plotly_json()
    small = [size for size in _sizes(figure) if size < 11]
    assert set(small) <= {10.5}


def _sizes(node: Any, inside: str = "") -> list[float]:
    if isinstance(node, dict):
        own = (
            [node["size"]]
            if "font" in inside and isinstance(node.get("size"), (int, float))
            else []
        )
        return own + [s for key, value in node.items() for s in _sizes(value, key)]
    if isinstance(node, (list, tuple)):
        return [s for item in node for s in _sizes(item, inside)]
    return []


@pytest.mark.parametrize("view", VIEWS)
def test_the_footer_states_n(view: str, digits_run: Any) -> None:
    frame = built(view, digits_run)
    assert f"n = {digits_run[view][1]['n']}" in "".join(
        r if isinstance(r, str) else "" for r in frame.footer
    )


@pytest.mark.parametrize("width", [360, 560, 1200])
def test_a_long_protocol_is_wrapped_below_the_figure_and_the_plot_keeps_its_place(
    width: int, digits_run: Any
) -> None:
    words = " ".join(f"word{k}" for k in range(60))
    plain, told = built("cka", digits_run), replace(built("cka", digits_run), caption=words)
    before, after = (frame.figure(width=width, height=400).layout for frame in (plain, told))
    lines = [note.text for note in after.annotations if note.text.startswith("word")]
    assert {note.font.size for note in after.annotations if note.text in lines} == {11}
    assert " ".join(lines) == words
    assert max(map(len, lines)) * 11 * 0.53 <= width
    grown = after.height - before.height
    assert grown == 14 * len(lines) - 11
    assert after.margin.b - before.margin.b == grown


def test_a_missing_array_is_named_with_what_was_got() -> None:
    with pytest.raises(FrameError, match=r"cka: no array 'biased'; got unbiased\. A frame needs"):
        need({"unbiased": np.zeros((2, 2))}, "cka", {"unbiased": (2, 2), "biased": (2, 2)})


def test_arrays_that_disagree_are_named_with_both_shapes() -> None:
    arrays = {"x": np.zeros(5), "y": np.zeros(4)}
    with pytest.raises(FrameError, match=r"'y' has shape \(4,\), expected \(5\).*one snapshot"):
        need(arrays, "trilateral", {"x": ("n",), "y": ("n",)})


def test_an_unknown_toggle_is_refused_by_name(digits_run: Any) -> None:
    with pytest.raises(FrameError, match=r"no toggle moed\. Known: i, j, mode"):
        built("cka", digits_run).figure(moed="change")


def test_frames_are_built_without_plotly_torch_panel_or_workbench() -> None:
    code = (
        "import sys, workbench_widgets as w; w.curves.frame({}, {});"
        "heavy = ('plotly', 'torch', 'panel', 'workbench', 'anywidget');"
        "print([name for name in heavy if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_page_around_the_views_gets_the_same_colours() -> None:
    assert "--wb-student: #62AEF5;" in css_variables("dark")
    assert "--wb-line-strong: #C6C6C0;" in css_variables("light")
