"""Which modules stand for the stages of a network, and which for its layers on the similarity map.

``stage1``..``stage4`` mean the same in a CNN, a transformer and an MLP: the last block of each
resolution where there are several, four blocks picked evenly where there is one.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from torch import nn

from workbench.models.inspection import Inspection, Output, matching_modules

NUM_STAGES = 4
MIN_DECLARED = 2
"""With fewer stages that are what timm says, they are looked for."""
MAX_LAYERS = 16
"""Rows of the similarity map, the logits included."""
INNER_LISTS = ("blocks", "layers", "block", "layer", "stages")


def evenly(count: int, picks: int) -> list[int]:
    """``picks`` indices of ``count`` things, evenly spread and always with the last."""
    if count <= picks:
        return list(range(count))
    return [round((i + 1) * count / picks) - 1 for i in range(picks)]


def stage_outputs(
    network: nn.Module, seen: Inspection, input_size: tuple[int, ...]
) -> tuple[Output, ...]:
    """The outputs behind ``stage1`` and on, at most four, input to output."""
    declared = _declared(network, seen)
    if not declared and getattr(network, "feature_info", None):
        declared = [seen.outputs[path] for path in matching_modules(network, input_size)]
    if len(declared) < MIN_DECLARED:
        return _by_resolution(blocks(network, seen))
    grids = {
        output.shape[1:] if len(output.shape) == 3 else () for output in declared[-NUM_STAGES:]
    }
    if len(declared) > NUM_STAGES and len(grids) == 1:
        return tuple(declared[i] for i in evenly(len(declared), NUM_STAGES))
    return tuple(declared[-NUM_STAGES:])


def layer_paths(network: nn.Module, seen: Inspection, stages: Sequence[Output]) -> tuple[str, ...]:
    """Module paths for the similarity map, without the logits, input to output."""
    order = {path: index for index, path in enumerate(seen.outputs)}
    paths = {output.path for output in blocks(network, seen)}
    keep = {output.path for output in stages}
    paths = {path for path in paths if not any(_inside(stage, path) for stage in keep)}
    ends = {output.tensor for output in stages}
    paths = {path for path in paths if seen.outputs[path].tensor not in ends}
    ordered = sorted(paths | keep, key=order.__getitem__)
    room = MAX_LAYERS - 1 - len(keep)
    others = [path for path in ordered if path not in keep]
    chosen = {others[i] for i in evenly(len(others), room)} | keep
    return tuple(path for path in ordered if path in chosen)


def blocks(network: nn.Module, seen: Inspection) -> list[Output]:
    """The blocks of a network in order: lists and stages opened, blocks left whole.

    Heads are left out: only feature maps and tokens count, unless the network has none.
    """
    found = [output for output in _opened(network, "", seen) if not _is_norm(network, output)]
    maps = [output for output in found if len(output.shape) >= 2]
    if maps:
        return maps
    return [output for output in found if output.shape != seen.logits_shape]


def _opened(module: nn.Module, path: str, seen: Inspection) -> list[Output]:
    found: list[Output] = []
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        output = seen.outputs.get(inner)
        opens = output is None or _is_list(child) or _has_list(child)
        deeper = _opened(child, inner, seen) if opens else []
        if deeper and (len(deeper) > 1 or output is None):
            found.extend(deeper)
        elif output is not None and any(True for _ in child.parameters()):
            found.append(output)
    order = {key: index for index, key in enumerate(seen.outputs)}
    return sorted(found, key=lambda output: order[output.path])


def _is_list(module: nn.Module) -> bool:
    """A list of blocks: not a convolution with its norm and activation."""
    if not isinstance(module, (nn.Sequential, nn.ModuleList, nn.ModuleDict)):
        return False
    weighted = [child for child in module.children() if any(True for _ in child.parameters())]
    has_norm = any(isinstance(child, nn.modules.batchnorm._BatchNorm) for child in weighted)
    nested = any(True for child in weighted for _ in child.children())
    return len(weighted) > 1 and (nested or not has_norm)


def _has_list(module: nn.Module) -> bool:
    """A stage or an encoder: a module with a named list of blocks inside."""
    if type(module).__name__.endswith("Stage"):
        return True
    for name, child in module.named_children():
        if isinstance(child, (nn.Sequential, nn.ModuleList)) and name in INNER_LISTS:
            return True
        if not isinstance(child, (nn.Sequential, nn.ModuleList)) and name in (
            "encoder",
            "backbone",
        ):
            return True
    return False


def _is_norm(network: nn.Module, output: Output) -> bool:
    return "norm" in type(network.get_submodule(output.path)).__name__.lower()


def _declared(network: nn.Module, seen: Inspection) -> list[Output]:
    """What timm's ``feature_info`` names, where every path ran and has the channels it says."""
    infos = getattr(network, "feature_info", None)
    if not infos:
        return []
    found: list[Output] = []
    for info in infos:
        entry: Mapping[str, object] = info if isinstance(info, Mapping) else vars(info)
        output = seen.outputs.get(_called(network, str(entry.get("module")), seen))
        if output is None or len(output.shape) not in (2, 3):
            return []
        width = output.shape[0] if len(output.shape) == 3 else output.shape[-1]
        if width != entry.get("num_chs"):
            return []
        found.append(output)
    order = {path: index for index, path in enumerate(seen.outputs)}
    return sorted(found, key=lambda output: order[output.path])


def _called(network: nn.Module, path: str, seen: Inspection) -> str:
    """The path itself; of a list, which is never called, its last module that ran."""
    inside = [key for key in seen.outputs if key.rpartition(".")[0] == path]
    if path in seen.outputs or not inside:
        return path
    listed = isinstance(network.get_submodule(path), nn.ModuleList)
    return inside[-1] if listed else path


def _by_resolution(found: Sequence[Output]) -> tuple[Output, ...]:
    """The last block of each grid, if there are at least three grids; else four blocks, evenly."""
    maps = [output for output in found if len(output.shape) == 3]
    ends = [a for a, b in itertools.pairwise(maps) if a.shape[1:] != b.shape[1:]] + maps[-1:]
    if len(ends) >= 3:
        return tuple(ends[-NUM_STAGES:])
    return tuple(found[i] for i in evenly(len(found), NUM_STAGES))


def _inside(inner: str, outer: str) -> bool:
    """True if module path ``inner`` lies in ``outer`` (and is not ``outer``)."""
    return inner.startswith(outer + ".")
