"""What a model is built for and what is true of it once built; no torch here.

Shapes are written channels first and without the batch: an image is (C, H, W). A table row is (F,):
F channels without a place, one a feature, each with a mean and a standard deviation of its own.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from workbench.errors import BadFile, BadModel

FAMILIES = ("own", "timm", "transformers")
LONGEST_SIDE = 4096
"""Pixels along a side of an image, and its channels, at most."""
MOST_FEATURES = 2**20
"""Features of a table row at most."""


@dataclass(frozen=True)
class StoredModel:
    """A model that a run left behind.

    Attributes:
        spec: Plain data it was built from: a model's spec, or what :func:`workbench.models.weights.
            save_weights` writes beside the tensors.
        path: Safetensors file with its weights.
    """

    spec: Mapping[str, Any]
    path: Path


@dataclass(frozen=True)
class ModelContext:
    """The data a model is built for, and the seed of its initial weights.

    Attributes:
        channels: Channels of an image, or features of a table row, >= 1.
        height: Rows of an image, in pixels; None where the data are table rows.
        width: Columns of an image, in pixels; None where the data are table rows.
        num_classes: Classes of the data, >= 2.
        mean: Mean of each channel, in units of [0, 1]; of a table in those of each feature.
        std: Standard deviation of each channel, in the same units, > 0.
        seed: Of the initial weights, 0 <= seed < 2**62; they are a pure function of it.
        open_run: Resolves ``RUN@WHICH`` of a ``run:`` name; None where there is no store.
        teacher: Adapter of the teacher, for a student that takes over a part of it; None where
            there is none, and for the teacher itself.
    """

    channels: int
    height: int | None
    width: int | None
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    seed: int
    open_run: Callable[[str], StoredModel] | None = None
    teacher: Any = None

    @property
    def is_row(self) -> bool:
        """Whether the data are table rows, not images."""
        return self.height is None or self.width is None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) of an image, (F,) of a table row."""
        if self.height is None or self.width is None:
            return (self.channels,)
        return self.channels, self.height, self.width

    def image_shape(self, name: str) -> tuple[int, int, int]:
        """Shape of one image, for a network that takes nothing else.

        Args:
            name: Of the network, for the message.

        Raises:
            BadModel: If the data are table rows.
        """
        if self.height is None or self.width is None:
            raise BadModel(
                f"{name}: the network takes images, the data are table rows of {self.channels} "
                "features. Take `mlp`, or your own module of (batch, features)."
            )
        return self.channels, self.height, self.width


@dataclass(frozen=True)
class ModelFacts:
    """What is true of a built model.

    Attributes:
        name: As the user picked it, for example ``timm/resnet10t``.
        num_parameters: Of the inner network, frozen ones included.
        macs: Multiply-accumulates of convolutions and matrix products, a sample.
        input_size: What the inner network sees: images (C, H, W), or table rows (F,).
        num_classes: Length of the logits.
        stages: Names of the normalised stages, input to output: ``stage1`` and on, at most four.
        stage_paths: Module path behind each stage, in the same order.
        layers: Taps of the similarity map, input to output; the last is ``logits``.
    """

    name: str
    num_parameters: int
    macs: int
    input_size: tuple[int, ...]
    num_classes: int
    stages: tuple[str, ...]
    stage_paths: tuple[str, ...]
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Architecture:
    """Everything that rebuilds a network without its weights, as plain data.

    Attributes:
        family: ``own``, ``timm`` or ``transformers``.
        name: Within the family: a registered name, a timm architecture, a transformers model type.
        arguments: Of the constructor; JSON values only.
        input_size: What the network sees: images (C, H, W), or table rows (F,).
        num_classes: Length of the logits.
        mean: What is subtracted, a number a channel of ``input_size``.
        std: What is divided by, a number a channel of ``input_size``.
    """

    family: str
    name: str
    input_size: tuple[int, ...]
    num_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        data: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return data

    @classmethod
    def parse(cls, data: Any, *, source: str) -> Architecture:
        """From JSON values of a file.

        Args:
            data: What :meth:`plain` gave.
            source: Where it was read, for messages.

        Raises:
            BadFile: Names the field that is wrong.
        """
        if not isinstance(data, Mapping):
            raise BadFile(
                f"{source}: the architecture must be a mapping, got {type(data).__name__}."
            )
        wrong = [problem for problem in _problems(data) if problem]
        if wrong:
            raise BadFile(
                f"{source}: the architecture is damaged: {'; '.join(wrong)}. Save the model again."
            )
        return cls(
            family=data["family"],
            name=data["name"],
            input_size=tuple(data["input_size"]),
            num_classes=data["num_classes"],
            mean=tuple(float(value) for value in data["mean"]),
            std=tuple(float(value) for value in data["std"]),
            arguments=dict(data.get("arguments", {})),
        )


def _problems(data: Mapping[str, Any]) -> list[str]:
    size, arguments = data.get("input_size"), data.get("arguments", {})
    sized = _whole_numbers(size, 3) or _whole_numbers(size, 1, high=MOST_FEATURES)
    channels = size[0] if sized and isinstance(size, Sequence) else None
    checks = {
        "family": (data.get("family") in FAMILIES, f"must be one of {', '.join(FAMILIES)}"),
        "name": (isinstance(data.get("name"), str), "must be a text"),
        "input_size": (
            sized,
            f"must be three whole numbers in 1..{LONGEST_SIDE}, or the features of a table row",
        ),
        "num_classes": (_whole_numbers([data.get("num_classes")], 1, high=10**6), "must be >= 1"),
        "mean": (_numbers(data.get("mean"), channels), "must be a number a channel"),
        "std": (_numbers(data.get("std"), channels, above_zero=True), "must be > 0, one a channel"),
        "arguments": (isinstance(arguments, Mapping), "must be a mapping"),
    }
    return [
        f"{key} is {data.get(key)!r}, {allowed}"
        for key, (fine, allowed) in checks.items()
        if not fine
    ]


def _whole_numbers(value: Any, count: int, *, high: int = LONGEST_SIDE) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == count
        and all(type(item) is int and 1 <= item <= high for item in value)
    )


def _numbers(value: Any, count: int | None, *, above_zero: bool = False) -> bool:
    if not isinstance(value, (list, tuple)) or (count is not None and len(value) != count):
        return False
    return all(
        type(item) in (int, float) and math.isfinite(item) and (item > 0 or not above_zero)
        for item in value
    )
