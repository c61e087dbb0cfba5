"""``gc``, ``rm``: what a store's folder holds that can go."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Annotated

import typer

from workbench.cli.options import AsJson, RunName, StoreUrl, print_json
from workbench.errors import RefusedCommand
from workbench.store.housekeeping import Waste, free, neighbours, size_of, survey
from workbench.store.store import Store
from workbench.store.thinning import run_budget
from workbench.training.journal import part_in_a_sentence

LISTED = 20
"""Things that are listed one by one for people; all are in the JSON."""
UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("gc", epilog="Example: workbench gc --yes")(gc)
    app.command("rm", epilog="Example: workbench rm quickstart-7k2p9x")(rm)


def gc(yes: Yes = False, as_json: AsJson = False, store_url: StoreUrl = None) -> None:
    """Show what could be freed, then free it (--yes, or after a question).

    That is: folders of no run, teachers that taught no run, writes that never ended, files that
    no row names, and what of a run is over its budget ($WORKBENCH_RUN_BUDGET, else 2 GiB). The
    journal, all metrics, the last and the best checkpoint always stay.
    """
    store, budget = Store(store_url), run_budget()
    found = survey(store, budget)
    total = sum(item.bytes for item in found)
    others = neighbours(store)
    if not as_json:
        _show(found, total)
        for path in others:
            print(f"{path} is another store in this folder, so runs and teachers are left alone.")
    freed = free(store, found, budget) if found and (yes or _agreed(as_json, "Free it?")) else 0
    if as_json:
        print_json(
            {
                "budget": budget,
                "items": [item.plain() for item in found],
                "bytes": total,
                "freed": freed,
                "other_stores": [str(path) for path in others],
            }
        )
    elif freed:
        print(f"Freed {in_words(freed)}.")
    elif found:
        print("Nothing was changed; `workbench gc --yes` frees it.")


def rm(name: RunName, yes: Yes = False, store_url: StoreUrl = None) -> None:
    """Remove a run for good: its rows, metrics, journal, parts and folders.

    Refused while it trains, while a fork names it as its parent, and while another run takes a
    model from it.
    """
    store = Store(store_url)
    row = store.runs.get(name)
    if row.role != "student":
        raise RefusedCommand(
            f"Run {name} is {part_in_a_sentence(row.role)}; remove the whole run, {row.group}."
        )
    store.runs.refuse_removal(name)
    if not yes:
        size = sum(
            size_of(store.runs.folder(part.id)) for part in store.runs.list(roles=None, group=name)
        )
        words = f"Remove run {name} ({row.status}, step {row.step}, {in_words(size)}) for good?"
        if not _agreed(False, words):
            raise RefusedCommand(f"Run {name} was left as it is. `--yes` removes it unasked.")
    store.runs.remove(name)
    print(f"{name}: removed")


def in_words(size: int) -> str:
    """``3.2 MiB``."""
    number, unit = float(size), UNITS[0]
    for unit in UNITS:
        if number < 1024 or unit == UNITS[-1]:
            break
        number /= 1024
    return f"{number:.0f} {unit}" if unit == UNITS[0] else f"{number:.1f} {unit}"


def _show(found: list[Waste], total: int) -> None:
    if not found:
        print("Nothing to free.")
        return
    for item in found[:LISTED]:
        print(f"{item.kind:10} {in_words(item.bytes):>10}  {item.path}  ({item.why})")
    if len(found) > LISTED:
        print(f"and {len(found) - LISTED} more")
    counts = Counter(item.kind for item in found)
    words = ", ".join(f"{count} x {kind}" for kind, count in counts.items())
    print(f"{in_words(total)} could be freed: {words}.")


def _agreed(as_json: bool, question: str) -> bool:
    """Whether a person at a terminal says yes; where nobody is, nobody agrees."""
    if as_json or not sys.stdin.isatty() or not sys.stdout.isatty():
        return False
    return typer.confirm(question)
