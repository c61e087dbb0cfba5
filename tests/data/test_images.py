"""Built data: order, batches, visible labels, statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workbench.data import UNLABELLED, Digits, Examples, ImageData, build_data, split
from workbench.errors import BadData, UnknownName

HERE = Path()


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return build_data(Digits(labels_per_class=10, augment="shift"), base=HERE, seed=0)


def colour(rows: int = 120, **changes: Any) -> ImageData:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (rows, 3, 9, 7), dtype=np.uint8)
    labels = np.arange(rows, dtype=np.int64) % 4
    examples = Examples(images, labels, ("a", "b", "c", "d"), "colour", **changes)
    return ImageData(examples, split(labels, split_seed=0, test_rows=examples.test_rows))


def test_facts_of_the_digits(digits: ImageData) -> None:
    assert (digits.name, digits.channels, digits.height, digits.width) == ("digits", 1, 8, 8)
    assert (digits.num_classes, digits.class_names) == (10, tuple("0123456789"))
    assert digits.num_train == len(digits.split_ids("train")) == 934
    assert len(digits.split_hashes) == 5


def test_an_epoch_has_each_training_row_once_and_depends_on_seed_and_epoch(
    digits: ImageData,
) -> None:
    plan = digits.plan(0, 1)
    assert np.sort(plan).tolist() == digits.split_ids("train").tolist()
    assert plan.tolist() == digits.plan(0, 1).tolist()
    assert plan.tolist() != digits.plan(0, 2).tolist()
    assert plan.tolist() != digits.plan(1, 1).tolist()


def test_a_batch_holds_the_asked_rows_in_the_asked_order(digits: ImageData) -> None:
    ids = digits.plan(0, 0)[:64]
    batch = digits.fetch_full(ids)
    assert batch.ids.tolist() == ids.tolist()
    assert batch.inputs.dtype == torch.float32 and batch.labels.dtype == torch.int64
    np.testing.assert_array_equal(batch.inputs.numpy(), digits.examples.inputs[ids])
    assert batch.labels.tolist() == digits.examples.labels[ids].tolist()
    for same in (ids.tolist(), torch.from_numpy(ids)):
        assert torch.equal(digits.fetch_full(same).inputs, batch.inputs)


def test_bytes_become_numbers_from_zero_to_one() -> None:
    data = colour()
    actual = data.fetch(data.split_ids("val")).inputs.numpy()
    expected = data.examples.inputs[data.split_ids("val")] / 255
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected, rtol=1e-7)


def test_the_student_sees_only_the_labels_it_may_see(digits: ImageData) -> None:
    everything = np.arange(len(digits.examples))
    seen, truth = digits.fetch(everything), digits.fetch_full(everything)
    visible = set(digits.visible(0, 10).tolist())
    assert len(visible) == 100 and visible <= set(digits.split_ids("train").tolist())
    assert set(seen.ids[seen.labelled].tolist()) == visible
    assert torch.equal(seen.labels[seen.labelled], truth.labels[seen.labelled])
    assert (seen.labels[~seen.labelled] == UNLABELLED).all()
    assert torch.bincount(seen.labels[seen.labelled]).tolist() == [10] * 10
    assert (truth.labels >= 0).all() and torch.equal(seen.inputs, truth.inputs)


def test_without_a_limit_all_training_labels_are_visible_and_no_other() -> None:
    data = build_data(Digits(), base=HERE, seed=3)
    seen = data.fetch(np.arange(len(data.examples)))
    assert seen.ids[seen.labelled].tolist() == data.split_ids("train").tolist()


def test_visible_rows_follow_the_seed_and_grow_with_the_number() -> None:
    data = build_data(Digits(), base=HERE, seed=0)
    few, more, other = data.visible(0, 5), data.visible(0, 20), data.visible(1, 5)
    assert set(few.tolist()) <= set(more.tolist())
    assert few.tolist() != other.tolist()
    assert few.tolist() == sorted(few.tolist())
    assert np.bincount(data.examples.labels[other]).tolist() == [5] * 10


def test_splits_follow_their_own_seed_and_not_the_runs() -> None:
    one, two = (build_data(Digits(), base=HERE, seed=seed) for seed in (0, 1))
    assert one.split_hashes == two.split_hashes
    other = build_data(Digits(split_seed=1), base=HERE, seed=0)
    assert not set(other.split_hashes.values()) & set(one.split_hashes.values())


def test_more_labels_than_there_are_is_refused_with_class_and_count() -> None:
    data = build_data(Digits(), base=HERE, seed=0)
    counts = np.bincount(data.examples.labels[data.split_ids("train")])
    scarce, least = int(counts.argmin()), int(counts.min())
    words = rf"WB105.*is {least + 1}, but class '{scarce}' of digits has {least} training rows"
    with pytest.raises(BadData, match=words):
        build_data(Digits(labels_per_class=least + 1), base=HERE, seed=0)
    enough = build_data(Digits(labels_per_class=least), base=HERE, seed=0)
    assert len(enough.visible_ids) == 10 * least


def test_another_run_on_the_same_data_leaves_the_first_alone(digits: ImageData) -> None:
    ids = digits.split_ids("train")
    before = digits.fetch(ids).labels.clone()
    other = digits.with_labels(1, 3)
    assert int(other.fetch(ids).labelled.sum()) == 30
    assert torch.equal(digits.fetch(ids).labels, before)
    assert other.fetch_full(ids).inputs.equal(digits.fetch_full(ids).inputs)


def test_transform_changes_images_only_and_is_pure(digits: ImageData) -> None:
    batch = digits.fetch(digits.plan(0, 0)[:32])
    varied = digits.transform(batch, 0, 4)
    assert torch.equal(varied.ids, batch.ids) and torch.equal(varied.labels, batch.labels)
    assert not torch.equal(varied.inputs, batch.inputs)
    assert torch.equal(varied.inputs, digits.transform(batch, 0, 4).inputs)
    plain = build_data(Digits(), base=HERE, seed=0)
    assert plain.transform(batch, 0, 4) is batch


def test_a_change_of_a_batch_does_not_reach_the_data(digits: ImageData) -> None:
    ids = digits.split_ids("probe")
    before = digits.fetch_full(ids)
    digits.fetch_full(ids).inputs.zero_()
    digits.fetch_full(ids).labels.zero_()
    digits.split_ids("probe")[:] = 0
    after = digits.fetch_full(ids)
    assert torch.equal(after.inputs, before.inputs) and torch.equal(after.labels, before.labels)
    assert digits.split_ids("probe").tolist() == ids.tolist()


@pytest.mark.parametrize("make", [colour, lambda: build_data(Digits(), base=HERE, seed=0)])
def test_statistics_are_those_of_the_training_rows(make: Any) -> None:
    data = make()
    scale = 255 if data.examples.inputs.dtype == np.uint8 else 1
    train = data.examples.inputs[data.split_ids("train")].astype(np.float64) / scale
    np.testing.assert_allclose(data.mean, train.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(data.std, train.std((0, 2, 3)), rtol=1e-9)


def test_statistics_over_more_than_one_chunk_are_exact() -> None:
    data = colour(rows=9000)
    train = data.examples.inputs[data.split_ids("train")] / 255
    assert len(train) > 4096
    np.testing.assert_allclose(data.mean, train.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(data.std, train.std((0, 2, 3)), rtol=1e-9)


def test_a_constant_channel_has_deviation_one() -> None:
    images = np.full((60, 1, 8, 8), 77, dtype=np.uint8)
    labels = np.arange(60, dtype=np.int64) % 2
    data = ImageData(Examples(images, labels, ("a", "b"), "flat"), split(labels, split_seed=0))
    assert data.std == (1.0,)
    assert data.mean == pytest.approx((77 / 255,), rel=1e-12)


def test_row_keys_find_a_shared_row_whatever_its_number() -> None:
    whole = build_data(Digits(), base=HERE, seed=0)
    part = build_data(Digits(limit=300), base=HERE, seed=0)
    everything = whole.row_keys(range(1797))
    assert len(set(everything.tolist())) == 1797
    keys = part.row_keys(range(300))
    assert set(keys.tolist()) < set(everything.tolist())
    row = int(np.flatnonzero(everything == keys[17])[0])
    assert torch.equal(whole.fetch_full([row]).inputs, part.fetch_full([17]).inputs)


def test_a_limit_gives_a_smaller_set_with_all_parts() -> None:
    data = build_data(Digits(limit=300), base=HERE, seed=0)
    assert len(data.examples) == 300
    assert [len(data.split_ids(name)) for name in ("val", "test", "probe", "meta")] == [
        24, 66, 42, 12,
    ]  # fmt: skip


def test_a_limit_that_is_too_small_says_what_to_do() -> None:
    with pytest.raises(BadData, match=r"12 rows in 10 classes are too few.*raise `limit`"):
        build_data(Digits(limit=12), base=HERE, seed=0)
    with pytest.raises(BadData, match="`limit` is 5, but there are 10 classes"):
        build_data(Digits(limit=5), base=HERE, seed=0)


def test_a_given_test_part_is_used() -> None:
    rows = np.arange(90, 120, dtype=np.int64)
    assert colour(test_rows=rows).split_ids("test").tolist() == rows.tolist()


def test_an_unknown_split_is_refused(digits: ImageData) -> None:
    with pytest.raises(UnknownName, match=r"No split 'trian'\. Did you mean 'train'"):
        digits.split_ids("trian")


def test_moving_to_the_same_device_is_free_and_to_another_keeps_everything(
    digits: ImageData,
) -> None:
    assert digits.to("cpu") is digits
    moved = digits.to("meta")
    assert moved.device.type == "meta" and moved.split_hashes == digits.split_hashes
    assert moved.visible_ids.tolist() == digits.visible_ids.tolist()
    assert moved.fetch([0, 1]).inputs.shape == (2, 1, 8, 8)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_batches_bit_for_bit() -> None:
    spec = Digits(labels_per_class=10, augment="crop-flip")
    here, there = (build_data(spec, base=HERE, seed=0, device=name) for name in ("cpu", "cuda"))
    ids = here.plan(0, 1)
    expected = here.transform(here.fetch(ids), 0, 1)
    actual = there.transform(there.fetch(ids), 0, 1)
    assert actual.inputs.is_cuda
    assert torch.equal(actual.inputs.cpu(), expected.inputs)
    assert torch.equal(actual.labels.cpu(), expected.labels)


def test_too_large_a_data_set_is_refused_before_it_reaches_the_device() -> None:
    images = np.broadcast_to(np.uint8(3), (200_000, 3, 224, 224))
    labels = np.arange(200_000, dtype=np.int64) % 2
    examples = Examples(images, labels, ("a", "b"), "photos")
    with pytest.raises(BadData, match=r"photos: 200000 x 3 x 224 x 224.*28.0 GiB.*Set `limit`"):
        ImageData(examples, split(labels, split_seed=0))
