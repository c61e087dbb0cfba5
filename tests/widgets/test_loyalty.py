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
    assert grid["heading"] == "worst 12 of 100"
    assert {"7", "90"} <= set(grid["columns"])
    assert grid["columns"] == sorted(grid["columns"], key=int)
    assert sum(grid["rows"][0]["values"]) == 5 and sum(grid["rows"][1]["values"]) == 9


@pytest.mark.parametrize(
    ("names", "columns"),
    [
        (["cat", "dog"], ["cat", "dog"]),
        (["airplane", "automobile", "bird"] * 1, ["airpla…", "automo…", "bird"]),
        (
            [f"a class with a long name {k}" for k in range(10, 18)],
            [f"…e {k}" for k in range(10, 18)],
        ),
        ([f"a class {k} with a long name" for k in range(8)], [str(k) for k in range(8)]),
    ],
)
def test_columns_of_long_class_names_can_be_told_apart(
    names: list[str], columns: list[str]
) -> None:
    by_class = np.ones((2, len(names)), dtype=int)
    arrays = {"table": np.array([[9, 1], [2, 3]]), "by_class": by_class}
    frame = loyalty.frame(arrays, {"step": 1, "n": 15, "class_names": names})
    assert part(frame, "grid")["columns"] == columns


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(FrameError, match=r"'table' has shape \(3, 2\), expected \(2, 2\)"):
        loyalty.frame({"table": np.zeros((3, 2))}, {"step": 0, "n": 0})


def with_train(digits_run: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    arrays, facts = digits_run["loyalty"]
    table = np.array([[90, 1], [7, 2]])
    train = {"label_loyalty": 0.97, "probability_loyalty": 0.9, "kl_nats": 0.05}
    train |= {"copied": 2, "teacher_wrong": 3, "n": 100}
    more = {"train_table": table, "train_by_class": np.ones((2, 10), int)}
    return {**arrays, **more}, {**facts, "train": train}


def test_training_rows_are_a_toggle_away_with_their_own_counts_and_n(digits_run: Any) -> None:
    frame = loyalty.frame(*with_train(digits_run))
    (split,) = [control for control in frame.controls if control["name"] == "split"]
    assert [option["value"] for option in split["options"]] == ["probe", "train"]
    first, train = texts(frame.figure()), texts(frame.figure(split="train"))
    own = digits_run["loyalty"][0]["table"].ravel()
    assert all(f"<b>{v}</b>" in first for v in own) and "<b>90</b>" not in first
    assert all(f"<b>{v}</b>" in train for v in (90, 1, 7, 2))
    assert any("n = 100 train" in text for text in train)
    assert not any("n = 100" in text for text in first)
    assert "<b>2 of 3</b>" in train and "<b>97.0\u00a0%</b>" in train
    assert "On training rows: Both right 90," in frame.summary


def test_training_rows_cannot_be_selected_and_say_why(digits_run: Any) -> None:
    frame = loyalty.frame(*with_train(digits_run))
    cells = [p["cells"] for p in frame.parts if p["kind"] == "quadrants"]
    assert [("why" in cell, "picks" in cell) for cell in cells[1]] == [(True, False)] * 4
    assert not any("why" in cell for cell in cells[0])


def test_tables_of_both_sorts_of_rows_are_told_apart(digits_run: Any) -> None:
    titles = [sheet.title for sheet in loyalty.frame(*with_train(digits_run)).sheets()]
    assert {"Who is right, probe rows", "Who is right, train rows"} <= set(titles)
    assert len(set(titles)) == len(titles)
    plain = [sheet.title for sheet in loyalty.frame(*digits_run["loyalty"]).sheets()]
    assert plain[0] == "Who is right" and not any("rows" in title for title in plain)
