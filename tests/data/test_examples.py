"""Examples: what is refused, what the hash covers, what a limit keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from workbench.data.examples import MAX_BYTES, Examples, refuse_large
from workbench.errors import BadData

LABELS = np.arange(60, dtype=np.int64) % 3
IMAGES = np.random.default_rng(0).integers(0, 256, (60, 3, 4, 5), dtype=np.uint8)


def good(**changes: Any) -> Examples:
    fields = {
        "inputs": IMAGES,
        "labels": LABELS,
        "class_names": ("a", "b", "c"),
        "name": "tiny",
        "test_rows": np.arange(40, 60, dtype=np.int64),
    }
    return Examples(**{**fields, **changes})


def changed(array: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    copy = array.copy()
    copy[place] = value
    return copy


FLOATS = (IMAGES / 255).astype(np.float32)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"inputs": IMAGES.astype(np.int64)}, r"images are int64; uint8.*float32 in \[0, 1\]"),
        ({"inputs": IMAGES[:, :2]}, r"shape \(60, 2, 4, 5\).*1 or 3 channels"),
        ({"inputs": IMAGES[:, 0]}, r"shape \(60, 4, 5\)"),
        ({"inputs": IMAGES[:0], "labels": LABELS[:0]}, "at least one row"),
        ({"inputs": changed(FLOATS, (7, 1, 2, 3), 1.5)}, "row 7 has values from 0.* to 1.5"),
        ({"inputs": changed(FLOATS, (9, 0, 0, 0), -2.0)}, "row 9 has values from -2 to.*normalis"),
        ({"inputs": changed(FLOATS, (3, 0, 0, 0), np.nan)}, "row 3 has values from nan"),
        ({"labels": LABELS.astype(np.int32)}, "labels are int32"),
        ({"labels": LABELS[:59]}, r"shape \(59,\); int64 of shape \(60,\)"),
        ({"labels": changed(LABELS, (5,), 3)}, "row 5 has label 3; class numbers 0 to 2"),
        ({"labels": changed(LABELS, (6,), -1)}, "row 6 has label -1"),
        ({"labels": np.minimum(LABELS, 1)}, "class 'c' has no image"),
        ({"labels": LABELS * 0, "class_names": ("a",)}, "one class only"),
        ({"test_rows": np.array([60])}, "between 0 and 59"),
        ({"test_rows": np.array([3, 3])}, "each once"),
        ({"test_rows": np.arange(60)}, "some but not all"),
        ({"test_rows": np.array([], dtype=np.int64)}, "some but not all"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused_with_the_place(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadData, match=f"WB105.*tiny.*{words}"):
        good(**changes)


ROWS = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32) * 1e6
NAMED = {"inputs": ROWS, "feature_names": ("size", "mass", "age")}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"inputs": ROWS.astype(np.float64)},
            r"table rows are float64 .*\(60, 3\); float32",
        ),
        ({"inputs": ROWS[:, :0]}, "at least one of each"),
        ({"inputs": changed(ROWS, (7, 1), np.nan)}, "feature 1 of row 7 is nan"),
        (
            {**NAMED, "inputs": changed(ROWS, (9, 2), np.inf)},
            r"2 \('age'\) of row 9 is inf",
        ),
        ({**NAMED, "feature_names": ("size", "mass")}, "2 feature names for 3 features"),
        ({"inputs": ROWS, "labels": np.minimum(LABELS, 1)}, "class 'c' has no row"),
        ({"inputs": ROWS, "labels": LABELS[:59]}, "one class number for each row"),
    ],
)
def test_rows_that_cannot_be_used_are_refused_with_the_place(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadData, match=f"WB105.*tiny.*{words}"):
        good(**changes)


def test_rows_keep_their_units_and_images_have_no_features() -> None:
    rows = good(**NAMED)
    assert (rows.kind, good().kind) == ("row", "image")
    assert np.abs(rows.inputs).max() > 1 and good().feature_names == ()


def test_a_nan_in_a_later_chunk_of_rows_is_found() -> None:
    rows = np.zeros((5000, 2), dtype=np.float32)
    rows[4567, 1] = np.nan
    with pytest.raises(BadData, match="feature 1 of row 4567"):
        Examples(rows, np.arange(5000) % 2, ("a", "b"), "many")


def test_a_nan_in_a_later_chunk_is_found() -> None:
    images = np.zeros((5000, 1, 2, 2), dtype=np.float32)
    images[4567, 0, 1, 1] = np.nan
    with pytest.raises(BadData, match="row 4567"):
        Examples(images, np.arange(5000) % 2, ("a", "b"), "many")


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": changed(IMAGES, (59, 2, 3, 4), IMAGES[59, 2, 3, 4] ^ 1)},
        {"inputs": IMAGES.reshape(60, 3, 5, 4)},
        {"inputs": ROWS},
        NAMED,
        {**NAMED, "feature_names": ("size", "mass", "year")},
        {"labels": LABELS[::-1].copy()},
        {"class_names": ("a", "b", "d")},
        {"test_rows": np.arange(41, 60, dtype=np.int64)},
        {"test_rows": None},
    ],
)
def test_the_hash_covers_content(changes: dict[str, Any]) -> None:
    assert good(**changes).content_hash != good().content_hash


def test_the_hash_covers_neither_name_nor_memory_layout() -> None:
    columns_first = np.asfortranarray(IMAGES)
    assert good(name="other", inputs=columns_first).content_hash == good().content_hash
    assert len(good().content_hash) == 64


def test_a_limit_keeps_the_shares_of_classes_and_of_the_test_part() -> None:
    small = good().limited(30, seed=0)
    assert len(small) == 30 and small.test_rows is not None
    assert len(small.test_rows) == 10
    assert np.bincount(small.labels).tolist() == [10, 10, 10]
    originals = {image.tobytes(): number for number, image in enumerate(IMAGES)}
    rows = np.array([originals[image.tobytes()] for image in small.inputs])
    assert LABELS[rows].tolist() == small.labels.tolist()
    assert (rows[small.test_rows] >= 40).all() and (np.delete(rows, small.test_rows) < 40).all()


def test_no_limit_and_a_large_limit_change_nothing() -> None:
    examples = good()
    assert examples.limited(None, seed=0) is examples
    assert examples.limited(60, seed=0) is examples


def test_replacing_an_array_gives_a_fresh_hash() -> None:
    examples = good()
    before = examples.content_hash
    assert replace(examples, labels=LABELS[::-1].copy()).content_hash != before


def test_more_than_8_gib_are_refused_with_the_numbers_and_the_option() -> None:
    shape = (100_000, 3, 224, 224)
    with pytest.raises(BadData, match=r"100000 x 3 x 224 x 224.*14.0 GiB.*at most 8.*Set `limit`"):
        refuse_large("photos", shape, itemsize=1, fix="Set `limit`.")
    refuse_large("photos", (MAX_BYTES,), itemsize=1, fix="")
    with pytest.raises(BadData):
        refuse_large("photos", (MAX_BYTES // 4 + 1,), itemsize=4, fix="")
