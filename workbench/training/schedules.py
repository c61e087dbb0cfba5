"""Learning-rate schedules as pure functions of the step: nothing to save, nothing to restore.

``factor(step, steps)`` multiplies ``optimiser.lr``: the rate stays a live knob under any schedule.
"""

from __future__ import annotations

import math
from abc import abstractmethod

from pydantic import Field

from workbench.registries import SCHEDULES
from workbench.specs.stage import ScheduleSpec


class Schedule(ScheduleSpec):
    """Base of the schedules."""

    @abstractmethod
    def factor(self, step: int, steps: int) -> float:
        """Factor of the peak rate at a step in [0, steps); at least 0, at most 1."""

    def phases(self, steps: int) -> list[tuple[str, int, int]]:
        """Named spans (name, first step, last step) for the page's time line."""
        return [(self.use, 0, steps)]


@SCHEDULES.register("constant")
class Constant(Schedule):
    """The peak rate throughout."""

    def factor(self, step: int, steps: int) -> float:
        """Always 1."""
        return 1.0


@SCHEDULES.register("cosine")
class Cosine(Schedule):
    """From the peak down to ``final`` along half a cosine, after a linear warm-up."""

    warmup: float = Field(0.0, ge=0, lt=1, description="Share of the steps that warm up linearly.")
    final: float = Field(0.0, ge=0, le=1, description="Factor at the last step.")

    def factor(self, step: int, steps: int) -> float:
        """Loshchilov and Hutter 2017, arXiv:1608.03983, without restarts."""
        start = round(self.warmup * steps)
        if step < start:
            return (step + 1) / start
        share = (step - start) / max(steps - start, 1)
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * share)) / 2

    def phases(self, steps: int) -> list[tuple[str, int, int]]:
        """Warm-up, then decay."""
        start = round(self.warmup * steps)
        spans = [("warm-up", 0, start)] if start else []
        return [*spans, ("cosine decay", start, steps)]


@SCHEDULES.register("one-cycle")
class OneCycle(Schedule):
    """Up from a small rate to the peak, then down to almost nothing, both along cosines."""

    rise: float = Field(0.3, gt=0, lt=1, description="Share of the steps that rise.")
    first: float = Field(0.04, gt=0, le=1, description="Factor at the first step.")

    def factor(self, step: int, steps: int) -> float:
        """Smith and Topin 2019, arXiv:1708.07120."""
        top = self.rise * steps
        if step < top:
            return 1 - (1 - self.first) * (1 + math.cos(math.pi * step / top)) / 2
        share = (step - top) / max(steps - top, 1)
        return (1 + math.cos(math.pi * share)) / 2

    def phases(self, steps: int) -> list[tuple[str, int, int]]:
        """Rise, then fall."""
        top = round(self.rise * steps)
        return [("rise", 0, top), ("fall", top, steps)]


@SCHEDULES.register("step")
class StepDecay(Schedule):
    """The peak rate, divided by ``divide`` at each of the given shares of the steps."""

    at: list[float] = Field([0.5, 0.75], min_length=1, description="Shares of the steps, rising.")
    divide: float = Field(10.0, gt=1, le=1e6, description="Divisor at each.")

    def factor(self, step: int, steps: int) -> float:
        """He et al. 2016's stair."""
        return float(self.divide ** -sum(step >= share * steps for share in self.at))

    def phases(self, steps: int) -> list[tuple[str, int, int]]:
        """One span a stair."""
        edges = [0, *(round(share * steps) for share in self.at), steps]
        return [(f"stair {i + 1}", edges[i], edges[i + 1]) for i in range(len(edges) - 1)]
