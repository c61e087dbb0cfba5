"""State trees as safetensors: tensors by path, everything else as JSON in the file's header.

No pickle. Floats travel as hexadecimal, so a resumed run has the same bits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadFile

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "workbench-state-1"


def state_bytes(tree: Any) -> bytes:
    """A file's content for nested dicts, lists and tuples of tensors, numbers, text, None.

    Raises:
        TypeError: For a leaf that has no checkpoint form; names its place.
    """
    from safetensors.torch import save

    tensors: dict[str, Tensor] = {}
    shape = _pack(tree, "state", tensors, set())
    metadata = {"format": FORMAT, "tree": json.dumps(shape)}
    return save(tensors, metadata=metadata)


def read_state(path: Path) -> Any:
    """The tree behind :func:`state_bytes`.

    Raises:
        BadFile: If the file is damaged or of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise BadFile(f"Checkpoint {path} cannot be read: {error}.") from None
    if metadata.get("format") != FORMAT:
        raise BadFile(f"{path} is no checkpoint of this workbench ({FORMAT} expected).")
    return _unpack(tensors, json.loads(metadata["tree"]))


def _pack(value: Any, place: str, tensors: dict[str, Tensor], storages: set[int]) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        if storage in storages or not storage:  # safetensors refuses two names for one storage
            tensor = tensor.clone()
        storages.add(storage)
        tensors[place] = tensor
        return {"$t": place}
    if isinstance(value, Mapping):  # pairs, so that int keys survive
        return {
            "$d": [
                [key, _pack(item, f"{place}.{key}", tensors, storages)]
                for key, item in value.items()
            ]
        }
    if isinstance(value, (list, tuple)):
        items = [_pack(item, f"{place}.{i}", tensors, storages) for i, item in enumerate(value)]
        return {"$l": items, "$k": type(value).__name__}
    if isinstance(value, float):
        return {"$f": value.hex()}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"{place}: {type(value).__name__} has no checkpoint form")


def _unpack(tensors: Mapping[str, Tensor], shape: Any) -> Any:
    if not isinstance(shape, dict):
        return shape
    if "$t" in shape:
        return tensors[shape["$t"]]
    if "$d" in shape:
        return {key: _unpack(tensors, item) for key, item in shape["$d"]}
    if "$f" in shape:
        return float.fromhex(shape["$f"])
    items = [_unpack(tensors, item) for item in shape["$l"]]
    return tuple(items) if shape["$k"] == "tuple" else items
