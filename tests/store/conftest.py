"""A store of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(str(tmp_path / "workbench.db"))
    yield opened
    opened.close()


@pytest.fixture
def run(store: Store) -> str:
    """An accepted run."""
    return store.runs.create(name="a run", experiment={"name": "a run"}, options={})
