"""``export``: a run, or a comparison of several, as a file that stands alone."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.options import AsJson, StoreUrl, print_json
from workbench.errors import BadInput
from workbench.export import KINDS, export_comparison, export_run
from workbench.export.weights import expects, load_lines, student_of
from workbench.runs.comparison import MEASURES, compare
from workbench.store.store import Store


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "export", epilog="Example: workbench export quickstart-7k2p9x --to script -o again.py"
    )(export)


def export(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN...",
            help="A run, as `workbench runs` lists it; several are their comparison (a script).",
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="KIND", help=f"{', '.join(KINDS)}.")],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write; for weights also a folder."
        ),
    ],
    group: Annotated[
        bool,
        typer.Option(
            "--group", help="Of a comparison: also the others that were started with each."
        ),
    ] = False,
    against: Annotated[
        str | None, typer.Option(metavar="RUN", help="Of a comparison: its baseline.")
    ] = None,
    measure: Annotated[
        str | None,
        typer.Option(metavar="NAME", help=f"Of a comparison: {', '.join(MEASURES)}."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """Write a run as a script, a notebook, an experiment file, or its student's weights.

    Of several runs, a script that trains them all again and compares their differences.
    """
    store = Store(store_url)
    if len(names) > 1 or group or against is not None or measure is not None:
        if to != "script":
            raise BadInput(f"--to {to}: a comparison is exported as a script. Give --to script.")
        if group:
            names = [row.id for name in names for row in store.runs.cohort(name)]
        names = list(dict.fromkeys(names))
        found = compare(store, names, against=against, measure=measure)
        path = export_comparison(store, found, output, force=force)
        if as_json:
            print_json({"runs": names, "kind": to, "path": str(path)})
            return
        print(f"The comparison of {len(names)} runs is in {path}")
        print(_next(to, path, "them"))
        return
    (name,) = names
    path = export_run(store, name, to, output, force=force)
    lines, inputs = [], None
    if to == "weights":
        student = student_of(store, store.runs.get(name))
        lines, inputs = load_lines(student, path), expects(student)
    if as_json:
        print_json({"run": name, "kind": to, "path": str(path), "load": lines, "inputs": inputs})
        return
    print(f"Run {name} is in {path}")
    for line in lines:
        print(f"    {line}")
    for words in filter(None, [inputs, _next(to, path)]):
        print(words)


def _next(kind: str, path: Path, them: str = "it") -> str | None:
    """What to do with it."""
    file = shlex.quote(str(path))
    return {
        "script": f"`python {file} --check` trains {them} again and compares every number.",
        "yaml": f"`workbench run {file}` trains it again, with all that was done to it.",
    }.get(kind)
