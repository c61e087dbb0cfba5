"""The one stage loop: it trains teacher, student and control alike, and names no method.

Read top to bottom: commands, a batch, the players' moves, the loss, one optimiser step, what is
remembered and recorded.
Everything drawn is a pure function of (seed, component, step), so a resumed run has the same bits.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from workbench.training.boundary import Boundary
from workbench.training.journal import Recorder
from workbench.training.meter import Meter
from workbench.training.objective import refuse_non_finite
from workbench.training.part import Part
from workbench.training.probing import Prober

CHECKPOINT_SECONDS = 10.0


@dataclass(frozen=True)
class Outcome:
    """How a training ended: at which step, and whether it was stopped before its end."""

    step: int
    stopped: bool
    seconds: float


def train(
    part: Part, meter: Meter, boundary: Boundary, prober: Prober, keep: Keeping, *, start: int
) -> Outcome:
    """Train from step ``start`` to the end, or until somebody stops it.

    Raises:
        NonFiniteLoss: If a term becomes NaN or infinite; the model is not stepped with it.
        DiskFull: If something cannot be written.
    """
    began, on_host = time.perf_counter(), part.device.type == "cpu"
    part.train_mode()
    prober.at(start, meter, force=True)
    step = start
    while True:
        if boundary.at(step):
            meter.skip_time()
        if boundary.stopped or step >= part.steps:  # what applies at the end may move it
            break
        batch = part.batch(step)
        for player in part.players:
            player.move(part, batch, step)
        taps, found = part.forward(batch, step)
        row: list[float] | Tensor
        if on_host:
            row = refuse_non_finite(found, batch, part.objective.names, step)
        else:  # a look would wait for the device: the meter looks when it writes
            row = found.row()
        part.forget_gradients()
        found.total.backward()  # type: ignore[no-untyped-call]
        rate = part.set_rate(step)
        part.optimiser.step()
        part.learned(batch, taps)
        step += 1
        meter.add(step, row, rate, part.played())
        prober.at(step, meter, force=step == part.steps)
        keep.by_clock(step)
        boundary.wait(step)
    keep.now(step, "stop" if boundary.stopped else "end")
    return Outcome(step, boundary.stopped, time.perf_counter() - began)


class Keeping(Protocol):
    """Writes checkpoints, or does not."""

    def by_clock(self, step: int) -> None:
        """Write one if it is time."""

    def now(self, step: int, reason: str) -> None:
        """Write one."""


class Keep:
    """Writes checkpoints: by the clock, at a pause, a stop and the end.

    Args:
        part: What is trained.
        recorder: Where checkpoints go.
        meter: Its rows are written first, so that a checkpoint is never ahead of them.
        state: Makes the state tree of a step.
        accuracy: Last probed accuracy of the model, or None.
    """

    def __init__(
        self,
        part: Part,
        recorder: Recorder,
        meter: Meter,
        state: Callable[[int], Any],
        accuracy: Callable[[], float | None],
    ) -> None:
        self._part = part
        self._recorder = recorder
        self._meter = meter
        self._state = state
        self._accuracy = accuracy
        self._last = time.perf_counter()

    def by_clock(self, step: int) -> None:
        """At most one every ten seconds."""
        if time.perf_counter() - self._last >= CHECKPOINT_SECONDS and step < self._part.steps:
            self.now(step, "time")

    def now(self, step: int, reason: str) -> None:
        """Write one; a resumed run goes on from it, so no row up to ``step`` may be missing."""
        self._meter.flush()
        self._part.refuse_broken(step)
        self._recorder.checkpoint(step, self._state(step), reason=reason, accuracy=self._accuracy())
        self._last = time.perf_counter()
