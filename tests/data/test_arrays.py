"""Own data: any map-style data set, and files of arrays."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from workbench.data.arrays import Arrays, from_dataset, save_arrays
from workbench.errors import BadData, BadFile

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 3, 6, 5), dtype=np.uint8)
LABELS = [row % 3 for row in range(12)]


def rows(convert: Any) -> list[tuple[Any, int]]:
    return [(convert(image), label) for image, label in zip(PIXELS, LABELS, strict=True)]


@pytest.mark.parametrize(
    "convert",
    [
        lambda planes: planes,
        lambda planes: planes.transpose(1, 2, 0),
        lambda planes: Image.fromarray(planes.transpose(1, 2, 0)),
        torch.from_numpy,
        lambda planes: torch.from_numpy(planes).permute(1, 2, 0),
        lambda planes: planes.astype(np.int64),
    ],
    ids=["CHW", "HWC", "PIL", "tensor CHW", "tensor HWC", "int64"],
)
def test_every_form_of_image_gives_the_same_bytes(convert: Any) -> None:
    examples = from_dataset(rows(convert), name="mine")
    np.testing.assert_array_equal(examples.inputs, PIXELS)
    assert examples.inputs.dtype == np.uint8
    assert examples.labels.tolist() == LABELS
    assert (examples.class_names, examples.name) == (("0", "1", "2"), "mine")


@pytest.mark.parametrize(
    "convert",
    [lambda planes: planes[0], lambda planes: Image.fromarray(planes[0]),
     lambda planes: torch.from_numpy(planes[0])],
)  # fmt: skip
def test_grey_images_get_one_channel(convert: Any) -> None:
    examples = from_dataset(rows(convert), name="grey")
    np.testing.assert_array_equal(examples.inputs[:, 0], PIXELS[:, 0])


def test_where_both_ends_could_be_channels_a_tensor_has_them_first_and_an_array_last() -> None:
    narrow = PIXELS[:, :, :, :3]  # (3, 6, 3)
    tensors = [(torch.from_numpy(image), row % 3) for row, image in enumerate(narrow)]
    arrays = [(image, row % 3) for row, image in enumerate(narrow)]
    np.testing.assert_array_equal(from_dataset(tensors, name="t").inputs, narrow)
    expected = narrow.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(from_dataset(arrays, name="a").inputs, expected)


def test_a_palette_image_becomes_colour() -> None:
    image = Image.fromarray(np.zeros((6, 5), dtype=np.uint8)).convert("P")
    examples = from_dataset([(image, row % 2) for row in range(4)], name="palette")
    assert examples.inputs.shape == (4, 3, 6, 5)


def test_a_tensor_data_set_of_floats_becomes_float32() -> None:
    images = torch.from_numpy(PIXELS).double() / 255
    examples = from_dataset(TensorDataset(images, torch.tensor(LABELS)), name="tensors")
    assert examples.inputs.dtype == np.float32
    np.testing.assert_allclose(examples.inputs, PIXELS / 255, rtol=1e-6)


def test_a_second_data_set_becomes_the_test_part_and_class_names_are_taken() -> None:
    class Named(list[Any]):
        classes = ("ant", "bee", "cat")

    examples = from_dataset(Named(rows(lambda x: x)), name="mine", test=rows(lambda x: x)[:3])
    assert examples.class_names == ("ant", "bee", "cat")
    assert examples.test_rows is not None
    assert examples.test_rows.tolist() == [12, 13, 14]


def row_of(image: Any, label: Any = 1) -> list[Any]:
    return [*rows(lambda x: x)[:5], (image, label)]


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        (row_of(np.zeros((3, 7, 5), np.uint8)), "row 5 is 7 x 5, 3 channels.*row 0 is 6 x 5"),
        (row_of(np.zeros((6, 5), np.uint8)), "row 5 is 6 x 5, 1 channel, uint8.*transform"),
        (row_of(np.zeros((3, 6, 5), np.float32)), "row 5 is 6 x 5, 3 channels, float32"),
        (row_of(np.zeros((4, 6, 5), np.uint8)), r"row 5 has an image of shape \(4, 6, 5\)"),
        (row_of("cat.png"), "row 5 has a str for an image"),
        (row_of(PIXELS[0], "cat"), "row 5 has the label 'cat'; a class number"),
        (row_of(PIXELS[0], 1.0), "row 5 has the label 1.0"),
        (row_of(PIXELS[0], [0, 1]), r"row 5 has the label \[0, 1\]"),
        (row_of(PIXELS[0], -1), "row 5 has label -1"),
        ([{"image": 1, "label": 2}], r"row 0 is a dict; a pair \(image, label\).*Wrap"),
        ([], "is empty"),
        (iter([1]), "list_iterator has no length or no rows"),
        ([(PIXELS[0].astype(np.float32), 0), (PIXELS[1].astype(np.float32), 1)], r"\[0, 1\]"),
        ([(PIXELS[0].astype(np.int64) * 9, 0), (PIXELS[1].astype(np.int64), 1)], "are int64"),
        ([(PIXELS[0], 1), (PIXELS[1], 2)], "class '0' has no image"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_with_its_row(dataset: Any, words: str) -> None:
    with pytest.raises(BadData, match=f"WB105.*mine.*{words}"):
        from_dataset(dataset, name="mine")


def test_a_row_of_the_test_part_is_named_as_such() -> None:
    with pytest.raises(BadData, match="row 0 of the test part has a str"):
        from_dataset(rows(lambda x: x), name="mine", test=[("cat.png", 0)])


def test_saved_arrays_load_as_the_same_data(tmp_path: Path) -> None:
    for test in (None, rows(lambda x: x)[:3]):
        examples = from_dataset(rows(lambda x: x), name="mine", test=test)
        save_arrays(examples, tmp_path / "mine.npz")
        loaded = Arrays(path="mine.npz").load(tmp_path)
        assert loaded.content_hash == examples.content_hash
        assert loaded.name == "mine"


@pytest.mark.parametrize("as_given", [np.float64, np.int64, torch.tensor])
def test_pairs_of_numbers_are_rows_of_a_table_and_load_as_the_same_data(
    tmp_path: Path, as_given: Any
) -> None:
    """As from a TensorDataset: no image, and whole numbers are no bytes."""
    numbers = [[float(row), -3.0, 1e6] for row in range(30)]
    give = as_given if as_given is torch.tensor else partial(np.asarray, dtype=as_given)
    mine = [(give(row), number % 2) for number, row in enumerate(numbers)]
    examples = from_dataset(mine, name="mine", test=mine[:4])
    assert examples.kind == "row" and examples.inputs.dtype == np.float32
    np.testing.assert_array_equal(examples.inputs[:30], numbers)
    save_arrays(examples, tmp_path / "mine.npz")
    assert Arrays(path="mine.npz").load(tmp_path).content_hash == examples.content_hash
    named = replace(examples, feature_names=("a", "b", "c"))
    save_arrays(named, tmp_path / "mine.npz")
    assert Arrays(path="mine.npz").load(tmp_path).content_hash == named.content_hash


def test_rows_of_unequal_length_are_refused() -> None:
    pairs = [(np.zeros(3), 0), (np.zeros(4), 1)]
    with pytest.raises(BadData, match=r"row 1 is a table row of 4 features, row 0 .*of 3 features"):
        from_dataset(pairs, name="mine")


def test_rows_under_the_name_of_images_and_moved_rows_are_refused(tmp_path: Path) -> None:
    flat = PIXELS.reshape(len(PIXELS), -1)
    np.savez(tmp_path / "flat.npz", images=flat, labels=np.array(LABELS))
    with pytest.raises(BadFile, match=r"`images` has shape \(\d+, \d+\).*N x F under `rows`"):
        Arrays(path="flat.npz").load(tmp_path)
    np.savez(tmp_path / "maps.npz", rows=PIXELS, labels=np.array(LABELS))
    with pytest.raises(BadFile, match=r"`rows` has shape"):
        Arrays(path="maps.npz").load(tmp_path)
    np.savez(tmp_path / "rows.npz", rows=flat, labels=np.array(LABELS))
    assert Arrays(path="rows.npz").load(tmp_path).kind == "row"
    with pytest.raises(BadData, match="`augment` is 'flip', which moves pixels"):
        Arrays(path="rows.npz", augment="flip").load(tmp_path)


def test_a_plain_npz_of_grey_images_is_enough(tmp_path: Path) -> None:
    np.savez(tmp_path / "grey.npz", images=PIXELS[:, 0], labels=np.array(LABELS, dtype=np.uint8))
    loaded = Arrays(path="grey.npz").load(tmp_path)
    np.testing.assert_array_equal(loaded.inputs[:, 0], PIXELS[:, 0])
    assert loaded.labels.tolist() == LABELS and loaded.name == "grey"


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[Path]]:
            return Path.touch, (tmp_path / "sprung",)

    np.savez(tmp_path / "trap.npz", images=np.array([Trap()], dtype=object), labels=LABELS)
    with pytest.raises(BadFile, match=r"WB104.*trap\.npz is no \.npz file of plain arrays"):
        Arrays(path="trap.npz").load(tmp_path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(BadFile, match=r"x\.npz is no \.npz file"):
        Arrays(path="x.npz").load(tmp_path)


def test_damage_inside_the_file_is_noticed(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=PIXELS, labels=LABELS)
    data = bytearray((tmp_path / "x.npz").read_bytes())
    data[400] ^= 255
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(BadFile, match=r"x\.npz is no \.npz file of plain arrays"):
        Arrays(path="x.npz").load(tmp_path)


def test_missing_and_odd_arrays_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=PIXELS, targets=LABELS)
    with pytest.raises(BadFile, match="no array `labels`; it has images, targets"):
        Arrays(path="x.npz").load(tmp_path)
    np.savez(tmp_path / "x.npz", images=PIXELS, labels=np.array(LABELS, dtype=float))
    with pytest.raises(BadData, match="`labels` are float64"):
        Arrays(path="x.npz").load(tmp_path)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="is a folder; the file of arrays must be a file"):
        Arrays(path=".").load(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    examples = from_dataset(rows(lambda x: x), name="mine")
    with pytest.raises(BadFile, match=r"x\.npz cannot be written"):
        save_arrays(examples, tmp_path / "nowhere" / "x.npz")
