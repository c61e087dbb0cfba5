"""Loyalty: the counts given are the counts shown, in HTML parts and in the static figure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from workbench_widgets import Frame, FrameError, loyalty


def part(frame: Frame, kind: str) -> dict[str, Any]:
    return next(p for p in frame.parts if p["kind"] == kind)


def texts(figure: Any) -> list[str]:
    return [note.text for note in figure.layout.annotations]


def test_cells_are_the_table_row_by_row(digits_run: Any) -> None:
    arrays, facts = digits_run["loyalty"]
    frame = loyalty.frame(arrays, facts)
    cells = part(frame, "quadrants")["cells"]
    assert [cell["count"] for cell in cells] == [str(v) for v in arrays["table"].ravel()]
    assert [(c["student"], c["teacher"]) for c in cells] == [(1, 1), (1, 0), (0, 1), (0, 0)]
    shown = texts(frame.figure())
    assert all(f"<b>{v}</b>" in shown for v in arrays["table"].ravel())


def test_measures_name_base_and_direction(digits_run: Any) -> None:
    arrays, facts = digits_run["loyalty"]
    frame = loyalty.frame(arrays, facts)
    rows = {str(name): value for name, value in part(frame, "stats")["rows"]}
    assert rows["Label loyalty"] == f"{100 * facts['label_loyalty']:.1f}\u00a0%"
    assert rows["Copied errors"] == f"{facts['copied']} of {facts['teacher_wrong']}"
    assert "KL(T‖S), nats" in rows
    assert "JS in bits" in str(frame.footer)


def test_gained_and_lost_name_their_mark(digits_run: Any) -> None:
    arrays, facts = digits_run["loyalty"]
    rows = part(loyalty.frame(arrays, facts), "stats")["rows"]
    assert rows[2] == [["Gained since ", {"mark": 1}], f"+{facts['gained']}"]
    assert rows[3][1].startswith("−")


def test_trends_are_on_their_own_scale(digits_run: Any) -> None:
    arrays, facts = digits_run["loyalty"]
    cells = part(loyalty.frame(arrays, facts), "quadrants")["cells"]
    values = arrays["table_history"][:, 0, 0].astype(float)
    expected = (values - values.min()) / (values.max() - values.min())
    np.testing.assert_allclose(cells[0]["trend"], expected, atol=1e-4)


def test_a_constant_trend_lies_in_the_middle() -> None:
    table = np.array([[3, 0], [1, 2]])
    arrays = {"table": table, "table_history": np.stack([table] * 3), "steps": np.arange(3)}
    frame = loyalty.frame(arrays, {"step": 2, "n": 6})
    assert part(frame, "quadrants")["cells"][0]["trend"] == [0.5, 0.5, 0.5]


def test_with_many_classes_those_with_most_errors_are_shown_in_order() -> None:
    by_class = np.zeros((2, 100), dtype=int)
    by_class[0, 90], by_class[1, 7] = 5, 9
    frame = loyalty.frame(
        {"table": np.array([[9, 1], [2, 3]]), "by_class": by_class}, {"step": 1, "n": 15}
    )
    grid = part(frame, "grid")
    assert grid["heading"] == "12 of 100"
    assert {"7", "90"} <= set(grid["columns"])
    assert grid["columns"] == sorted(grid["columns"], key=int)
    assert sum(grid["rows"][0]["values"]) == 5 and sum(grid["rows"][1]["values"]) == 9


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(FrameError, match=r"'table' has shape \(3, 2\), expected \(2, 2\)"):
        loyalty.frame({"table": np.zeros((3, 2))}, {"step": 0, "n": 0})
