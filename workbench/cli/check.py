"""``check``: what stands between an experiment and its first step; nothing is trained or kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.cli.options import AsJson, StoreUrl, changes_of, print_json
from workbench.errors import BadInput
from workbench.recipes import names, open_experiment, read_file
from workbench.runs.draft import Draft
from workbench.runs.draft.checks import Row, rows
from workbench.runs.draft.shape import misshapen
from workbench.runs.estimate import estimate_words
from workbench.store.store import Store

SIGNS = {"failed": "✕", "warning": "△", "passed": "✓", "waiting": "…"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("check", epilog="Example: workbench check quickstart --set seed=1 --json")(check)


def check(
    experiment: Annotated[
        str,
        typer.Argument(metavar="EXPERIMENT", help="A recipe's name, or the path of a YAML file."),
    ],
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change a field; may be repeated."),
    ] = None,
    scale: Annotated[
        str, typer.Option(help="demo (as written), or a scale that the recipe declares.")
    ] = "demo",
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """Check an experiment before step 0 and estimate its cost; exit code 2 if a check fails."""
    draft = _opened(experiment, scale)
    for path, value in changes_of(assignments or []).items():
        draft = draft.edit(path, value)
    told = _tried(draft, store_url) if draft.spec is not None else {}
    found = rows(draft, told)
    failed = sum(row.state == "failed" for row in found)
    if as_json:
        checks = [row.plain() for row in found]
        print_json({"ready": not failed, "checks": checks, "estimate": told.get("estimate")})
    else:
        print("\n".join(_lines(found)))
        if told.get("estimate"):
            print(estimate_words(told["estimate"]))
    raise typer.Exit(BadInput.exit_code if failed else 0)


def _opened(experiment: str, scale: str) -> Draft:
    """The experiment as it is written, so that all that is wrong with it can be told at once."""
    if experiment in names():
        spec, recipe, base = open_experiment(experiment)
        data = spec.at_scale(scale).given()
        return Draft(data, f"recipe {experiment}", data, recipe, base)
    data, path = read_file(experiment)
    if found := misshapen(data):
        raise BadInput(found)
    draft = Draft(data, "a file", data, base=path.resolve().parent)
    if scale == "demo" or draft.spec is None:
        return draft
    return replace(draft, data=draft.spec.at_scale(scale).given())


def _tried(draft: Draft, store_url: str | None) -> dict[str, Any]:
    """What the networks, the data and a few real steps say; with a worker's threads and folder."""
    from workbench.runs.draft.trial import tried
    from workbench.runs.worker import settle
    from workbench.training.device import configure, default_threads

    base = (draft.base or Path.cwd()).resolve()
    store = Store(store_url)
    configure(default_threads())
    settle(base)
    try:
        return tried(store, draft.data, base)
    finally:
        store.close()


def _lines(found: list[Row]) -> Iterator[str]:
    """A line each: the sign, the title, its value; below it where it is and what was found."""
    for row in found:
        yield f"{SIGNS[row.state]} {row.title}{f': {row.value}' if row.value else ''}"
        if row.path or row.state != "passed":
            yield f"    {': '.join(filter(None, (row.path, row.detail)))}"
        if row.fix is not None:
            value = row.fix["value"]
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"    {row.fix['label']}: --set {row.fix['path']}={text}"
