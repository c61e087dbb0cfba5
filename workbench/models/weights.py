"""Weights on disk and their hash: safetensors with the names of the inner network, never pickle.

A saved file loads in plain timm or torch (``safetensors.torch.load_file``). What rebuilds the
network stands in the file's header and, for people, in a JSON file beside it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from workbench.atomic import write_atomically
from workbench.errors import BadFile

HEADER = "workbench"
"""Key of the description in the header of a safetensors file."""
LISTED = 5
"""Names listed in a message at most."""
PICKLED = frozenset({".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npz", ".tar", ".onnx"})


def weights_hash(module_or_state: nn.Module | Mapping[str, Tensor]) -> str:
    """SHA-256 of a network's tensors, sorted by name; equal exactly when all bits are equal.

    For each tensor of the state (saved parameters and buffers) the hash takes
    ``name NUL dtype NUL shape NUL bytes``: dtype as torch names it (``float32``), shape as
    ``2x3`` (empty for a scalar), bytes little-endian in row-major order.

    Args:
        module_or_state: A network, an adapter (its inner network counts) or named tensors.
    """
    state = state_of(module_or_state)
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach()
        dtype = str(tensor.dtype).removeprefix("torch.")
        shape = "x".join(map(str, tensor.shape))
        digest.update(f"{name}\0{dtype}\0{shape}\0".encode())
        digest.update(_little_endian(tensor))
    return digest.hexdigest()


def state_of(module_or_state: nn.Module | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Named parameters and buffers as a file holds them; of an adapter, its inner network's."""
    if not isinstance(module_or_state, nn.Module):
        return module_or_state
    inner = getattr(module_or_state, "network", None)
    if isinstance(inner, nn.Module) and hasattr(module_or_state, "facts"):
        return cast(Mapping[str, Tensor], inner.state_dict())
    return cast(Mapping[str, Tensor], module_or_state.state_dict())


def save_weights(
    path: Path,
    adapter_or_state: nn.Module | Mapping[str, Tensor],
    spec_data: Mapping[str, Any] | str | None = None,
    *,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write the tensors and what rebuilds their network; the old file or the new one, never half.

    Args:
        path: Ends in ``.safetensors``; ``NAME.json`` is written beside it.
        adapter_or_state: An adapter, a network or named tensors.
        spec_data: Plain data of the model's spec; a bare name stands for ``{use: NAME}``.
        facts: What is known of these weights: ``accuracy`` on ``rows`` test rows, names of the
            ``classes``.

    Raises:
        BadFile: If the path has another suffix or cannot be written.
        DiskFull: If no space is left.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise BadFile(f"Cannot save weights as {path.name!r}: the name must end in .safetensors.")
    architecture = getattr(adapter_or_state, "architecture", None)
    spec = {"use": spec_data} if isinstance(spec_data, str) else spec_data
    description = {
        "spec": dict(spec) if spec is not None else None,
        "architecture": architecture.plain() if architecture is not None else None,
        **({} if facts is None else {"facts": dict(facts)}),
    }
    text = json.dumps(description, allow_nan=False, sort_keys=True)
    tensors = _separate(state_of(adapter_or_state))
    write_atomically(path, to_bytes(tensors, metadata={"format": "pt", HEADER: text}))
    readable = json.dumps(description, allow_nan=False, sort_keys=True, indent=2) + "\n"
    write_atomically(path.with_suffix(".json"), readable.encode())


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill a network with the tensors of a file; names and shapes must be exactly its own.

    Raises:
        BadFile: Lists at most five missing, unexpected and differently shaped names each.
    """
    check_suffix(path)
    given = read_tensors(path)
    wanted = network.state_dict()
    problems = [
        _listed("missing", (name for name in wanted if name not in given)),
        _listed("not in the network", (name for name in given if name not in wanted)),
        _listed(
            "of another shape",
            (
                f"{name} {tuple(given[name].shape)} in the file, "
                f"{tuple(wanted[name].shape)} in the network"
                for name in wanted
                if name in given and given[name].shape != wanted[name].shape
            ),
        ),
    ]
    problems = [problem for problem in problems if problem]
    if problems:
        raise BadFile(
            f"{path}: these weights belong to another network: {'; '.join(problems)}. "
            "Name the architecture they were saved from, with the same options."
        )
    network.load_state_dict(given)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, on the CPU.

    Raises:
        BadFile: If it is missing, empty, damaged or another kind of file.
    """
    check_suffix(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None


def read_description(path: Path) -> dict[str, Any] | None:
    """What rebuilds the network of a file: from its header, else from the JSON file beside it.

    Returns:
        ``{"spec": ..., "architecture": ...}``, or a plain spec that a user wrote, or None.

    Raises:
        BadFile: If the file or the JSON beside it cannot be read.
    """
    check_suffix(path)
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(HEADER)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from None
    sidecar = path.with_suffix(".json")
    source = f"the header of {path}"
    if text is None:
        if not sidecar.is_file():
            return None
        source, text = str(sidecar), sidecar.read_text(encoding="utf-8")
    try:
        data = json.loads(text)
    except ValueError as error:
        raise BadFile(f"{source}: is not valid JSON ({error}). Save the model again.") from None
    if not isinstance(data, dict):
        raise BadFile(f"{source}: must hold a mapping, got {type(data).__name__}.")
    return data


def check_suffix(path: Path) -> None:
    """Refuse what is no file, and formats whose loading may run code.

    Raises:
        BadFile: Says why and how to convert.
    """
    if path.suffix.lower() in PICKLED:
        raise BadFile(
            f"{path}: {path.suffix} files are not loaded: they may be pickles, which can run code "
            "when opened. Where you trust the file, convert it once: `torch.load(FILE, "
            "weights_only=True)` gives the tensors, `safetensors.torch.save_file(tensors, "
            "'model.safetensors')` writes them."
        )
    if not path.exists():
        raise BadFile(f"{path}: there is no such file. Give the path of a .safetensors file.")
    if path.is_dir():
        raise BadFile(f"{path}: is a folder; give the .safetensors file in it.")


def _separate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous CPU tensors that share no memory: safetensors refuses shared ones."""
    seen: set[int] = set()
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        plain = tensor.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        if (
            place in seen
            or plain.untyped_storage().nbytes() != plain.numel() * plain.element_size()
        ):
            plain = plain.clone()
            place = plain.untyped_storage().data_ptr()
        seen.add(place)
        tensors[name] = plain
    return tensors


def _little_endian(tensor: Tensor) -> bytes:
    raw = tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    if sys.byteorder == "big":
        raw = raw.reshape(-1, tensor.element_size())[:, ::-1]
    return raw.tobytes()


def _listed(what: str, names: Iterable[str]) -> str:
    found = list(names)
    if not found:
        return ""
    rest = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return f"{what}: {', '.join(found[:LISTED])}{rest}"


def _unreadable(path: Path, error: Exception) -> BadFile:
    size = path.stat().st_size if path.is_file() else 0
    what = "is empty" if size == 0 else f"is no readable safetensors file ({error})"
    return BadFile(f"{path}: {what}. Give a whole .safetensors file, or save the model again.")
