"""A noisy pool in place of the training images, as if gathered from the web.

Unusual here: the teacher learns from the original training rows, the student sees the pool only.
Which is which stands in the examples themselves, so every hash covers it, and the held-out parts
are those of the original data set, row for row.
Shapes: N = rows, C = channels, H, W = pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from workbench.data.corrupt import CORRUPTIONS, Corruption, Floats, corrupt
from workbench.data.examples import Examples
from workbench.data.provenance import Provenance
from workbench.data.spec import DataSpec
from workbench.data.splits import IntArray, split
from workbench.errors import BadData
from workbench.models.batch import UNLABELLED
from workbench.randomness import permutation
from workbench.registries import DATA
from workbench.specs.base import Pick

Pixels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
OUTER = ("labels_per_class", "label_noise", "augment")
"""Options of the pool that no part of it has."""


@dataclass(frozen=True)
class _Part:
    """Rows of one origin.

    Attributes:
        origin: Its name.
        inputs: Shape (rows, C, H, W), in the type of the original images.
        source: Row that each was made from, -1 for a foreign row, int64, shape (rows,).
    """

    origin: str
    inputs: Pixels
    source: IntArray


@DATA.register("pool")
class Pool(DataSpec):
    """A noisy web pool of a data set: corrupted training images, and images of another kind.

    Reference:
        Tang et al. 2023 (KD³), "Distribution Shift Matters for Knowledge Distillation with Webly
        Collected Images", §4; there the pool is gathered, here it is made, so that its noise is
        known.
    """

    use: Literal["pool"] = "pool"
    of: Annotated[DataSpec, Pick(DATA)] = Field(
        description="The images; their training part becomes the pool. `limit`, `split_seed`, "
        "`augment`, `labels_per_class` and `label_noise` stand beside it."
    )
    corrupted: float = Field(
        0.5, ge=0, le=1, description="Share of the training images that are heavily corrupted."
    )
    corruptions: tuple[Corruption, ...] = Field(
        CORRUPTIONS, min_length=1, description="What happens to them, equally often."
    )
    foreign: Annotated[DataSpec | None, Pick(DATA, optional=True)] = Field(
        None, description="Images of another kind that are added; to the student without a class."
    )
    seed: int = Field(0, ge=0, description="Which images are corrupted, and how.")

    @field_validator("of", "foreign")
    @classmethod
    def _options_have_one_place(
        cls, value: DataSpec | None, info: ValidationInfo
    ) -> DataSpec | None:
        outer = (*OUTER, "limit", "split_seed") if info.field_name == "of" else OUTER
        for name in outer:
            usual = DataSpec.model_fields[name].default
            if value is not None and getattr(value, name) != usual:
                raise PydanticCustomError(
                    "place",
                    "`{name}` is set in a part of the pool; set it beside `of`",
                    {"name": name},
                )
        return value

    @field_validator("corruptions")
    @classmethod
    def _each_once(cls, value: tuple[Corruption, ...]) -> tuple[Corruption, ...]:
        if len(set(value)) < len(value):
            raise PydanticCustomError("twice", "names each corruption at most once", {})
        return value

    def load(self, base: Path) -> Examples:
        """Original rows, then corrupted copies of training rows, then foreign rows.

        ``limit`` counts original rows. A copy keeps its row's class; a foreign row has none.

        Raises:
            BadData: If a part is no plain set of images, or the sizes differ.
        """
        originals = self.of.load(base).limited(self.limit, seed=self.split_seed)
        _check_plain(originals, "of")
        own = np.arange(len(originals), dtype=np.int64)
        parts = [_Part(originals.name, originals.inputs, own), *self._copies(originals)]
        if self.foreign is not None:
            parts.append(self._foreign(self.foreign, originals, base))
        source = np.concatenate([part.source for part in parts])
        sizes = [len(part.source) for part in parts]
        return Examples(
            np.concatenate([part.inputs for part in parts]),
            np.where(source >= 0, originals.labels[source], UNLABELLED),
            originals.class_names,
            f"pool of {originals.name}",
            originals.test_rows,
            provenance=Provenance(
                tuple(part.origin for part in parts),
                np.repeat(np.arange(len(parts), dtype=np.int64), sizes),
                source,
            ),
        )

    def _copies(self, originals: Examples) -> list[_Part]:
        """Corrupted copies of training rows; a larger share keeps the copies of a smaller one."""
        parts = split(originals.labels, split_seed=self.split_seed, test_rows=originals.test_rows)
        order = permutation(self.seed, "pool", 0, len(parts.train))
        chosen = parts.train[order[: round(self.corrupted * len(order))]]
        copies = []
        for number, how in enumerate(self.corruptions):
            rows = np.sort(chosen[number :: len(self.corruptions)])
            if not len(rows):
                continue
            clean = _as_floats(originals.inputs[rows])
            inputs = _as_type(corrupt(clean, rows, how, seed=self.seed), originals.inputs.dtype)
            copies.append(_Part(f"{originals.name}+{how}", inputs, rows))
        return copies

    def _foreign(self, spec: DataSpec, originals: Examples, base: Path) -> _Part:
        """Images of another kind, in the type and with the channels of the original ones."""
        foreign = spec.load(base).limited(spec.limit, seed=spec.split_seed)
        _check_plain(foreign, "foreign")
        (channels, *size), (given, *other) = originals.inputs.shape[1:], foreign.inputs.shape[1:]
        if size != other or given not in (1, channels):
            raise BadData(
                f"`foreign`: the images of {foreign.name} are {_describe(foreign)}, those of "
                f"{originals.name} {_describe(originals)}; they must agree (grey becomes colour). "
                "Choose the size where the kind of data has one (`side`, `size`)."
            )
        images = np.repeat(_as_floats(foreign.inputs), channels // given, axis=1)
        inputs = _as_type(images, originals.inputs.dtype)
        name = foreign.name if foreign.name != originals.name else f"{foreign.name} (foreign)"
        nowhere = np.full(len(foreign), -1, dtype=np.int64)
        return _Part(name, inputs, nowhere)


def _check_plain(examples: Examples, field: str) -> None:
    if examples.kind != "image" or examples.provenance is not None:
        what = "a table" if examples.kind != "image" else "a pool itself"
        raise BadData(f"`{field}`: {examples.name} is {what}; a pool is made of images.")


def _as_floats(images: Pixels) -> Floats:
    wide = images.astype(np.float64)
    return wide / 255 if images.dtype == np.uint8 else wide


def _as_type(images: Floats, dtype: np.dtype[np.uint8] | np.dtype[np.float32]) -> Pixels:
    if dtype == np.uint8:
        return np.rint(images * 255).astype(np.uint8)
    return images.astype(np.float32)


def _describe(examples: Examples) -> str:
    channels, height, width = examples.inputs.shape[1:]
    return f"{height} x {width} with {channels} channel{'s' if channels > 1 else ''}"
