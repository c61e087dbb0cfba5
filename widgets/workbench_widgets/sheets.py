"""What a view shows as tables: named rows of numbers, as CSV, as LaTeX, on screen.

Unusual here: a view's table is declared, as plain data, over the arrays that its frame sends
anyway, so that the browser (``esm/tables.js``) makes the same text without asking Python. Numbers
keep every digit: the shortest text that reads back as the same float.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from workbench_widgets.frame import Frame

SIDES: Final = ("right", "wrong")
TEX: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "\u2212": "$-$",
    "\u2009": r"\,",
    "\u00a0": "~",
    "±": r"$\pm$",
    "²": r"\textsuperscript{2}",
    "α": r"$\alpha$",
    "Δ": r"$\Delta$",
    "×": r"$\times$",
    "≥": r"$\ge$",
    "≤": r"$\le$",
}
"""Characters that LaTeX reads otherwise, or that a default font of it lacks."""

Cell = str | float | int | bool | None


@dataclass(frozen=True)
class Sheet:
    """One table.

    Attributes:
        title: What it is of.
        columns: Names, with their unit.
        rows: As long as ``columns`` each; None where there is no number.
        notes: The conditions under which the numbers were made, a line each.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    notes: tuple[str, ...] = ()

    def csv(self) -> str:
        """Comma-separated, first the notes as lines that begin with ``#``.

        Example:
            >>> print(Sheet("Runs", ("run", "test accuracy"), [("a, b", 0.1)], ("n = 3",)).csv())
            # Runs
            # n = 3
            run,test accuracy
            "a, b",0.1
            <BLANKLINE>
        """
        lines = [f"# {_one_line(line)}" for line in (self.title, *self.notes)]
        lines.append(",".join(map(_quoted, self.columns)))
        lines += [",".join(_quoted(cell_text(cell)) for cell in row) for row in self.rows]
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        r"""A ``tabular`` for the package ``booktabs``; whatever LaTeX would read is escaped.

        Example:
            >>> print(Sheet("Runs", ("run", "n"), [("a_b", 3)], ("seed 0",)).latex())
            % Runs
            % seed 0
            % needs \usepackage{booktabs}
            \begin{tabular}{lr}
            \toprule
            run & n \\
            \midrule
            a\_b & 3 \\
            \bottomrule
            \end{tabular}
            <BLANKLINE>
        """
        right = [all(map(_is_figure, column)) for column in zip(*self.rows, strict=True)]
        right = right or [False] * len(self.columns)
        notes = (self.title, *self.notes, r"needs \usepackage{booktabs}")
        lines = [f"% {_one_line(line)}" for line in notes]
        lines.append(rf"\begin{{tabular}}{{{''.join('r' if r else 'l' for r in right)}}}")
        lines += [r"\toprule", _tex_row(self.columns), r"\midrule"]
        lines += [_tex_row([_short(cell) for cell in row]) for row in self.rows]
        lines += [r"\bottomrule", r"\end{tabular}"]
        return "\n".join(lines) + "\n"


def joined_csv(sheets: Iterable[Sheet]) -> str:
    """Several tables in one file, a blank line between two."""
    return "\n".join(sheet.csv() for sheet in sheets)


def cell_text(cell: Cell) -> str:
    """A cell with all its digits; empty where there is no number."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return repr(cell).removesuffix(".0") if isinstance(cell, float) else str(cell)


def tex_escaped(text: str) -> str:
    """Text that LaTeX prints as it stands."""
    return "".join(TEX.get(letter, letter) for letter in _one_line(text))


def declared(
    view: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The tables of a view as plain data over its arrays: what was measured, not how it is drawn.

    Returns:
        ``{"title", "index": [{"name", "values" or "array"}], "columns": [{"name", "array",
        "at"}]}`` each; rows are the product of the index, the last one fastest.
    """
    return [table for table in DECLARED[view](arrays, facts) if table["columns"]]


def sheets_of(frame: Frame) -> list[Sheet]:
    """What a frame shows, as tables; float32 as it was measured."""
    notes = tuple(filter(None, (conditions(frame), frame.caption)))
    return [_sheet(table, frame, notes) for table in frame.tables]


def conditions(frame: Frame) -> str:
    """The view, its step and its footer in one line."""
    from workbench_widgets.frame import plain

    step = f"step {frame.step}" if frame.step >= 0 else ""
    return ", ".join(filter(None, (frame.title, step, plain(frame.footer))))


def _sheet(table: Mapping[str, Any], frame: Frame, notes: tuple[str, ...]) -> Sheet:
    index = [
        part["values"] if "values" in part else _cells(frame.arrays[part["array"]])
        for part in table["index"]
    ]
    columns = [
        _cells(_cut(frame.arrays[column["array"]], column["at"])) for column in table["columns"]
    ]
    rows = [
        (*place, *numbers)
        for place, numbers in zip(
            itertools.product(*index), zip(*columns, strict=True), strict=True
        )
    ]
    names = tuple(part["name"] for part in (*table["index"], *table["columns"]))
    return Sheet(table["title"], names, rows, notes)


def _cut(array: NDArray[Any], at: Sequence[int | None] | None) -> NDArray[Any]:
    if at is None:
        return array
    index = tuple(slice(None) if k is None else k for k in at)
    return np.asarray(array[index])


def _cells(array: NDArray[Any]) -> list[Cell]:
    """Numbers of an array, row by row; a float32 by the shortest text that means it."""
    flat = array.ravel()
    if flat.dtype == np.float32:
        return [float(str(value)) for value in flat]
    return list(flat.tolist())


# ---- what each view's table is -----------------------------------------------------------------


def _column(name: str, array: str, at: Sequence[int | None] | None = None) -> dict[str, Any]:
    return {"name": name, "array": array, "at": None if at is None else list(at)}


def _there(
    arrays: Mapping[str, NDArray[Any]], shape: tuple[int, ...], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Columns of those arrays that are there and have the shape."""
    return [
        _column(title, name)
        for name, title in names.items()
        if name in arrays and arrays[name].shape == shape
    ]


def _similarity(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "unbiased" not in arrays:
        return []
    shape = arrays["unbiased"].shape
    layers = [
        {"name": f"{who} layer", "values": [str(name) for name in facts[f"{who}_layers"]]}
        for who in ("teacher", "student")
    ]
    if shape != tuple(len(part["values"]) for part in layers):
        return []
    said = {"unbiased": "CKA, unbiased", "biased": "CKA, biased", "null_p95": "null p95"}
    names = {**said, **{name: name.replace("_", " ") for name in arrays if name not in said}}
    names.pop("beside_size", None)  # what is drawn of the next
    if "beside" in names:
        names["beside"] = "minus control"
    columns = _there(arrays, shape, names)
    tables: list[dict[str, Any]] = [
        {"title": "Layer similarity", "index": layers, "columns": columns}
    ]
    history, steps = arrays.get("history"), arrays.get("steps")
    if history is not None and steps is not None and history.shape == (*steps.shape, *shape):
        index = [{"name": "step", "array": "steps"}, *layers]
        columns = [_column("CKA, unbiased", "history")]
        title = "Layer similarity over training"
        tables.append({"title": title, "index": index, "columns": columns})
    return tables


def _samples(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "ids" not in arrays:
        return []
    shape = arrays["ids"].shape
    names = {name: name.replace("_", " ") for name in arrays if name != "ids"}
    columns = _there(arrays, shape, names)
    index = [{"name": "sample", "array": "ids"}]
    both = " (x, y, teacher x: L2)" if "hellinger_x" in arrays else ""
    title = f"Student, teacher, truth by sample{both}"
    return [{"title": title, "index": index, "columns": columns}]


def _bins(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A table for each model; bins of equal mass have one of their own, for each scaling."""
    tables: list[dict[str, Any]] = []
    mass = "_mass"
    kinds = (
        ("", str(facts.get("bins", "bins of equal width")), lambda name: mass not in name),
        (mass, "equal-mass (a, b]", lambda name: name.endswith(mass)),
        (f"{mass}_scaled", "equal-mass (a, b], T-scaled", lambda name: f"{mass}_" in name),
    )
    for who in ("student", "teacher"):
        for suffix, bins, own in kinds:
            first = arrays.get(f"{who}_count{suffix}")
            if first is None:
                continue
            names = {
                name: name.removeprefix(f"{who}_").replace(mass, "").replace("_", " ")
                for name in arrays
                if name.startswith(f"{who}_") and own(name)
            }
            index = [{"name": "bin", "values": list(range(1, first.shape[0] + 1))}]
            columns = _there(arrays, first.shape, names)
            tables.append(
                {"title": f"Calibration, {who}, {bins}", "index": index, "columns": columns}
            )
    return tables


def _answers(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = []
    both = "train_table" in arrays
    for prefix, split in (("", "probe"), ("train_", "train")):
        where = f", {split} rows" if both else ""
        tables += _agreement(arrays, facts, prefix, where)
    return tables


def _agreement(
    arrays: Mapping[str, Any], facts: Mapping[str, Any], prefix: str, where: str
) -> list[dict[str, Any]]:
    """The tables of one sort of rows; ``where`` is told in their titles."""
    sides = [{"name": who, "values": list(SIDES)} for who in ("student", "teacher")]
    tables: list[dict[str, Any]] = []
    table = arrays.get(f"{prefix}table")
    if table is not None and table.shape == (2, 2):
        columns = [_column("samples", f"{prefix}table")]
        tables.append({"title": f"Who is right{where}", "index": sides, "columns": columns})
    history, steps = arrays.get(f"{prefix}table_history"), arrays.get("steps")
    if history is not None and steps is not None and history.shape == (*steps.shape, 2, 2):
        index = [{"name": "step", "array": "steps"}, *sides]
        columns = [_column("samples", f"{prefix}table_history")]
        title = f"Who is right over training{where}"
        tables.append({"title": title, "index": index, "columns": columns})
    by_class, names = arrays.get(f"{prefix}by_class"), facts.get("class_names")
    if by_class is not None and by_class.ndim == 2 and by_class.shape[0] >= 2:
        labels = [str(name) for name in names or range(by_class.shape[1])]
        if len(labels) == by_class.shape[1]:
            columns = [
                _column(name, f"{prefix}by_class", (k, None))
                for k, name in enumerate(("still to learn", "copied errors"))
            ]
            index = [{"name": "class", "values": labels}]
            tables.append({"title": f"By class{where}", "index": index, "columns": columns})
    return tables


def _curves(arrays: Mapping[str, Any], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    tables: list[dict[str, Any]] = []
    for who in ("student", "control"):
        steps = "steps" if who == "student" else f"{who}_steps"
        name = f"{who}_accuracy"
        if steps in arrays and name in arrays and arrays[steps].shape == arrays[name].shape:
            index = [{"name": "step", "array": steps}]
            columns = [_column(f"{who} accuracy, %", name)]
            tables.append({"title": f"Accuracy, {who}", "index": index, "columns": columns})
    if "selected_steps" in arrays:
        told = facts.get("selected") or {}
        index = [{"name": "step", "array": "selected_steps"}]
        columns = [
            _column(f"{who} accuracy, %", f"selected_{who}") for who in ("student", "teacher")
        ]
        title = (
            f"Accuracy, n = {told['n']} of {told['of']} selected" if told else "Accuracy, selected"
        )
        tables.append({"title": title, "index": index, "columns": columns})
    steps_, terms = arrays.get("term_steps"), arrays.get("terms")
    if steps_ is not None and terms is not None and terms.ndim == 2:
        names = [str(name) for name in facts.get("term_names", range(terms.shape[0]))]
        columns = [_column(f"{name}, weighted", "terms", (k, None)) for k, name in enumerate(names)]
        if "terms_smooth" in arrays:
            columns += [
                _column(f"{name}, smoothed", "terms_smooth", (k, None))
                for k, name in enumerate(names)
            ]
        index = [{"name": "step", "array": "term_steps"}]
        if terms.shape == (len(names), *steps_.shape):
            tables.append({"title": "Terms of the loss", "index": index, "columns": columns})
    return tables


DECLARED: Final = {
    "cka": _similarity,
    "trilateral": _samples,
    "calibration": _bins,
    "loyalty": _answers,
    "curves": _curves,
}


# ---- text ----------------------------------------------------------------------------------------


def _one_line(text: str) -> str:
    return " ".join(str(text).split("\n")).replace("\r", " ")


def _quoted(text: str) -> str:
    """A field of CSV; one that a spreadsheet would run as a formula is kept as text."""
    if text[:1] in ("=", "@") or (text[:1] in ("+", "-") and not _is_number(text)):
        text = f"'{text}"
    if any(letter in text for letter in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_figure(cell: Cell) -> bool:
    """Whether a cell is a number, or text that begins with one, such as 95.1 ± 0.2."""
    return not isinstance(cell, str) or not cell or cell[0] in "+-\u2212[0123456789"


def _short(cell: Cell) -> str:
    """A cell for print: a float at four significant digits."""
    if isinstance(cell, float) and math.isfinite(cell):
        return f"{cell:.4g}".replace("-", "\u2212")
    return cell_text(cell)


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(tex_escaped, cells)) + r" \\"
