"""From columns to features and labels: exact values, unseen texts, refusals with their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.data import columns
from workbench.data.columns import Plan, tabulate
from workbench.data.examples import Examples
from workbench.data.sheet import read_sheet
from workbench.errors import BadData, BadFile

TRAIN = "size,colour,bytes,kind\n1.5,red,0,a\n-2,blue,99,b\n3e2,red,7,a\n"
TEST = "size,colour,bytes,kind\n4,green,0,b\n5,blue,999,a\n"


def made(folder: Path, train: str, test: str | None = None, **plan: Any) -> Examples:
    sheets = []
    for name, text in (("train", train), ("test", test)):
        if text is not None:
            (folder / f"{name}.csv").write_text(text)
            sheets.append(read_sheet(folder / f"{name}.csv", header=True))
    other = sheets[1] if test is not None else None
    return tabulate(sheets[0], other, Plan(**{"label": "kind", **plan}), name="tiny")


def test_numbers_stay_in_their_units_and_texts_become_a_feature_each(tmp_path: Path) -> None:
    examples = made(tmp_path, TRAIN)
    assert examples.kind == "row" and examples.inputs.dtype == np.float32
    assert examples.feature_names == ("size", "colour=blue", "colour=red", "bytes")
    np.testing.assert_array_equal(examples.inputs, [[1.5, 0, 1, 0], [-2, 1, 0, 99], [300, 0, 1, 7]])
    assert examples.class_names == ("a", "b") and examples.labels.tolist() == [0, 1, 0]
    assert examples.test_rows is None


def test_a_text_that_only_the_test_part_has_is_all_zeros(tmp_path: Path) -> None:
    examples = made(tmp_path, TRAIN, TEST)
    assert examples.test_rows is not None and examples.test_rows.tolist() == [3, 4]
    assert examples.feature_names == made(tmp_path, TRAIN).feature_names
    np.testing.assert_array_equal(examples.inputs[3:], [[4, 0, 0, 0], [5, 1, 0, 999]])
    assert examples.labels.tolist() == [0, 1, 0, 1, 0]


def test_a_heavy_tail_gives_way_to_its_logarithm(tmp_path: Path) -> None:
    examples = made(tmp_path, TRAIN, TEST, log1p=["bytes"])
    assert examples.feature_names[-1] == "log1p(bytes)"
    expected = np.log(1 + np.array([0, 99, 7, 0, 999], dtype=np.float64))
    np.testing.assert_allclose(examples.inputs[:, -1], expected, rtol=1e-7)


def test_numbers_that_are_names_become_a_feature_each_and_dropped_columns_are_gone(
    tmp_path: Path,
) -> None:
    examples = made(tmp_path, TRAIN, categorical=[3], drop=["size", -3])
    assert examples.feature_names == ("bytes=0", "bytes=7", "bytes=99")
    np.testing.assert_array_equal(examples.inputs, np.eye(3)[[0, 2, 1]])


def test_classes_merge_values_and_set_their_order(tmp_path: Path) -> None:
    table = "x,kind\n1,normal\n2,worm\n3,flood\n4,normal\n"
    test = "x,kind\n1,never seen\n2,normal\n"
    merged = {"normal": "normal", "*": "attack"}
    examples = made(tmp_path, table, test, classes=merged)
    assert examples.class_names == ("normal", "attack")
    assert examples.labels.tolist() == [0, 1, 1, 0, 1, 0]
    assert made(tmp_path, table).class_names == ("flood", "normal", "worm")
    some = made(tmp_path, table, classes={"worm": "attack", "flood": "attack"})
    assert some.class_names == ("attack", "normal")


def test_classes_that_are_numbers_are_sorted_by_value(tmp_path: Path) -> None:
    examples = made(tmp_path, "x,kind\n1,10\n2,9\n3,-1\n")
    assert examples.class_names == ("-1", "9", "10")
    assert examples.labels.tolist() == [2, 1, 0]


@pytest.mark.parametrize(
    ("train", "test", "plan", "words"),
    [
        (TRAIN.replace("-2", "two"), None, {},
         r"train\.csv, line 3, column 'size': 'two' is no finite number; 2 of 3.*categorical"),
        (TRAIN.replace("-2", ""), None, {}, "line 3, column 'size': the cell is empty"),
        (TRAIN.replace("-2", "nan"), None, {}, "line 3, column 'size': 'nan' is no finite"),
        (TRAIN.replace("3e2", "1e39"), None, {}, "line 4, column 'size': '1e39' is no finite"),
        (TRAIN.replace("99", "9_9"), None, {}, "line 3, column 'bytes': '9_9' is no finite"),
        (TRAIN, TEST.replace("999", "many"), {}, r"test\.csv, line 3, column 'bytes': 'many'"),
        (TRAIN, None, {"log1p": ["colour"]}, "line 2, column 'colour': 'red' is no finite"),
        (TRAIN, None, {"log1p": ["size"]}, "line 3, column 'size': -2 is below 0, `log1p`"),
        (TRAIN.replace("red,0,a", "red,0,"), None, {}, "line 2, column 'kind': the label is empty"),
        (TRAIN, TEST.replace("0,b", "0,c"), {},
         r"test\.csv, line 2, column 'kind': the class 'c' is not in .*train\.csv, which has a, b"),
        (TRAIN, TEST.replace("size", "mass"), {}, "column 1 is 'mass', not 'size'"),
        (TRAIN, "size,kind\n1,a\n", {}, "other columns than .*: 2, not 4"),
        (TRAIN, None, {"classes": {"bb": "x"}}, r"no row has the label 'bb'\. Did you mean 'b'"),
        (TRAIN, None, {"classes": {"*": "all"}}, "one class only"),
        (TRAIN, None, {"drop": ["size", "colour", "bytes"]}, "no column is left but the label"),
        (TRAIN, None, {"drop": ["kind"]}, "`drop`: column 'kind' is named under `label` too"),
        (TRAIN, None, {"drop": [1], "log1p": ["size"]}, "`log1p`: column 'size'.*`drop` too"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_place(
    tmp_path: Path, train: str, test: str | None, plan: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadData, match=f"WB105.*{words}"):
        made(tmp_path, train, test, **plan)


def test_a_missing_label_column_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"`label`: .*no column 'kin'\. Did you mean 'kind'"):
        made(tmp_path, TRAIN, label="kin")


def test_a_column_of_names_of_rows_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "MOST_TEXTS", 2)
    assert made(tmp_path, TRAIN).inputs.shape == (3, 4)
    three = TRAIN.replace("300,red", "300,x").replace("3e2,red", "3e2,x")
    with pytest.raises(BadData, match=r"'colour' has 3 different texts, at most 2.*`drop`"):
        made(tmp_path, three)
