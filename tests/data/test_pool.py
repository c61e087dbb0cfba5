"""The noisy pool: who may learn from which row, what is corrupted, and what stays untouched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from workbench.data import UNLABELLED, Digits, Examples, ImageData, build_data, save_arrays
from workbench.data.corrupt import CORRUPTIONS, corrupt
from workbench.data.provenance import Provenance, split_with_pool
from workbench.errors import BadData
from workbench.randomness import uniform
from workbench.registries import DATA

HERE = Path()
HELD_OUT = ("val", "test", "probe", "meta")
PATCHES = {"use": "photo-patches", "count": 300}


def spec(**options: Any) -> Any:
    data = {"use": "pool", "of": "digits", "corrupted": 0.6, "foreign": PATCHES, **options}
    return DATA.get("pool").model_validate(data)


@pytest.fixture(scope="module")
def pool() -> ImageData:
    return build_data(spec(), base=HERE, seed=0)


@pytest.fixture(scope="module")
def digits() -> ImageData:
    return build_data(Digits(), base=HERE, seed=0)


def rows_of(data: ImageData, origin: str) -> np.ndarray:
    return np.flatnonzero(data.examples.origin == data.examples.origin_names.index(origin))


def test_the_student_sees_the_pool_and_the_teacher_the_original_rows(
    pool: ImageData, digits: ImageData
) -> None:
    train, teach = pool.split_ids("train"), pool.split_ids("teach")
    copied = pool.examples.provenance.source[pool.examples.provenance.added]
    copied = copied[copied >= 0]
    assert teach.tolist() == digits.split_ids("train").tolist()
    assert len(copied) == round(0.6 * len(teach)) and set(copied) <= set(teach)
    originals = train[train < len(digits.examples)]
    assert sorted([*originals, *copied]) == teach.tolist()
    assert len(train) == len(teach) + 300 == pool.num_train


def test_held_out_parts_are_those_of_the_original_data(pool: ImageData, digits: ImageData) -> None:
    for part in HELD_OUT:
        ids = pool.split_ids(part)
        assert ids.tolist() == digits.split_ids(part).tolist()
        assert torch.equal(pool.fetch_full(ids).inputs, digits.fetch_full(ids).inputs)
        assert pool.row_keys(ids).tolist() == digits.row_keys(ids).tolist()


def test_every_row_belongs_to_a_part(pool: ImageData) -> None:
    parts = [pool.split_ids(name) for name in ("train", "teach", *HELD_OUT)]
    assert sorted(set(np.concatenate(parts))) == list(range(len(pool.examples)))
    for part in HELD_OUT:
        for other in ("train", "teach"):
            assert not set(pool.split_ids(part)) & set(pool.split_ids(other))


def test_the_teachers_view_is_the_original_data(pool: ImageData, digits: ImageData) -> None:
    assert pool.split_hashes["train"] != digits.split_hashes["train"]
    assert pool.mean != digits.mean  # both known before the view is made
    view = pool.for_teacher()
    assert (view.name, view.content_hash) == ("digits", digits.content_hash)
    assert view.split_hashes == digits.split_hashes
    assert view._inputs.data_ptr() == pool._inputs.data_ptr()
    assert (view.mean, view.std) == (digits.mean, digits.std) != (pool.mean, pool.std)
    assert view.num_train == digits.num_train
    assert view.plan(3, 1).tolist() == digits.plan(3, 1).tolist()
    batch = view.fetch_train(view.plan(3, 1)[:50])
    assert batch.all_labelled and batch.valid is None
    assert batch.labels.tolist() == digits.fetch_full(digits.plan(3, 1)[:50]).labels.tolist()
    assert view.for_teacher() is view and digits.for_teacher() is digits
    assert digits.split_ids("teach").tolist() == digits.split_ids("train").tolist()


def test_origins_name_each_row(pool: ImageData, digits: ImageData) -> None:
    assert pool.examples.origin_names == (
        "digits", "digits+noise", "digits+blur", "digits+occlusion", "digits+contrast",
        "photo-patches",
    )  # fmt: skip
    assert len(rows_of(pool, "photo-patches")) == 300
    assert {len(rows_of(pool, f"digits+{how}")) for how in CORRUPTIONS} == {140}
    assert digits.examples.origin_names == () and digits.examples.origin is None


def test_a_copy_keeps_its_class_and_is_its_rows_image_corrupted(pool: ImageData) -> None:
    examples = pool.examples
    for how in CORRUPTIONS:
        rows = rows_of(pool, f"digits+{how}")
        source = examples.provenance.source[rows]
        assert examples.labels[rows].tolist() == examples.labels[source].tolist()
        expected = corrupt(examples.inputs[source].astype(np.float64), source, how, seed=0)
        np.testing.assert_array_equal(examples.inputs[rows], expected.astype(np.float32))


def test_a_foreign_row_has_no_label_for_anyone(pool: ImageData) -> None:
    rows = rows_of(pool, "photo-patches")
    assert (pool.examples.labels[rows] == UNLABELLED).all()
    mixed = [int(rows[0]), 5]
    for batch in (pool.fetch(mixed), pool.fetch_train(mixed), pool.fetch_full(mixed),
                  pool.fetch_full(torch.tensor(mixed))):  # fmt: skip
        assert batch.labels[0] == UNLABELLED
        assert batch.valid is not None and not batch.valid[0]
    clean = pool.fetch_full(pool.split_ids("val"))
    assert clean.all_labelled and (clean.labels >= 0).all()
    alone = ImageData(pool.examples, pool.splits)  # without `with_labels`
    assert not alone.fetch_train(mixed).all_labelled
    assert not set(alone.visible_ids) & set(rows)


def test_visible_labels_are_counted_among_rows_that_have_a_class(pool: ImageData) -> None:
    assert not set(pool.visible_ids) & set(rows_of(pool, "photo-patches"))
    assert len(pool.visible_ids) == pool.num_train - 300
    few = pool.visible(0, 3)
    assert np.bincount(pool.examples.labels[few]).tolist() == [3] * 10
    assert set(few) <= set(pool.split_ids("train"))


def test_corruptions_are_heavy_and_deterministic() -> None:
    """A nearest-mean classifier of the clean digits, 9 in 10 right, loses much on each."""
    data = build_data(spec(corrupted=1.0), base=HERE, seed=0)
    inputs, labels = data.examples.inputs.reshape(len(data.examples), -1), data.examples.labels
    teach = data.split_ids("teach")
    means = np.stack([inputs[teach[labels[teach] == k]].mean(axis=0) for k in range(10)])

    def accuracy(rows: np.ndarray) -> float:
        gaps = ((inputs[rows][:, None] - means) ** 2).sum(axis=-1)
        return float((gaps.argmin(axis=1) == labels[rows]).mean())

    clean = accuracy(data.split_ids("test"))
    assert clean > 0.85
    for how in CORRUPTIONS:
        assert 0.1 < accuracy(rows_of(data, f"digits+{how}")) < clean - 0.1, how


@pytest.mark.parametrize("how", CORRUPTIONS)
def test_a_corruption_is_a_pure_function_of_seed_and_id(how: Any) -> None:
    images, ids = np.random.default_rng(0).random((6, 3, 12, 8)), np.array([3, 9, 4, 70, 8, 2])
    done = corrupt(images, ids, how, seed=1)
    assert done.shape == images.shape and done.min() >= 0 and done.max() <= 1
    np.testing.assert_array_equal(corrupt(images[2:4], ids[2:4], how, seed=1), done[2:4])
    same = np.repeat(images[:1], 2, axis=0)
    first, second = corrupt(same, np.array([0, 1]), how, seed=1)
    assert np.array_equal(first, second) == (how == "blur")  # the only one that draws nothing
    assert np.array_equal(corrupt(images, ids, how, seed=2), done) == (how == "blur")


def test_each_corruption_is_what_it_says() -> None:
    images, ids = np.full((2000, 1, 10, 20), 0.5), np.arange(2000)
    images[:, :, :, 10:] = 1.0
    noise = corrupt(images, ids, "noise", seed=0)[:, 0, :, :10] - 0.5
    assert abs(noise.mean()) < 0.01 and 0.3 < noise.std() < 0.5  # clipped at 0 and 1
    blurred = corrupt(images[:1], ids[:1], "blur", seed=0)[0, 0, 0]
    np.testing.assert_allclose(blurred[5:15], 0.5 + 0.5 * (np.arange(10) + 1) / 11)
    ramp = np.broadcast_to(np.linspace(0.6, 1, 20), (2000, 1, 10, 20))
    hidden = corrupt(ramp, ids, "occlusion", seed=0)[:, 0] == 0.5
    assert (hidden.sum(axis=(1, 2)) == 6 * 12).all()
    assert hidden.any(axis=0).all()  # every pixel is hidden in some image
    faint = corrupt(images, ids, "contrast", seed=0)
    assert np.ptp(faint, axis=(1, 2, 3)).max() == pytest.approx(0.15 * 0.5)
    level = 0.15 + 0.7 * uniform(ids, 0, "pool", "contrast")
    np.testing.assert_allclose(faint.mean(axis=(1, 2, 3)), level)


def test_a_larger_share_keeps_the_copies_of_a_smaller_one() -> None:
    def copies(share: float) -> dict[int, str]:
        examples = spec(corrupted=share, foreign=None).load(HERE)
        rows = examples.provenance.added
        return {
            int(source): examples.origin_names[code]
            for source, code in zip(examples.provenance.source[rows], examples.origin[rows],
                                    strict=True)
        }  # fmt: skip

    small, large = copies(0.2), copies(0.7)
    assert small.items() <= large.items()
    assert copies(0.0) == {} and len(copies(1.0)) == 934


def test_the_hash_covers_what_was_added() -> None:
    hashes = [
        spec(**options).load(HERE).content_hash
        for options in ({}, {"corrupted": 0.5}, {"seed": 1}, {"foreign": None},
                        {"corruptions": ["blur"]}, {"split_seed": 1})
    ]  # fmt: skip
    assert len(set(hashes)) == len(hashes)
    examples = spec().load(HERE)
    assert examples.content_hash == hashes[0]
    origin = replace(examples.provenance, names=(*examples.origin_names[:-1], "others"))
    assert replace(examples, provenance=origin).content_hash != hashes[0]
    assert replace(examples, provenance=None, labels=examples.labels % 10).content_hash != hashes[0]


def test_a_limit_counts_original_rows() -> None:
    data = build_data(spec(limit=500), base=HERE, seed=0)
    assert len(rows_of(data, "digits")) == 500
    assert len(rows_of(data, "photo-patches")) == 300
    plain = build_data(Digits(limit=500), base=HERE, seed=0)
    assert data.split_ids("test").tolist() == plain.split_ids("test").tolist()


def colour(tmp_path: Path, side: int = 8, rows: int = 90) -> dict[str, str]:
    """Colour bytes with a test part of their own, as a file."""
    generator = np.random.default_rng(side)
    images = generator.integers(0, 256, (rows, 3, side, side), dtype=np.uint8)
    given = Examples(images, np.arange(rows) % 3, ("a", "b", "c"), "colour",
                     np.arange(60, 90, dtype=np.int64))  # fmt: skip
    save_arrays(given, tmp_path / f"{side}.npz")
    return {"use": "arrays", "path": f"{side}.npz"}


def test_grey_foreign_images_become_colour_bytes_and_a_given_test_part_stays(
    tmp_path: Path,
) -> None:
    data = build_data(spec(of=colour(tmp_path)), base=tmp_path, seed=0)
    assert data.examples.inputs.dtype == np.uint8
    assert data.split_ids("test").tolist() == list(range(60, 90))
    foreign = data.examples.inputs[rows_of(data, "photo-patches")]
    patches = DATA.get("photo-patches").model_validate(PATCHES).load(HERE).inputs
    for channel in range(3):
        np.testing.assert_array_equal(foreign[:, channel], patches[:, 0])


def test_foreign_images_of_another_size_or_with_colour_for_grey_are_refused(
    tmp_path: Path,
) -> None:
    with pytest.raises(BadData, match=r"WB105.*photo-patches are 16 x 16 with 1 channel, those of "
                       r"digits 8 x 8 with 1 channel.*`side`"):  # fmt: skip
        spec(foreign={**PATCHES, "side": 16}).load(HERE)
    with pytest.raises(BadData, match="colour are 8 x 8 with 3 channels, those of digits"):
        spec(foreign=colour(tmp_path)).load(tmp_path)


def test_a_pool_is_not_saved_as_arrays(pool: ImageData, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"WB105.*Keep the options that made it"):
        save_arrays(pool.examples, tmp_path / "pool.npz")
    assert not list(tmp_path.iterdir())


def test_a_pool_of_a_pool_or_of_a_table_is_refused() -> None:
    with pytest.raises(BadData, match="`of`: pool of digits is a pool itself"):
        spec(of={"use": "pool", "of": "digits"}, foreign=None).load(HERE)
    with pytest.raises(BadData, match="`of`: wine is a table"):
        spec(of="wine").load(HERE)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"of": {"use": "digits", "limit": 300}}, "`limit` is set in a part.*beside `of`"),
        ({"of": {"use": "digits", "split_seed": 1}}, "`split_seed` is set in a part"),
        ({"foreign": {**PATCHES, "augment": "flip"}}, "`augment` is set in a part"),
        ({"foreign": {"use": "photo-patch"}}, "Did you mean 'photo-patches'"),
        ({"corrupted": 1.5}, "less than or equal to 1"),
        ({"corruptions": []}, "at least 1 item"),
        ({"corruptions": ["blur", "blur"]}, "each corruption at most once"),
        ({"corruptions": ["fog"]}, "'noise', 'blur', 'occlusion' or 'contrast'"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        spec(**options)


def test_what_was_given_comes_back_and_the_whole_can_be_read_again() -> None:
    data = {"use": "pool", "of": "digits", "foreign": PATCHES}
    given = DATA.get("pool").model_validate(data)
    assert given.given() == data
    again = DATA.get("pool").model_validate(given.full())
    assert again.load(HERE).content_hash == given.load(HERE).content_hash


ROWS = np.arange(60, dtype=np.int64)
LABELS = np.append(np.tile(np.arange(3), 18), [0, 1, 2, -1, -1, -1]).astype(np.int64)
SOURCE = np.append(np.arange(54), [0, 1, 2, -1, -1, -1]).astype(np.int64)


def provenance(**changes: Any) -> Provenance:
    fields = {"names": ("a", "b"), "codes": (ROWS >= 54).astype(np.int64), "source": SOURCE}
    return Provenance(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "labels", "text"),
    [
        ({"codes": np.zeros(59, np.int64)}, LABELS, r"shape \(59,\) and \(60,\).*60 rows"),
        ({"names": ("a",)}, LABELS, "numbered 0 to 1; 0 to 0 have a name"),
        ({"source": SOURCE[::-1].copy()}, LABELS[::-1], "original rows must come first"),
        ({"source": np.where(SOURCE == 2, 55, SOURCE)}, LABELS, "copies of them"),
        ({}, np.where(ROWS == 59, 0, LABELS), "row 59 has label 0 and was made from row -1"),
        ({}, np.where(ROWS == 4, -1, LABELS), "row 4 has label -1 and was made from row 4"),
    ],
)
def test_origins_that_cannot_be_are_refused(
    changes: dict[str, Any], labels: np.ndarray, text: str
) -> None:
    with pytest.raises(BadData, match=text):
        Examples(np.zeros((60, 1, 8, 8), np.uint8), labels, ("x", "y", "z"), "made",
                 provenance=provenance(**changes))  # fmt: skip


def test_a_copy_of_a_held_out_row_is_refused() -> None:
    seeds = range(20)
    train = [split_with_pool_or_none(seed) for seed in seeds]
    assert None in train  # rows 0, 1 and 2 are not in every seed's training part
    kept = [parts for parts in train if parts is not None]
    assert all({54, 55, 56, 57, 58, 59} <= set(parts.train) for parts in kept)
    assert all({0, 1, 2} <= set(parts.teach) and not {0, 1, 2} & set(parts.train) for parts in kept)


def split_with_pool_or_none(seed: int) -> Any:
    try:
        return split_with_pool(LABELS, provenance(), split_seed=seed)
    except BadData as error:
        assert "is held out. Make the pool with the same `split_seed`" in str(error)
        return None
