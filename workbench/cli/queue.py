"""``queue``: what waits for its turn in a store, in order; taking back, moving, going on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from workbench.cli.options import AsJson, StoreUrl, print_json, table
from workbench.runs.apart import apart
from workbench.runs.follow import time_left
from workbench.runs.launch import FreshStarter
from workbench.runs.listing import Listing
from workbench.runs.queue import go_on, move_to_front, take_back, turns
from workbench.runs.run import me
from workbench.store.queue import Standing
from workbench.store.store import Store


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("queue", epilog="Example: workbench queue --front quickstart-7k2p9x")(queue)


def queue(
    front: Annotated[
        str | None, typer.Option("--front", metavar="RUN", help="Let this run be the next.")
    ] = None,
    back: Annotated[
        str | None,
        typer.Option("--take-back", metavar="RUN", help="Remove a run that waits for its turn."),
    ] = None,
    go: Annotated[
        bool, typer.Option("--go", help="Start the next if nothing trains; a server does it, too.")
    ] = False,
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """List the runs that wait for their turn, one after the other; move one, take one back."""
    store = Store(store_url)
    if front is not None:
        move_to_front(store, front, who=me())
    if back is not None:
        take_back(store, back, who=me())
    if go:
        go_on(store, FreshStarter())
    lines = Listing(store).lines()
    told = apart(lines)
    found, standing = turns(store, lines)
    rows: list[dict[str, Any]] = [
        {
            "place": turn.number,
            "run": turn.line.id,
            "name": turn.line.name,
            "seed": turn.line.seed,
            "differs_in": list(told[turn.line.id].parts),
            "after": turn.after,
            "starts_in_seconds": turn.seconds,
        }
        for turn in found
    ]
    if as_json:
        print_json({"waiting": rows, "trains": standing.holder, "broken": standing.broken})
        return
    if not rows:
        print("Nothing waits. `workbench run EXPERIMENT --queue` lets a run wait for its turn.")
        return
    table(
        [
            {
                **row,
                "differs in": ", ".join(row["differs_in"]),
                "starts in": _start(row["starts_in_seconds"]),
            }
            for row in rows
        ],
        ("place", "run", "seed", "differs in", "after", "starts in"),
    )
    print(_standing_words(standing))


def _start(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return time_left(seconds).removesuffix(" left") if seconds >= 1 else "now"


def _standing_words(standing: Standing) -> str:
    if standing.broken:
        return (
            f"The queue stands still: {standing.broken} ended by a fault of the machine. "
            f"`workbench resume {standing.broken}` or `workbench rm {standing.broken}` lets it "
            "go on."
        )
    if standing.holder is None:
        return "Nothing trains. A server starts the next by itself; so does `workbench queue --go`."
    words = "stands paused" if standing.paused else "trains"
    return f"{standing.holder} {words}; they wait until it has ended."
