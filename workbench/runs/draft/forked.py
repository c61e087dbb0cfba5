"""A draft that forks a run: the parent's experiment as it stands at a step, and what may change.

Unusual here: a form knows an experiment, a fork knows changes. What differs between the two becomes
paths and values that :func:`workbench.runs.fork.fork` takes; a term that was removed stays with
weight 0, since a run can lose its pull at a step and not its place.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from workbench.errors import BadInput, RefusedCommand
from workbench.runs.draft.checks import Row
from workbench.runs.draft.draft import Draft, Parent
from workbench.runs.draft.paths import value_at
from workbench.runs.objects import refuse_stored_objects, spec_of
from workbench.specs.interventions import reach
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.journal import part_in_a_sentence
from workbench.training.timeline import Item, stands, timeline

AT: Final = "fork.at"
"""Path of the step in a row's fix: no path of an experiment."""
LATE: Final = "decides what a run is from its first step on; only a fork at step 0 can change it"
EARLIER: Final = (
    "belongs to a stage that is trained before step 0; only a fork at step 0 changes it"
)
PLAN: Final = "is what a fork adds to by itself; change the values themselves"
WHOLE: Final = ("optimiser", "schedule", "target", "policy")
"""Kinds of a stage that change as one where their name changes."""


def last_step(store: Store, run: str) -> int:
    """The step that a run has reached: the last one that a fork can begin at."""
    return max(store.metrics.last_step(run, "train"), 0)


def start_of(store: Store, parent: Parent) -> int:
    """Step of the checkpoint that a fork begins with: the last one that is not beyond its step."""
    kept = (int(one.step) for one in store.checkpoints(parent.run))
    return max((step for step in kept if step <= parent.at), default=0)


def draft_of_fork(store: Store, run: str, at: int) -> Draft:
    """The experiment of a run as it stands at a step, what was done to it until then included.

    Args:
        store: Where the run lies.
        run: The parent.
        at: Any step; :func:`fork_rows` says whether a fork can begin there.

    Raises:
        UnknownRun: If the store has no such run.
        RefusedCommand: If it is no student's run.
        NotSendable: If it holds a Python object that no file can.
    """
    row = store.runs.get(run)
    refuse_stored_objects(row.experiment, run)
    if row.role != "student":
        raise RefusedCommand(
            f"Run {run} is {part_in_a_sentence(row.role)}; fork the student's run, {row.group}."
        )
    before = [item for item in _items(store, row) if item.step <= at]
    spec = stands(spec_of(row), before)
    return Draft.of_row(row, spec.given(), f"run {run} at step {at}", Parent(run, at))


def later(store: Store, parent: Parent) -> int:
    """How many changes were made to the parent, or planned for it, after the step."""
    row = store.runs.get(parent.run)
    return sum(item.step > parent.at for item in _items(store, row))


def moved(draft: Draft, store: Store, at: int) -> Draft:
    """The same changes on the experiment as it stands at another step.

    Raises:
        BadInput: If it is no fork, or a change cannot stand there.
    """
    if draft.parent is None:
        raise BadInput("Only a fork begins at a step.")
    fresh = draft_of_fork(store, draft.parent.run, at)
    for path in _whole_stages(draft, draft.changed()):
        value = value_at(draft.data, path)
        fresh = fresh.clear(path) if value is None else fresh.edit(path, value)
    return replace(fresh, typed=draft.typed, chosen=draft.chosen)


def has_other_stages(draft: Draft) -> bool:
    """Whether a stage came, went, or has another name."""
    now, before = (list(data.get("stages") or {}) for data in (draft.data, draft.began))
    return now != before


def why_fixed(draft: Draft, path: str) -> str:
    """Why a path cannot change in this fork, as the end of a sentence; empty if it can."""
    parts = path.split(".")
    if draft.parent is not None and parts[0] == "interventions":
        return PLAN
    if draft.parent is None or draft.parent.at == 0:
        return ""
    last = _last(draft)
    if parts[0] == "stages" and len(parts) > 1 and parts[1] != last:
        return EARLIER
    if len(parts) == 3 and parts[2] == "terms":  # one by one they can
        return ""
    return LATE if reach(path, stage=last) == "start" else ""


def fork_changes(draft: Draft) -> dict[str, Any]:
    """Path to value: what a fork changes at its step so that it trains what the draft says.

    Args:
        draft: A valid one.

    Returns:
        Whole terms and kinds where their ``use`` is another; ``weight: 0`` of a removed term; the
        default where a field was cleared; ``epochs`` and ``steps`` together; all stages where
        some came or went.
    """
    spec = draft.spec
    if spec is None:
        raise BadInput("Something is still wrong; the checks say what.")
    full = spec.full()
    found: dict[str, Any] = {}
    for path in _whole_stages(draft, draft.changed()):
        for unit in _units(draft, path):
            found[unit] = _value(draft, unit, full)
    return found


def fork_rows(draft: Draft, store: Store) -> Iterator[Row]:
    """What stands between this fork and its start, but for the checks of its experiment."""
    if draft.parent is None:
        return
    row = store.runs.get(draft.parent.run)
    yield _step_row(draft, draft.parent.at, store, row)
    for path in draft.changed():
        why = why_fixed(draft, path)
        if why:
            began = value_at(draft.began, path)
            fix = {"label": "Put it back", "path": path, "value": began}
            at = draft.parent.at
            words = f"{path} {why}."
            yield Row("failed", f"It can change at step {at}", words, path, fix=fix)
    if has_other_stages(draft) and (after := later(store, draft.parent)):
        words = f"The stages are others: {after} later changes of the run have no place in them."
        yield Row("warning", "Later changes are left out", words)
    gone = _removed(draft)
    if gone and draft.parent.at:
        words = f"{', '.join(gone)}: kept with weight 0 from step {draft.parent.at} on."
        yield Row("passed", "A removed term loses its weight", words)


def _items(store: Store, row: RunRow) -> list[Item]:
    spec = spec_of(row)
    return timeline(spec, store.journal.events(row.id))


def _step_row(draft: Draft, at: int, store: Store, row: RunRow) -> Row:
    reached = last_step(store, row.id)
    if not 0 <= at <= reached:
        words = f"Run {row.id} has steps 0 to {reached} so far."
        near = min(max(at, 0), reached)
        return Row("failed", f"The run has a step {at}", words, fix=_go(near))
    kept = sorted({0, *(int(one.step) for one in store.checkpoints(row.id))})
    before = [step for step in kept if step < row.steps and step <= reached]
    if at >= row.steps > 0 and not _trains_longer(draft):
        words = (
            f"The run ends at step {at}, so a fork would train nothing. Give it more epochs or "
            "steps, or begin earlier."
        )
        return Row("failed", "Something is left to train", words, fix=_go(before[-1]))
    if at in kept:
        where = "The run's initial weights." if at == 0 else "Weights and optimiser are kept."
        return Row("passed", f"Step {at} has a checkpoint", where)
    start = max(step for step in kept if step < at)
    near = min(before, key=lambda step: abs(step - at))
    words = (
        f"The nearest before it is of step {start}: the fork trains the {at - start} steps from "
        "there again, to the same bits on this machine."
    )
    return Row("warning", f"Step {at} has no checkpoint", words, fix=_go(near))


def _go(step: int) -> dict[str, Any]:
    return {"label": f"Fork at step {step}", "path": AT, "value": step}


def _trains_longer(draft: Draft) -> bool:
    return any(path.rpartition(".")[2] in ("epochs", "steps") for path in draft.changed())


def _last(draft: Draft) -> str:
    """Name of the stage that people watch."""
    return replace(draft, chosen=None).stage


def _removed(draft: Draft) -> list[str]:
    """Keys of terms that the parent has and the draft has not."""
    terms = f"stages.{_last(draft)}.terms"
    kept = value_at(draft.data, terms) or {}
    return [key for key in value_at(draft.began, terms) or {} if key not in kept]


def _whole_stages(draft: Draft, paths: list[str]) -> list[str]:
    """The same paths, but all stages as one where some came or went: they stand in an order."""
    if not has_other_stages(draft):
        return paths
    return [*(path for path in paths if path.partition(".")[0] != "stages"), "stages"]


def _units(draft: Draft, path: str) -> list[str]:
    """The paths that a change of one path is told as."""
    parts = path.split(".")
    if parts[0] == "teacher":
        return ["teacher"]
    if parts[0] in ("data", "student"):
        return [path] if _same_kind(draft, parts[0]) else [parts[0]]
    if parts[0] != "stages" or len(parts) < 3:
        return [path]
    stage = ".".join(parts[:2])
    if parts[2] == "terms" and len(parts) > 3:
        term = ".".join(parts[:4])
        if value_at(draft.data, term) is None:
            return [f"{term}.weight"]
        return [path] if _same_kind(draft, term) else [term]
    if parts[2] in WHOLE:
        whole = ".".join(parts[:3])
        return [path] if _same_kind(draft, whole) else [whole]
    if parts[2] in ("epochs", "steps"):
        return [f"{stage}.epochs", f"{stage}.steps"]
    return [path]


def _same_kind(draft: Draft, path: str) -> bool:
    """Whether both experiments have one thing of the same name there."""
    now, before = (_use(value_at(data, path)) for data in (draft.data, draft.began))
    return now is not None and now == before


def _use(value: Any) -> Any:
    return value.get("use") if isinstance(value, Mapping) else value


def _value(draft: Draft, path: str, full: Mapping[str, Any]) -> Any:
    """The value as it was written; a default where nothing was, 0 for the weight of no term."""
    term = path.rpartition(".")[0]
    if path.endswith(".weight") and ".terms." in path and value_at(draft.data, term) is None:
        return 0.0
    given = value_at(draft.data, path)
    return copy.deepcopy(value_at(full, path) if given is None else given)
