"""IDX files: round trip through files written by hand, and every way to be wrong."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from workbench.data.idx import Idx
from workbench.errors import BadData, BadFile

TRAIN = np.random.default_rng(0).integers(0, 256, (40, 6, 5), dtype=np.uint8)
TEST = np.random.default_rng(1).integers(0, 256, (12, 6, 5), dtype=np.uint8)
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(values: np.ndarray) -> bytes:
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return head + values.tobytes()


def numbers(count: int) -> np.ndarray:
    return (np.arange(count) % 4).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "letters"
    place.mkdir()
    for part, images in (("train", TRAIN), ("t10k", TEST)):
        (place / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        (place / f"{part}-labels-idx1-ubyte").write_bytes(idx(numbers(len(images))))
    return place


def test_reads_images_labels_and_the_test_part(folder: Path) -> None:
    examples = Idx(path="letters").load(folder.parent)
    np.testing.assert_array_equal(examples.inputs[:, 0], np.concatenate([TRAIN, TEST]))
    assert examples.labels.tolist() == [*numbers(40).tolist(), *numbers(12).tolist()]
    assert examples.test_rows is not None
    assert examples.test_rows.tolist() == list(range(40, 52))
    assert (examples.name, examples.class_names) == ("letters", ("0", "1", "2", "3"))


def test_gzipped_files_read_the_same_whatever_they_are_called(folder: Path) -> None:
    plain = Idx(path="letters").load(folder.parent).content_hash
    for number, file in enumerate(sorted(folder.iterdir())):
        packed = gzip.compress(file.read_bytes())
        file.unlink()
        # Two keep their name, as a browser leaves them; two end in .gz.
        file.with_name(file.name + (".gz" if number % 2 else "")).write_bytes(packed)
    assert Idx(path="letters").load(folder.parent).content_hash == plain


def test_the_dotted_names_of_some_mirrors_are_found(folder: Path) -> None:
    for file in list(folder.iterdir()):
        file.rename(folder / file.name.replace("-idx", ".idx"))
    assert len(Idx(path="letters").load(folder.parent)) == 52


def cut(data: bytes) -> bytes:
    return data[:-3]


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        (IMAGES, lambda data: b"", "begins with the bytes of an empty file"),
        (IMAGES, lambda data: b"\x89PNG" + data[4:], "89 50 4e 47.*3 dimensions.*00 00 08 03"),
        (IMAGES, lambda data: idx(numbers(40)), "00 00 08 01.*images and labels swapped"),
        (LABELS, lambda data: idx(TRAIN), "00 00 08 03.*1 dimension begins with 00 00 08 01"),
        (IMAGES, lambda data: data[:9], "ends inside its header"),
        (IMAGES, cut, "says that it holds 1200 values and has only 1197"),
        (IMAGES, lambda data: data + b"x", "1200 values and has more"),
        (IMAGES, lambda data: data[:8] + bytes(8) + data[16:], r"\(40, 0, 0\) values: nothing"),
        (IMAGES, lambda data: gzip.compress(data)[:-9], "cannot be read"),
        (IMAGES, lambda data: gzip.compress(data)[:40] + b"\0" * 50, "cannot be read"),
    ],
)
def test_a_damaged_file_is_named(
    folder: Path, name: str, change: Callable[[bytes], bytes], words: str
) -> None:
    file = folder / name
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(BadFile, match=rf"WB104.*{name} .*{words}"):
        Idx(path="letters").load(folder.parent)


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(folder: Path) -> None:
    head = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    (folder / IMAGES).write_bytes(head + bytes(10))
    with pytest.raises(BadData, match=r"WB105.*4294967295 x.*GiB.*smaller ones"):
        Idx(path="letters").load(folder.parent)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(BadFile, match=r"no file t10k-labels-idx1-ubyte \(or .*\.gz\).*All four"):
        Idx(path="letters").load(folder.parent)


def test_counts_that_differ_are_named(folder: Path) -> None:
    (folder / LABELS).write_bytes(idx(numbers(39)))
    with pytest.raises(BadData, match=f"{IMAGES} has 40 images, {LABELS} has 39 labels"):
        Idx(path="letters").load(folder.parent)


def test_parts_of_two_sizes_are_refused(folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(TEST[:, :5]))
    with pytest.raises(BadData, match="Training images are 6 x 5 pixels, test images 5 x 5"):
        Idx(path="letters").load(folder.parent)


def test_a_missing_folder_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=rf"'nowhere' does not exist \(looked at {tmp_path}/nowhere"):
        Idx(path="nowhere").load(tmp_path)
