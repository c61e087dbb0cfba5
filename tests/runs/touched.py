"""A run that trains in this process, with a hand on it at chosen steps, killed where it suits.

What is asked at a step applies at that very step: the inbox is looked into at every boundary.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workbench.runs.keeper import StoreKeeper
from workbench.runs.launch import accept
from workbench.runs.replay import Replayed, replay
from workbench.specs.experiment import ExperimentSpec
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training import boundary as boundaries
from workbench.training.boundary import Boundary
from workbench.training.control import Options
from workbench.training.device import configure
from workbench.training.journal import Event
from workbench.training.session import run_session

from ..small import SMALL

TINY: dict[str, Any] = {**SMALL, "name": "tiny"}
MAIN = "stages.main"
KD, CE = f"{MAIN}.terms.kd", f"{MAIN}.terms.ce"
Act = Callable[[], Any]


class Killed(BaseException):
    """The process is gone between two lines: nothing that would tidy up may catch this."""


class Hand:
    """Trains small runs of a store here.

    Args:
        store: Where they lie.
        patch: Puts everything back in the end.
    """

    def __init__(self, store: Store, patch: pytest.MonkeyPatch) -> None:
        self.store = store
        self._acts: dict[tuple[str, int], list[Act]] = {}
        self._waiting: Act | None = None
        real = Boundary.at

        def at(boundary: Boundary, step: int) -> bool:
            for act in self._acts.get((boundary._of.get("part", "student"), step), ()):
                act()
            return real(boundary, step)

        patch.setattr(boundaries, "POLL_SECONDS", 0.0)
        patch.setattr(boundaries.time, "sleep", lambda seconds: self._paused())
        patch.setattr(Boundary, "at", at)

    def accept(self, changes: Mapping[str, Any] | None = None, **options: Any) -> str:
        """Accept the tiny experiment with changes."""
        spec = ExperimentSpec.parse(TINY).replace(changes or {})
        return accept(self.store, spec, base=Path.cwd(), threads=1, **options)

    def train(
        self,
        run: str | Mapping[str, Any] | None = None,
        at: Mapping[int | tuple[str, int], Any] | None = None,
        paused: Act | None = None,
        **options: Any,
    ) -> str:
        """Train a run to its end, or until it is killed; returns its id.

        Args:
            run: An accepted or killed one, or changes of the tiny experiment.
            at: Step of the student, or (part, step), to what is done there: functions, which get
                no argument, or ``(path, value)`` to set.
            paused: Done once when the run waits in a pause.
            options: Of the session.
        """
        name = run if isinstance(run, str) else self.accept(run)
        self._acts = {
            (key if isinstance(key, tuple) else ("student", key)): [
                self._act(name, act) for act in (acts if isinstance(acts, list) else [acts])
            ]
            for key, acts in (at or {}).items()
        }
        self._waiting = paused
        row = self.store.runs.get(name)
        keeper = StoreKeeper(self.store, name, self.store.runs.claim(name))
        spec = ExperimentSpec.parse(row.experiment)
        try:
            run_session(spec, keeper, Options(base=Path.cwd(), **options))
        except Killed:
            pass
        finally:
            self._acts, self._waiting = {}, None
            for part in self.store.runs.list(roles=None, group=name):
                if part.active:  # as if its process were gone
                    self.store.runs.update(part.id, process_started=0.0)
        return name

    def send(self, run: str, kind: str, **payload: Any) -> int:
        """Put a command into the inbox of a run; returns its number."""
        return self.store.journal.send(run, kind, who="ada", payload=payload)

    def set(self, run: str, path: str, value: Any, **more: Any) -> int:
        """The same for a ``set``."""
        return self.send(run, "set", path=path, value=value, **more)

    def refusal(self, command: int) -> str:
        """Why a command was refused; fails if it was not."""
        answer = self.store.journal.answer(command)
        assert answer.state == "refused", answer
        return str(answer.reason)

    def row(self, run: str) -> RunRow:
        """The row of a run."""
        return self.store.runs.get(run)

    def weights(self, run: str) -> str:
        """Hash of a run's final weights."""
        row = self.row(run)
        assert row.status == "finished", (row.status, row.error)
        return str((row.result or {})["weights"])

    def changes(self, run: str) -> list[Event]:
        """What the journal says was set."""
        return [event for event in self.store.journal.events(run) if event.kind == "set"]

    def replay(self, run: str) -> Replayed:
        """Train it anew from its journal and compare."""
        return replay(self.store, run)

    def column(self, run: str, name: str, *, part: str = "") -> np.ndarray:
        """One column of what was measured at each step."""
        return self.store.metrics.read(f"{run}{part}", "train").column(name)

    def sql(self, statement: str, *values: Any) -> None:
        """Change the store behind its back."""
        connection = sqlite3.connect(self.store.path)
        with connection:
            assert connection.execute(statement, values).rowcount > 0, "nothing was changed"
        connection.close()

    def _act(self, run: str, act: Any) -> Act:
        return act if callable(act) else lambda: self.set(run, *act)

    def _paused(self) -> None:
        act, self._waiting = self._waiting, None
        assert act is not None, "the run waits for somebody who never comes"
        act()


def killed() -> None:
    """kill -9, here."""
    raise Killed


def assert_same(hand: Hand, run: str, other: str, *, parts: tuple[str, ...] = ("",)) -> None:
    """Two runs ended with the same weights, test numbers and rows, and agree where both looked."""
    assert hand.weights(run) == hand.weights(other)
    mine, theirs = (hand.row(name).result or {} for name in (run, other))
    assert mine["metrics"] == theirs["metrics"]
    for part in parts:
        for series in ("train", "probe"):
            one, two = (hand.store.metrics.read(f"{x}{part}", series) for x in (run, other))
            assert one.columns == two.columns
            if series == "train":
                np.testing.assert_array_equal(one.steps, two.steps)
            at = np.intersect1d(one.steps, two.steps)
            assert len(at) > 1
            np.testing.assert_array_equal(
                one.values[np.isin(one.steps, at)], two.values[np.isin(two.steps, at)]
            )


@contextmanager
def untouched_torch() -> Iterator[None]:
    """Training here leaves torch's global state as it was."""
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    configure(1)
    with torch.random.fork_rng(devices=[]):
        yield
    torch.use_deterministic_algorithms(deterministic)
    torch.set_num_threads(threads)
