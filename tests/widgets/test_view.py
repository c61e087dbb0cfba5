"""The notebook carrier: what it syncs, how it answers."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pytest
from workbench_widgets import View, cka, curves, plotly_js_path, selected_ids, view_esm


def test_a_push_sends_frame_buffers_and_a_new_revision(digits_run: Any) -> None:
    frame = cka.frame(*digits_run["cka"])
    view = View(frame)
    content, buffers = frame.payload()
    assert (view.frame, view.buffers, view.rev) == (content, buffers, 1)
    view.push(frame)
    assert view.rev == 2


def test_the_page_gets_plotly_js_when_it_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    view = View()
    sent: list[Any] = []
    monkeypatch.setattr(view, "send", lambda content, buffers: sent.append((content, buffers)))
    view._handle_custom_msg({"kind": "something else"}, [])
    assert sent == []
    view._handle_custom_msg({"kind": "want-plotlyjs"}, [])
    (content, (packed,)) = sent[0]
    assert content == {"kind": "plotlyjs"}
    assert gzip.decompress(packed) == plotly_js_path().read_bytes()


def test_a_selection_arrives_as_sample_ids() -> None:
    view = View()
    seen: list[list[int]] = []
    view.on_select(lambda ids: seen.append(ids.tolist()))
    view.selected = memoryview(np.array([5, 300000], dtype="<i4").tobytes())
    assert view.selected_ids.tolist() == [5, 300000]
    view.selected = None
    assert seen == [[5, 300000], []]
    assert selected_ids(None).dtype == np.int32


def test_snapshot_is_the_figure_of_what_was_pushed_last(digits_run: Any) -> None:
    frame = curves.frame(*digits_run["curves"])
    assert (
        View(frame).snapshot(width=600).to_json() == frame.figure(width=600, height=460).to_json()
    )
    with pytest.raises(ValueError, match="push a frame first"):
        View().snapshot()


def test_the_module_carries_the_tables_and_no_placeholder() -> None:
    text = view_esm()
    assert "__WB_TABLES__" not in text
    line = next(row for row in text.splitlines() if row.startswith("const TABLES"))
    tables = json.loads(line.removeprefix("const TABLES = ").partition("; //")[0])
    assert tables["tokens"]["dark"]["student"] == "#62AEF5"


def test_no_trait_defaults_to_bytes() -> None:
    """A bytes default takes the whole page down in Panel."""
    view = View()
    assert not [n for n in view.traits(sync=True) if isinstance(getattr(view, n), bytes)]
