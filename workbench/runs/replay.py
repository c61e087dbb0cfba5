"""Replay: train a run anew from its journal alone and compare every number, bit for bit.

Nothing stored is read back into the training but the journal (and a teacher by content hash, where
the cache still has it): checkpoints and probe arrays may be gone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from workbench.errors import BadInput, NonFiniteLoss, RefusedCommand, WorkbenchError
from workbench.runs.compare import Difference, Ledger, Recorded
from workbench.runs.keeper import StoreKeeper
from workbench.runs.objects import refuse_stored_objects, spec_of
from workbench.runs.results import told_metrics
from workbench.runs.worker import settle
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.journal import KeptTeacher, part_in_a_sentence
from workbench.training.timeline import played

if TYPE_CHECKING:
    import numpy as np

    from workbench.training.journal import CheckpointRow, Command, Event, Recorder
    from workbench.training.probing import Cadence

SHOWN = frozenset({"status", "activity", "progress", "step", "steps", "rate"})
REPLAYABLE = frozenset({"finished", "stopped", "failed", "interrupted", "paused"})
Told = Callable[[RunRow], None]
"""Gets the run's row as it would be if the replay were the run."""


@dataclass(frozen=True)
class Replayed:
    """What a replay found.

    Attributes:
        equal: Whether every number that both have is the same, bit for bit.
        first_difference: The first that is not.
        compared: How many numbers were compared.
        largest: Largest difference met, and where; None if all are equal.
        environment: What differs from the machine and build that recorded, in words.
        steps: The student's steps that were trained.
        seconds: It took.
        weights: Hash of the student's weights at its end.
        metrics: Test metrics of teacher, student and control.
    """

    equal: bool
    first_difference: Difference | None
    compared: int
    largest: Difference | None
    environment: list[str]
    steps: int
    seconds: float
    weights: str | None
    metrics: dict[str, Any]

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def replay(store: Store, run: str, *, told: Told | None = None) -> Replayed:
    """Train a run anew in this process, which should be a fresh one, and compare.

    Args:
        store: Where the run lies; nothing is written to it.
        run: Its id.
        told: Gets progress.

    Raises:
        RefusedCommand: If the run still trains.
        NotSendable: If it trained a Python object of a process that is gone.
    """
    from workbench.training.control import Options
    from workbench.training.device import configure, default_threads
    from workbench.training.session import run_session

    row = store.runs.get(run)
    if row.role != "student":
        raise RefusedCommand(
            f"Run {run} is {part_in_a_sentence(row.role)}; replay the whole run, {row.group}."
        )
    if row.status not in REPLAYABLE:
        raise RefusedCommand(
            f"Run {run} is {row.status}; a replay needs one that has ended or is paused."
        )
    refuse_stored_objects(row.experiment, run)
    base = Path(row.options.get("base") or ".")
    settle(base)
    configure(row.options.get("threads") or default_threads())
    spec = spec_of(row)
    spec = played(spec, store.journal.events(run))
    whole = row.status == "finished"
    last = max(store.metrics.last_step(run, "train"), 0)
    broke = (row.error or {}).get("code") == NonFiniteLoss.code  # it does so again, by itself
    until = None if whole or broke or 0 < row.steps <= last else last
    if not (whole or broke) and (spec.control or spec.plain_kd):
        spec = spec.replace({"control": False, "plain_kd": False})
    ledger, began = Ledger(), time.perf_counter()
    with TemporaryDirectory(prefix="workbench-replay-") as folder:
        keeper = ReplayKeeper(store, row, ledger, Path(folder), told)
        words = None
        try:
            run_session(spec, keeper, Options(base=base, stop_at=until, checks=False))
        except NonFiniteLoss as error:
            words = error.message
        if broke or words is not None:
            at = int(keeper.told_fields.get("step", 0))
            ledger.same(at, "error", row.error and row.error["message"], words)
        fields = keeper.told_fields
    result: dict[str, Any] = fields.get("result") or {}
    _compare_ends(row, result, fields.get("protocol") or {}, ledger)
    return Replayed(
        ledger.first is None,
        ledger.first,
        ledger.compared,
        ledger.largest,
        _environment(row.protocol or {}, fields.get("protocol") or {}),
        int(result.get("steps", fields.get("step", 0))),
        time.perf_counter() - began,
        result.get("weights"),
        result.get("metrics") or {},
    )


class ReplayKeeper(StoreKeeper):
    """Rows that are compared instead of written; teachers by hash, or trained into a folder."""

    def __init__(
        self, store: Store, row: RunRow, ledger: Ledger, folder: Path, told: Told | None
    ) -> None:
        super().__init__(store, row.id)
        self.told_fields: dict[str, Any] = {}
        self._row = replace(row, step=0, status="preparing", activity=None, rate=None)
        self._ledger, self._folder, self._told = ledger, folder, told
        self._parts: dict[str, ComparingRecorder] = {}

    def recorder(self, role: str) -> Any:
        """The recorder of a part."""
        if role not in self._parts:
            row = self._run if role == "student" else f"{self._run}-{role}"
            self._parts[role] = ComparingRecorder(
                role, Recorded(self._store, row, role), self._ledger, self._folder, self._tell
            )
        return self._parts[role]

    def teacher_path(self, key: str) -> Path:
        """A teacher that is trained again is not put into the cache."""
        return self._folder / f"teacher-{key}.safetensors"

    def keep_teacher(self, key: str, *, weights: str, facts: Mapping[str, Any]) -> None:
        """Compare it with the one in the cache, if there is one."""
        kept: KeptTeacher | None = self.teacher(key)
        if kept is not None:
            self._ledger.same(0, "teacher.weights", kept.weights, weights)

    def cadence(
        self,
        recorder: Recorder,
        steps: Callable[[], int],
        among: Collection[int] | None = None,
    ) -> Cadence:
        """The steps that were probed."""
        from workbench.training.probing import FixedCadence

        return FixedCadence(recorder.snapshot_steps())

    def _tell(self, role: str, fields: Mapping[str, Any]) -> None:
        if role != "student":
            return
        self.told_fields |= fields
        shown = {key: value for key, value in fields.items() if key in SHOWN}
        self._row = replace(self._row, **shown)
        if self._told is not None:
            self._told(self._row)


class ComparingRecorder:
    """Implements :class:`workbench.training.journal.Recorder`: compares what it is given."""

    def __init__(
        self,
        role: str,
        recorded: Recorded,
        ledger: Ledger,
        folder: Path,
        told: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self.run, self.folder, self.recorded = recorded.run, folder, recorded
        self._role, self._ledger, self._told = role, ledger, told
        self._rows: dict[str, list[tuple[list[str], np.ndarray, np.ndarray]]] = {}

    def update(self, **fields: Any) -> None:
        """Progress, and at the end the result."""
        self._told(self._role, fields)

    def metrics(
        self,
        series: str,
        columns: Sequence[str],
        steps: np.ndarray,
        values: np.ndarray,
        **row_fields: Any,
    ) -> None:
        """Compare rows with what was recorded at the same steps."""
        self._told(self._role, row_fields)
        self._rows.setdefault(series, []).append((list(columns), steps, values))
        self.recorded.compare(series, columns, steps, values, self._ledger)

    def snapshot(
        self, step: int, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]
    ) -> None:
        """Compare arrays, where they are still there."""
        self.recorded.compare_arrays(step, arrays, self._ledger)

    def event(self, event: Event) -> None:
        """Compare a change with the journal's line for it: what stood there before and after."""
        self.recorded.compare_event(event, self._ledger)

    def snapshot_steps(self) -> list[int]:
        """Steps that were probed."""
        return list(self.recorded.probe_steps)

    def events(self) -> Iterable[Event]:
        """Nothing has happened yet: the journal is the experiment's plan."""
        return []

    def commands(self) -> list[Command]:
        """Nobody steers a replay."""
        return []

    def read(self, series: str) -> tuple[list[str], np.ndarray, np.ndarray]:
        """What this replay has made of a series whose columns never change."""
        import numpy as np

        made = self._rows.get(series) or [([], np.zeros(0, np.int64), np.zeros((0, 0)))]
        columns, steps, values = zip(*made, strict=True)
        return columns[0], np.concatenate(steps), np.concatenate(values)

    def last_step(self, series: str) -> int:
        """It begins at the beginning."""
        return -1

    def last_checkpoint(self) -> CheckpointRow | None:
        """It begins at the beginning."""
        return None

    def drop_metrics_after(self, step: int) -> None:
        """Nothing is kept."""

    def checkpoint(self, step: int, state: Any, *, reason: str, accuracy: float | None) -> None:
        """Nothing is kept."""

    def apply(self, command: Command, step: int, payload: Mapping[str, Any]) -> None:
        """There are no commands."""
        raise RefusedCommand("A replay takes no commands.")

    def refuse(self, command: Command, reason: str) -> None:
        """There are no commands."""
        raise RefusedCommand("A replay takes no commands.")


def _compare_ends(
    row: RunRow, result: Mapping[str, Any], protocol: Mapping[str, Any], ledger: Ledger
) -> None:
    """Weights, test metrics and the teacher's hash, at the step where both stand."""
    recorded = row.result or {}
    step = int(result.get("steps", 0))
    if "weights" in recorded and recorded.get("steps") == step:
        ledger.same(step, "weights", recorded["weights"], result.get("weights"))
    taught = ((row.protocol or {}).get("teacher") or {}).get("hash")
    if taught is not None:
        ledger.same(0, "teacher.weights", taught, (protocol.get("teacher") or {}).get("hash"))
    for part, numbers in (recorded.get("metrics") or {}).items():
        found = (result.get("metrics") or {}).get(part) or {}
        for name, value in (numbers or {}).items():
            ledger.same(step, f"{part}.test.{name}", value, found.get(name))


def _environment(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Fields of the machine's fingerprint that differ, in words."""
    words = []
    for field in ("versions", "machine"):
        before, after = recorded.get(field) or {}, now.get(field) or {}
        for key in sorted(set(before) & set(after)):
            if before[key] != after[key]:
                words.append(f"{key}: recorded with {before[key]}, here {after[key]}")
    before, after = recorded.get("threads"), now.get("threads")
    if before != after and None not in (before, after):
        words.append(f"threads: recorded with {before}, here {after}")
    return words


def result_of_replay(row: RunRow, found: Replayed) -> dict[str, Any]:
    """The fixed JSON of a replay: that of a run, with what was compared."""
    return {
        "run": row.id,
        "status": row.status,
        "steps": found.steps,
        "seconds": found.seconds,
        "weights": found.weights,
        "metrics": told_metrics(found.metrics),
        "protocol": row.protocol or {},
        "equal": found.equal,
        "first_difference": asdict(found.first_difference) if found.first_difference else None,
        "largest_difference": asdict(found.largest) if found.largest else None,
        "compared": found.compared,
        "environment": found.environment,
    }


def main(arguments: list[str]) -> int:
    """``python -m workbench.runs.replay STORE RUN``: prints JSON; 0 equal, 1 not, 2 refused."""
    url, run = arguments
    store = Store(url)
    try:
        found = replay(store, run)
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return BadInput.exit_code
    print(json.dumps(result_of_replay(store.runs.get(run), found), allow_nan=False))
    return 0 if found.equal else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
