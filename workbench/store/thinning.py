"""Which probe arrays and checkpoints of a run go when its folders outgrow their budget.

Pure functions from rows to steps. What always stays: the journal and every metric (they lie in the
store), the first and the last snapshot, the grid that every run has, the snapshots beside a mark,
the last and the best checkpoint. A fork that exists has files of its own (links); what a fork to
come needs is a checkpoint not far before its step, so checkpoints are thinned to an even spread.
"""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import BadInput
from workbench.training.grid import grid

VARIABLE = "WORKBENCH_RUN_BUDGET"
DEFAULT_BUDGET = 2 << 30
"""Bytes of snapshots and checkpoints of one run, its teacher and controls included: 2 GiB."""
SPREAD = 8
"""Checkpoints made by the clock that stay, spread over the steps; the best may come on top."""
NEWEST = 2
"""Newest of them that go last: of two, one may turn out to be damaged."""
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12} | {
    "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40
}  # fmt: skip
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)


@dataclass(frozen=True)
class Kept:
    """A snapshot or a checkpoint that a run keeps.

    Attributes:
        step: Of the student, or of the part.
        bytes: Of its file.
        reason: Of a checkpoint: ``time``, ``pause``, ``stop``, ``asked`` or ``end``; else "".
        accuracy: Of a checkpoint, on the probe split.
    """

    step: int
    bytes: int
    reason: str = ""
    accuracy: float | None = None

    @classmethod
    def of(cls, row: Any) -> Kept:
        """From a row of the store."""
        reason, accuracy = getattr(row, "reason", ""), getattr(row, "accuracy", None)
        return cls(int(row.step), int(row.bytes), str(reason), accuracy)


def run_budget() -> int:
    """Bytes that a run's snapshots and checkpoints may take: ``WORKBENCH_RUN_BUDGET``, or 2 GiB.

    Raises:
        BadInput: If the variable holds no size.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return DEFAULT_BUDGET
    found = _SIZE.fullmatch(text)
    if found is None or found[2].upper() not in _UNITS:
        raise BadInput(
            f"{VARIABLE}={text!r} is no size. Write bytes, or a number with a unit: 500MB, 2GiB."
        )
    return int(float(found[1]) * _UNITS[found[2].upper()])


def surplus_checkpoints(
    checkpoints: Sequence[Kept], *, over: int = 0, needed: Collection[int] = ()
) -> list[int]:
    """Steps of checkpoints to drop, in the order in which they go.

    Of those made by the clock more than ``SPREAD`` go in any case. To save ``over`` bytes, more of
    them go, then those of a pause or on demand; never the last, nor the best.

    Args:
        checkpoints: Of one row, in any order.
        over: Bytes to save.
        needed: Steps that another run takes its model from.
    """
    rows = {row.step: row for row in sorted(checkpoints, key=lambda row: row.step)}
    if not rows:
        return []
    scored = [row for row in rows.values() if row.accuracy is not None]
    best = max(scored, key=lambda row: (row.accuracy, row.step), default=None)
    fixed = {max(rows), *needed} | ({best.step} if best is not None else set())
    timed = [step for step, row in rows.items() if row.reason == "time" and step not in fixed]
    gone: list[int] = []
    saved, surplus = 0, len(timed) - SPREAD
    for step in _closest_first(list(rows), timed[:-NEWEST]):
        if len(gone) >= surplus and saved >= over:
            return gone
        gone.append(step)
        saved += rows[step].bytes
    left = [step for step in rows if step not in gone]
    for step in _closest_first(left, [step for step in left if step not in fixed]):
        if saved >= over:
            break
        gone.append(step)
        saved += rows[step].bytes
    return gone


def surplus_snapshots(
    snapshots: Sequence[Kept], *, over: int, steps: int, marks: Collection[int] = ()
) -> list[int]:
    """Steps of snapshots to drop, to save ``over`` bytes if that many may go.

    The one that lies closest between its neighbours goes first, so what stays is spread evenly.

    Args:
        snapshots: Of one run, in any order.
        over: Bytes to save.
        steps: Planned end, for the grid.
        marks: Steps at which something was changed: the snapshots just before and after stay.
    """
    rows = {row.step: row for row in sorted(snapshots, key=lambda row: row.step)}
    known = list(rows)
    fixed = grid(steps) | set(known[:1]) | set(known[-1:])
    for mark in marks:
        fixed |= set([step for step in known if step <= mark][-1:])
        fixed |= set([step for step in known if step > mark][:1])
    gone: list[int] = []
    saved = 0
    for step in _closest_first(known, [step for step in known if step not in fixed]):
        if saved >= over:
            break
        gone.append(step)
        saved += rows[step].bytes
    return gone


def _closest_first(steps: Sequence[int], spare: Collection[int]) -> Iterator[int]:
    """The spare steps, each time the one whose going leaves the smallest gap; step 0 is an end.

    Args:
        steps: All that are there, rising.
        spare: Those that may go.
    """
    before = dict(zip(steps, [0, *steps], strict=False))
    after = dict(zip(steps, [*steps[1:], None], strict=False))

    def gap(step: int) -> int:
        end = after[step]
        return (step if end is None else end) - before[step]

    heap = [(gap(step), step) for step in spare]
    heapq.heapify(heap)
    wanted = set(spare)
    while heap:
        size, step = heapq.heappop(heap)
        if step not in wanted or size != gap(step):
            continue  # said again since, with a larger gap
        yield step
        wanted.discard(step)
        left, right = before[step], after[step]
        if left in after:
            after[left] = right
        if right is not None:
            before[right] = left
        for near in (left, right):
            if near in wanted and near is not None:
                heapq.heappush(heap, (gap(near), near))
