"""What a run records and what it is told: the words between training and whoever keeps them.

Training knows only the :class:`Recorder` protocol; the store implements it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np

    from workbench.data.images import ImageData
    from workbench.training.probing import Cadence

Status = Literal[
    "queued", "preparing", "training", "paused", "stopping",
    "stopped", "finished", "failed", "interrupted",
]  # fmt: skip
ACTIVE = frozenset({"queued", "preparing", "training", "paused", "stopping"})
"""Statuses of a run that a process works on (or will in a moment)."""
STAGE = "stage"
"""Kind of the line about an earlier stage that is done; prefix of its row's role."""
NOTE = "note"
"""Kind of a line that somebody only wrote: it changes nothing, so a replay passes over it."""
NOTE_LENGTH = 500
"""Longest note, characters."""


@dataclass(frozen=True)
class Command:
    """Something a person asked a run to do; applied at a step boundary, after it is journalled."""

    id: int
    kind: str
    who: str
    payload: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """One line of the journal: what took effect at which step.

    ``step`` is the number of optimiser steps done before it applied.
    """

    step: int
    kind: str
    who: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    command: int | None = None
    created_ns: int = 0
    id: int = 0


def part_words(role: str) -> str:
    """A part of a run as people call it: a store's ``plain_kd`` is plain KD.

    Args:
        role: Of its row.

    Example:
        >>> part_words("stage-warm-up"), part_words("control")
        ('stage warm-up', 'control')
    """
    if role.startswith(f"{STAGE}-"):
        return f"{STAGE} {role.removeprefix(f'{STAGE}-')}"
    return "plain KD" if role == "plain_kd" else role


def part_in_a_sentence(role: str) -> str:
    """The same behind ``is``: ``a control``, ``a plain KD control``, ``the earlier stage NAME``."""
    if role.startswith(f"{STAGE}-"):
        return f"the earlier {part_words(role)}"
    return f"a {part_words(role)} control" if role == "plain_kd" else f"a {role}"


def notes_of(events: Iterable[Event]) -> list[dict[str, Any]]:
    """What people wrote into a journal, in its order: ``step``, ``text``, ``who``."""
    return [
        {"step": event.step, "text": str(event.payload.get("note", "")), "who": event.who}
        for event in events
        if event.kind == NOTE
    ]


@dataclass(frozen=True)
class CheckpointRow:
    """Where a checkpoint lies and which step it holds."""

    step: int
    path: Path
    reason: str


class Recorder(Protocol):
    """Keeps what one row (student, teacher or control) of a run says; asks for its commands.

    Everything raises DiskFull when there is no space left.
    """

    run: str
    folder: Path

    def update(self, **fields: Any) -> None:
        """Change fields of the row: status, step, steps, activity, progress, rate, ..."""

    def metrics(
        self,
        series: str,
        columns: Sequence[str],
        steps: np.ndarray,
        values: np.ndarray,
        **row_fields: Any,
    ) -> None:
        """Append rows: ``steps`` int64 (N,), rising; ``values`` float64 (N, len(columns)).

        ``row_fields`` (step, rate) of the run's row change in the same transaction.
        """

    def drop_metrics_after(self, step: int) -> None:
        """Forget metrics and snapshots beyond a step (resume re-makes them)."""

    def last_step(self, series: str) -> int:
        """Highest recorded step of a series; -1 if there is none."""

    def read(self, series: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        """All rows of a series: column names, steps int64 (N,), values float64 (N, columns)."""

    def commands(self) -> list[Command]:
        """Commands that wait, oldest first."""

    def apply(self, command: Command, step: int, payload: Mapping[str, Any]) -> None:
        """Write the event of a command, durably, *before* it takes effect."""

    def refuse(self, command: Command, reason: str) -> None:
        """Answer a command that cannot be followed."""

    def event(self, event: Event) -> None:
        """Write an event that nobody commanded (start, pause by itself, end, failure)."""

    def events(self) -> list[Event]:
        """The journal so far, in order."""

    def snapshot(
        self, step: int, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> None:
        """Keep the probes' arrays of one step; ``facts`` is JSON-able."""

    def snapshot_steps(self) -> list[int]:
        """Steps that have a snapshot, rising."""

    def checkpoint(self, step: int, state: Any, *, reason: str, accuracy: float | None) -> None:
        """Keep a state tree from which training goes on at ``step``, atomically."""

    def last_checkpoint(self) -> CheckpointRow | None:
        """The newest checkpoint that can be read, or None."""


@dataclass(frozen=True)
class KeptTeacher:
    """A teacher that was trained before: its weights and what was measured of it."""

    path: Path
    weights: str
    facts: Mapping[str, Any]


class Keeper(Protocol):
    """Where a whole run keeps its parts: rows for teacher and control, and cached teachers."""

    def recorder(self, role: str) -> Recorder:
        """The recorder of the run's ``student``, ``teacher`` or a control's row."""

    def teacher(self, key: str) -> KeptTeacher | None:
        """A cached teacher by content hash."""

    def teacher_path(self, key: str) -> Path:
        """Where its weights belong."""

    def keep_teacher(self, key: str, *, weights: str, facts: Mapping[str, Any]) -> None:
        """Record a teacher whose file is written."""

    def cadence(
        self,
        recorder: Recorder,
        steps: Callable[[], int],
        among: Collection[int] | None = None,
    ) -> Cadence:
        """When a part is probed; ``steps`` tells its planned end, ``among`` where off the grid."""

    def open_run(self, name: str) -> Any:
        """The stored student behind ``RUN@last|best|STEP``, for ``run:`` models."""

    def learned_from(self, run: str) -> list[ImageData]:
        """What the student of another run was trained on, stage by stage."""
