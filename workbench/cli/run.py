"""``run`` and ``resume``: start or continue a run and follow it to its end."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from workbench.cli.options import AsJson, RunName, StoreUrl, changes_of, print_json
from workbench.errors import BadInput, WorkerDied
from workbench.recipes import open_experiment
from workbench.runs.follow import Progress
from workbench.runs.launch import FreshStarter, accept
from workbench.runs.run import Run, result_of, was_refused
from workbench.specs.experiment import ExperimentSpec
from workbench.store.runs import RunRow
from workbench.store.store import Store


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
        typer.Option("--set", metavar="PATH=VALUE", help="Change a field; may be repeated."),
    ] = None,
    scale: Annotated[
        str, typer.Option(help="demo (as written), or a scale that the recipe declares.")
    ] = "demo",
    control: Annotated[
        bool, typer.Option("--control", help="Also train the student without target terms.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(metavar="D", help="auto, cpu, cuda, cuda:N or mps.")
    ] = None,
    pause_at: Annotated[
        int | None, typer.Option(metavar="STEP", min=0, help="Pause by itself at a step.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return at once; it trains on.")] = False,
    as_json: AsJson = False,
    store_url: StoreUrl = None,
) -> None:
    """Train an experiment and follow it to its end."""
    spec, recipe, base = open_experiment(experiment)
    spec = spec.at_scale(scale)
    changes = changes_of(assignments or [])
    if control:
        changes.setdefault("control", True)
    if device is not None:
        changes["device"] = device
    if changes:
        spec = spec.replace(changes)
    _check_device(spec)
    store = Store(store_url)
    name = accept(store, spec, recipe=recipe, base=base, pause_at=pause_at)
    FreshStarter().start(store, name)
    if detach:
        if as_json:
            print_json(result_of(store.runs.get(name)))
        else:
            print(name)
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
    """Follow a run to its end, print its result, and exit with its code."""
    run = Run(name, store)
    try:
        with Progress(enabled=not as_json or sys.stderr.isatty()) as bar:
            run.wait(bar.told)
    except KeyboardInterrupt:
        print(
            f"\nRun {name} trains on. `workbench stop {name}` ends it, "
            f"`workbench resume {name}` follows it again.",
            file=sys.stderr,
        )
        raise typer.Exit(130) from None
    except WorkerDied as error:
        print(f"workbench: {error}", file=sys.stderr)
    row = run.row
    if row.error is not None:
        print(f"workbench: [{row.error['code']}] {row.error['message']}", file=sys.stderr)
    if remove_bad and was_refused(row):
        store.runs.remove(name)
        raise typer.Exit(BadInput.exit_code)
    if as_json:
        print_json(result_of(row))
    else:
        _print_result(row)
    raise typer.Exit(0 if row.status in ("finished", "paused") else 1)


def _check_device(spec: ExperimentSpec) -> None:
    """A device that is not there is refused before anything is written (costs a torch import)."""
    if spec.device in ("auto", "cpu"):
        return
    from workbench.training.device import choose_device

    choose_device(spec.device)


def _print_result(row: RunRow) -> None:
    metrics: dict[str, Any] = (row.result or {}).get("metrics") or {}
    print(f"{row.id}: {row.status} at step {row.step} of {row.steps}")
    for part in ("teacher", "student", "control"):
        found = metrics.get(part)
        if found:
            print(
                f"  {part:8} accuracy {found['accuracy']:7.2%}   "
                f"NLL {found['nll']:.4f} nats   ECE {found['ece']:.2%}"
            )
    protocol = row.protocol or {}
    test = (protocol.get("splits") or {}).get("test")
    if metrics and test:
        print(
            f"  test split, n = {test['rows']}, read once at the last step; seed {protocol['seed']}"
        )
