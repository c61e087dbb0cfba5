"""Labels that name another class: whose, how many, and who never sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from workbench.data.digits import Digits
from workbench.data.images import ImageData, build_data

HERE = Path.cwd()


def digits(noise: float, *, seed: int = 0, labels_per_class: int | None = None) -> ImageData:
    spec = Digits(label_noise=noise, labels_per_class=labels_per_class)
    return build_data(spec, base=HERE, seed=seed)


def wrong(data: ImageData) -> set[int]:
    """Rows whose shown label is another than the true one."""
    ids = data.visible_ids
    shown = data.fetch(ids).labels.numpy()
    return set(ids[shown != data.examples.labels[ids]].tolist())


def test_about_that_share_of_the_visible_labels_names_another_class():
    data = digits(0.18)
    count = len(data.visible_ids)
    assert len(wrong(data)) / count == pytest.approx(0.18, abs=3 * np.sqrt(0.18 * 0.82 / count))
    assert digits(0.0).shown_labels.tolist() == digits(0.0).fetch(range(1797)).labels.tolist()
    assert not wrong(digits(0.0)) and len(wrong(digits(1.0))) == count


def test_each_other_class_is_as_likely():
    data = digits(1.0)
    ids = data.visible_ids
    steps = (data.shown_labels[ids] - data.examples.labels[ids]) % 10
    counts = np.bincount(steps, minlength=10)
    assert counts[0] == 0
    expected = len(ids) / 9
    assert ((counts[1:] - expected) ** 2 / expected).sum() < 26.1  # chi-squared, 8 df: 0.1 %


def test_which_rows_is_a_function_of_row_and_seed_alone():
    first = digits(0.18)
    assert wrong(first) == wrong(digits(0.18)) != wrong(digits(0.18, seed=1))
    few = digits(0.18, labels_per_class=20)
    shown = set(few.visible_ids.tolist())
    assert wrong(few) == wrong(first) & shown
    assert wrong(first) < wrong(digits(0.4))
    np.testing.assert_array_equal(
        few.shown_labels[few.visible_ids], first.shown_labels[few.visible_ids]
    )


def test_teacher_and_measures_see_the_true_labels_and_the_splits_stay():
    data, clean = digits(1.0), digits(0.0)
    for name in data.splits.names():
        ids = data.split_ids(name)
        assert torch.equal(data.fetch_full(ids).labels, clean.fetch_full(ids).labels)
    assert data.split_hashes == clean.split_hashes
    taught = data.for_teacher()
    assert taught.content_hash == clean.content_hash
    for name in ("val", "test", "probe", "meta"):
        assert not data.fetch(data.split_ids(name)).labelled.any()


def test_a_copy_on_another_device_shows_the_same_labels():
    data = digits(0.18)
    moved = data.to("meta")
    np.testing.assert_array_equal(moved.shown_labels, data.shown_labels)
