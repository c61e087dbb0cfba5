"""When probes run and what they leave: one shared forward, arrays of one step, headline numbers.

Cadence: at the first and last step, on a fixed grid of at least 12 a run (so that a run and its
replay have steps in common), and between as often as 3 % of wall-clock allows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from workbench.data.images import ImageData
from workbench.functional.scoring import nll
from workbench.models.adapter import ModelAdapter
from workbench.probes.probe import Pair, Probe, ProbeKind
from workbench.probes.view import Look, Rows, look
from workbench.training.journal import Recorder
from workbench.training.meter import Meter

SHARE = 0.03
"""Of wall-clock that probes may take."""
MARGIN = 0.9
"""Of that share which looks between the grid's may use up: the next grid step comes in any case."""
GRID = 12
"""Snapshots that every run has at least."""
SIMILAR_ROWS = 256
"""Probe rows of the live similarity map."""
MIN_SECONDS = 0.2
"""Between two snapshots: the page draws at most four a second."""
PROBE = "probe"


class Prober(Protocol):
    """Looks at the model between steps."""

    def at(self, step: int, meter: Meter, *, force: bool = False) -> None:
        """Probe if it is time to."""


def probe_rows(data: ImageData) -> Rows:
    """The fixed rows of a run: its probe and validation splits."""
    probe = data.fetch_full(data.split_ids("probe"))
    val = data.fetch_full(data.split_ids("val"))
    return Rows(
        probe.ids.cpu(),
        probe.inputs,
        probe.labels.cpu(),
        val.inputs,
        val.labels.cpu(),
        min(SIMILAR_ROWS, len(probe.ids)),
    )


class Cadence:
    """Decides after each step whether to probe.

    Args:
        steps: Planned end.
        share: Of wall-clock that probing may take.
    """

    def __init__(self, steps: int, *, share: float = SHARE) -> None:
        self._share = share
        self._grid = {math.ceil(i * steps / GRID) for i in range(GRID + 1)}
        self._began = self._last = time.perf_counter()
        self._spent = 0.0
        self._cost = 0.0

    def due(self, step: int) -> bool:
        """Whether the grid or the budget asks for a look."""
        if step in self._grid:
            return True
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


class StudentProber:
    """Runs all probes of a run on the student.

    Args:
        student: The live model; left exactly as found.
        teacher_look: What the frozen teacher says about the rows.
        rows: The fixed rows.
        kinds: Probes of the experiment.
        layers: Student's and teacher's layers of the similarity map.
    """

    def __init__(
        self,
        student: ModelAdapter,
        teacher_look: Look,
        rows: Rows,
        kinds: Sequence[ProbeKind],
        *,
        teacher_layers: Sequence[str],
        class_names: Sequence[str],
        steps: int,
        recorder: Recorder,
    ) -> None:
        self._student, self._rows, self._recorder = student, rows, recorder
        self._layers = student.facts.layers if any(kind.needs_layers for kind in kinds) else ()
        self._val = any(kind.needs_val for kind in kinds)
        pair = Pair(rows, teacher_look, teacher_layers, student.facts.layers, class_names)
        self._probes: dict[str, Probe] = {kind.use: kind.build(pair) for kind in kinds}
        self.cadence = Cadence(steps)
        self.accuracy: float | None = None

    def at(self, step: int, meter: Meter, *, force: bool = False) -> None:
        """Probe if it is time; one snapshot holds the arrays of all probes at this step."""
        if not force and not self.cadence.due(step):
            return
        meter.flush()
        started = time.perf_counter()
        seen = look(self._student, self._rows, self._layers, val=self._val)
        arrays: dict[str, np.ndarray] = {}
        facts: dict[str, Any] = {}
        for name, probe in self._probes.items():
            measured = probe.measure(seen)
            arrays |= {f"{name}.{key}": value for key, value in measured.arrays.items()}
            facts[name] = {**measured.facts, "split": "probe", "step": step}
        headline = _headline(seen, self._rows)
        self.accuracy = headline["accuracy"]
        self._recorder.snapshot(step, arrays, facts)
        _write(self._recorder, step, headline)
        self._recorder.update(probe_share=self.cadence.share)  # this look's is in the next one's
        self.cadence.took(time.perf_counter() - started)
        meter.skip_time()


class HeadlineProber:
    """Accuracy and NLL on the probe split only: for the teacher's and the control's curve."""

    def __init__(self, model: ModelAdapter, rows: Rows, steps: int, recorder: Recorder) -> None:
        self._model, self._rows, self._recorder = model, rows, recorder
        self.cadence = Cadence(steps)
        self.accuracy: float | None = None

    def at(self, step: int, meter: Meter, *, force: bool = False) -> None:
        """Probe if it is time."""
        if not force and not self.cadence.due(step):
            return
        meter.flush()
        started = time.perf_counter()
        headline = _headline(look(self._model, self._rows, (), val=False), self._rows)
        self.accuracy = headline["accuracy"]
        _write(self._recorder, step, headline)
        self.cadence.took(time.perf_counter() - started)
        meter.skip_time()


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
