"""What a run recorded beside what a replay finds: the first difference, and the largest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from workbench.training.journal import STAGE
from workbench.training.timeline import SET

if TYPE_CHECKING:
    from workbench.store.metrics import Series
    from workbench.store.store import Store
    from workbench.training.journal import Event


@dataclass(frozen=True)
class Difference:
    """One number that is not the same."""

    step: int
    quantity: str
    recorded: Any
    replayed: Any


class Ledger:
    """Counts comparisons; keeps the first difference and the largest."""

    def __init__(self) -> None:
        self.first: Difference | None = None
        self.largest: Difference | None = None
        self.compared = 0
        self._gap = 0.0

    def same(self, step: int, quantity: str, recorded: Any, replayed: Any) -> None:
        """Compare two numbers bit for bit (NaN equals NaN), or two words."""
        self.compared += 1
        if recorded == replayed or (_is_nan(recorded) and _is_nan(replayed)):
            return
        found = Difference(step, quantity, _plain(recorded), _plain(replayed))
        self.first = self.first or found
        gap = _gap(recorded, replayed)
        if self.largest is None or gap > self._gap:
            self.largest, self._gap = found, gap


class Recorded:
    """What the store holds of one row (student, teacher or control) of a run.

    Args:
        store: Read, never written.
        run: The row's id; one that does not exist has recorded nothing.
        role: Prefix of quantities, but for the student's.
    """

    def __init__(self, store: Store, run: str, role: str) -> None:
        self.run = run
        self._store = store
        self._prefix = "" if role == "student" else f"{role}."
        self._series: dict[str, Series] = {}

    @cached_property
    def probe_steps(self) -> tuple[int, ...]:
        """Steps at which it was probed, rising."""
        return tuple(self._of("probe").steps.tolist())

    @cached_property
    def _changes(self) -> list[Event]:
        return [event for event in self._store.journal.events(self.run) if event.kind == SET]

    def compare(
        self,
        series: str,
        columns: Sequence[str],
        steps: np.ndarray,
        values: np.ndarray,
        ledger: Ledger,
    ) -> None:
        """Rows of a series, as far as something was recorded."""
        known = self._of(series)
        if not len(known.steps):
            return
        places = np.searchsorted(known.steps, steps)
        for place, step, row in zip(places.tolist(), steps.tolist(), values, strict=True):
            if step > known.steps[-1]:
                return
            if known.steps[place] != step:
                ledger.same(step, f"{self._prefix}{series}", None, "a row")
                continue
            replayed = dict(zip(columns, row.tolist(), strict=True))
            recorded = dict(zip(known.columns, known.values[place].tolist(), strict=True))
            for name in dict.fromkeys([*columns, *known.columns]):
                ledger.same(
                    step,
                    f"{self._prefix}{series}.{name}",
                    recorded.get(name, math.nan),
                    replayed.get(name, math.nan),
                )

    def compare_arrays(self, step: int, arrays: Mapping[str, np.ndarray], ledger: Ledger) -> None:
        """Arrays of a snapshot, if its file is there."""
        found = self._store.snapshots(self.run, after=step - 1, upto=step)
        if not found:
            return
        for name, recorded in found[0].arrays.items():
            replayed = arrays.get(name)
            if replayed is None or replayed.shape != recorded.shape:
                ledger.same(step, f"{self._prefix}{name}", list(recorded.shape), None)
            elif not np.array_equal(recorded, replayed, equal_nan=recorded.dtype.kind == "f"):
                gap = np.abs(np.nan_to_num(recorded - replayed)).argmax()
                ledger.same(step, f"{self._prefix}{name}", recorded.flat[gap], replayed.flat[gap])
            else:
                ledger.compared += recorded.size

    def compare_event(self, event: Event, ledger: Ledger) -> None:
        """A change or a stage that the replay made, against the journal's line for it."""
        if event.kind == STAGE:
            self._compare_stage(event, ledger)
        if event.kind != SET:
            return
        number = event.payload["planned"]
        if number >= len(self._changes):
            ledger.same(event.step, "journal", None, event.payload["path"])
            return
        line = self._changes[number]
        for key in ("path", "before", "after", "teacher"):
            ledger.same(
                event.step,
                f"journal.{event.payload['path']}.{key}",
                line.payload.get(key),
                event.payload.get(key),
            )

    def _compare_stage(self, event: Event, ledger: Ledger) -> None:
        """A run that ended before a stage did has no line about it."""
        name = event.payload["stage"]
        for line in self._store.journal.events(self.run):
            if line.kind == STAGE and line.payload["stage"] == name:
                for key in ("weights", "distance"):
                    recorded, found = line.payload.get(key), event.payload.get(key)
                    ledger.same(0, f"stage.{name}.{key}", recorded, found)

    def _of(self, series: str) -> Series:
        if series not in self._series:
            self._series[series] = self._store.metrics.read(self.run, series)
        return self._series[series]


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _gap(recorded: Any, replayed: Any) -> float:
    numbers = (int, float, np.number)
    if isinstance(recorded, numbers) and isinstance(replayed, numbers):
        gap = abs(float(recorded) - float(replayed))
        return gap if math.isfinite(gap) else math.inf
    return 0.0


def _plain(value: Any) -> Any:
    """JSON has no NaN: it is told as a word."""
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else repr(float(value))
    return value.item() if isinstance(value, np.generic) else value
