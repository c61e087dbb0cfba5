"""All runs as short lines: what tables, cards and the queue are made of.

Unusual here: a run that has ended is read once and kept as its line, so that a list of a thousand
runs costs one small query; no block of metrics is read for any of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any, Final

from workbench.errors import UnknownRun
from workbench.runs.seeds import paired
from workbench.runs.settings import SEEDS, as_started, values_of
from workbench.specs.experiment import ExperimentSpec
from workbench.store import RunRow, Store
from workbench.store.listing import Mark, marks
from workbench.training.journal import Event

SETTLED: Final = frozenset({"finished", "stopped", "failed"})
"""Statuses of a row that moves again only if somebody resumes it."""
MOST_SETTINGS: Final = 4096
"""Experiments whose values are kept, a few KiB each."""
MANY: Final = 20
"""Rows that are read one by one at most; more are read in one go."""


@dataclass(frozen=True)
class Line:
    """A run in one line.

    Attributes:
        id: Of the run.
        name: As the experiment calls it.
        recipe: That it was made from, or None.
        seed: Of the run.
        status: What is true now.
        step: That it has reached.
        steps: Planned; 0 before the data were read.
        created_ns: When it was accepted.
        seconds: From its worker's start to its end, controls and teacher included; None before.
        slow: Whether it was stretched to be watched when it was last heard of.
        cohort: First of the runs that it was started with, or None.
        parent: That it was forked from, or None.
        teacher: Key of its teacher in the cache, or None.
        setting: Equal for runs of one experiment that differ in their seed only.
        touched: Whether somebody changed something while it trained.
        accuracy: On test by part (``student``, ``teacher``, ``control``), in [0, 1].
        num_test: Rows of the test split; 0 before the data were read.
        waits: Whether no process has taken it yet.
        error: What it failed with, or empty.
        weights: SHA-256 of the student's last weights, or empty.
        rate: Steps a second lately, or None.
        values: The experiment path by path, with what was done by hand.
        forked: Path to value as the fork changed them; None for a run that is no fork.
        forked_at: Step of its parent that it left it at, or None.
    """

    id: str
    name: str
    recipe: str | None
    seed: int
    status: str
    step: int
    steps: int
    created_ns: int
    seconds: float | None
    slow: bool
    cohort: str | None
    parent: str | None
    teacher: str | None
    setting: str
    touched: bool
    accuracy: Mapping[str, float]
    num_test: int
    waits: bool
    error: str
    weights: str
    rate: float | None
    values: Mapping[str, Any]
    forked: Mapping[str, Any] | None
    forked_at: int | None

    @property
    def group(self) -> str:
        """Head of its group; itself if it was started alone."""
        return self.cohort or self.id


class Listing:
    """Lines of a store, kept while it is open; may be asked from any thread.

    Args:
        store: Where runs lie.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[Mark, Line]] = {}

    def lines(self) -> list[Line]:
        """All runs, newest first."""
        with self._lock:
            now = marks(self._store.database)
            due = [mark.id for mark in now if not self._is_kept(mark)]
            rows = {row.id: row for row in self._read(due)}
            kept = {}
            for mark in now:
                if mark.id in rows:
                    row = rows[mark.id]
                    kept[mark.id] = (mark, line_of(row, self._events(row)))
                elif mark.id in self._kept:
                    kept[mark.id] = self._kept[mark.id]
            self._kept = kept
            return [line for _, line in kept.values()]

    def _is_kept(self, mark: Mark) -> bool:
        before = self._kept.get(mark.id)
        # The group of a settled run may still change: more seeds join it.
        return mark.written in SETTLED and before is not None and before[0] == mark

    def _events(self, row: RunRow) -> Sequence[Event]:
        """The journal of a run that has more in it than its beginning and its end."""
        settled = row.status == "finished" and not (row.protocol or {}).get("interventions")
        untouched = row.parent is None and (settled or not row.step)
        return () if untouched else self._store.journal.events(row.id)

    def _read(self, runs: Sequence[str]) -> list[RunRow]:
        if len(runs) > MANY:
            return self._store.runs.list()
        found = []
        for run in runs:
            with contextlib.suppress(UnknownRun):  # removed since its mark was read
                found.append(self._store.runs.get(run))
        return found


def line_of(row: RunRow, events: Sequence[Event] = ()) -> Line:
    """A row in short.

    Args:
        row: Of a student.
        events: Its journal, where somebody may have changed something.
    """
    protocol, result = row.protocol or {}, row.result or {}
    metrics = result.get("metrics") or {}
    started = as_started(row)
    ended = row.ended_ns if row.ended_ns and row.started_ns else None
    test = (protocol.get("splits") or {}).get("test") or {}
    return Line(
        id=row.id,
        name=row.name,
        recipe=row.recipe,
        seed=int(row.experiment.get("seed", 0)),
        status=row.status,
        step=row.step,
        steps=row.steps,
        created_ns=row.created_ns,
        seconds=(ended - (row.started_ns or 0)) / 1e9 if ended else None,
        slow=row.pace is not None,
        cohort=row.cohort,
        parent=row.parent,
        teacher=row.teacher,
        setting=_short(started),
        touched=bool(protocol.get("interventions")) or row.parent is not None,
        accuracy={
            part: float(found["accuracy"])
            for part, found in metrics.items()
            if found and found.get("accuracy") is not None
        },
        num_test=int(test.get("rows", 0)),
        waits=row.status == "queued" and row.pid is None,
        error=str((row.error or {}).get("message", "")),
        weights=str(result.get("weights") or ""),
        rate=row.rate,
        values=values_of(row.experiment, events)[1] if events else _planned(started),
        forked=_forked(row, events),
        forked_at=row.forked_at,
    )


def setting_of(spec: ExperimentSpec) -> str:
    """What :attr:`Line.setting` is for a run of this experiment."""
    kept = {key: value for key, value in spec.given().items() if key not in SEEDS}
    return _short(json.dumps(kept, sort_keys=True))


def alike(lines: Iterable[Line], setting: str) -> list[Line]:
    """Runs of a setting that ended and that nobody touched, the newest of each seed."""
    found: dict[int, Line] = {}
    for line in lines:
        if line.setting == setting and line.status == "finished" and not line.touched:
            found.setdefault(line.seed, line)
    return list(found.values())


def time_here(lines: Sequence[Line]) -> tuple[float, bool] | None:
    """Median seconds of runs, and whether they were in slow motion; None without any.

    Runs at full speed count first: slow motion is chosen, not measured.
    """
    quick = [line.seconds for line in lines if line.seconds is not None and not line.slow]
    if quick:
        return median(quick), False
    slow = [line.seconds for line in lines if line.seconds is not None]
    return (median(slow), True) if slow else None


def gain_here(lines: Sequence[Line]) -> dict[str, Any] | None:
    """Student minus control on test, seed by seed: ``mean``, ``n``, ``interval``, ``why``.

    None where no run has a control.
    """
    pairs = [
        ({"accuracy": line.accuracy["student"]}, {"accuracy": line.accuracy["control"]})
        for line in lines
        if "student" in line.accuracy and "control" in line.accuracy
    ]
    found = paired(pairs)
    return None if found is None else found["accuracy"]


@lru_cache(maxsize=MOST_SETTINGS)
def _planned(experiment: str) -> Mapping[str, Any]:
    """The values of an experiment that nobody touched: read once for all its seeds."""
    return values_of(json.loads(experiment), ())[1]


def _forked(row: RunRow, events: Sequence[Event]) -> Mapping[str, Any] | None:
    """What the fork changed, as its first line says."""
    if row.parent is None:
        return None
    told = next((event.payload for event in events if event.kind == "forked"), {})
    found: Mapping[str, Any] = told.get("set") or {}
    return found


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
