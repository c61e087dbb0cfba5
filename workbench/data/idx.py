"""MNIST-style files: four IDX files with their standard names, gzipped or not.

Format (LeCun, Cortes, Burges): big-endian; two zero bytes, a type code, the number of dimensions,
one uint32 for each extent, then the values.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import IO, Annotated, Literal, cast

import numpy as np
import numpy.typing as npt
from pydantic import Field

from workbench.data.examples import Examples, refuse_large
from workbench.data.spec import DataSpec, find
from workbench.errors import BadData, BadFile
from workbench.registries import DATA

UNSIGNED_BYTE = 0x08
PARTS = ("train", "t10k")
"""Prefixes of the training and of the test files."""


@DATA.register("idx")
class Idx(DataSpec):
    """MNIST-style IDX files (MNIST, Fashion-MNIST, KMNIST); the t10k files are the test part."""

    use: Literal["idx"] = "idx"
    path: Annotated[
        str,
        Field(
            min_length=1,
            description="Folder with train-images-idx3-ubyte, train-labels-idx1-ubyte and the two "
            "t10k files, gzipped or not.",
        ),
    ]

    def load(self, base: Path) -> Examples:
        """Read the four files; checks magic numbers, extents, lengths and that counts agree."""
        folder = find(self.path, base, what="the folder of IDX files", folder=True)
        files = {part: _pair(folder, part) for part in PARTS}
        images, labels = [], []
        for part, (image_file, label_file) in files.items():
            images.append(_read(image_file, dimensions=3))
            labels.append(_read(label_file, dimensions=1))
            if len(images[-1]) != len(labels[-1]):
                raise BadData(
                    f"{image_file.name} has {len(images[-1])} images, {label_file.name} has "
                    f"{len(labels[-1])} labels; the {part} files do not belong together."
                )
        if images[0].shape[1:] != images[1].shape[1:]:
            raise BadData(
                f"Training images are {_size(images[0])} pixels, test images {_size(images[1])}; "
                "the files do not belong together."
            )
        all_labels = np.concatenate(labels).astype(np.int64)
        names = tuple(str(number) for number in range(int(all_labels.max()) + 1))
        rows = np.arange(len(labels[0]), len(all_labels), dtype=np.int64)
        return Examples(np.concatenate(images)[:, None], all_labels, names, folder.name, rows)


def _pair(folder: Path, part: str) -> tuple[Path, Path]:
    """The image and the label file of one part; BadFile names what is missing."""
    found = []
    for stem in (f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"):
        # Some mirrors write a dot before "idx".
        names = [
            stem,
            f"{stem}.gz",
            stem.replace("-idx", ".idx"),
            f"{stem.replace('-idx', '.idx')}.gz",
        ]
        file = next((folder / name for name in names if (folder / name).is_file()), None)
        if file is None:
            raise BadFile(
                f"{folder} has no file {stem} (or {stem}.gz). All four standard files are needed: "
                "train-images, train-labels, t10k-images, t10k-labels."
            )
        found.append(file)
    return found[0], found[1]


def _read(file: Path, *, dimensions: int) -> npt.NDArray[np.uint8]:
    """The values of one IDX file of unsigned bytes with so many dimensions."""
    try:
        with file.open("rb") as probe:
            zipped = probe.read(2) == b"\x1f\x8b"
        with cast("IO[bytes]", gzip.open(file) if zipped else file.open("rb")) as stream:
            return _parse(stream, file, dimensions)
    except (OSError, EOFError, zlib.error) as error:  # BadGzipFile is an OSError
        raise BadFile(f"{file} cannot be read ({error}). Fetch the file again.") from None


def _parse(stream: IO[bytes], file: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    head = stream.read(4)
    expected = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if head != expected:
        raise BadFile(
            f"{file} begins with the bytes {head.hex(' ') or 'of an empty file'}; an IDX file of "
            f"unsigned bytes with {dimensions} dimension{'s' if dimensions > 1 else ''} begins "
            f"with {expected.hex(' ')}. Is it another file, or are images and labels swapped?"
        )
    extents = stream.read(4 * dimensions)
    if len(extents) < 4 * dimensions:
        raise BadFile(f"{file} ends inside its header. Fetch the file again.")
    shape = struct.unpack(f">{dimensions}I", extents)
    refuse_large(file.name, shape, itemsize=1, fix="Split the file into smaller ones.")
    size = int(np.prod(shape, dtype=np.int64))
    if not size:
        raise BadFile(f"{file} says that it holds {shape} values: nothing.")
    values = stream.read(size + 1)
    if len(values) != size:
        got = f"only {len(values)}" if len(values) < size else "more"
        raise BadFile(
            f"{file} says that it holds {size} values and has {got}. Fetch the file again."
        )
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _size(images: npt.NDArray[np.uint8]) -> str:
    return f"{images.shape[1]} x {images.shape[2]}"
