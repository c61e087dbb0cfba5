"""Numbers of each step, kept on the device and written a few times a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor

from workbench.training.journal import Recorder

FLUSH_SECONDS = 0.1
FLUSH_ROWS = 256
TRAIN = "train"


class Meter:
    """Collects the weighted terms of each step.

    No host sync a step: on an accelerator the rows stay there until they are written.

    Args:
        recorder: Where rows go.
        columns: Names of the numbers of a step; the first is the loss.
        refuse: Told the step (as it is counted while it runs) and the numbers of the first row
            whose loss is no finite number; raises.
    """

    def __init__(
        self,
        recorder: Recorder,
        columns: list[str],
        refuse: Callable[[int, dict[str, float]], None],
    ) -> None:
        self._recorder = recorder
        self._columns = columns
        self._refuse = refuse
        self._steps: list[int] = []
        self._rows: list[Tensor | list[float]] = []
        self._rates: list[list[float]] = []
        self._last_flush = time.perf_counter()
        self._last_step_at = self._last_flush
        self.step_seconds = 0.0

    def add(
        self, step: int, row: Tensor | list[float], rate: float, played: Sequence[float] = ()
    ) -> None:
        """Keep the numbers of a finished step (steps count from 1).

        Args:
            step: Optimiser steps done.
            row: Loss, weighted terms, logs.
            rate: Learning rate.
            played: Numbers of the players, which have been on the host.
        """
        now = time.perf_counter()
        spent, self._last_step_at = now - self._last_step_at, now
        self.step_seconds = (
            spent if self.step_seconds == 0 else 0.9 * self.step_seconds + 0.1 * spent
        )
        self._steps.append(step)
        self._rows.append(row)
        self._rates.append([*played, rate])
        if now - self._last_flush >= FLUSH_SECONDS or len(self._steps) >= FLUSH_ROWS:
            self.flush()

    def rename(self, columns: list[str]) -> None:
        """The numbers of the next steps have these names; what is kept is written first."""
        if columns != self._columns:
            self.flush()
            self._columns = columns

    def flush(self) -> None:
        """Write what is kept, with step and speed of the run's row."""
        if not self._steps:
            return
        values = _table(self._rows)
        self._check(values)
        table = np.column_stack([values, np.asarray(self._rates)])
        speed = 1 / self.step_seconds if self.step_seconds > 0 else None
        self._recorder.metrics(
            TRAIN,
            [*self._columns, "lr"],
            np.asarray(self._steps, np.int64),
            table,
            step=self._steps[-1],
            rate=speed,
        )
        self._steps.clear()
        self._rows.clear()
        self._rates.clear()
        self._last_flush = time.perf_counter()

    def _check(self, values: np.ndarray) -> None:
        bad = np.flatnonzero(~np.isfinite(values[:, 0]))
        if len(bad):
            row = dict(
                zip(self._columns, values[bad[0]].tolist(), strict=False)
            )  # players come after
            self._refuse(self._steps[bad[0]] - 1, row)

    def skip_time(self) -> None:
        """Leave the time since the last step (a pause) out of the speed."""
        self._last_step_at = time.perf_counter()


def _table(rows: list[Tensor | list[float]]) -> np.ndarray:
    """Rows as one array, float64, shape (N, columns); those on a device come over together."""
    if isinstance(rows[0], list):
        return np.asarray(rows, np.float64)
    return torch.stack(cast(list[Tensor], rows)).double().cpu().numpy()
