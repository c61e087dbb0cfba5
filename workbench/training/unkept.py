"""A training of which nothing is kept: no row, no checkpoint, no look at the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.training.journal import CheckpointRow, Command, Event
from workbench.training.meter import Meter


class Unprobed:
    """Looks at nothing: where a model's head is not what people will judge, or nobody looks."""

    accuracy: float | None = None

    def at(self, step: int, meter: Meter, *, force: bool = False) -> None:
        """Leaves the model alone."""


class Unkept:
    """Writes no checkpoint."""

    def by_clock(self, step: int) -> None:
        """Nothing."""

    def now(self, step: int, reason: str) -> None:
        """Nothing."""


class Unrecorded:
    """A recorder that forgets, and that nobody commands."""

    run, folder = "", Path()

    def update(self, **fields: Any) -> None:
        """Forgotten."""

    def metrics(
        self,
        series: str,
        columns: Sequence[str],
        steps: np.ndarray,
        values: np.ndarray,
        **row_fields: Any,
    ) -> None:
        """Forgotten."""

    def drop_metrics_after(self, step: int) -> None:
        """There are none."""

    def last_step(self, series: str) -> int:
        """There is none."""
        return -1

    def read(self, series: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Nothing."""
        return [], np.zeros(0, np.int64), np.zeros((0, 0))

    def commands(self) -> list[Command]:
        """None."""
        return []

    def apply(self, command: Command, step: int, payload: Mapping[str, Any]) -> None:
        """Forgotten."""

    def refuse(self, command: Command, reason: str) -> None:
        """Forgotten."""

    def event(self, event: Event) -> None:
        """Forgotten."""

    def events(self) -> list[Event]:
        """None."""
        return []

    def snapshot(
        self, step: int, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> None:
        """Forgotten."""

    def snapshot_steps(self) -> list[int]:
        """None."""
        return []

    def checkpoint(self, step: int, state: Any, *, reason: str, accuracy: float | None) -> None:
        """Forgotten."""

    def last_checkpoint(self) -> CheckpointRow | None:
        """None."""
        return None
