"""Where runs came from: each with its parent, the step it left it at, and its journal marks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.errors import UnknownRun
from workbench.runs.frames import probe_rows
from workbench.runs.history import marks_of
from workbench.store.runs import RunRow
from workbench.store.store import Store


def family(store: Store, rows: Sequence[RunRow]) -> list[dict[str, Any]]:
    """Runs with the runs they were forked from, each parent before its children.

    Args:
        store: Where they lie.
        rows: Students, in the order in which they should be drawn.

    Returns:
        ``run``, ``name``, ``seed``, ``status``, ``step`` reached, ``steps`` planned, ``parent`` (an
        id that is in the list, or None), ``forked_at``, ``gone`` (a parent that was removed, or
        None), ``chosen`` (False for one that only stands there as a parent), ``depth``, ``marks``
        (``step``, ``number``, ``text``; of a fork those that are its own), ``accuracy`` at the last
        look, in [0, 1] or None, and ``n``, the rows of its probe split (0: not known).
    """
    known = {row.id: row for row in rows}
    chosen = set(known)
    gone: dict[str, str] = {}
    for row in rows:
        _add_parents(store, row, known, gone)
    children: dict[str | None, list[RunRow]] = {}
    for row in known.values():
        parent = row.parent if row.parent in known else None
        children.setdefault(parent, []).append(row)
    found: list[dict[str, Any]] = []
    waiting = [(row, 0) for row in reversed(children.get(None, []))]
    while waiting:
        row, depth = waiting.pop()
        found.append(_line(store, row, depth, chosen=row.id in chosen, gone=gone.get(row.id)))
        waiting += [(child, depth + 1) for child in reversed(children.get(row.id, []))]
    return found


def _add_parents(store: Store, row: RunRow, known: dict[str, RunRow], gone: dict[str, str]) -> None:
    while row.parent is not None and row.parent not in known:
        try:
            parent = store.runs.get(row.parent)
        except UnknownRun:  # removed between two looks
            gone[row.id] = row.parent
            return
        known[parent.id] = parent
        row = parent


def _line(
    store: Store, row: RunRow, depth: int, *, chosen: bool, gone: str | None
) -> dict[str, Any]:
    probe = store.metrics.read(row.id, "probe")
    start = row.forked_at or 0
    marks = marks_of(store.journal.events(row.id))
    return {
        "run": row.id,
        "name": row.name,
        "seed": int(row.experiment.get("seed", 0)),
        "status": row.status,
        "step": row.step,
        "steps": row.steps,
        "parent": None if gone else row.parent,
        "forked_at": row.forked_at,
        "gone": gone,
        "chosen": chosen,
        "depth": depth,
        "marks": [mark for mark in marks if mark["step"] >= start],
        "accuracy": float(probe.column("accuracy")[-1]) if len(probe.steps) else None,
        "n": _probed(store, row) if len(probe.steps) else 0,
    }


def _probed(store: Store, row: RunRow) -> int:
    return probe_rows(row, None) or probe_rows(row, store.last_snapshot(row.id))
