"""``export``: a run as a file that stands alone."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from workbench.cli.options import AsJson, RunName, StoreUrl, print_json
from workbench.export import KINDS, export_run
from workbench.export.weights import expects, load_lines, student_of
from workbench.store.store import Store


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "export", epilog="Example: workbench export quickstart-7k2p9x --to script -o again.py"
    )(export)


def export(
    name: RunName,
    to: Annotated[str, typer.Option("--to", metavar="KIND", help=f"{', '.join(KINDS)}.")],
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="File to write; for weights also a folder."
        ),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """Write a run as a script, a notebook, an experiment file, or its student's weights."""
    store = Store(store_url)
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


def _next(kind: str, path: Path) -> str | None:
    """What to do with it."""
    file = shlex.quote(str(path))
    return {
        "script": f"`python {file} --check` trains it again and compares every number.",
        "yaml": f"`workbench run {file}` trains it again, with all that was done to it.",
    }.get(kind)
