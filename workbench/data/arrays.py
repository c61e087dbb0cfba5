"""Your own data: any map-style data set, or a file of arrays.

Unusual here: a Python data set is turned into plain arrays once, and those into one ``.npz`` file
without pickle, so that the training process and a later replay read exactly what you had.
Shapes: N = rows, C = channels (1 or 3), H, W = pixels, F = features of a table row.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from workbench.data.examples import Examples, refuse_large
from workbench.data.spec import DataSpec, find
from workbench.errors import BadData, BadFile
from workbench.registries import DATA

CHANNELS = (1, 3)


class MapStyle(Protocol):
    """What a map-style data set is: a length, and (image or table row, label) by row number."""

    def __len__(self) -> int: ...
    def __getitem__(self, row: int, /) -> Any: ...


@DATA.register("arrays")
class Arrays(DataSpec):
    """An .npz file with the arrays `images` (or `rows`) and `labels`, as `save_arrays` writes."""

    use: Literal["arrays"] = "arrays"
    path: Annotated[
        str,
        Field(
            min_length=1,
            description="File with `images` (uint8, or float in [0, 1]; N x C x H x W or "
            "N x H x W) or `rows` of a table (N x F), `labels` (N) and, if you like, `class_names` "
            "(K) and `test_rows`.",
        ),
    ]

    def load(self, base: Path) -> Examples:
        """Read the file; never unpickles."""
        file = find(self.path, base, what="the file of arrays", folder=False)
        arrays = _read_npz(file)
        inputs = "rows" if "rows" in arrays and "images" not in arrays else "images"
        for needed in (inputs, "labels"):
            if needed not in arrays:
                listed = ", ".join(sorted(arrays)) or "none"
                raise BadFile(
                    f"{file} has no array `{needed}`; it has {listed}. "
                    "Write it with `save_arrays`, or `np.savez(file, images=..., labels=...)`."
                )
        self._check(file, inputs, arrays[inputs])
        images = arrays[inputs][:, None] if arrays[inputs].ndim == 3 else arrays[inputs]
        labels = _whole_numbers(arrays["labels"], f"{file}: `labels`")
        names = (
            tuple(str(name) for name in arrays["class_names"]) if "class_names" in arrays else ()
        )
        rows = arrays.get("test_rows")
        features = arrays.get("feature_names", ())
        return Examples(
            _values(images),
            labels,
            names or _numbered(labels),
            str(arrays["name"]) if "name" in arrays else file.stem,
            None if rows is None else _whole_numbers(rows, f"{file}: `test_rows`"),
            tuple(str(name) for name in features) if inputs == "rows" else (),
        )

    def _check(self, file: Path, name: str, values: npt.NDArray[Any]) -> None:
        """The name says what a row is; an array of the other shape is a mistake."""
        if (values.ndim == 2) != (name == "rows"):
            raise BadFile(
                f"{file}: `{name}` has shape {values.shape}. Images are N x C x H x W or N x H x W "
                "under `images`, table rows are N x F under `rows`."
            )
        if name == "rows" and self.augment != "none":
            raise BadData(
                f"{file}: `augment` is {self.augment!r}, which moves pixels; the data are table "
                "rows. Set it to `none`."
            )


def save_arrays(examples: Examples, file: Path) -> None:
    """Write a data set so that ``{use: arrays, path: FILE}`` reads the same, bit for bit.

    Raises:
        BadData: If it is a pool, whose origins the file has no place for.
        BadFile: If the file cannot be written.
    """
    if examples.provenance is not None:
        raise BadData(
            f"{examples.name} says where each row comes from, which a file of arrays cannot. Keep "
            "the options that made it (`use: pool`)."
        )
    arrays: dict[str, npt.NDArray[Any]] = {
        "images" if examples.kind == "image" else "rows": examples.inputs,
        "labels": examples.labels,
        "class_names": np.array(examples.class_names, dtype=np.str_),
        "name": np.array(examples.name, dtype=np.str_),
    }
    if examples.test_rows is not None:
        arrays["test_rows"] = examples.test_rows
    if examples.feature_names:
        arrays["feature_names"] = np.array(examples.feature_names, dtype=np.str_)
    try:
        with file.open("wb") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
    except OSError as error:
        raise BadFile(f"{file} cannot be written ({error.strerror}).") from None


def from_dataset(dataset: MapStyle, *, name: str, test: MapStyle | None = None) -> Examples:
    """The examples of any map-style Python data set (torchvision, Hugging Face, your own class).

    Args:
        dataset: ``dataset[row]`` gives (image, label) for rows 0..len-1. An image is a PIL image,
            an array (H, W), (H, W, C) or (C, H, W), or a tensor (H, W), (C, H, W) or (H, W, C);
            uint8 in 0..255 or float in [0, 1], all of one size. In its place a table row may
            stand: numbers, shape (F,), as they are. A label is a class number. ``dataset.classes``,
            where it exists, names the classes.
        name: What the data set is called on screen.
        test: A second data set that becomes the test part.

    Raises:
        BadData: If a row is something else (says which row), or the images differ in size.

    Example:
        >>> rows = [(np.full((8, 8), level, np.uint8), level % 2) for level in range(40)]
        >>> from_dataset(rows, name="greys").inputs.shape
        (40, 1, 8, 8)
    """
    parts = [dataset] if test is None else [dataset, test]
    rows = [_length(part, name) for part in parts]
    images: npt.NDArray[Any] | None = None
    labels = np.empty(sum(rows), dtype=np.int64)
    row = 0
    for part, length in zip(parts, rows, strict=True):
        for position in range(length):
            where = f"{name}: row {position}" + (" of the test part" if row >= rows[0] else "")
            image, labels[row] = _pair(part[position], where)
            if images is None:
                shape = (len(labels), *image.shape)
                refuse_large(
                    name, shape, itemsize=image.itemsize, fix="Give a subset, or smaller images."
                )
                images = np.empty(shape, dtype=image.dtype)
            if image.shape != images.shape[1:] or image.dtype != images.dtype:
                raise BadData(
                    f"{where} is {_describe(image)}, row 0 is {_describe(images[0])}; all inputs "
                    "must have one size, number of channels and type. Give the data set a "
                    "transform, for example torchvision's `Compose([Resize(32), CenterCrop(32)])`."
                )
            images[row] = image
            row += 1
    if images is None:
        raise BadData(f"{name} is empty: it has no row.")
    test_rows = None if test is None else np.arange(rows[0], row, dtype=np.int64)
    return Examples(_values(images), labels, _class_names(dataset, labels), name, test_rows)


def _length(dataset: MapStyle, name: str) -> int:
    if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
        raise BadData(
            f"{name}: a {type(dataset).__name__} has no length or no rows; a map-style data set "
            "(`len(dataset)`, `dataset[row]`) is needed. Put the examples of a stream in a list."
        )
    return len(dataset)


def _pair(item: Any, where: str) -> tuple[npt.NDArray[Any], int]:
    """Image (C, H, W) or table row (F,), and class number."""
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise BadData(
            f"{where} is a {type(item).__name__}; a pair (image, label) is needed. Wrap the data "
            "set, for example `[(row['image'], row['label']) for row in dataset]`."
        )
    image, label = item
    number = np.asarray(label)
    if number.size != 1 or number.dtype.kind not in "iu":
        raise BadData(f"{where} has the label {label!r}; a class number (0, 1, ...) is needed.")
    return _planes(image, where), int(number.reshape(()))


def _planes(image: Any, where: str) -> npt.NDArray[Any]:
    """One image as (C, H, W); a table row stays (F,)."""
    channels_first = False
    if hasattr(image, "getbands"):  # a PIL image
        array = np.asarray(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    elif hasattr(image, "detach"):  # a tensor: channels first by convention
        array, channels_first = image.detach().cpu().numpy(), True
    elif isinstance(image, np.ndarray):
        array = image
    else:
        raise BadData(
            f"{where} has a {type(image).__name__} for an image; a PIL image, an array or a tensor "
            "is needed."
        )
    if array.ndim == 1 and array.dtype.kind in "fiu":
        return array.astype(np.float32, copy=False)
    if array.ndim == 2:
        return array[None]
    if array.ndim == 3:
        first, last = array.shape[0] in CHANNELS, array.shape[2] in CHANNELS
        if first and (channels_first or not last):
            return array
        if last:
            return np.moveaxis(array, 2, 0)
    raise BadData(
        f"{where} has an image of shape {array.shape}; (H, W), (H, W, C) or (C, H, W) with 1 or 3 "
        "channels is needed, or numbers of shape (F,) for a table row. Convert it, for example "
        "with PIL's `.convert('RGB')`."
    )


def _values(images: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Floats as float32, whole numbers as uint8 where they fit; Examples refuses the rest.

    Numbers of a table are float32 whatever they are.
    """
    if images.dtype.kind == "f" or (images.ndim == 2 and images.dtype.kind in "iu"):
        return images.astype(np.float32, copy=False)
    if images.dtype.kind in "iu" and images.size and images.min() >= 0 and images.max() <= 255:
        return images.astype(np.uint8, copy=False)
    return images


def _whole_numbers(values: npt.NDArray[Any], what: str) -> npt.NDArray[np.int64]:
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise BadData(
            f"{what} are {values.dtype} of shape {values.shape}; whole numbers of shape (N,) are "
            "needed."
        )
    return values.astype(np.int64)


def _numbered(labels: npt.NDArray[np.int64]) -> tuple[str, ...]:
    return tuple(str(number) for number in range(int(labels.max(initial=0)) + 1))


def _class_names(dataset: MapStyle, labels: npt.NDArray[np.int64]) -> tuple[str, ...]:
    names = getattr(dataset, "classes", None)
    if isinstance(names, (list, tuple)) and len(names) > labels.max(initial=0):
        return tuple(str(name) for name in names)
    return _numbered(labels)


def _describe(image: npt.NDArray[Any]) -> str:
    if image.ndim == 1:
        return f"a table row of {len(image)} features"
    channels, height, width = image.shape
    return f"{height} x {width}, {channels} channel{'s' if channels > 1 else ''}, {image.dtype}"


def _read_npz(file: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        refuse_large(str(file), (size,), itemsize=1, fix="Write fewer rows, or smaller images.")
        with np.load(file, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        raise BadFile(
            f"{file} is no .npz file of plain arrays ({error}). Write it with `save_arrays`, or "
            "`np.savez(file, images=..., labels=...)`."
        ) from None
