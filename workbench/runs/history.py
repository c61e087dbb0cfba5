"""What the store holds of one run, read once and kept: each look reads only what is new.

Unusual here: a resumed worker rewrites what lies beyond its checkpoint, so a new ``resumed`` event
in the journal makes everything be read again. Shapes: S = snapshots, M = logged steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from workbench.runs.beside import Beside
from workbench.runs.results import over_seeds
from workbench.runs.train_rows import Learned
from workbench.store import RunRow, Snapshot, Store
from workbench.store.metrics import Series
from workbench.training.journal import Event
from workbench.training.timeline import SET

PROBE = "probe"
TRAIN = "train"
SELECTION = "selection"
EMPTY = Series((), np.zeros(0, np.int64), np.zeros((0, 0)))


@dataclass(frozen=True)
class Answered:
    """Who has which probe sample right at one snapshot.

    Attributes:
        step: Of the snapshot.
        student: Bool, shape (n,).
        teacher: The same of the teacher that stood then.
    """

    step: int
    student: np.ndarray
    teacher: np.ndarray

    @classmethod
    def of(cls, snapshot: Snapshot, before: Sequence[Answered] = ()) -> Answered:
        """From a snapshot's answers; a teacher that says what it said ``before`` is kept once."""
        labels, mine, theirs = (
            snapshot.arrays[f"answers.{name}"]
            for name in ("labels", "student_class", "teacher_class")
        )
        teacher = theirs == labels
        for one in before:
            if np.array_equal(one.teacher, teacher):
                teacher = one.teacher
        return cls(snapshot.step, mine == labels, teacher)


@dataclass
class History:
    """Everything that the page shows of one run.

    Attributes:
        row: The student's row as last read.
        events: The journal, in order of step.
        steps: Steps that have a snapshot, rising.
        latest: The newest snapshot, or None.
        similarity: Unbiased CKA of each snapshot, (Lt, Ls) each.
        tables: Who is right, of each snapshot, (2, 2) each.
        right: Who of the samples the student had right at the first snapshot, (n,), or None.
        rights: The same of each snapshot that measured it, (n,) each.
        answered: Who has which probe sample right at each snapshot that keeps both answers.
        pulls: Each snapshot that measured the terms' pull: step, names, norms (R,), cosines (R, R).
        train: Weighted terms of each step.
        probe: The student's accuracy and NLL on the probe split.
        control: The control's, the same.
        beside: Layer similarity of the control.
        learned: Who is right on training rows, of each snapshot that looked at some.
        teacher: The teacher's own curve while it trains, the same.
        selection: What a data policy chose in each epoch; empty without one.
        times: Step of each snapshot and when it was written, in seconds since the epoch.
        checkpoint: Step of the newest checkpoint, or None.
        over_seeds: What the seeds of its setting say together, once it has ended; None alone.
    """

    row: RunRow
    events: list[Event] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    latest: Snapshot | None = None
    similarity: list[np.ndarray] = field(default_factory=list)
    tables: list[np.ndarray] = field(default_factory=list)
    right: np.ndarray | None = None
    rights: list[np.ndarray] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    pulls: list[tuple[int, list[str], np.ndarray, np.ndarray]] = field(default_factory=list)
    train: Series = EMPTY
    probe: Series = EMPTY
    control: Series = EMPTY
    beside: Beside = field(default_factory=Beside)
    learned: list[Learned] = field(default_factory=list)
    teacher: Series = EMPTY
    selection: Series = EMPTY
    times: list[tuple[int, float]] = field(default_factory=list)
    checkpoint: int | None = None
    over_seeds: dict[str, Any] | None = None

    @classmethod
    def load(cls, store: Store, run: str) -> History:
        """Read a run from its beginning.

        Raises:
            UnknownRun: If the store has no such run.
        """
        history = cls(store.runs.get(run))
        history.refresh(store)
        return history

    def refresh(self, store: Store) -> None:
        """Read what has been written since the last look."""
        run = self.row.id
        # The row is read first: whatever it tells of is then at least as new.
        self.row = store.runs.get(run)
        events = store.journal.events(run)
        if _resumptions(events) != _resumptions(self.events) and self.steps:
            self._forget()
        self.events = events
        known = len(self.steps)
        for snapshot in store.snapshots(run, after=self.steps[-1] if self.steps else -1):
            self._add(snapshot)
        if len(self.steps) != known:
            self.times = store.snapshot_times(run)
        self.train = _longer(store, run, TRAIN, self.train)
        self.probe = _longer(store, run, PROBE, self.probe)
        self.selection = _longer(store, run, SELECTION, self.selection)
        if self.row.experiment.get("control"):
            self.control = _longer(store, f"{run}-control", PROBE, self.control)
            self.beside.read(store, f"{run}-control")
        if not self.steps:
            self.teacher = _longer(store, f"{run}-teacher", PROBE, self.teacher)
        checkpoints = store.checkpoints(run)
        self.checkpoint = int(checkpoints[0].step) if checkpoints else None
        if self.row.cohort is not None and not self.row.active:
            self.over_seeds = over_seeds(store, run)

    @property
    def student_accuracy(self) -> float | None:
        """Of the student on the probe split, in [0, 1]: at the newest snapshot if it measured it.

        Its metric may be written up to 50 ms after the snapshot: the last one is of another step.
        """
        if self.latest is not None and "trilateral.student_right" in self.latest.arrays:
            return float(np.mean(self.latest.arrays["trilateral.student_right"]))
        return float(self.probe.column("accuracy")[-1]) if len(self.probe.steps) else None

    @property
    def teacher_accuracy(self) -> float | None:
        """Of the teacher on the probe split, in [0, 1]; from the snapshot where there is one."""
        if self.latest is not None and "trilateral.teacher_right" in self.latest.arrays:
            return float(np.mean(self.latest.arrays["trilateral.teacher_right"]))
        told = ((self.row.protocol or {}).get("teacher") or {}).get("probe") or {}
        accuracy = told.get("accuracy")
        return None if accuracy is None else float(accuracy)

    @property
    def marks(self) -> list[dict[str, Any]]:
        """Changes that people made or planned, numbered, with the words of a journal line."""
        return marks_of(self.events)

    def _add(self, snapshot: Snapshot) -> None:
        self.steps.append(snapshot.step)
        self.latest = snapshot
        if "cka.unbiased" in snapshot.arrays:
            found = snapshot.arrays["cka.unbiased"]
            if self.similarity and self.similarity[-1].shape != found.shape:
                self.similarity = []  # another teacher, other layers: no cell goes on
            self.similarity.append(found)
        if "loyalty.table" in snapshot.arrays:
            self.tables.append(snapshot.arrays["loyalty.table"])
            self.rights.append(snapshot.arrays["loyalty.student_right"] > 0)
            if self.right is None:
                self.right = self.rights[0]
        if "answers.labels" in snapshot.arrays:
            self.answered.append(Answered.of(snapshot, self.answered[-1:]))
        if "balance.norm" in snapshot.arrays and "balance" in snapshot.facts:
            names = [str(name) for name in snapshot.facts["balance"]["terms"]]
            norms, cosines = (snapshot.arrays[f"balance.{name}"] for name in ("norm", "cosine"))
            self.pulls.append((snapshot.step, names, norms, cosines))
        learned = Learned.of(snapshot)
        if learned is not None:
            self.learned.append(learned)

    def _forget(self) -> None:
        self.steps, self.similarity, self.tables, self.rights = [], [], [], []
        self.answered, self.learned, self.pulls, self.beside = [], [], [], Beside()
        self.latest = self.right = None
        self.train = self.probe = self.control = self.selection = EMPTY


def marks_of(events: Sequence[Event]) -> list[dict[str, Any]]:
    """Changes of a journal in order, numbered: ``step``, ``number``, ``text``."""
    changes = [event for event in events if event.kind == SET]
    return [
        {"step": event.step, "number": number, "text": f"{change_words(event)}, {event.who}"}
        for number, event in enumerate(changes, start=1)
    ]


def looks(store: Store, run: str, *, upto: int) -> Iterator[History]:
    """The run as it stood at each of its snapshots, oldest first.

    Args:
        store: Where it is read.
        run: Its id.
        upto: Last step of interest.

    Yields:
        One and the same object, carried on; without metrics, and with the events before the step.

    Raises:
        UnknownRun: If the store has no such run.
    """
    history = History(store.runs.get(run))
    events = store.journal.events(run)
    history.beside.read(store, f"{run}-control")
    for step in store.snapshot_steps(run):
        if step > upto:
            return
        # One at a time: a long run's snapshots need not be in memory together.
        for snapshot in store.snapshots(run, after=step - 1, upto=step):
            history._add(snapshot)
            history.events = [event for event in events if event.step < step]
            yield history


def change_words(event: Event) -> str:
    """``kd.temperature: 4 → 2``, with why."""
    payload = event.payload
    path = ".".join(str(payload["path"]).split(".")[2:]) or str(payload["path"])
    words = f"{path.removeprefix('terms.')}: {_word(payload['before'])} → {_word(payload['after'])}"
    note = f" ({payload['note']})" if payload.get("note") else ""
    return f"{words}{note}"


def _word(value: Any) -> str:
    text = "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else text[:37] + "..."


def decimate(steps: np.ndarray, values: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``limit`` of the rows, keeping each column's extremes in every bucket.

    Args:
        steps: Rising, shape (M,).
        values: Shape (M, R); NaN is nobody's extreme.
        limit: Rows to keep, >= 2 R + 2.

    Returns:
        Steps and values of the rows kept, first and last row included; all when they fit.
    """
    total, terms = values.shape
    if total <= limit:
        return steps, values
    buckets = max((limit - 2) // max(2 * terms, 1), 1)
    edges = np.linspace(0, total, buckets + 1).astype(np.int64)
    lows = np.where(np.isnan(values), np.inf, values)
    highs = np.where(np.isnan(values), -np.inf, values)
    kept = {0, total - 1}
    for low, high in pairwise(edges):
        kept.update((low + lows[low:high].argmin(axis=0)).tolist())
        kept.update((low + highs[low:high].argmax(axis=0)).tolist())
    rows = np.asarray(sorted(kept))
    return steps[rows], values[rows]


def _resumptions(events: Sequence[Event]) -> int:
    return sum(event.kind == "resumed" for event in events)


def _longer(store: Store, run: str, name: str, known: Series) -> Series:
    """The series with its new rows."""
    fresh = store.metrics.read(run, name, after=int(known.steps[-1]) if len(known.steps) else -1)
    if not len(fresh.steps):
        return known
    if not len(known.steps):
        return fresh
    if fresh.columns != known.columns:
        return store.metrics.read(run, name)
    steps = np.concatenate([known.steps, fresh.steps])
    return Series(known.columns, steps, np.concatenate([known.values, fresh.values]))
