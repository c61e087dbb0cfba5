"""``compare``: runs side by side, with each setting's paired difference to a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import typer

from workbench.cli.options import AsJson, StoreUrl, print_json, table
from workbench.errors import BadInput
from workbench.runs.comparison import MEASURES, compare
from workbench.runs.tables import comparison_file
from workbench.store.store import Store

RunNames = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="Runs, as `workbench runs` lists them; RUN-control is the control of one.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("compare", epilog="Example: workbench compare quickstart-7k2p9x dkd-4m8s2w")(
        compare_command
    )


def compare_command(
    names: RunNames,
    group: Annotated[
        bool, typer.Option("--group", help="Also the others that were started with each.")
    ] = False,
    against: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="The baseline; the first run's setting if not given."),
    ] = None,
    measure: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"Of the difference: {', '.join(MEASURES)}.")
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print both tables as CSV only, with all digits.")
    ] = False,
    as_latex: Annotated[
        bool, typer.Option("--latex", help="Print one table for print as LaTeX (booktabs) only.")
    ] = False,
    store_url: StoreUrl = None,
) -> None:
    """Compare runs: numbers side by side, differences seed by seed, where experiments differ.

    Runs that differ in their seed only are one row.
    """
    if as_json + as_csv + as_latex > 1:
        raise BadInput("--json, --csv and --latex: give one of them.")
    store = Store(store_url)
    if group:
        names = [row.id for name in names for row in store.runs.cohort(name)]
    found = compare(store, names, against=against, measure=measure)
    if as_json:
        print_json(found)
        return
    if as_csv or as_latex:
        print(comparison_file(found, "csv" if as_csv else "tex"), end="")
        return
    for line in comparison_words(found):
        print(line)
    if found["differences"]["paths"]:
        print("\nWhere the experiments differ:")
        table(*_paths(found))


def comparison_words(found: Mapping[str, Any]) -> Iterator[str]:
    """Lines for a comparison: a setting each with its numbers and difference, then conditions."""
    names = {row["run"]: row["name"] for row in found["baselines"]}
    against = names.get(found["against"])
    for row in found["settings"]:
        runs, numbers = row["runs"], row["numbers"]
        seeds = ", ".join(str(run["seed"]) for run in runs)
        yield f"{row['name']}: {row['run']}, seed{'s' if len(runs) > 1 else ''} {seeds}"
        if row["run"] == found["against"]:
            yield "  baseline"
        unfinished = [run for run in runs if run["status"] != "finished"]
        for run in unfinished:
            yield f"  {run['run']} is {run['status']} at step {run['step']} of {run['steps']}"
        yield from _probe(runs, numbers)
        yield from _test(runs, numbers)
        yield from _difference(row["difference"], found["measure"], against)
        yield f"  {row['caption']}"
    if found["conditions"]:
        yield "; ".join(told["words"] for told in found["conditions"])


def _probe(runs: Sequence[Mapping[str, Any]], numbers: Mapping[str, Any]) -> Iterator[str]:
    told = [
        f"{word} {_number(numbers[name], 100)}"
        for name, word in (
            ("probe-last", "last"),
            ("probe-best", "best (optimistic)"),
            ("probe-lately", "mean of the last looks"),
        )
        if name in numbers
    ]
    if told:
        yield f"  probe split, n = {_rows(runs, 'probe')}: accuracy, %: {'; '.join(told)}"


def _test(runs: Sequence[Mapping[str, Any]], numbers: Mapping[str, Any]) -> Iterator[str]:
    if "test-accuracy" in numbers:
        yield (
            f"  test split, n = {_rows(runs, 'test')}: accuracy, %: "
            f"{_number(numbers['test-accuracy'], 100)}; NLL, nats: "
            f"{_number(numbers['test-nll'], 1)}; ECE, %: {_number(numbers['test-ece'], 100)}"
        )


def _difference(
    told: Mapping[str, Any] | None, measure: Mapping[str, Any], against: str | None
) -> Iterator[str]:
    if told is None:
        return
    head = f"  minus {against}, {measure['words']}, {_unit(measure)}"
    if told["refused"]:
        yield f"{head}: {told['refused']}"
        return
    scale = 100 if measure["unit"] == "%" else 1
    seeds = ", ".join(f"{pair['seed']}: {scale * pair['value']:+.3g}" for pair in told["pairs"])
    interval = told["why"]
    if told["interval"]:
        low, high = (scale * end for end in told["interval"])
        interval = f"95% interval [{low:+.3g}, {high:+.3g}]"
    yield f"{head}, by seed: {seeds}"
    yield f"    mean {scale * told['mean']:+.3g}; {interval}"


def _number(told: Mapping[str, Any], scale: float) -> str:
    sd = "" if told["sd"] is None else f" (sd {scale * told['sd']:.2g}, n = {told['n']} seeds)"
    return f"{scale * told['mean']:.4g}{sd}"


def _rows(runs: Sequence[Mapping[str, Any]], split: str) -> str:
    """Rows of a split; several where the runs were measured on several."""
    found = dict.fromkeys(str((run[split] or {}).get("n")) for run in runs if run[split])
    return ", ".join("?" if n == "None" else n for n in found)


def _unit(measure: Mapping[str, Any]) -> str:
    return "percentage points" if measure["unit"] == "%" else str(measure["unit"])


def _paths(found: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows and columns of the table of differing paths; a setting is told by its name."""
    names = {row["run"]: row["name"] for row in found["settings"]}
    columns = [names[run] for run in found["differences"]["settings"]]
    rows = [
        {"path": told["path"], **dict(zip(columns, told["values"], strict=True))}
        for told in found["differences"]["paths"]
    ]
    return rows, ["path", *columns]
