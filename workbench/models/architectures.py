"""From plain data to a network and its adapter, one place for all three families."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadFile, BadModel
from workbench.models.facts import Architecture, ModelContext

if TYPE_CHECKING:
    from torch import nn

    from workbench.models.adapter import ModelAdapter


def make_network(architecture: Architecture, *, source: str) -> nn.Module:
    """The network without its weights; draws initial ones from the current random state.

    Args:
        architecture: What to build.
        source: Where the architecture was read, for messages.

    Raises:
        BadFile: If the arguments are not those of the constructor.
        BadModel: If the library cannot build it.
    """
    if architecture.family == "own":
        return _own(architecture, source)
    if architecture.family == "timm":
        from workbench.models import timm_models

        return timm_models.make_network(architecture.name, architecture.arguments)
    return _transformers(architecture, source)


def build(architecture: Architecture, context: ModelContext, *, name: str) -> ModelAdapter:
    """A network with random weights that follow ``context.seed``, in its adapter."""
    from workbench.models.adapter import adapter_of
    from workbench.models.inspection import seeded

    with seeded(context.seed):
        network = make_network(architecture, source=name)
    return adapter_of(network, architecture, name=name)


def restore(
    architecture: Architecture, path: Path, context: ModelContext, *, name: str
) -> ModelAdapter:
    """The network of a saved file with its weights, for images of any size and channels.

    Raises:
        BadModel: If it was saved for another number of classes than the data has, or one of the
            two is a table and the other is not, or has other features.
        BadFile: If the weights are those of another network.
    """
    from workbench.models.adapter import adapter_of
    from workbench.models.inspection import seeded
    from workbench.models.weights import load_weights

    check_classes(name, architecture.num_classes, context)
    _check_rows(name, architecture, context)
    with seeded(context.seed):
        network = make_network(architecture, source=str(path))
    load_weights(network, path)
    return adapter_of(network, architecture, name=name, any_channels=True)


def check_classes(name: str, num_classes: int, context: ModelContext, *, way_out: str = "") -> None:
    """Refuse a trained classifier whose classes are not those of the data.

    Raises:
        BadModel: Names both counts.
    """
    if num_classes != context.num_classes:
        raise BadModel(
            f"{name}: the file classifies into {num_classes} classes, the data has "
            f"{context.num_classes}. {way_out or 'Take a model of this data, or its own data.'}"
        )


def _check_rows(name: str, architecture: Architecture, context: ModelContext) -> None:
    """Refuse a network of images for table rows, of rows for images, and of another table."""
    size = architecture.input_size
    if size == context.shape or (len(size) == 3 and not context.is_row):
        return
    saved = f"table rows of {size[0]} features" if len(size) == 1 else f"images of shape {size}"
    given = (
        f"table rows of {context.channels} features"
        if context.is_row
        else f"images of shape {context.shape}"
    )
    raise BadModel(
        f"{name}: the network takes {saved}, the data are {given}. Take a model that was trained "
        "on this data."
    )


def _own(architecture: Architecture, source: str) -> nn.Module:
    from workbench.models import nets

    if architecture.name not in nets.NETWORKS:
        known = ", ".join(sorted(nets.NETWORKS))
        raise BadFile(f"{source}: no network {architecture.name!r} of ours. Known: {known}.")
    try:
        return nets.make(
            architecture.name,
            architecture.input_size,
            architecture.num_classes,
            **architecture.arguments,
        )
    except (TypeError, ValueError, RuntimeError) as error:
        raise BadFile(
            f"{source}: {architecture.name} does not take {dict(architecture.arguments)}: {error}. "
            "Save the model again."
        ) from None


def _transformers(architecture: Architecture, source: str) -> nn.Module:
    from transformers import AutoConfig, AutoModelForImageClassification

    # A deep copy: transformers writes into the configuration that it is given.
    settings: dict[str, Any] = copy.deepcopy(dict(architecture.arguments))
    settings.pop("auto_map", None)  # names code in a repository, which is never run
    try:
        config = AutoConfig.for_model(architecture.name, **settings)
        build_from: Any = AutoModelForImageClassification.from_config
        network: nn.Module = build_from(config)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        text = " ".join(str(error).split())[:200]
        raise BadFile(
            f"{source}: transformers cannot build {architecture.name!r}: {text}"
        ) from None
    return network
