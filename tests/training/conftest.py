"""A small experiment that trains in this process, on the real store, in a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from workbench.runs.keeper import StoreKeeper
from workbench.runs.launch import accept
from workbench.specs.experiment import ExperimentSpec
from workbench.store.metrics import Series
from workbench.store.runs import RunRow
from workbench.store.store import Store
from workbench.training.control import Options
from workbench.training.device import configure
from workbench.training.session import run_session

from ..small import SMALL

TERMS = "stages.main.terms"


@dataclass(frozen=True)
class Trained:
    """A run that has ended, with what the store holds of it."""

    store: Store
    run: str

    @property
    def row(self) -> RunRow:
        return self.store.runs.get(self.run)

    @property
    def weights(self) -> str:
        """Hash of the student's final weights."""
        assert self.row.result is not None, self.row.status
        return str(self.row.result["weights"])

    @property
    def metrics(self) -> dict[str, Any]:
        assert self.row.result is not None
        metrics: dict[str, Any] = self.row.result["metrics"]
        return metrics

    def series(self, name: str = "train", part: str = "student") -> Series:
        run = self.run if part == "student" else f"{self.run}-{part}"
        return self.store.metrics.read(run, name)


Train = Callable[..., Trained]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store a module, so that its teachers are trained once."""
    opened = Store(str(tmp_path_factory.mktemp("store") / "workbench.db"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def train(store: Store) -> Iterator[Train]:
    """Train the small experiment with changes, in this process; gives what the store holds."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    configure(1)

    def run(changes: Mapping[str, Any] | None = None, **options: Any) -> Trained:
        spec = ExperimentSpec.parse(SMALL).replace(changes or {})
        accepted = accept(store, spec, base=Path.cwd())
        keeper = StoreKeeper(store, accepted, store.runs.claim(accepted))
        run_session(spec, keeper, Options(base=Path.cwd(), **options))
        return Trained(store, accepted)

    with torch.random.fork_rng(devices=[]):
        yield run
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture(scope="module")
def plain(train: Train) -> Trained:
    """The small experiment as it is."""
    return train()
