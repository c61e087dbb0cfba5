"""The one stage loop: it trains teacher, student and control alike, and names no method.

Read top to bottom: commands, a batch, the target, the loss, one optimiser step, what is recorded.
Everything drawn is a pure function of (seed, component, step), so a resumed run has the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from workbench.data.images import ImageData
from workbench.errors import NonFiniteLoss
from workbench.models.adapter import ModelAdapter
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.training.boundary import Boundary
from workbench.training.device import reseed
from workbench.training.journal import Recorder
from workbench.training.meter import Meter
from workbench.training.objective import Objective, non_finite, refuse_non_finite
from workbench.training.probing import Prober
from workbench.training.schedules import Schedule

CHECKPOINT_SECONDS = 10.0
NO_TARGET = Taps()


@dataclass
class Part:
    """One training: a model, its data, its loss, its optimiser, its length.

    Attributes:
        seed: Of data order, augmentation, dropout and initial weights.
        target: Batch to the target's taps; None where no term has one.
        see_all_labels: True for the teacher.
    """

    model: ModelAdapter
    data: ImageData
    objective: Objective
    optimiser: torch.optim.Optimizer
    schedule: Schedule
    lr: str
    batch_size: int
    steps: int
    steps_per_epoch: int
    seed: int
    device: torch.device
    target: Callable[[Batch], Taps] | None = None
    see_all_labels: bool = False
    order: dict[int, Any] = field(default_factory=dict)

    def batch(self, step: int) -> Batch:
        """The batch of a step, varied as the data says; pure in (seed, step)."""
        epoch, offset = divmod(step, self.steps_per_epoch)
        if epoch not in self.order:
            self.order = {epoch: self.data.plan(self.seed, epoch)}
        ids = self.order[epoch][offset * self.batch_size : (offset + 1) * self.batch_size]
        batch = self.data.fetch_full(ids) if self.see_all_labels else self.data.fetch(ids)
        return self.data.transform(batch, self.seed, epoch)

    def refuse(self, step: int, row: dict[str, float]) -> None:
        """Raise for a step whose loss is no number any more; ``row`` holds its weighted terms.

        Raises:
            NonFiniteLoss: Names term, step and the ids of the batch.
        """
        bad = next((name for name in self.objective.names if not math.isfinite(row[name])), "sum")
        raise non_finite(bad, step, row["loss"], self.batch(step).ids.tolist())

    def refuse_broken(self, step: int) -> None:
        """Raise if a weight is no number any more: the last step has no next loss to tell.

        Raises:
            NonFiniteLoss: Names the parameter and the step.
        """
        for name, parameter in self.model.network.named_parameters():
            if not torch.isfinite(parameter).all():
                raise NonFiniteLoss(
                    f"The weights became NaN or infinite by step {step}, first in {name!r}. The "
                    "last good checkpoint is kept. A smaller learning rate usually cures it."
                )

    def columns(self) -> list[str]:
        """Names of the numbers of a step: the loss, then each weighted term."""
        return ["loss", *self.objective.names]

    def set_rate(self, step: int) -> float:
        """Give the optimiser the learning rate of a step."""
        rate = self.objective.knobs.at(self.lr, step) * self.schedule.factor(step, self.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate


@dataclass(frozen=True)
class Outcome:
    """How a training ended: at which step, and whether it was stopped before its end."""

    step: int
    stopped: bool
    seconds: float


def train(
    part: Part, meter: Meter, boundary: Boundary, prober: Prober, keep: Keep, *, start: int
) -> Outcome:
    """Train from step ``start`` to the end, or until somebody stops it.

    Raises:
        NonFiniteLoss: If a term becomes NaN or infinite; the model is not stepped with it.
        DiskFull: If something cannot be written.
    """
    began = time.perf_counter()
    part.model.train()
    prober.at(start, meter, force=True)
    step = start
    while step < part.steps:
        if boundary.at(step):
            meter.skip_time()
        if boundary.stopped:
            break
        batch = part.batch(step)
        target = NO_TARGET
        if part.target is not None:
            reseed(part.seed, "target", step)
            target = part.target(batch)
        reseed(part.seed, "student", step)  # dropout and drop path
        taps = part.model.taps(batch.inputs, part.objective.student_taps)
        found = part.objective(taps, target, batch, step)
        if part.device.type == "cpu":  # elsewhere it would wait for the device: the meter looks
            refuse_non_finite(found, batch, part.objective.names, step)
        part.optimiser.zero_grad(set_to_none=True)
        found.total.backward()  # type: ignore[no-untyped-call]
        rate = part.set_rate(step)
        part.optimiser.step()
        step += 1
        meter.add(step, found.row, rate)
        boundary.wait(step)
        prober.at(step, meter, force=step == part.steps)
        keep.by_clock(step)
    keep.now(step, "stop" if boundary.stopped else "end")
    return Outcome(step, boundary.stopped, time.perf_counter() - began)


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
