"""What a run would reach if its learning rate went to zero now: decayed on the side, in memory.

A curve at a high learning rate reads low: the weights jump around the valley whose floor only a
decay shows. So the run is trained on from its nearest checkpoint by another process, its rate
taken to zero over a few epochs, and the accuracy there is the projection. The run itself goes on
untouched; nothing is written to the store, and test is not read.

Reference:
    Hägele et al. 2024, "Scaling laws and compute-optimal training beyond fixed training
    durations", arXiv:2405.18392 (constant rate with a cooldown reads as a full schedule).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

from workbench.errors import BadInput, RefusedCommand, WorkbenchError
from workbench.runs.compare import Ledger, Recorded
from workbench.runs.objects import refuse_stored_objects, spec_of
from workbench.runs.replay import ComparingRecorder, ReplayKeeper, Told
from workbench.runs.worker import settle
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.values import value_at
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.schedules import Schedule
from workbench.training.timeline import Item, as_interventions, stands, timeline

if TYPE_CHECKING:
    import numpy as np

    from workbench.training.journal import CheckpointRow, Recorder
    from workbench.training.probing import Cadence

COVERAGE = 0.95


@dataclass(frozen=True)
class Projection:
    """What annealing found.

    Attributes:
        run: Whose.
        step: From which step on the rate decays.
        epochs: Over how many passes.
        rate: Learning rate at ``step``.
        now: Accuracy of the run's last snapshot up to ``step``, in [0, 1]; None before the first.
        now_step: That snapshot's step.
        projected: Accuracy when the rate has come to zero.
        interval: 95 % Wilson interval of ``projected`` as a share of ``n`` images: how far the
            probe images can tell, not how far longer training could still carry.
        split: Which images.
        n: How many.
        seconds: It took.
    """

    run: str
    step: int
    epochs: int
    rate: float
    now: float | None
    now_step: int | None
    projected: float
    interval: tuple[float, float]
    split: str
    n: int
    seconds: float

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def anneal(
    store: Store, run: str, epochs: int, *, at: int | None = None, told: Told | None = None
) -> Projection:
    """Project a run's accuracy, in this process, which should be a fresh one.

    Args:
        store: Where the run lies; nothing is written to it.
        run: Its id; it may train on meanwhile.
        epochs: Passes over which the rate goes to zero, >= 1.
        at: Step from which on; None is the last one that is recorded.
        told: Gets progress.

    Raises:
        BadInput: If ``epochs`` or ``at`` is out of range.
        NotSendable: If it trained a Python object of a process that is gone.
    """
    from workbench.data.images import build_data
    from workbench.functional.calibration import wilson_interval
    from workbench.training.choice import chosen
    from workbench.training.control import Options
    from workbench.training.device import configure, default_threads
    from workbench.training.session import run_session

    began = time.perf_counter()
    row = store.runs.get(run)
    refuse_stored_objects(row.experiment, run)
    at = _checked(store, row, epochs, at)
    base = Path(row.options.get("base") or ".")
    settle(base)
    configure(row.options.get("threads") or default_threads())
    spec = spec_of(row)
    spec = chosen(spec, store.journal.events(run))
    data = build_data(cast(Any, spec.data), base=base, seed=spec.seed)
    items = [item for item in timeline(spec, store.journal.events(run)) if item.step <= at]
    change, rate = _decay(stands(spec, items), data.num_train, at, epochs)
    plan = as_interventions([*items, Item(at, change, "anneal")])
    annealed = spec.replace(
        {"interventions": plan, "control": False, "plain_kd": False, "probes": []}
    )
    with TemporaryDirectory(prefix="workbench-anneal-") as folder:
        keeper = _Keeper(store, row, Ledger(), Path(folder), told)
        keeper.at = at
        end = int(change[f"stages.{spec.stage_name}.steps"])
        run_session(annealed, keeper, Options(base=base, stop_at=end, checks=False))
        projected = keeper.accuracy[-1]
    probe = store.metrics.read(run, "probe")
    before = probe.steps <= at
    n = len(data.split_ids("probe"))
    low, high = wilson_interval(round(projected * n), n, confidence=COVERAGE)
    return Projection(
        run,
        at,
        epochs,
        rate,
        float(probe.column("accuracy")[before][-1]) if before.any() else None,
        int(probe.steps[before][-1]) if before.any() else None,
        projected,
        (float(low), float(high)),
        "probe",
        n,
        time.perf_counter() - began,
    )


def _checked(store: Store, row: RunRow, epochs: int, at: int | None) -> int:
    reached = max(store.metrics.last_step(row.id, "train"), 0)
    if row.role != "student" or not reached:
        raise RefusedCommand(f"Run {row.id} has trained no step of a student yet.")
    if epochs < 1:
        raise BadInput(
            f"--epochs {epochs}: at least 1 pass is needed for the rate to come to zero."
        )
    if at is not None and not 0 < at <= reached:
        raise BadInput(f"--at {at}: run {row.id} has steps 1 to {reached} so far.")
    return reached if at is None else at


def _decay(spec: ExperimentSpec, rows: int, at: int, epochs: int) -> tuple[dict[str, Any], float]:
    """The change that takes the rate to zero, and the rate from which it falls."""
    stage, prefix = spec.stage, f"stages.{spec.stage_name}"
    planned = stage.num_steps(rows)
    peak = value_at(stage.optimiser.lr, min(at, planned - 1), planned)
    rate = peak * cast(Schedule, stage.schedule).factor(min(at, planned - 1), planned)
    end = at + epochs * stage.steps_per_epoch(rows)
    ramp = {"use": "linear", "start": rate, "end": 0.0, "begin": at / max(end - 1, 1)}
    return {
        f"{prefix}.epochs": None,
        f"{prefix}.steps": end,
        f"{prefix}.schedule": {"use": "constant"},
        f"{prefix}.optimiser.lr": ramp,
    }, rate


class _Keeper(ReplayKeeper):
    """A run on the side: it begins at a stored checkpoint and keeps its accuracy in memory.

    Attributes:
        at: Latest step whose checkpoint may be taken.
        accuracy: Of the student on the probe split at each look.
    """

    at = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.accuracy: list[float] = []

    def recorder(self, role: str) -> Any:
        """The student's begins at a checkpoint; a teacher that trains again at its beginning."""
        if role != "student":
            return super().recorder(role)
        if role not in self._parts:
            recorded = Recorded(self._store, self._run, role)
            made = _Recorder(role, recorded, self._ledger, self._folder, self._tell)
            made.keeper = self
            self._parts[role] = made
        return self._parts[role]

    def cadence(
        self,
        recorder: Recorder,
        steps: Callable[[], int],
        among: Collection[int] | None = None,
    ) -> Cadence:
        """The end is looked at in any case."""
        from workbench.training.probing import FixedCadence

        return FixedCadence(())

    def nearest(self) -> CheckpointRow | None:
        """The newest checkpoint of the run up to the step."""
        from workbench.training.journal import CheckpointRow

        folder = self._store.runs.folder(self._run)
        for row in self._store.checkpoints(self._run):
            if row.step <= self.at and (folder / row.file).is_file():
                return CheckpointRow(int(row.step), folder / row.file, str(row.reason))
        return None


class _Recorder(ComparingRecorder):
    """Compares nothing; keeps accuracy."""

    keeper: _Keeper

    def metrics(
        self,
        series: str,
        columns: Sequence[str],
        steps: np.ndarray,
        values: np.ndarray,
        **row_fields: Any,
    ) -> None:
        """Keep the accuracy of a look."""
        self._told(self._role, row_fields)
        if series == "probe":
            self.keeper.accuracy += values[:, list(columns).index("accuracy")].tolist()

    def snapshot(
        self, step: int, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> None:
        """Nothing is drawn."""

    def event(self, event: Any) -> None:
        """Nothing is journalled."""

    def last_checkpoint(self) -> CheckpointRow | None:
        """Where it begins."""
        return self.keeper.nearest()


def main(arguments: list[str]) -> int:
    """``python -m workbench.runs.anneal STORE RUN EPOCHS [AT]``: prints JSON; 0, or 2 refused."""
    url, run, epochs, *rest = arguments
    store = Store(url)
    try:
        found = anneal(store, run, int(epochs), at=int(rest[0]) if rest else None)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return BadInput.exit_code
    print(json.dumps(found.plain(), allow_nan=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
