"""Folders that ``save_pretrained`` of timm or transformers made: config.json and safetensors.

Unusual here: a pretrained model keeps its own normalisation and size; the adapter brings the
data to it. Nothing in such a folder is run as code.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadFile, BadModel
from workbench.models.architectures import check_classes
from workbench.models.facts import Architecture, ModelContext
from workbench.models.hub import CONFIG, INDEX, PREPROCESSOR, WEIGHTS

if TYPE_CHECKING:
    from torch import nn

    from workbench.models.adapter import ModelAdapter

NEW_HEAD = "Set `new_head: true` to replace its classifier (then it must be trained)."


def load_directory(
    folder: Path,
    context: ModelContext,
    *,
    name: str,
    side: int | None = None,
    new_head: bool = False,
) -> ModelAdapter:
    """A pretrained classifier from a folder.

    Args:
        folder: Holds ``config.json`` and ``model.safetensors`` (or its shards and their index).
        context: The data it is for; ``context.seed`` makes a new head.
        name: Shown to the user.
        side: Side of the network's input in pixels; the pretrained one by default.
        new_head: Replace the classifier where the class counts differ.

    Raises:
        BadFile: If a file is missing, damaged or pickled.
        BadModel: If the model is no image classifier or has other classes than the data, or the
            data are table rows.
    """
    context.image_shape(name)
    config = _read_json(folder / CONFIG)
    _require_safetensors(folder)
    if "architecture" in config:
        return _load_timm(folder, config, context, name=name, side=side, new_head=new_head)
    if "model_type" in config:
        return _load_transformers(folder, config, context, name=name, side=side, new_head=new_head)
    raise BadFile(
        f"{folder / CONFIG}: has neither `architecture` (timm) nor `model_type` (transformers). "
        "Give a folder that `save_pretrained` of one of them made."
    )


def _load_timm(
    folder: Path,
    config: Mapping[str, Any],
    context: ModelContext,
    *,
    name: str,
    side: int | None,
    new_head: bool,
) -> ModelAdapter:
    from workbench.models.adapter import adapter_of
    from workbench.models.inspection import seeded
    from workbench.models.timm_models import takes_size
    from workbench.models.weights import read_tensors

    arch = str(config["architecture"])
    pretrained = config.get("pretrained_cfg") or {}
    settings = dict(config.get("model_args") or {})
    num_classes = int(config.get("num_classes", pretrained.get("num_classes", 0)))
    keep_head = _keeps_head(name, num_classes, context, new_head)
    size = [int(value) for value in pretrained.get("input_size", (3, 224, 224))]
    channels = int(settings.get("in_chans", size[0]))
    arguments = {**settings, "num_classes": num_classes, "in_chans": channels}
    if side is not None:
        size[1:] = side, side
        if takes_size(arch):
            arguments["img_size"] = [side, side]
    with seeded(context.seed):
        network = _timm_network(arch, arguments, read_tensors(folder / WEIGHTS), folder)
        if not keep_head:
            _reset_timm_head(network, context.num_classes, name)
    architecture = Architecture(
        family="timm",
        name=arch,
        input_size=(channels, size[1], size[2]),
        num_classes=context.num_classes,
        mean=_per_channel(pretrained.get("mean"), channels, (0.485, 0.456, 0.406)),
        std=_per_channel(pretrained.get("std"), channels, (0.229, 0.224, 0.225)),
        arguments={**arguments, "num_classes": context.num_classes},
    )
    return adapter_of(network, architecture, name=name, any_channels=True)


def _timm_network(
    arch: str, arguments: Mapping[str, Any], tensors: dict[str, Any], folder: Path
) -> nn.Module:
    """The network filled by name; where the names are older ones, by timm's own conversion."""
    import timm

    from workbench.models.timm_models import make_network
    from workbench.models.weights import load_weights

    network = make_network(arch, arguments)
    try:
        load_weights(network, folder / WEIGHTS)
    except BadFile as error:
        overlay = {
            "state_dict": tensors,
            "num_classes": arguments["num_classes"],
            "input_size": (arguments["in_chans"], 224, 224),
            "custom_load": False,
        }
        try:
            network = timm.create_model(
                arch, pretrained=True, pretrained_cfg_overlay=overlay, **arguments
            )
        except (RuntimeError, KeyError, ValueError, AttributeError):
            raise error from None
    return network


def _reset_timm_head(network: nn.Module, num_classes: int, name: str) -> None:
    reset: Any = getattr(network, "reset_classifier", None)
    if reset is None:
        raise BadModel(f"{name}: this architecture cannot replace its classifier. Take another.")
    reset(num_classes)


def _load_transformers(
    folder: Path,
    config: Mapping[str, Any],
    context: ModelContext,
    *,
    name: str,
    side: int | None,
    new_head: bool,
) -> ModelAdapter:
    import torch
    from transformers import AutoConfig, AutoModelForImageClassification

    from workbench.models.adapter import adapter_of
    from workbench.models.inspection import seeded

    try:
        settings = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (ValueError, OSError, KeyError) as error:
        raise BadModel(f"{name}: transformers does not know this model: {_short(error)}") from None
    keep_head = _keeps_head(name, int(settings.num_labels), context, new_head)
    if not keep_head:
        settings.num_labels = context.num_classes
    try:
        with seeded(context.seed):
            network, report = AutoModelForImageClassification.from_pretrained(
                folder,
                config=settings,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=not keep_head,
                output_loading_info=True,
            )
    except (ValueError, OSError, RuntimeError, KeyError) as error:
        raise BadModel(
            f"{name}: cannot be loaded as an image classifier: {_short(error)}. "
            "Take a model that transformers lists under image classification."
        ) from None
    missing = sorted(report["missing_keys"])
    if missing and keep_head:
        raise BadFile(
            f"{name}: its weights lack {', '.join(missing[:5])}, which would stay random. "
            "Take a model that was fine-tuned as an image classifier."
        )
    channels = int(getattr(settings, "num_channels", 3))
    size, mean, std = _preprocessing(folder, settings, channels, name, side)
    architecture = Architecture(
        family="transformers",
        name=str(settings.model_type),
        input_size=(channels, *size),
        num_classes=context.num_classes,
        mean=mean,
        std=std,
        arguments=_plain_settings(settings),
    )
    return adapter_of(network, architecture, name=name, any_channels=True)


def _preprocessing(
    folder: Path, settings: Any, channels: int, name: str, side: int | None
) -> tuple[tuple[int, int], tuple[float, ...], tuple[float, ...]]:
    """Input size, mean and std that the model was trained with."""
    path = folder / PREPROCESSOR
    if not path.is_file():
        raise BadFile(
            f"{name}: there is no {PREPROCESSOR}, so its normalisation is unknown. Save the image "
            "processor into the same folder (`AutoImageProcessor(...).save_pretrained(FOLDER)`)."
        )
    data = _read_json(path)
    if data.get("do_normalize", True):
        mean = _per_channel(data.get("image_mean"), channels, None, where=path)
        std = _per_channel(data.get("image_std"), channels, None, where=path)
    else:
        mean, std = (0.0,) * channels, (1.0,) * channels
    if data.get("do_rescale", True) is False:  # the model sees 0..255
        mean = tuple(value / 255 for value in mean)
        std = tuple(value / 255 for value in std)
    if side is not None:
        return (side, side), mean, std
    found = getattr(settings, "image_size", None) or data.get("crop_size") or data.get("size")
    return _height_width(found, path), mean, std


def _height_width(value: Any, path: Path) -> tuple[int, int]:
    if isinstance(value, Mapping):
        edge = value.get("shortest_edge")
        value = (value.get("height", edge), value.get("width", edge))
    if isinstance(value, int):
        value = (value, value)
    if isinstance(value, Sequence) and len(value) == 2 and all(type(v) is int for v in value):
        return value[0], value[1]
    raise BadFile(f"{path}: `size` is {value!r}; it must name a height and a width in pixels.")


def _per_channel(
    values: Any, channels: int, default: tuple[float, ...] | None, *, where: Path | None = None
) -> tuple[float, ...]:
    """Three published numbers for any channels: their average where the counts differ."""
    given = default if values is None else values
    if isinstance(given, (int, float)):
        given = [given]
    if not isinstance(given, Sequence) or not all(isinstance(v, (int, float)) for v in given):
        raise BadFile(f"{where or CONFIG}: mean and std must be numbers, got {given!r}.")
    numbers = tuple(float(value) for value in given)
    if len(numbers) == channels:
        return numbers
    return (sum(numbers) / len(numbers),) * channels


def _keeps_head(name: str, num_classes: int, context: ModelContext, new_head: bool) -> bool:
    if num_classes == context.num_classes:
        return True
    if not new_head:
        check_classes(name, num_classes, context, way_out=NEW_HEAD)
    return False


def _plain_settings(settings: Any) -> dict[str, Any]:
    """A transformers configuration as JSON values, without what is about this machine or code."""
    data: dict[str, Any] = json.loads(settings.to_json_string(use_diff=False))
    for key in ("model_type", "auto_map", "_name_or_path", "transformers_version", "architectures"):
        data.pop(key, None)
    return data


def _require_safetensors(folder: Path) -> None:
    if (folder / WEIGHTS).is_file() or (folder / INDEX).is_file():
        return
    pickled = sorted(path.name for path in folder.glob("*.bin"))
    why = (
        f"has only {pickled[0]}, a pickle, which can run code when opened. Convert it where you "
        "trust it: load it there and save with `save_pretrained(FOLDER, safe_serialization=True)`"
        if pickled
        else f"has no {WEIGHTS}. Save the model there with `save_pretrained`"
    )
    raise BadFile(f"{folder}: {why}.")


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BadFile(
            f"{path}: there is no such file. Give a .safetensors file, or a folder that "
            "`save_pretrained` of timm or transformers made."
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BadFile(
            f"{path}: is not valid JSON ({_short(error)}). Save the model again."
        ) from None
    if not isinstance(data, dict):
        raise BadFile(f"{path}: must hold a mapping, got {type(data).__name__}.")
    return data


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
