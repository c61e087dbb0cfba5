"""A small run with changes in mid-run, whose every text is hostile, trained in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from workbench.runs.launch import accept
from workbench.runs.worker import work
from workbench.specs.experiment import ExperimentSpec
from workbench.store.runs import RunRow
from workbench.store.store import Store

from ..small import SMALL
from ..waiting import PATIENCE

NASTY = (
    "\"'; rm -rf ~\n{{7*7}} ${HOME} $(id) `id` %s %(x)s {0} \\ \\n \\N{DASH} ''' \"\"\"\r\n"
    "\u2028\u2029\x85\x0c\x1b[31m # DATA\n```\n<b>$x$</b> é 🎓 \u202e"
)
"""What a name, a note or a person's name may hold."""


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all, so that its teachers are trained once."""
    opened = Store(str(tmp_path_factory.mktemp("store") / "workbench.db"))
    yield opened
    opened.close()


Train = Callable[..., RunRow]


@pytest.fixture(scope="session")
def train(store: Store) -> Iterator[Train]:
    """Train the small experiment with changes, in this process; gives its row."""
    deterministic, folder = torch.are_deterministic_algorithms_enabled(), Path.cwd()
    path = list(sys.path)

    def run(
        changes: Mapping[str, Any] | None = None,
        *,
        base: Path | None = None,
        said: Mapping[str, Any] | None = None,
    ) -> RunRow:
        spec = ExperimentSpec.parse(SMALL).replace(changes or {})
        accepted = accept(store, spec, base=base, threads=1)
        if said is not None:
            store.journal.send(accepted, "set", who=NASTY[:100], payload=said)
        work(str(store.path), accepted)
        os.chdir(folder)
        row = store.runs.get(accepted)
        assert row.status == "finished", row.error
        return row

    with torch.random.fork_rng(devices=[]):
        yield run
    torch.use_deterministic_algorithms(deterministic)
    sys.path[:] = path


@pytest.fixture(scope="session")
def nasty(train: Train) -> RunRow:
    """A run with a planned change, one by hand, and a control; every text is hostile."""
    planned = {"step": 5, "set": {"stages.main.terms.kd.temperature": 2.0}, "note": NASTY}
    return train(
        {"name": NASTY, "interventions": [planned], "control": True},
        said={"path": "stages.main.optimiser.lr", "value": 0.02, "note": NASTY},
    )


@pytest.fixture(scope="session")
def untouched(train: Train) -> RunRow:
    """The small experiment as it is."""
    return train()


@pytest.fixture
def fresh() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python in an interpreter of its own: ``fresh(*words, folder=...)``."""

    def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture
def hostile() -> str:
    """The text in question."""
    return NASTY
