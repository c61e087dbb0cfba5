"""Any timm classifier for any data: its architecture, its size for small images, its network.

Unusual here: names are known without importing timm (its source is read for them), and the size
is the smallest that the network really runs at, found by building it.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.errors import BadModel, UnknownName
from workbench.models.facts import Architecture, ModelContext

if TYPE_CHECKING:
    from torch import nn

    from workbench.models.adapter import ModelAdapter

SMALLEST = 32
"""Side in pixels at which most convolutional networks (total stride 32) still see one cell."""
SIDES = (32, 64, 96, 128, 160, 192, 224, 256)
FEWEST_TOKENS = 4
"""Tokens along a side of a transformer with one grid; fewer and the attention has nothing to do."""
REFUSED = {
    "crossvit": "its two branches run interleaved, so stage taps miss a branch and the tapped "
    "logits differ from the plain ones"
}
FORBIDDEN = re.compile(r"pretrained|checkpoint|cache|script|export|features_only|device|dtype")
"""Arguments that a file may not pass on to timm: they load files or change what is built."""


@cache
def known_architectures() -> frozenset[str]:
    """Names of the installed timm's architectures, read from its source without importing it."""
    spec = find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    folder = Path(next(iter(spec.submodule_search_locations))) / "models"
    entry = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
    names: set[str] = set()
    for file in sorted(folder.glob("*.py")):
        names.update(entry.findall(file.read_text(encoding="utf-8")))
    return frozenset(names)


def check_architecture(arch: str) -> None:
    """Refuse an architecture that timm does not have, or that taps wrongly.

    Raises:
        UnknownName: With the nearest names.
        BadModel: For an architecture that cannot be tapped, with the reason.
    """
    base = arch.partition(".")[0]
    for prefix, reason in REFUSED.items():
        if base.startswith(prefix):
            raise BadModel(
                f"timm/{arch}: {prefix} is not supported: {reason}. "
                "Take another transformer, for example timm/deit_tiny_patch16_224."
            )
    loaded = sys.modules.get("timm")
    if base in known_architectures() or (loaded is not None and loaded.is_model(base)):
        return
    close = difflib.get_close_matches(base, sorted(known_architectures()), n=6, cutoff=0.4)
    raise UnknownName(
        "timm architecture",
        arch,
        close,
        hint=f"(the nearest of {len(known_architectures())}; `timm.list_models()` lists all)",
    )


def build_timm(
    arch: str,
    context: ModelContext,
    *,
    name: str,
    side: int | None,
    arguments: Mapping[str, Any],
) -> ModelAdapter:
    """A timm network with random weights that follow ``context.seed``.

    Args:
        arch: Architecture, with or without a tag.
        context: The data and the seed.
        name: Shown to the user.
        side: Side of the network's input in pixels; None chooses.
        arguments: For ``timm.create_model``, for example ``drop_rate``.

    Raises:
        UnknownName: If timm has no such architecture.
        BadModel: If it cannot be built, or runs at none of the sizes tried, or the data are table
            rows.
    """
    check_architecture(arch)
    context.image_shape(name)
    failures: list[str] = []
    for size in dict.fromkeys(_sizes(arch, context, side)):
        try:
            return _at_size(arch, context, size, name=name, arguments=arguments)
        except BadModel as error:
            failures.append(f"{size[0]}x{size[1]}: {error.message.partition(': ')[2][:160]}")
    raise BadModel(
        f"{name}: cannot be built for images of shape {context.shape} with {context.num_classes} "
        f"classes. Tried {'; '.join(failures[:3])}. "
        "Give another `input_size`, or take another model."
    )


def make_network(arch: str, arguments: Mapping[str, Any]) -> nn.Module:
    """The bare timm network; draws from the current random state.

    Raises:
        BadModel: For an argument that the architecture does not take, or that may load a file.
    """
    import timm

    check_architecture(arch)
    bad = [key for key in arguments if FORBIDDEN.search(key)]
    if bad:
        raise BadModel(f"timm/{arch}: the argument {bad[0]!r} may not be given here. Leave it out.")
    try:
        network: nn.Module = timm.create_model(arch, pretrained=False, **arguments)
    except TypeError as error:
        raise BadModel(
            f"timm/{arch} does not take these arguments: {sorted(arguments)} ({error}). "
            "Leave out what it does not know."
        ) from None
    except (RuntimeError, ValueError, AssertionError, ZeroDivisionError, IndexError) as error:
        text = " ".join(str(error).split())[:200]
        raise BadModel(f"timm/{arch}: cannot be built with {dict(arguments)}: {text}") from None
    return network


def _at_size(
    arch: str,
    context: ModelContext,
    size: tuple[int, int],
    *,
    name: str,
    arguments: Mapping[str, Any],
) -> ModelAdapter:
    from workbench.models.adapter import adapter_of
    from workbench.models.inspection import seeded

    given = {"num_classes": context.num_classes, "in_chans": context.channels, **arguments}
    profile = _profile(arch)
    if profile.fixed and size != profile.default:
        given["img_size"] = size
    with seeded(context.seed):
        network = make_network(arch, given)
    architecture = Architecture(
        family="timm",
        name=arch,
        input_size=(context.channels, *size),
        num_classes=context.num_classes,
        mean=context.mean,
        std=context.std,
        arguments=given,
    )
    return adapter_of(network, architecture, name=name)


@dataclass(frozen=True)
class _Profile:
    """What decides the size: ``stride`` is the side of a token where all blocks share one grid."""

    fixed: bool
    default: tuple[int, int]
    stride: int | None


@cache
def _profile(arch: str) -> _Profile:
    """Facts of an architecture, from its shapes alone (no weights are made)."""
    import torch
    from timm.models import get_pretrained_cfg

    from workbench.models.inspection import kept_random_states

    with kept_random_states(), torch.device("meta"):
        network = make_network(arch, {})
    infos = getattr(network, "feature_info", None) or []
    strides = {info.get("reduction") for info in infos if isinstance(info, Mapping)}
    stride = strides.pop() if len(strides) == 1 else None
    config = get_pretrained_cfg(arch)
    _, height, width = config.input_size if config is not None else (3, 224, 224)
    return _Profile(
        fixed=bool(config is not None and config.fixed_input_size),
        default=(height, width),
        stride=stride if isinstance(stride, int) else None,
    )


def _sizes(arch: str, context: ModelContext, side: int | None) -> Iterator[tuple[int, int]]:
    """Sizes to try, cheap ones first: the data's own, multiples of the stride, the default."""
    if side is not None:
        yield side, side
        return
    profile = _profile(arch)
    step = profile.stride or SMALLEST
    smallest = FEWEST_TOKENS * step if profile.stride else SMALLEST
    _, height, width = context.image_shape(arch)
    grow = max(1.0, smallest / min(height, width))
    own = round(height * grow), round(width * grow)
    whole = -(-own[0] // step) * step, -(-own[1] // step) * step
    largest = 2 * max(profile.default)
    if not profile.fixed and profile.stride is None and max(own) <= largest:
        yield own
    if max(whole) <= largest:
        yield whole
        yield max(whole), max(whole)
    for length in SIDES:
        if max(whole) < length < max(profile.default) and length % step == 0:
            yield length, length
    yield profile.default


def takes_size(arch: str) -> bool:
    """Whether the network is built for one size, so that another must be given to it."""
    return _profile(arch).fixed
