"""Tables of what is shown: complete, with all digits, and harmless to the programs they go to."""

from __future__ import annotations

import csv
import io
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pytest
from workbench_widgets import VIEWS
from workbench_widgets.sheets import Sheet, cell_text, tex_escaped


def frame_of(view: str, run: Any) -> Any:
    return import_module(f"workbench_widgets.{view}").frame(*run[view])


def read(sheet: Sheet) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(sheet.csv()), comment="#")


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_has_a_table_that_another_program_reads(view: str, digits_run: Any) -> None:
    sheets = frame_of(view, digits_run).sheets()
    assert sheets
    for sheet in sheets:
        table = read(sheet)
        assert tuple(table.columns) == sheet.columns
        assert len(table) == len(sheet.rows) > 0
        assert "step 120" in sheet.notes[0] and "n = " in sheet.notes[0]


def test_a_table_holds_the_measured_numbers_digit_by_digit(digits_run: Any) -> None:
    (table, history) = map(read, frame_of("cka", digits_run).sheets())
    arrays, _ = digits_run["cka"]
    assert np.array_equal(
        np.float32(table["CKA, unbiased"]), np.float32(arrays["unbiased"]).ravel()
    )
    assert np.array_equal(
        np.float32(history["CKA, unbiased"]), np.float32(arrays["history"]).ravel()
    )
    assert table.iloc[1].tolist()[:2] == ["hidden1", "hidden2"], "the last index runs fastest"


def test_a_view_without_data_has_no_table() -> None:
    assert import_module("workbench_widgets.cka").frame({}, {"steps_total": 10}).sheets() == []


def test_floats_keep_all_their_digits() -> None:
    for value in (0.1, 1 / 3, 1e-300, 123456789.123456789):
        assert float(cell_text(value)) == value
    assert (cell_text(float("nan")), cell_text(None), cell_text(3.0)) == ("", "", "3")


def test_a_field_cannot_become_a_formula_or_another_row() -> None:
    nasty = ['=HYPERLINK("http://x")', "@sum", "+cmd", "-1", "a,b", 'say "x"', "two\nlines"]
    sheet = Sheet("t\n=1", ("name",), [(text,) for text in nasty])
    rows = list(csv.reader(line for line in io.StringIO(sheet.csv()) if line[:1] != "#"))
    fields = [row[0] for row in rows[1:]]
    assert fields[:4] == ["'" + nasty[0], "'@sum", "'+cmd", "-1"]
    assert fields[4:] == nasty[4:]
    assert sheet.csv().splitlines()[0] == "# t =1"


def test_latex_prints_what_it_would_otherwise_obey() -> None:
    assert tex_escaped(r"\input{a_b} 5 % & $x$ #1 ^~") == (
        r"\textbackslash{}input\{a\_b\} 5 \% \& \$x\$ \#1 \textasciicircum{}\textasciitilde{}"
    )
    tex = Sheet("t", ("run", "loss"), [("a", -0.123456), ("b", None)], ("50 %\n\\x",)).latex()
    assert r"\begin{tabular}{lr}" in tex and "a & $-$0.1235" in tex and "b &  " in tex
    assert "% 50 % \\x" in tex.splitlines(), "a note stays within its comment"
