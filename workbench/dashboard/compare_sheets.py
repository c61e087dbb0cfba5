"""What the figures of the place Compare show, as tables: every look, every mark, every cell.

Unusual here: they are made of the very data that the page draws, so a file and its figure cannot
differ; only the page's drawing is thinned or cut, never these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from workbench_widgets.sheets import Cell, Sheet

from workbench.errors import BadInput

FIGURES: Final = ("curves", "tree", "answers", "paths")
"""Figures that have tables of their own; the table of runs has :mod:`workbench.runs.tables`."""


def figure_sheets(page: Mapping[str, Any], name: str) -> list[Sheet]:
    """The tables of one figure.

    Args:
        page: As :func:`workbench.dashboard.compare.compare_page` tells it.
        name: One of :data:`FIGURES`.

    Raises:
        BadInput: For another name, and where the figure itself says why it cannot be drawn.
    """
    makers: dict[str, Callable[[Mapping[str, Any]], list[Sheet]]] = {
        "curves": _curves,
        "tree": _tree,
        "answers": _answers,
        "paths": _paths,
    }
    if name not in makers:
        raise BadInput(f"name = {name!r} is no figure of this place; one of {', '.join(FIGURES)}.")
    if page["empty"]:
        raise BadInput("None of these runs is here: there is nothing to make a table of.")
    return makers[name](page)


def protocol(page: Mapping[str, Any]) -> tuple[str, ...]:
    """The conditions under which all of a page's numbers were made, a line each."""
    named = {row["run"]: row["name"] for row in page["rows"]}
    against = (f"baseline: {named[page['against']]}",) if page["against"] in named else ()
    alike = [told["what"] for told in page["conditions"] if told["same"]]
    equal = (f"equal in all: {', '.join(alike)}",) if alike else ()
    unlike = (told["words"] for told in page["conditions"] if not told["same"])
    each = (f"{one['name']}: {one['text']}" for one in page["captions"])
    return (*against, *equal, *unlike, *each)


def _curves(page: Mapping[str, Any]) -> list[Sheet]:
    rows: list[tuple[Cell, ...]] = []
    means: list[tuple[Cell, ...]] = []
    told = page["curves"]
    for setting in told["settings"]:
        for run in setting["runs"]:
            for step, accuracy in zip(run["steps"], run["accuracy"], strict=True):
                epoch = step / run["epoch"] if run["epoch"] else None
                share = step / run["end"] if run["end"] else None
                place = (setting["name"], run["run"], run["seed"], step, epoch, share)
                rows.append((*place, accuracy))
        mean = setting["mean"] or {"steps": (), "accuracy": (), "low": (), "high": ()}
        told_of = (mean[key] for key in ("steps", "accuracy", "low", "high"))
        means += [(setting["name"], *values) for values in zip(*told_of, strict=True)]
    notes = ("probe split, accuracy in [0, 1], every look", *protocol(page))
    if told["teacher"] is not None:
        notes = (f"teacher's probe accuracy: {told['teacher']}", *notes)
    columns = ("setting", "run", "seed", "step", "epoch", "share of the schedule", "accuracy")
    sheets = [Sheet("Probe accuracy over training", columns, rows, notes)]
    if means:
        note = "mean over seeds at the steps that all seeds were looked at; lowest and highest seed"
        heads = ("setting", "step", "mean", "lowest", "highest")
        sheets.append(Sheet("Mean over seeds", heads, means, (note,)))
    return sheets


def _tree(page: Mapping[str, Any]) -> list[Sheet]:
    columns = ("run", "name", "seed", "parent", "forked at step", "step", "steps", "probe accuracy")
    lines = page["tree"]["lines"]
    rows: list[tuple[Cell, ...]] = [
        (
            *(line["run"], line["name"], line["seed"], line["parent"] or line["gone"] or ""),
            *(line["forked_at"], line["step"], line["steps"], line["measured"]),
        )
        for line in lines
    ]
    marks: list[tuple[Cell, ...]] = [
        (line["run"], mark["number"], mark["step"], mark["text"])
        for line in lines
        for mark in line["marks"]
    ]
    note = "accuracy in [0, 1] at the last look; a parent that was removed keeps its id"
    sheets = [Sheet("Fork tree", columns, rows, (note, *protocol(page)))]
    if marks:
        sheets.append(Sheet("Journal marks", ("run", "mark", "step", "what"), marks))
    return sheets


def _answers(page: Mapping[str, Any]) -> list[Sheet]:
    told = page["answers"]
    if told["refused"]:
        raise BadInput(told["refused"])
    cells: list[tuple[Cell, ...]] = [
        (cell["words"], cell["value"], cell["value"] / told["n"]) for cell in told["cells"]
    ]
    classes: list[tuple[Cell, ...]] = [
        (row["name"], row["n"], row["first"], row["second"]) for row in told["classes"]
    ]
    heads = ("class", "n", f"{told['first']} right alone", f"{told['second']} right alone")
    notes = (told["footer"], *protocol(page))
    return [
        Sheet("Where the answers differ", ("which", "samples", "share"), cells, notes),
        Sheet("By class of the sample", heads, classes, (told["footer"],)),
    ]


def _paths(page: Mapping[str, Any]) -> list[Sheet]:
    told = page["paths"]
    rows: list[tuple[Cell, ...]] = [(row["path"], *row["values"]) for row in told["rows"]]
    note = "paths that are not the same in all; defaults written out, changes by hand at their step"
    return [Sheet("Where the experiments differ", ("path", *told["names"]), rows, (note,))]
