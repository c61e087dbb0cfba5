"""A store for each file of recipes, and a hand that trains in it here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from workbench.store.store import Store

from ..runs.touched import Hand, untouched_torch


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(str(tmp_path_factory.mktemp("recipe") / "workbench.db"))
    yield opened
    opened.close()


@pytest.fixture
def hand(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hand]:
    with untouched_torch():
        yield Hand(store, monkeypatch)
