"""``set``, ``checkpoint``, ``probe``, ``fork``, ``replay``: touch a run and prove what it did."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from workbench.cli.options import AsJson, RunName, StoreUrl, changes_of, print_json
from workbench.cli.run import follow
from workbench.runs.follow import Progress
from workbench.runs.launch import FreshStarter
from workbench.runs.run import Run, me, result_of
from workbench.store.store import Store

Note = Annotated[str, typer.Option("--note", metavar="TEXT", help="Why, for the journal.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "set",
        epilog="Example: workbench set quickstart-7k2p9x stages.main.terms.kd.temperature=2",
    )(set_command)
    app.command(
        "note", epilog='Example: workbench note quickstart-7k2p9x "the jump is the warm-up"'
    )(note_command)
    app.command("checkpoint", epilog="Example: workbench checkpoint quickstart-7k2p9x")(checkpoint)
    app.command("probe", epilog="Example: workbench probe quickstart-7k2p9x")(probe)
    app.command(
        "fork",
        epilog="Example: workbench fork quickstart-7k2p9x --at 200 "
        "--set stages.main.optimiser.lr=0.001",
    )(fork)
    app.command("anneal", epilog="Example: workbench anneal quickstart-7k2p9x --epochs 3")(anneal)
    app.command("replay", epilog="Example: workbench replay quickstart-7k2p9x")(replay)


def set_command(
    name: RunName,
    assignment: Annotated[str, typer.Argument(metavar="PATH=VALUE", help="What to change.")],
    note: Note = "",
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """Change a knob of a run while it trains; `workbench show RUN --json` lists them."""
    run = Run(name, Store(store_url))
    ((path, value),) = changes_of([assignment], word="set").items()
    step = run.set(path, value, note)
    if as_json:
        print_json({"run": name, "step": step, "path": path, "value": value})
    else:
        print(f"{name}: {path} = {json.dumps(value)} from step {step} on")


def note_command(
    name: RunName,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="One line, up to 500 characters.")],
    at: Annotated[
        int | None, typer.Option("--at", metavar="STEP", help="At which step; default: now.")
    ] = None,
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """Write a note into a run's journal; it changes nothing of the training."""
    step = Run(name, Store(store_url)).note(text, step=at)
    if as_json:
        print_json({"run": name, "step": step, "note": text})
    else:
        print(f"{name}: noted at step {step}")


def checkpoint(name: RunName, store_url: StoreUrl = None) -> None:
    """Write a checkpoint at the next step; it is kept."""
    print(f"{name}: checkpoint at step {Run(name, Store(store_url)).save_checkpoint()}")


def probe(name: RunName, store_url: StoreUrl = None) -> None:
    """Take a snapshot of all views at the next step."""
    print(f"{name}: snapshot at step {Run(name, Store(store_url)).probe()}")


def fork(
    name: RunName,
    at: Annotated[int, typer.Option("--at", metavar="STEP", min=0, help="Steps both share.")],
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change from there on; may be repeated."),
    ] = None,
    child_name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="Of the new run.")
    ] = None,
    without_later: Annotated[
        bool,
        typer.Option("--without-later", help="Leave out what was done to RUN after STEP."),
    ] = False,
    note: Note = "",
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; it trains on.")] = False,
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """Train a new run that shares another's first steps, and follow it to its end."""
    from workbench.runs.fork import fork as accept_fork

    store = Store(store_url)
    child = accept_fork(
        store,
        name,
        at,
        changes_of(assignments or []),
        who=me(),
        note=note,
        name=child_name,
        keep_later=not without_later,
    )
    FreshStarter().start(store, child)
    if detach:
        if as_json:
            print_json(result_of(store.runs.get(child)))
        else:
            print(child)
        return
    if not as_json:
        print(f"Run {child} in {store.path}, forked from {name} at step {at}", file=sys.stderr)
    follow(store, child, as_json, remove_bad=True)


def anneal(
    name: RunName,
    epochs: Annotated[int, typer.Option("--epochs", metavar="K", help="Passes of the decay.")],
    at: Annotated[
        int | None, typer.Option("--at", metavar="STEP", help="From which step; default: now.")
    ] = None,
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """Project what a run would reach if its learning rate went to zero now; it trains on."""
    from workbench.runs.anneal import anneal as project

    store = Store(store_url)
    with Progress(enabled=not as_json or sys.stderr.isatty()) as bar:
        found = project(store, name, epochs, at=at, told=bar.told)
    if as_json:
        print_json(found.plain())
        return
    low, high = found.interval
    now = "no snapshot yet" if found.now is None else f"{found.now:.1%} at step {found.now_step}"
    print(
        f"{name}: {found.projected:.1%} on {found.split} (95 % interval {low:.1%} to {high:.1%}, "
        f"n = {found.n}) if the rate goes from {found.rate:.2g} to zero over {epochs} epochs from "
        f"step {found.step} on; the live curve reads {now}."
    )


def replay(name: RunName, as_json: AsJson = False, store_url: StoreUrl = None) -> None:
    """Train a run anew from its journal alone and compare weights and every metric."""
    from workbench.runs.replay import replay as train_again
    from workbench.runs.replay import result_of_replay

    store = Store(store_url)
    with Progress(enabled=not as_json or sys.stderr.isatty()) as bar:
        found = train_again(store, name, told=bar.told)
    if as_json:
        print_json(result_of_replay(store.runs.get(name), found))
    else:
        _print_replay(name, found)
    raise typer.Exit(0 if found.equal else 1)


def _print_replay(name: str, found: Any) -> None:
    if found.equal:
        print(
            f"{name}: equal. {found.compared} numbers of {found.steps} steps were trained again "
            f"in {found.seconds:.1f} s, bit for bit the same; weights {str(found.weights)[:12]}."
        )
    else:
        first, largest = found.first_difference, found.largest
        print(
            f"{name}: not equal. First at step {first.step}: {first.quantity} was "
            f"{first.recorded!r}, is {first.replayed!r}."
        )
        print(
            f"  largest difference: {largest.quantity} at step {largest.step}, "
            f"{largest.recorded!r} against {largest.replayed!r}"
        )
    for words in found.environment:
        print(f"  {words}: equal bits are promised on the same machine class and build only")
