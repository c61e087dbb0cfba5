"""Options that several commands share, and how results are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from workbench.errors import BadInput
from workbench.specs.files import parse_scalar

WIDE = 10_000
"""Columns where nobody looks: a table in a pipe is never folded."""

StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Where runs lie: a path or sqlite:///PATH. Default: under ~/.workbench or "
        "$WORKBENCH_HOME.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON only.")]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run, as `workbench runs` lists it.")]


def print_json(value: Any) -> None:
    """One JSON document on the standard output."""
    json.dump(value, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")
    sys.stdout.flush()


def changes_of(assignments: Sequence[str], *, word: str = "--set") -> dict[str, Any]:
    """``path=value`` pairs as a mapping.

    Raises:
        BadInput: For one without ``=`` or without a path.
    """
    texts = texts_of(assignments, word=word)
    return {path: parse_scalar(value) for path, value in texts.items()}


def texts_of(assignments: Sequence[str], *, word: str = "--set") -> dict[str, str]:
    """The same with each value as it was typed.

    Raises:
        BadInput: For one without ``=`` or without a path.
    """
    texts: dict[str, str] = {}
    for text in assignments:
        path, found, value = text.partition("=")
        path = path.strip()
        if not found or not path or any(not part for part in path.split(".")):
            raise BadInput(f"{word} {text!r}: write path=value, for example {word} seed=1.")
        texts[path] = value
    return texts


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A plain table; text of users is printed as text, never as markup."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):  # the first is a name that people copy
        drawn.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        drawn.add_row(*(Text(_word(row.get(column))) for column in columns))
    Console(width=None if sys.stdout.isatty() else WIDE).print(drawn)


def _word(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)
