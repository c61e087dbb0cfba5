"""What is told of a run, whatever the form: the experiment, its numbers, when and on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.errors import NotSendable, RefusedCommand
from workbench.export.places import modules_in, names_runs, with_whole_paths
from workbench.registry import look_in
from workbench.specs.experiment import ExperimentSpec
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.card import text
from workbench.training.journal import notes_of, part_in_a_sentence
from workbench.training.timeline import played

PARTS = ("teacher", "student", "control", "plain_kd")


@dataclass(frozen=True)
class Story:
    """A run as plain data.

    Attributes:
        run: Its id.
        experiment: With everything that was done to the run as ``interventions``: trained by
            itself, it gives the same bits.
        base: Folder that its relative paths and modules start from.
        needs_base: Whether it has any.
        modules: User's modules in that folder that it imports.
        store: The store's file, if the experiment takes a model from another run; else None.
        notes: What people wrote into the journal: ``step``, ``text``, ``who``.
    """

    run: str
    experiment: dict[str, Any]
    base: Path
    needs_base: bool
    modules: list[str]
    store: str | None
    notes: list[dict[str, Any]]


def story_of(store: Store, row: RunRow) -> Story:
    """What a run was, with everything that was done to it.

    Raises:
        NotSendable: If it trained a Python object.
        RefusedCommand: If the row is a teacher's or a control's.
    """
    _refuse_parts(row)
    _refuse_objects(row)
    base = Path(row.options.get("base") or ".").resolve()
    if row.experiment.get("modules"):
        look_in(base)
    spec = ExperimentSpec.parse(row.experiment, source=f"the experiment of run {row.id}")
    events = store.journal.events(row.id)
    experiment = played(spec, events).given()
    modules = modules_in(experiment, base)
    return Story(
        run=row.id,
        experiment=experiment,
        base=base,
        needs_base=bool(modules) or with_whole_paths(experiment, base) != experiment,
        modules=modules,
        store=str(store.path.resolve()) if names_runs(experiment) else None,
        notes=notes_of(events),
    )


def expected(row: RunRow) -> dict[str, Any]:
    """The numbers of a finished run: ``steps``, ``weights``, ``metrics`` by part.

    Raises:
        RefusedCommand: If the run has none yet; says what they wait for.
    """
    found = row.result or {}
    if row.status != "finished" or not found.get("metrics"):
        raise RefusedCommand(f"Run {row.id} has no final numbers: {_waits_for(row)}")
    return {
        "steps": found["steps"],
        "weights": found["weights"],
        "metrics": {part: found["metrics"][part] for part in PARTS if part in found["metrics"]},
    }


def recorded(row: RunRow) -> dict[str, Any]:
    """When and on what a finished run was made, as its protocol says."""
    protocol: Mapping[str, Any] = row.protocol or {}
    return {
        "run": row.id,
        "recipe": row.recipe,
        "paper": (row.experiment.get("recipe") or {}).get("paper"),
        "ended": ended(row),
        "seconds": round((row.result or {}).get("seconds") or 0.0, 1),
        "threads": protocol.get("threads") or row.options.get("threads"),
        "versions": dict(protocol.get("versions") or {}),
        "machine": dict(protocol.get("machine") or {}),
        "protocol": text(protocol),
    }


def ended(row: RunRow) -> str | None:
    """When it ended, to the second, in UTC."""
    if row.ended_ns is None:
        return None
    return datetime.fromtimestamp(row.ended_ns // 10**9, UTC).isoformat()


def _waits_for(row: RunRow) -> str:
    if row.status == "stopped":
        return (
            f"it was stopped at step {row.step} of {row.steps}, and test is read at the last step "
            "only. Run the experiment to its end: export it with --to yaml, then `workbench run`."
        )
    if row.status == "failed":
        return "it failed. `workbench show` says why; --to yaml writes its experiment."
    if row.resumable:
        return f"it is {row.status} at step {row.step}. `workbench resume {row.id}` ends it."
    steps = f"step {row.step} of {row.steps}" if row.steps else "before its first step"
    return (
        f"it is {row.status}, {steps}, and test is read at its end. Export it then; "
        "--to yaml works now."
    )


def _refuse_parts(row: RunRow) -> None:
    if row.role != "student":
        raise RefusedCommand(
            f"Run {row.id} is {part_in_a_sentence(row.role)}; export the whole run, {row.group}."
        )


def _refuse_objects(row: RunRow) -> None:
    for field in ("teacher", "student"):
        model = row.experiment.get(field)
        if isinstance(model, Mapping) and model.get("use") == "object":
            raise NotSendable(
                f"{field}: a {model.get('of')} object cannot be exported: it is gone with the "
                "process it lived in. Save its weights with "
                "workbench.models.weights.save_weights and name the file with path:, or register "
                "the class as a model; --to weights writes the student as it is."
            )
