"""Fork: a new run that shares another's first steps, with or without a change from there on."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import RefusedCommand
from workbench.runs.launch import accept
from workbench.runs.objects import refuse_stored_objects, spec_of
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.interventions import reach
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.choice import BUILT
from workbench.training.journal import Event, part_in_a_sentence
from workbench.training.timeline import Item, as_interventions, timeline


def fork(
    store: Store,
    run: str,
    at: int,
    changes: Mapping[str, Any],
    *,
    who: str,
    note: str = "",
    name: str | None = None,
    keep_later: bool = True,
    pause: bool = False,
) -> str:
    """Accept a fork; returns the child's id. Its worker is not started yet.

    What was done to the parent up to ``at`` stays, and what was done later too, but for paths
    that the fork itself changes: all else is equal. Unchanged, the child is its parent again.

    Args:
        store: Where the parent lies.
        run: The parent.
        at: Optimiser steps that both share.
        changes: Path to value, from there on; any path at step 0.
        who: For the journal.
        note: Likewise.
        name: Of the child; the parent's if not given.
        keep_later: False leaves out what was done to the parent after ``at``.
        pause: Let the child stand paused at ``at``, so that it can be touched there.

    Raises:
        RefusedCommand: If the parent has not come so far, or a path can change at step 0 only.
        InvalidExperiment: If a value is not allowed.
        NotSendable: If the parent trained a Python object.
    """
    row = store.runs.get(run)
    refuse_stored_objects(row.experiment, run)
    reached = max(store.metrics.last_step(run, "train"), 0)
    if row.role != "student" or not 0 <= at <= reached:
        raise RefusedCommand(
            f"--at {at}: run {run} has steps 0 to {reached} so far; fork at one of these."
            if row.role == "student"
            else f"Run {run} is {part_in_a_sentence(row.role)}; fork the student's run, "
            f"{row.group}."
        )
    spec = spec_of(row)
    _refuse_too_late(run, at, changes, spec.stage_name)
    aside = {path: value for path, value in changes.items() if reach(path) == "aside"}
    aside |= {} if name is None else {"name": name}
    spec = spec.replace(aside) if aside else spec
    changes = {path: value for path, value in changes.items() if path not in aside}
    items = timeline(spec, store.journal.events(run))
    child = _child_spec(spec, items, at, changes, who, note, keep_later=keep_later)
    kept = as_interventions([item for item in items if item.step <= at])
    accepted = accept(
        store,
        child,
        recipe=row.recipe,
        base=Path(row.options.get("base") or "."),
        threads=row.options.get("threads"),
        pause_at=at if pause else None,
        parent=run,
        forked_at=at,
    )
    start = _share(store, row, accepted, at, len(kept)) if at else 0
    if not any(path.partition(".")[0] == "student" for path in changes):
        for event in store.journal.events(run):
            if event.kind == BUILT:  # the child does not search again
                store.journal.write(accepted, Event(0, BUILT, event.who, event.payload))
    facts = {"parent": run, "at": at, "set": {**aside, **changes}, "note": note}
    for one in store.runs.cohort(accepted):  # several only where a fork at step 0 sets `seeds`
        store.journal.write(one.id, Event(start, "forked", who, facts))
    return accepted


def _refuse_too_late(run: str, at: int, changes: Mapping[str, Any], stage: str) -> None:
    if any(path.partition(".")[0] == "interventions" for path in changes):
        raise RefusedCommand(
            "A fork changes values from a step on; `interventions` it makes itself."
        )
    early = [path for path in changes if reach(path, stage=stage) == "start"]
    if at and early:
        words = " ".join(f"--set {path}={changes[path]}" for path in changes)
        raise RefusedCommand(
            f"`{early[0]}` decides what a run is from its first step on; it can change at step 0 "
            f"only: workbench fork {run} --at 0 {words}"
        )


def _child_spec(
    spec: ExperimentSpec,
    items: list[Item],
    at: int,
    changes: Mapping[str, Any],
    who: str,
    note: str,
    *,
    keep_later: bool,
) -> ExperimentSpec:
    before = [item for item in items if item.step <= at]
    after = [item for item in items if item.step > at] if keep_later else []
    after = [item for item in (_without(item, changes) for item in after) if item is not None]
    if at == 0:
        before = [item for item in (_without(item, changes) for item in before) if item is not None]
        plan = as_interventions([*before, *after])
        return spec.replace({**changes, "interventions": plan})
    own = [Item(at, changes, who, note)] if changes else []
    return spec.replace({"interventions": as_interventions([*before, *own, *after])})


def _without(item: Item, changes: Mapping[str, Any]) -> Item | None:
    """A later change without the paths that the fork sets; None if nothing is left."""
    kept = {
        path: value
        for path, value in item.set.items()
        if not any(_overlap(path, other) for other in changes)
    }
    return Item(item.step, kept, item.who, item.note) if kept else None


def _overlap(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.") or other.startswith(f"{path}.")


def _share(store: Store, parent: RunRow, child: str, at: int, kept: int) -> int:
    """Give the child its parent's nearest checkpoint and all that lies before it.

    Files are linked, not copied, where the file system can; either run may be removed.

    Returns:
        The checkpoint's step; 0 where there is none, and the child trains from its beginning.
    """
    folder, own = store.runs.folder(parent.id), store.runs.folder(child)
    start = next(
        (
            int(row.step)
            for row in store.checkpoints(parent.id)
            if row.step <= at and (folder / row.file).is_file()
        ),
        None,
    )
    if start is None:
        return 0
    for file in store.share(parent.id, child, upto=start):
        (own / file).parent.mkdir(parents=True, exist_ok=True)
        _link(folder / file, own / file)
    changed = [event for event in store.journal.events(parent.id) if event.kind == "set"]
    for number, event in enumerate(changed[:kept]):
        if event.step <= start:
            payload = {**event.payload, "planned": number}
            store.journal.write(child, Event(event.step, event.kind, event.who, payload))
    return start


def _link(source: Path, target: Path) -> None:
    """Give the child the file; one that its parent has just thinned it does without.

    Without a snapshot a view has a step less; without the checkpoint it trains from its beginning,
    to the same bits.
    """
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(source, target)
