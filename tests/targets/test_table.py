"""The table of a teacher's answers: who is asked, in which order, and what is not in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from workbench.data.images import build_data
from workbench.models.facts import ModelContext
from workbench.registries import DATA, MODELS
from workbench.targets import teacher as module
from workbench.targets.teacher import FrozenTeacher


@pytest.fixture(scope="module")
def digits():
    spec = DATA.get("digits").model_validate({"use": "digits", "limit": 400})
    return build_data(spec, base=Path.cwd(), seed=0)


@pytest.fixture
def small(digits):
    """A small network with fresh weights."""
    context = ModelContext(1, 8, 8, 10, digits.mean, digits.std, seed=1, open_run=None)
    return MODELS.get("cnn-small").model_validate({"use": "cnn-small", "width": 4}).build(context)


def test_each_row_is_asked_once_in_row_order_and_the_share_rises_to_one(digits, small, monkeypatch):
    monkeypatch.setattr(module, "CACHE_ROWS", 64)
    asked, told = [], []
    rows = torch.from_numpy(digits.split_ids("train"))

    def fetch(ids):
        asked.append(ids)
        return digits.fetch(ids).inputs

    FrozenTeacher(small, []).prepare(len(digits.examples), rows, fetch, told.append)
    assert torch.equal(torch.cat(asked), rows)
    assert len(told) == len(asked) > 1 and max(map(len, asked)) == 64
    assert told == sorted(told) and told[-1] == 1.0


def test_a_row_that_was_not_prepared_is_no_number_rather_than_a_wrong_one(digits, small):
    target = FrozenTeacher(small, [])
    rows = torch.from_numpy(digits.split_ids("train"))
    target.prepare(len(digits.examples), rows, lambda ids: digits.fetch(ids).inputs, lambda _: None)
    stranger = digits.fetch_full(digits.split_ids("probe")[:4])
    known = digits.fetch_full(digits.split_ids("train")[:4])
    assert bool(target(stranger)["logits"].isnan().all())
    assert bool(target(known)["logits"].isfinite().all())


def test_the_table_is_made_up_to_exactly_its_limit(digits, small, monkeypatch):
    rows = torch.from_numpy(digits.split_ids("train"))
    exact = len(digits.examples) * 10 * 4
    for limit, cached in ((exact, True), (exact - 1, False)):
        monkeypatch.setattr(module, "CACHE_BYTES", limit)
        target = FrozenTeacher(small, [])
        target.prepare(
            len(digits.examples), rows, lambda ids: digits.fetch(ids).inputs, lambda _: None
        )
        assert target.cached is cached
