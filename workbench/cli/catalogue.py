"""``recipes``, ``terms``, ``probes``, ``models``, ``data``, ``doctor``: what one can choose."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from typing import Annotated, Any

import typer
from pydantic.fields import FieldInfo

from workbench.cli.models import print_kept
from workbench.cli.options import AsJson, StoreUrl, print_json, table
from workbench.registries import DATA, MODELS, PROBES, TERMS


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("recipes", epilog="Example: workbench recipes")(recipes)
    app.command("terms", epilog="Example: workbench terms --json")(terms)
    app.command("probes", epilog="Example: workbench probes")(probes)
    app.command("models", epilog="Example: workbench models --kept")(models)
    app.command("data", epilog="Example: workbench data --json")(data)
    app.command("doctor", epilog="Example: workbench doctor")(doctor)


def recipes(as_json: AsJson = False, _store: StoreUrl = None) -> None:
    """List recipes: a runnable experiment for each paper."""
    from workbench.recipes import names, open_experiment

    rows = []
    for name in names():
        spec = open_experiment(name)[0]
        facts = spec.recipe.full() if spec.recipe else {}
        rows.append(
            {"recipe": name, **{key: facts.get(key) for key in ("paper", "summary", "claim")}}
        )
    print_json(rows) if as_json else table(rows, ("recipe", "paper", "summary"))


def terms(as_json: AsJson = False, _store: StoreUrl = None) -> None:
    """List distillation terms with paper, inputs, defaults and bounds."""
    rows = []
    for name, kind in TERMS.items():
        parameters = {
            field: {
                **_default(kind.model_fields[field]),
                "allowed": str(kind.live[field]) if field in kind.live else None,
                "help": kind.model_fields[field].description,
            }
            for field in kind.model_fields
            if field not in ("use", "weight")
        }
        rows.append(
            {
                "term": name,
                "summary": kind.summary,
                "paper": kind.paper,
                "needs": list(kind.needs),
                "pull": kind.pull,
                "unit": kind.unit,
                "weight": {
                    "default": kind.model_fields["weight"].default,
                    "allowed": "≥ 0 and ≤ 1e+06",
                },
                "parameters": parameters,
            }
        )
    if as_json:
        print_json(rows)
        return
    _in_a_line(rows, "parameters")
    table(rows, ("term", "summary", "parameters", "paper"))


def data(as_json: AsJson = False, _store: StoreUrl = None) -> None:
    """List data sets and ways to read your own, each with its options."""
    from workbench.data.spec import DataSpec

    rows: list[dict[str, Any]] = []
    for name, kind in DATA.items():
        common = [option for option in DataSpec.model_fields if option != "use"]
        own = [option for option in kind.model_fields if option not in (*common, "use")]
        options = {
            option: {**_default(field), "help": field.description}
            for option, field in ((option, kind.model_fields[option]) for option in own + common)
        }
        summary = (kind.__doc__ or "").strip().splitlines()[0]
        rows.append({"data": name, "summary": summary, "options": options})
    if as_json:
        print_json(rows)
        return
    _in_a_line(rows, "options")
    table(rows, ("data", "summary", "options"))


def _in_a_line(rows: list[dict[str, Any]], column: str) -> None:
    """Write the fields in a column as ``name=default``, or the name of one without a default."""
    for row in rows:
        row[column] = ", ".join(
            f"{name}={told['default']}" if "default" in told else name
            for name, told in row[column].items()
        )


def _default(field: FieldInfo) -> dict[str, Any]:
    """As JSON: the default, or that there is none."""
    if field.is_required():
        return {"required": True}
    return {"default": field.get_default(call_default_factory=True)}


def probes(as_json: AsJson = False, _store: StoreUrl = None) -> None:
    """List probes: what is measured while a student trains."""
    rows = [
        {"probe": name, "summary": kind.summary, "paper": kind.paper}
        for name, kind in PROBES.items()
    ]
    print_json(rows) if as_json else table(rows, ("probe", "summary", "paper"))


def models(
    kept: Annotated[
        bool, typer.Option("--kept", help="Those that the store keeps, with size and numbers.")
    ] = False,
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """List models and families of models, or with --kept the trained ones in the store."""
    if kept:
        print_kept(store_url, as_json=as_json)
        return
    rows = [
        {"model": name, "summary": (kind.__doc__ or "").strip().splitlines()[0]}
        for name, kind in MODELS.items()
    ]
    print_json(rows) if as_json else table(rows, ("model", "summary"))


def doctor(as_json: AsJson = False, store_url: StoreUrl = None) -> None:
    """Check this machine: versions, devices, threads, store."""
    from workbench.store.store import Store
    from workbench.store.thinning import run_budget

    store = Store(store_url)
    with store.database.read() as connection:
        integrity = connection.exec_driver_sql("PRAGMA integrity_check").scalar()
    facts: dict[str, Any] = {
        "python": sys.version.split()[0],
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
        "store": str(store.path),
        "store_integrity": integrity,
        "store_free_bytes": shutil.disk_usage(store.folder).free,
        "run_budget_bytes": run_budget(),
        **_torch(),
    }
    if as_json:
        print_json(facts)
    else:
        for key, value in facts.items():
            print(f"{key}: {value}")
    if integrity != "ok":
        raise typer.Exit(1)


def _torch() -> dict[str, Any]:
    from workbench.training.device import choose_device, default_threads, fingerprint

    device = choose_device("auto")
    return {"device": str(device), "worker_threads": default_threads(), **fingerprint(device)}
