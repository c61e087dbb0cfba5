"""From the columns of a table to features and labels, as the training file says.

Unusual here: nothing is imputed and nothing dropped in silence. A column is a number in every row
or in none; a column of texts becomes one feature for each text that the *training file* holds, so
a text that only the test part has is all zeros. Standardisation is the model's.
Shapes: N = rows, F = features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from workbench.data.examples import Examples, refuse_large
from workbench.data.sheet import LISTED, Sheet
from workbench.errors import BadData, nearest

LARGEST = float(np.finfo(np.float32).max)
MOST_TEXTS = 1000
"""Different texts of a column at most; with more it is a name or a number of the row."""
OTHERS = "*"
"""Stands in ``classes`` for every label value that is not listed."""
Column = int | str


@dataclass(frozen=True)
class Plan:
    """What the columns of a table are; names, or numbers from 1 (negative from the end).

    Attributes:
        label: The column of the class.
        drop: Columns to leave out.
        categorical: Columns whose numbers are names.
        log1p: Columns >= 0 with a heavy tail: log(1 + x) is taken.
        classes: Label value to class; ``*`` stands for every other value. Values that are neither
            listed nor meant by ``*`` keep their name.
    """

    label: Column
    drop: Sequence[Column] = ()
    categorical: Sequence[Column] = ()
    log1p: Sequence[Column] = ()
    classes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Coding:
    """How one column becomes features: a number, its logarithm, or one feature a text."""

    column: int
    names: tuple[str, ...]
    log1p: bool = False
    texts: tuple[str, ...] | None = None


def tabulate(train: Sheet, test: Sheet | None, plan: Plan, *, name: str) -> Examples:
    """The examples of a table.

    Args:
        train: Decides features and classes; the parts but ``test`` are cut from it.
        test: A given test part, or None.
        plan: What the columns are.
        name: What the data set is called on screen.

    Returns:
        Rows of shape (N, F), in the units of the columns; those of ``test`` come last. A feature
        of a text is called ``column=text`` and is 1 where the cell is that text, else 0.

    Raises:
        BadFile: If a named column does not exist.
        BadData: If a cell, a label or the plan cannot be used; names file, line and column.
    """
    if test is not None and test.names != train.names:
        raise BadData(
            f"{test.file} has other columns than {train.file}: "
            f"{_first_difference(train.names, test.names)}. Both need the same, in one order."
        )
    label, roles = _roles(train, plan)
    codings = [
        _coding(train, column, roles.get(column))
        for column in range(len(train.names))
        if column != label and roles.get(column) != "drop"
    ]
    if not codings:
        raise BadData(f"{train.file}: no column is left but the label. Drop fewer.")
    sheets = [train] if test is None else [train, test]
    features = tuple(feature for coding in codings for feature in coding.names)
    shape = (sum(map(len, sheets)), len(features))
    refuse_large(str(train.file), shape, itemsize=4, fix="Set `drop` for columns with many texts.")
    rows = np.zeros(shape, dtype=np.float32)
    start = 0
    for sheet in sheets:
        _fill(rows[start : start + len(sheet)], sheet, codings)
        start += len(sheet)
    labels, classes = _labels(sheets, label, plan.classes)
    test_rows = None if test is None else np.arange(len(train), len(rows), dtype=np.int64)
    return Examples(rows, labels, classes, name, test_rows, features)


def _roles(sheet: Sheet, plan: Plan) -> tuple[int, dict[int, str]]:
    """Column of the label, and what the plan says of others, by column."""
    label = sheet.find(plan.label, "label")
    roles = {label: "label"}
    for option in ("drop", "categorical", "log1p"):
        named: Sequence[Column] = getattr(plan, option)
        for column in (sheet.find(column, option) for column in named):
            if roles.setdefault(column, option) != option:
                raise BadData(
                    f"`{option}`: column {sheet.names[column]!r} is named under "
                    f"`{roles[column]}` too. Name it once."
                )
    del roles[label]
    return label, roles


def _coding(sheet: Sheet, column: int, role: str | None) -> _Coding:
    """What a column of the training file becomes."""
    name, cells = sheet.names[column], sheet.columns[column]
    different = sorted(set(cells))
    numbers = [text for text in different if _number(text) is not None]
    if role == "categorical" or (role is None and not numbers):
        if len(different) > MOST_TEXTS:
            raise BadData(
                f"{sheet.file}: column {name!r} has {len(different)} different texts, at most "
                f"{MOST_TEXTS} become features. Name it under `drop`."
            )
        return _Coding(
            column, tuple(f"{name}={text}" for text in different), texts=tuple(different)
        )
    _refuse_texts(sheet, column)
    if role != "log1p":
        return _Coding(column, (name,))
    return _Coding(column, (f"log1p({name})",), log1p=True)


def _fill(rows: npt.NDArray[np.float32], sheet: Sheet, codings: Sequence[_Coding]) -> None:
    """Write the features of one sheet into ``rows``, shape (N, F)."""
    start = 0
    for coding in codings:
        cells = sheet.columns[coding.column]
        if coding.texts is not None:
            place = {text: start + number for number, text in enumerate(coding.texts)}
            for row, text in enumerate(cells):
                if text in place:  # one that the training file lacks is all zeros
                    rows[row, place[text]] = 1
        else:
            _refuse_texts(sheet, coding.column)
            values = np.array([float(text) for text in cells])
            rows[:, start] = _log1p(values, sheet, coding.column) if coding.log1p else values
        start += len(coding.names)


def _log1p(values: npt.NDArray[np.float64], sheet: Sheet, column: int) -> npt.NDArray[np.float64]:
    below = np.flatnonzero(values < 0)
    if below.size:
        row = int(below[0])
        raise BadData(
            f"{sheet.place(row, column)}: {values[row]:g} is below 0, `log1p` takes numbers from 0 "
            "on. Leave the column out of `log1p`."
        )
    return np.log1p(values)


def _refuse_texts(sheet: Sheet, column: int) -> None:
    """Raise if a cell of a column of numbers is no finite number; name the first."""
    cells = sheet.columns[column]
    wrong = {text for text in set(cells) if _number(text) is None}
    if not wrong:
        return
    bad = [row for row, text in enumerate(cells) if text in wrong]
    text = cells[bad[0]]
    what = f"{text!r} is no finite number" if text else "the cell is empty"
    raise BadData(
        f"{sheet.place(bad[0], column)}: {what}; {len(cells) - len(bad)} of {len(cells)} cells of "
        "the column are numbers. Correct or fill it, or leave the row out; or name the column "
        "under `categorical` if its numbers are names, or under `drop`."
    )


def _number(text: str) -> float | None:
    """A finite number that float32 holds, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) <= LARGEST and "_" not in text else None


def _labels(
    sheets: Sequence[Sheet], column: int, classes: Mapping[str, str]
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """Class number of each row of all sheets, and the names of the classes of the training file."""
    merged: list[tuple[str, ...]] = []
    for sheet in sheets:
        cells = sheet.columns[column]
        if "" in cells:
            raise BadData(
                f"{sheet.place(cells.index(''), column)}: the label is empty. Fill it, or leave "
                "the row out."
            )
        merged.append(tuple(classes.get(text, classes.get(OTHERS, text)) for text in cells))
    _refuse_unknown_values(sheets, column, classes)
    found = set(merged[0])
    # In the order of `classes`, so that a file decides which class is number 0.
    listed = [name for name in dict.fromkeys(classes.values()) if name in found]
    names = (*listed, *sorted(found.difference(listed), key=_in_order))
    number = {name: place for place, name in enumerate(names)}
    for sheet, values in zip(sheets[1:], merged[1:], strict=True):
        for row, name in enumerate(values):
            if name not in number:
                raise BadData(
                    f"{sheet.place(row, column)}: the class {name!r} is not in {sheets[0].file}, "
                    f"which has {_listed(names)}. Merge it under `classes`, for example "
                    f"`{{{name}: {names[0]}}}`, or `'*'` for every other value."
                )
    labels = [number[name] for values in merged for name in values]
    return np.array(labels, dtype=np.int64), names


def _refuse_unknown_values(
    sheets: Sequence[Sheet], column: int, classes: Mapping[str, str]
) -> None:
    """A value that ``classes`` names and no row has is a slip of the pen."""
    present = {text for sheet in sheets for text in sheet.columns[column]}
    for value in classes:
        if value != OTHERS and value not in present:
            near = nearest(value, present)
            raise BadData(
                f"`classes`: no row has the label {value!r}."
                f"{f' Did you mean {near!r}?' if near else ''} "
                f"There are: {_listed(sorted(present, key=_in_order))}."
            )


def _in_order(name: str) -> tuple[bool, float, str]:
    """Numbers by value, then texts by letter."""
    value = _number(name)
    return value is None, value or 0.0, name


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"{', '.join(names[:LISTED])}{rest}"


def _first_difference(first: Sequence[str], second: Sequence[str]) -> str:
    if len(first) != len(second):
        return f"{len(second)}, not {len(first)}"
    place = next(i for i, pair in enumerate(zip(first, second, strict=True)) if pair[0] != pair[1])
    return f"column {place + 1} is {second[place]!r}, not {first[place]!r}"
