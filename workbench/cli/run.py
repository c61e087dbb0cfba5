"""``run`` and ``resume``: start or continue a run and follow it to its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Annotated, Any

import typer

from workbench.cli.options import AsJson, RunName, StoreUrl, print_json, texts_of
from workbench.cli.words import result_words
from workbench.errors import BadInput, WorkerDied
from workbench.recipes import open_experiment
from workbench.runs.estimate import before_words, estimate_here
from workbench.runs.follow import Progress
from workbench.runs.launch import FreshStarter, accept_all
from workbench.runs.queue import go_on, past_words
from workbench.runs.results import result_of_all, was_refused
from workbench.runs.run import Run, me
from workbench.runs.settings import in_words
from workbench.runs.sweep import Sweep, sweep
from workbench.specs.experiment import ExperimentSpec
from workbench.store.runs import RunRow
from workbench.store.store import Store

GO_ON_SECONDS = 2.0
"""Between two looks at the queue by whoever follows a run that waits: its worker may be dead."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("run", epilog="Example: workbench run quickstart --set seed=1 --json")(run)
    app.command("resume", epilog="Example: workbench resume quickstart-7k2p9x")(resume_command)


def run(
    experiment: Annotated[
        str,
        typer.Argument(metavar="EXPERIMENT", help="A recipe's name, or the path of a YAML file."),
    ],
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change a field; may be repeated. Several values (PATH=1,2,4) are a sweep: a run "
            "each, one after the other; two swept fields multiply.",
        ),
    ] = None,
    scale: Annotated[
        str, typer.Option(help="demo (as written), or a scale that the recipe declares.")
    ] = "demo",
    control: Annotated[
        bool, typer.Option("--control", help="Also train the student without target terms.")
    ] = False,
    plain_kd: Annotated[
        bool, typer.Option("--plain-kd", help="Also train the student under plain KD.")
    ] = False,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds", metavar="N", help="Train N seeds, from the experiment's on; one teacher."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:N or mps.")
    ] = None,
    pause_at: Annotated[
        int | None, typer.Option(metavar="STEP", min=0, help="Pause by itself at a step.")
    ] = None,
    queued: Annotated[
        bool,
        typer.Option(
            "--queue", help="Wait for its turn in the store's queue; one run trains at a time."
        ),
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; it trains on.")] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", hidden=True, help="`workbench check`, for one experiment.")
    ] = False,
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """Train an experiment and follow it to its end."""
    spec, recipe, base = open_experiment(experiment)
    spec = spec.at_scale(scale)
    texts = texts_of(assignments or [])
    changes: dict[str, Any] = {}
    if control and "control" not in texts:
        changes["control"] = True
    if plain_kd:
        changes["plain_kd"] = True
    if seeds is not None:
        changes["seeds"] = seeds
    if device is not None:
        changes["device"] = device
    planned = sweep(spec, texts, changes)
    for one in planned.specs:
        _check_device(one)
    store = Store(store_url)
    if estimate:
        _refuse_estimate_of_many(planned)
        _print_estimate(estimate_here(store, planned.specs[0], base), as_json)
        return
    if planned.values:
        print(planned.words(), file=sys.stderr)
    fields: dict[str, Any] = {"queued": True, "who": me()} if queued else {}
    past = None if queued else past_words(store)
    name = accept_all(store, planned.specs, recipe=recipe, base=base, pause_at=pause_at, **fields)
    if past is not None:
        print(past, file=sys.stderr)
    if queued:
        go_on(store, FreshStarter())
    else:
        FreshStarter().start(store, name)
    if detach:
        if as_json:
            print_json(result_of_all(store.runs.cohort(name)))
        else:
            print("\n".join(row.id for row in store.runs.cohort(name)))
        return
    if not as_json:
        print(f"Run {name} in {store.path}", file=sys.stderr)
    follow(store, name, as_json, remove_bad=True)


def resume_command(name: RunName, as_json: AsJson = False, store_url: StoreUrl = None) -> None:
    """Let a paused or an interrupted run go on, and follow it to its end."""
    store = Store(store_url)
    Run(name, store).resume()
    follow(store, name, as_json, remove_bad=False)


def follow(store: Store, name: str, as_json: bool, *, remove_bad: bool) -> None:
    """Follow a run, or all runs of its group, to the end; print the result, exit with its code."""
    group = Run(name, store).group
    for run in group:
        try:
            with Progress(enabled=not as_json or sys.stderr.isatty()) as bar:
                run.wait(_told_and_goes_on(store, bar))
        except KeyboardInterrupt:
            print(
                f"\nRun {run.id} trains on. `workbench stop {run.id}"
                f"{' --group' if len(group) > 1 else ''}` ends it, "
                f"`workbench resume {run.id}` follows it again.",
                file=sys.stderr,
            )
            raise typer.Exit(130) from None
        except WorkerDied as error:
            print(f"workbench: {error}", file=sys.stderr)
        if run.status == "paused":
            break
    rows = [run.row for run in group]
    for row in rows:
        if row.error is not None:
            print(f"workbench: [{row.error['code']}] {row.error['message']}", file=sys.stderr)
    if remove_bad and all(was_refused(row) for row in rows):
        for row in rows:
            store.runs.remove(row.id)
        raise typer.Exit(BadInput.exit_code)
    if as_json:
        print_json(result_of_all(rows, name))
    else:
        print("\n".join(result_words(rows)))
    raise typer.Exit(0 if all(row.status in ("finished", "paused") for row in rows) else 1)


def _told_and_goes_on(store: Store, bar: Progress) -> Callable[[RunRow], None]:
    """Show a row; while it waits in the queue, see to it that the queue goes on."""
    due = 0.0

    def told(row: RunRow) -> None:
        nonlocal due
        bar.told(row)
        if row.turn is not None and row.status == "queued" and time.monotonic() >= due:
            due = time.monotonic() + GO_ON_SECONDS
            go_on(store, FreshStarter())

    return told


def _print_estimate(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for line in before_words(found):
        print(line)


def _refuse_estimate_of_many(planned: Sweep) -> None:
    if planned.values:
        path, values = next(iter(planned.values.items()))
        raise BadInput(
            f"--estimate tells of one experiment, this is a sweep. Give one "
            f"value: --set {path}={in_words(values[0])}."
        )


def _check_device(spec: ExperimentSpec) -> None:
    """A device that is not there is refused before anything is written (costs a torch import)."""
    if spec.device in ("auto", "cpu"):
        return
    from workbench.training.device import choose_device

    choose_device(spec.device)
