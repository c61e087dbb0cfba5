"""Models from files: our own safetensors, folders of ``save_pretrained``, and what runs left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from workbench.errors import BadFile, BadModel, UnknownName
from workbench.models.architectures import restore
from workbench.models.facts import Architecture, ModelContext
from workbench.registries import MODELS

if TYPE_CHECKING:
    from workbench.models.adapter import ModelAdapter

POINTERS = ("path:", "run:", "hub:")
"""Names that stand for weights elsewhere; a description of a file may not be one."""


def load_file(path: Path, context: ModelContext, *, name: str) -> ModelAdapter:
    """A model from one safetensors file that says what it is.

    Args:
        path: Written by ``save_weights``, or any safetensors file with a ``NAME.json`` beside it
            that holds a model's spec, for example ``{"use": "timm/resnet18"}``.
        context: The data it is for.
        name: Shown to the user.

    Raises:
        BadFile: If the file, its description or its tensors do not fit.
        BadModel: If its classes are not those of the data.
    """
    from workbench.models.weights import read_description

    description = read_description(path)
    if description is None:
        raise BadFile(
            f"{path}: nothing says which network these weights are of. Put a file "
            f'{path.with_suffix(".json").name} beside it, for example {{"use": "timm/resnet18"}}, '
            "or give the folder that `save_pretrained` made."
        )
    return load_described(path, description, context, name=name)


def load_stored(run: str, context: ModelContext, *, name: str) -> ModelAdapter:
    """The student of a run, ``RUN@last``, ``RUN@best`` or ``RUN@STEP``.

    Raises:
        BadModel: If there is no store here, or the classes are not those of the data.
    """
    if context.open_run is None:
        raise BadModel(
            f"{name}: there is no store to look the run up in. Start it through an experiment, "
            "or export the weights and give `path:FILE`."
        )
    from workbench.models.weights import read_description

    stored = context.open_run(run)
    described = read_description(stored.path) or {}
    description = described if described.get("architecture") else stored.spec
    return load_described(stored.path, description, context, name=name)


def load_described(
    path: Path, description: Mapping[str, Any], context: ModelContext, *, name: str
) -> ModelAdapter:
    """Build what a description says and fill it with the tensors of ``path``."""
    from workbench.models.weights import load_weights

    if description.get("architecture"):
        architecture = Architecture.parse(description["architecture"], source=str(path))
        return restore(architecture, path, context, name=name)
    data = description.get("spec") or description
    if isinstance(data, str):
        data = {"use": data}
    use = data.get("use") if isinstance(data, Mapping) else None
    if not isinstance(use, str) or use.startswith(POINTERS):
        raise BadFile(
            f"{path}: its description must name a network under `use` (such as timm/resnet18 or "
            f"cnn-small), got {use!r}."
        )
    try:
        spec = MODELS.get(use).model_validate(dict(data))
    except UnknownName as error:
        raise BadFile(f"{path}: its description is wrong. {error.message}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadFile(f"{path}: its description is wrong at {place}: {first['msg']}.") from None
    adapter: ModelAdapter = spec.build(context)
    load_weights(adapter.network, path)
    return adapter
