"""When probes run and what they leave: one shared forward, arrays of one step, headline numbers.

Cadence: at the first and last step, on a fixed grid of at least 12 a run (so that a run and its
replay have steps in common), and between as often as 3 % of wall-clock allows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from workbench.data.images import ImageData
from workbench.functional.scoring import nll
from workbench.models.adapter import ModelAdapter
from workbench.models.batch import UNLABELLED
from workbench.probes.answers import answers
from workbench.probes.probe import Pair, Probe, ProbeKind
from workbench.probes.view import Look, Pulls, Rows, TrainRows, look
from workbench.randomness import permutation
from workbench.training.grid import LOOKS, grid
from workbench.training.journal import Recorder
from workbench.training.meter import Meter

SHARE = 0.03
"""Of wall-clock that probes may take."""
GRID = LOOKS
MARGIN = 0.9
"""Of that share which looks between the grid's may use up: the next grid step comes in any case."""
SIMILAR_ROWS = 256
"""Probe rows of the live similarity map."""
MIN_SECONDS = 0.2
"""Between two snapshots: the page draws at most four a second."""
PROBE = "probe"


class Prober(Protocol):
    """Looks at the model between steps."""

    def at(self, step: int, meter: Meter, *, force: bool = False) -> None:
        """Probe if it is time to."""


def probe_rows(data: ImageData, kinds: Iterable[ProbeKind] = ()) -> Rows:
    """The fixed rows of a run: its probe and validation splits, and training rows if asked for.

    Args:
        data: As the student sees it.
        kinds: Probes of the experiment. If one wants training rows, as many are drawn as the probe
            split has, the same for every seed.
    """
    probe = data.fetch_full(data.split_ids("probe"))
    val = data.fetch_full(data.split_ids("val"))
    return Rows(
        probe.ids.cpu(),
        probe.inputs,
        probe.labels.cpu(),
        val.inputs,
        val.labels.cpu(),
        min(SIMILAR_ROWS, len(probe.ids)),
        train_rows(data, len(probe.ids)) if any(kind.wants_train for kind in kinds) else None,
    )


def train_rows(data: ImageData, most: int) -> TrainRows:
    """At most so many training rows that have a class, drawn once and for all."""
    ids = data.split_ids("train")
    ids = ids[data.examples.labels[ids] != UNLABELLED]
    drawn = permutation(0, "training rows that are probed", 0, len(ids))[:most]
    batch = data.fetch_full(np.sort(ids[drawn]))
    return TrainRows(batch.ids.cpu(), batch.inputs, batch.labels.cpu())


class BudgetCadence:
    """Probes on a grid, and between as often as the budget allows.

    Args:
        steps: Planned end, which a change of the batch size or the length may move.
        share: Of wall-clock that probing may take.
        among: Steps that may be looked at off the grid; all if not given.
    """

    def __init__(
        self,
        steps: int | Callable[[], int],
        *,
        share: float = SHARE,
        among: Collection[int] | None = None,
    ) -> None:
        self._planned = steps if callable(steps) else lambda: steps
        self._steps = -1
        self._grid: set[int] = set()
        self._share = share
        self._among = None if among is None else frozenset(among)
        self._began = self._last = time.perf_counter()
        self._spent = 0.0
        self._cost = 0.0

    def due(self, step: int) -> bool:
        """Whether the grid or the budget asks for a look."""
        if self._planned() != self._steps:
            self._steps = self._planned()
            self._grid = grid(self._steps, GRID)
        if step in self._grid:
            return True
        if self._among is not None and step not in self._among:
            return False
        now = time.perf_counter()
        if now - self._last < MIN_SECONDS:
            return False
        return self._spent + self._cost <= MARGIN * self._share * (now - self._began)

    def took(self, seconds: float) -> None:
        """Account for a look that has just ended."""
        self._spent += seconds
        self._cost = max(seconds, 0.5 * self._cost)
        self._last = time.perf_counter()

    @property
    def share(self) -> float:
        """Share of wall-clock spent so far, in [0, 1]."""
        return self._spent / max(time.perf_counter() - self._began, 1e-9)


class Cadence(Protocol):
    """Says when to probe."""

    def due(self, step: int) -> bool:
        """Whether to look at this step."""

    def took(self, seconds: float) -> None:
        """A look has just ended and took so long."""

    @property
    def share(self) -> float:
        """Share of wall-clock spent so far, in [0, 1]."""


class HeadlineProber:
    """Accuracy and NLL on the probe split: a curve of the teacher or the control.

    Args:
        model: Left exactly as found.
        rows: The fixed rows.
        cadence: When to look.
        recorder: Where it goes.
    """

    def __init__(
        self, model: ModelAdapter, rows: Rows, *, cadence: Cadence, recorder: Recorder
    ) -> None:
        self.cadence = cadence
        self.accuracy: float | None = None
        self._model, self._rows, self._recorder = model, rows, recorder

    def at(self, step: int, meter: Meter, *, force: bool = False) -> None:
        """Probe if it is time."""
        if not force and not self.cadence.due(step):
            return
        meter.flush()
        started = time.perf_counter()
        headline = _headline(self._look(step), self._rows)
        self.accuracy = headline["accuracy"]
        _write(self._recorder, step, headline)
        self._told()
        self.cadence.took(time.perf_counter() - started)
        meter.skip_time()

    def _look(self, step: int) -> Look:
        return look(self._model, self._rows, (), val=False)

    def _told(self) -> None:
        """The teacher's and the control's share of time is nobody's concern."""


class StudentProber(HeadlineProber):
    """Runs all probes of a run on the student; one snapshot holds the arrays of a step.

    Args:
        student: The live model; left exactly as found.
        rows: The fixed rows.
        kinds: Probes of the experiment.
        class_names: Of the data.
        cadence: When to look.
        recorder: Where it goes.
        pulls: Measures the terms at a step, for probes that ask how hard they pull.
        logs: Asks the terms what they log of each probe row, for probes that read that.
    """

    def __init__(
        self,
        student: ModelAdapter,
        rows: Rows,
        kinds: Sequence[ProbeKind],
        *,
        class_names: Sequence[str],
        cadence: Cadence,
        recorder: Recorder,
        pulls: Callable[[int], Pulls] | None = None,
        logs: Callable[[int], Mapping[str, np.ndarray]] | None = None,
    ) -> None:
        super().__init__(student, rows, cadence=cadence, recorder=recorder)
        self.needs_layers = any(kind.needs_layers for kind in kinds)
        self.needs_val = any(kind.needs_val for kind in kinds)
        self.needs_train = any(kind.wants_train for kind in kinds)
        self._kinds, self._class_names = kinds, class_names
        self._pulls = pulls if any(kind.needs_pulls for kind in kinds) else None
        self._logs = logs if any(kind.needs_log for kind in kinds) else None
        self._layers = student.facts.layers if self.needs_layers else ()
        self._probes: dict[str, Probe] = {}
        self._teacher: Look | None = None
        self._since, self._owed = -1, False

    def at(self, step: int, meter: Meter, *, force: bool = False) -> None:
        """Probe if it is time; where something was just changed, what is asked comes a step on.

        So the snapshot of a step is of what stood before anything changed there, in a run, in one
        that is resumed and in a replay.
        """
        if step == self._since:
            self._owed |= force
            return
        super().at(step, meter, force=force or self._owed)
        self._owed = False

    def changed(self, step: int) -> None:
        """The experiment has changed at this step."""
        self._since = step

    def teach(self, teacher_look: Look, teacher_layers: Sequence[str]) -> None:
        """Compare the student with this teacher from now on."""
        student_layers = self._model.facts.layers
        pair = Pair(self._rows, teacher_look, teacher_layers, student_layers, self._class_names)
        self._probes = {kind.use: kind.build(pair) for kind in self._kinds}
        self._teacher = teacher_look

    def _look(self, step: int) -> Look:
        val, train = self.needs_val, self.needs_train
        seen = look(self._model, self._rows, self._layers, val=val, train=train)
        if self._pulls is not None:
            seen = replace(seen, pulls=self._pulls(step))
        if self._logs is not None:
            seen = replace(seen, logs=self._logs(step))
        arrays: dict[str, np.ndarray] = {}
        facts: dict[str, Any] = {}
        for name, probe in self._probes.items():
            measured = probe.measure(seen)
            arrays |= {f"{name}.{key}": value for key, value in measured.arrays.items()}
            facts[name] = {"split": "probe", **measured.facts, "step": step}
        if self._teacher is not None and self._probes:
            arrays |= answers(seen.logits, self._teacher.logits, self._rows)
        self._recorder.snapshot(step, arrays, facts)
        return seen

    def _told(self) -> None:
        self._recorder.update(probe_share=self.cadence.share)  # this look's is in the next one's


class FixedCadence:
    """Probes at these steps and no others: what a journal says.

    Args:
        steps: Rising or not.
    """

    def __init__(self, steps: Iterable[int]) -> None:
        self._steps = frozenset(steps)
        self.share = 0.0

    def due(self, step: int) -> bool:
        """Whether it is one of the steps."""
        return step in self._steps

    def took(self, seconds: float) -> None:
        """Nothing depends on it."""


def _headline(seen: Look, rows: Rows) -> dict[str, float]:
    correct = (seen.logits.argmax(-1) == rows.labels).double()
    return {
        "accuracy": float(correct.mean()),
        "nll": nll(seen.logits, rows.labels) if torch.isfinite(seen.logits).all() else math.nan,
    }


def _write(recorder: Recorder, step: int, headline: Mapping[str, float]) -> None:
    if step <= recorder.last_step(PROBE):
        return  # a resumed run looks again where its checkpoint lies: the same numbers
    recorder.metrics(
        PROBE,
        list(headline),
        np.asarray([step], np.int64),
        np.asarray([list(headline.values())], np.float64),
    )
