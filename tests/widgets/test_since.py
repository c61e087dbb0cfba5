"""Since when a change is counted: the start, or a mark; in the map and in the table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from workbench_widgets import cka, loyalty
from workbench_widgets.since import MOST, bases

MARKS = [
    {"step": 25, "number": 1, "text": "kd.weight: 1 → 2"},
    {"step": 30, "number": 2, "text": ""},
    {"step": 40, "number": 3, "text": ""},
]


def test_a_mark_counts_from_the_last_snapshot_that_it_could_not_touch() -> None:
    found = bases([0, 10, 20, 30, 40], MARKS)
    assert [(base.place, base.step, base.number) for base in found] == [
        (0, 0, None),
        (2, 20, 1),
        (3, 30, 2),
    ]
    assert "kd.weight: 1 → 2" in found[1].words


def test_of_many_marks_the_newest_can_be_chosen_and_of_one_snapshot_none() -> None:
    marks = [{"step": k, "number": k + 1} for k in range(12)]
    found = bases(list(range(20)), marks)
    assert [base.number for base in found] == [None, *range(13 - MOST, 13)]
    assert bases([0], marks) == []


@pytest.fixture
def shown() -> Any:
    rising = np.array([0.1, 0.2, 0.4, 0.5], dtype=np.float32).reshape(4, 1, 1)
    arrays = {"unbiased": rising[3], "biased": rising[3], "null_p95": rising[0] * 0}
    arrays |= {"history": rising, "steps": np.array([0, 10, 20, 30])}
    facts = {"teacher_layers": ["t"], "student_layers": ["s"], "n": 9, "step": 30, "marks": MARKS}
    return cka.frame(arrays, facts)


def test_the_map_shows_the_change_since_the_chosen_mark(shown: Any) -> None:
    for place, (text, size) in enumerate((("+.40", 0.4), ("+.10", 0.1))):
        figure = shown.figure(mode="change", since=place)
        cell = next(t for t in figure.data if t.type == "scatter" and t.mode == "text")
        heat = next(t for t in figure.data if t.type == "heatmap")
        assert list(cell.text) == [text]
        assert float(heat.z[0][0]) == pytest.approx(size, abs=1e-6)
        assert float(heat.customdata[0][0][0]) == pytest.approx(size, abs=1e-6)


def test_the_toggle_of_marks_is_seen_with_the_change_only(shown: Any) -> None:
    since, mode = shown.controls
    assert [option["label"] for option in since["options"]] == ["start", "1"]
    assert [option["name"] for option in since["options"]] == ["start", "mark-1"]
    assert since["show"] == {"mode": "change"}
    assert not mode.get("show")


def test_the_table_counts_what_was_gained_and_lost_since_each() -> None:
    tables = np.array([[[1, 0], [2, 1]]] * 4)
    arrays = {"table": tables[3], "table_history": tables, "steps": np.array([0, 10, 20, 30])}
    facts = {
        "step": 30,
        "marks": MARKS,
        "changes": [{"gained": 7, "lost": 1}, {"gained": 2, "lost": 0}],
    }
    frame = loyalty.frame(arrays, facts)
    stats = [part for part in frame.parts if part["kind"] == "stats"]
    assert [part["show"] for part in stats] == [{"since": 0}, {"since": 1}]
    assert stats[0]["rows"][2] == [["Gained since ", "step 0"], "+7"]
    assert stats[1]["rows"][2] == [["Gained since ", {"mark": 1}], "+2"]
