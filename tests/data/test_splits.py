"""Splits: sizes, laws over random data sets, determinism, errors."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.data.splits import CAP, PERCENT, Splits, choose_rows, split
from workbench.errors import BadData, UnknownName

HELD_OUT = ("val", "test", "probe", "meta")


def balanced(rows: int, num_classes: int = 10) -> np.ndarray:
    return np.arange(rows) % num_classes


def cut_or_none(labels: np.ndarray, seed: int, test_rows: np.ndarray | None) -> Splits | None:
    try:
        return split(labels, split_seed=seed, test_rows=test_rows)
    except BadData:
        return None


def test_sizes_are_the_documented_shares() -> None:
    parts = split(balanced(1797), split_seed=0)
    assert {name: len(parts.ids(name)) for name in parts.names()} == {
        "train": 934, "val": 144, "test": 395, "probe": 252, "meta": 72,
    }  # fmt: skip


def test_caps_leave_the_rest_of_a_large_data_set_to_training() -> None:
    parts = split(balanced(70_000), split_seed=0, test_rows=np.arange(60_000, 70_000))
    assert [len(parts.ids(name)) for name in ("val", "probe", "meta")] == [4800, 2000, 1000]
    assert len(parts.train) == 60_000 - 7800
    assert parts.test.tolist() == list(range(60_000, 70_000))
    parts = split(balanced(100_000), split_seed=0)
    assert all(len(parts.ids(name)) == cap for name, cap in CAP.items())


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=12),
    seed=st.integers(0, 5),
    with_test=st.booleans(),
)
def test_parts_are_disjoint_sorted_cover_all_rows_and_train_has_every_class(
    counts: list[int], seed: int, with_test: bool
) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    test_rows = np.arange(0, len(labels), 7) if with_test else None
    parts = cut_or_none(labels, seed, test_rows)
    if parts is None:  # which sizes are refused is the claim of the tests of the messages
        assert len(labels) <= 30 or with_test
        return
    assert all(len(parts.ids(name)) for name in parts.names())
    assert all((np.diff(parts.ids(name)) > 0).all() for name in parts.names())
    together = np.concatenate([parts.ids(name) for name in parts.names()])
    assert together.dtype == np.int64
    assert np.sort(together).tolist() == list(range(len(labels)))
    assert set(labels[parts.train]) == set(labels)


@pytest.mark.parametrize("name", HELD_OUT)
def test_each_class_has_its_share_of_each_part_to_within_one_row(name: str) -> None:
    counts = np.array([500, 300, 100, 60, 40])
    labels = np.repeat(np.arange(5), counts)
    rows = split(labels, split_seed=3).ids(name)
    expected = counts * len(rows) / counts.sum()
    assert np.abs(np.bincount(labels[rows], minlength=5) - expected).max() < 1


def test_small_parts_of_many_small_classes_are_not_taken_from_the_first_classes() -> None:
    """200 classes of 5: 40 meta rows tie on every remainder, so a hash must choose the classes."""
    labels = np.repeat(np.arange(200), 5)
    chosen = labels[split(labels, split_seed=0).meta]
    assert len(set(chosen)) == 40
    assert 60 < float(np.mean(chosen)) < 140


def test_same_seed_same_parts_and_another_seed_other_parts() -> None:
    labels = balanced(500)
    one, again, other = (split(labels, split_seed=seed) for seed in (0, 0, 1))
    for name in Splits.names():
        assert one.ids(name).tolist() == again.ids(name).tolist()
        assert one.ids(name).tolist() != other.ids(name).tolist()


def test_parts_never_change() -> None:
    """Stored runs name their parts by hash: never edit these."""
    hashes = split(balanced(200), split_seed=0).hashes("content")
    assert hashes == {
        "train": "e6792c186c5fb5bb",
        "val": "159397758228e54b",
        "test": "fd0f7de59081e7d4",
        "probe": "b02126595d752a4f",
        "meta": "68a36a7461eaac1c",
    }


def test_hashes_tell_rows_and_content_apart() -> None:
    parts, other = (split(balanced(200), split_seed=seed) for seed in (0, 1))
    one = parts.hashes("a" * 64)
    assert set(one) == set(Splits.names())
    assert all(re.fullmatch("[0-9a-f]{16}", value) for value in one.values())
    for changed in (parts.hashes("b" * 64), other.hashes("a" * 64)):
        assert not set(one.values()) & set(changed.values())


@pytest.mark.parametrize("rows", [2, 5, 9, 19, 20])
@pytest.mark.parametrize("with_test", [False, True])
def test_too_few_rows_are_refused_with_a_number_that_suffices(rows: int, with_test: bool) -> None:
    def labels(count: int) -> np.ndarray:
        return np.arange(count) % min(10, rows)

    def test_rows(count: int) -> np.ndarray | None:
        return np.arange(count, count + 3) if with_test else None

    def cut(count: int) -> Splits:
        everything = np.concatenate([labels(count), np.zeros(3 if with_test else 0, dtype=int)])
        return split(everything, split_seed=0, test_rows=test_rows(count))

    try:
        parts = cut(rows)
    except BadData as error:
        found = re.search(r"(\d+) are enough", str(error))
        assert found and "WB105" in str(error) and f"{rows} rows" in str(error)
        enough = int(found[1])
        assert all(len(cut(enough).ids(name)) for name in Splits.names())
        with pytest.raises(BadData, match="are enough"):
            cut(enough - 1)
    else:
        assert set(labels(rows)) == set(labels(rows)[parts.train])


def test_ten_rows_of_ten_classes_are_too_few() -> None:
    with pytest.raises(BadData, match=r"WB105.*10 rows in 10 classes are too few.*Add rows"):
        split(np.arange(10), split_seed=0)


def test_a_class_with_test_rows_only_is_named() -> None:
    labels = np.array([0, 1] * 40 + [2] * 5)
    with pytest.raises(BadData, match="Class 2 has test rows but no training row"):
        split(labels, split_seed=0, test_rows=np.arange(80, 85))


def test_an_unknown_part_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownName, match=r"No split 'prob'\. Did you mean 'probe'"):
        split(balanced(200), split_seed=0).ids("prob")


def test_shares_leave_more_than_half_to_training() -> None:
    assert sum(PERCENT.values()) < 50


def test_chosen_rows_keep_proportions_and_every_group() -> None:
    strata = np.repeat([4, 7, 9, 5], [900, 90, 10, 1])
    rows = choose_rows(strata, 100, seed=0)
    assert len(rows) == 100 and (np.diff(rows) > 0).all()
    assert [(strata[rows] == group).sum() for group in (4, 7, 9, 5)] == [89, 9, 1, 1]
    assert choose_rows(strata, 100, seed=1).tolist() != rows.tolist()
    assert choose_rows(strata, 1001, seed=1).tolist() == list(range(1001))


def test_a_limit_below_the_number_of_classes_is_refused() -> None:
    with pytest.raises(BadData, match=r"`limit` is 2, but there are 3 classes.*Set `limit` to 3"):
        choose_rows([0, 1, 2, 0, 1, 2], 2, seed=0)
