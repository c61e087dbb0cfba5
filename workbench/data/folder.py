"""A folder of class folders: your own photographs, read with Pillow into one small size.

Unusual here: nothing outside the folder is ever read (links that lead out of it are passed over),
every damaged file is named in one message, and `limit` is applied before anything is decoded.
Layouts: ``PATH/CLASS/...`` or ``PATH/train/CLASS/...`` with, if there is one, ``PATH/test/CLASS``.
"""

from __future__ import annotations

import os
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from workbench.data.examples import Examples, refuse_large, strata
from workbench.data.spec import DataSpec, find
from workbench.data.splits import choose_rows
from workbench.errors import BadData, BadFile
from workbench.lazy import LazyModule
from workbench.registries import DATA

if TYPE_CHECKING:
    from PIL import Image, ImageOps
else:
    Image = LazyModule("PIL.Image")
    ImageOps = LazyModule("PIL.ImageOps")

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
NAMED_FILES = 5
"""Damaged files named in one message; the others are counted."""


@dataclass(frozen=True)
class _Listed:
    """Image files with their class and part, before any is decoded."""

    files: list[Path]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    test_rows: npt.NDArray[np.int64] | None


@DATA.register("folder")
class Folder(DataSpec):
    """Your images: a folder with one sub-folder for each class, or train/ and test/ with those."""

    use: Literal["folder"] = "folder"
    path: Annotated[str, Field(min_length=1, description="Folder that holds the class folders.")]
    size: Annotated[
        int,
        Field(
            ge=8,
            le=1024,
            description="Edge in pixels; images are scaled and centre-cropped to a square.",
        ),
    ] = 32
    channels: Annotated[Literal[1, 3], Field(description="1 for grey, 3 for colour.")] = 3

    def load(self, base: Path) -> Examples:
        """Decode all images; turned upright as their EXIF says, alpha is dropped."""
        root = find(self.path, base, what="the image folder", folder=True)
        listed = _limited(_list(root), self.limit, self.split_seed)
        shape = (len(listed.files), self.channels, self.size, self.size)
        refuse_large(str(root), shape, itemsize=1, fix="Lower `size`, or set `limit`.")
        images = _decode(listed.files, shape)
        return Examples(images, listed.labels, listed.class_names, root.name, listed.test_rows)


def _list(root: Path) -> _Listed:
    """All image files below ``root`` in a fixed order: training part first, class by class."""
    folders = _folders(root, root)
    train_root, test_root = folders.get("train"), folders.get("test")
    if train_root is None or not _folders(train_root, root):
        train_root, test_root = root, None
    elif others := sorted(set(folders) - {"train", "test"}):
        raise BadData(
            f"{root} has the folder {others[0]!r} beside 'train'; only 'train' and 'test' are "
            f"read. Rename it to 'test', move its images into 'train', or call it '.{others[0]}'."
        )
    files, labels, names = _class_files(train_root, root)
    if test_root is None:
        return _Listed(files, np.array(labels, dtype=np.int64), names, None)
    test_files, test_labels, test_names = _class_files(test_root, root, least=1)
    if unknown := sorted(set(test_names) - set(names)):
        raise BadData(
            f"{test_root} has the class {unknown[0]!r}, which {train_root} lacks. "
            f"Known: {', '.join(names[:20])}."
        )
    number = [names.index(name) for name in test_names]
    rows = np.arange(len(files), len(files) + len(test_files), dtype=np.int64)
    labels += [number[label] for label in test_labels]
    return _Listed(files + test_files, np.array(labels, dtype=np.int64), names, rows)


def _limited(listed: _Listed, limit: int | None, seed: int) -> _Listed:
    if limit is None or limit >= len(listed.files):
        return listed
    keep = choose_rows(strata(listed.labels, listed.test_rows), limit, seed=seed)
    rows = listed.test_rows
    if rows is not None:
        rows = np.flatnonzero(np.isin(keep, rows)).astype(np.int64)
    files = [listed.files[row] for row in keep]
    return _Listed(files, listed.labels[keep], listed.class_names, rows)


def _class_files(
    part: Path, root: Path, *, least: int = 2
) -> tuple[list[Path], list[int], tuple[str, ...]]:
    """Image files of one part, the class number of each, and the names of the classes."""
    folders = _folders(part, root)
    if len(folders) < least:
        got = f"one class folder only ({next(iter(folders))!r})" if folders else "no class folder"
        raise BadData(
            f"{part} has {got}; at least {least} must be there, one sub-folder of images for each "
            "class."
        )
    files, labels = [], []
    for number, folder in enumerate(folders.values()):
        inside = _images(folder, root)
        if not inside:
            raise BadData(
                f"The class folder {folder} holds no image ({', '.join(sorted(SUFFIXES))}). Add "
                f"some, or remove it; a folder whose name begins with a dot is passed over."
            )
        files += inside
        labels += [number] * len(inside)
    return files, labels, tuple(folders)


def _folders(parent: Path, root: Path) -> dict[str, Path]:
    """Sub-folders by name, sorted; without hidden ones and links that lead out of ``root``."""
    try:
        entries = sorted(parent.iterdir())
    except OSError as error:
        raise BadFile(f"{parent} cannot be read ({error.strerror}).") from None
    return {
        entry.name: entry
        for entry in entries
        if not entry.name.startswith(".") and entry.is_dir() and _inside(entry, root)
    }


def _images(folder: Path, root: Path) -> list[Path]:
    """Image files in and below ``folder``, sorted; no hidden ones, no links out of ``root``."""

    def refuse(error: OSError) -> None:
        raise BadFile(f"{error.filename} cannot be read ({error.strerror}).") from None

    found = []
    for place, below, names in os.walk(folder, onerror=refuse):  # follows no folder link
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            file = Path(place, name)
            if not name.startswith(".") and file.suffix.lower() in SUFFIXES and _inside(file, root):
                found.append(file)
    return sorted(found)


def _inside(path: Path, root: Path) -> bool:
    """Whether a path is no link, or a link to something below ``root`` (itself resolved)."""
    return not path.is_symlink() or path.resolve().is_relative_to(root)


def _decode(files: list[Path], shape: tuple[int, int, int, int]) -> npt.NDArray[np.uint8]:
    """The images as one array of this shape; BadFile names the files that are damaged."""
    images = np.empty(shape, dtype=np.uint8)
    damaged = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd EXIF or TIFF tags say nothing about the pixels
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for row, file in enumerate(files):
            try:
                images[row] = _decode_one(file, channels=shape[1], size=shape[2])
            except (
                OSError, ValueError, SyntaxError, EOFError, struct.error,
                Image.DecompressionBombError, Image.DecompressionBombWarning,
            ) as error:  # fmt: skip
                damaged.append(f"{file} ({error})")
    if damaged:
        more = f" and {len(damaged) - NAMED_FILES} more" if len(damaged) > NAMED_FILES else ""
        raise BadFile(
            f"{len(damaged)} of {len(files)} images cannot be read: "
            f"{'; '.join(damaged[:NAMED_FILES])}{more}. Replace or remove them."
        )
    return images


def _decode_one(file: Path, *, channels: int, size: int) -> npt.NDArray[np.uint8]:
    """One image, upright, scaled and centre-cropped, uint8, shape (channels, size, size)."""
    with Image.open(file) as opened:
        opened.draft(None, (2 * size, 2 * size))  # a JPEG need not be decoded much larger than used
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I;16"):  # convert() would clip 16 bits instead of scaling them
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        elif image.mode in ("I", "F"):
            raise ValueError(f"mode {image.mode!r} has no fixed range; save it with 8 or 16 bits")
        image = image.convert("L" if channels == 1 else "RGB")
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
        pixels = np.asarray(image, dtype=np.uint8)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
