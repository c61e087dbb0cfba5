"""One dry forward of a network that records what every module gives, and leaves no trace.

Unusual here: the axis of the channels is found, not guessed from a model's name, so that a
channels-last network (Swin) offers the same (B, C, H, W) taps as a CNN.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from workbench.errors import BadModel

BATCH = 2
"""Samples of the dry forward: with one, a window of an image could pass for a sample."""

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Output:
    """What a module gave in the dry forward.

    Attributes:
        path: Of the module, as ``get_submodule`` takes it.
        shape: Of its tensor, channels first, without the batch.
        index: Which tensor of a tuple is tapped: the first that has a row a sample.
        channels_last: The module gives (B, H, W, C); a tap turns it.
        overwritten: A later module wrote into the tensor (an in-place ReLU); a tap copies it.
        calls: How often the module ran.
        tensor: Number of the tensor; a stage and its last block may give the same one.
    """

    path: str
    shape: tuple[int, ...]
    index: int
    channels_last: bool
    overwritten: bool
    calls: int
    tensor: int


@dataclass(frozen=True)
class Inspection:
    """Everything one dry forward tells.

    Attributes:
        outputs: By module path, in the order of the first return; only per-sample tensors.
        macs: Multiply-accumulates of convolutions and matrix products, a sample.
        logits_shape: Without the batch.
        lonely_norms: BatchNorm modules that see one value a channel an image: they have no
            statistics in a training batch of one.
    """

    outputs: Mapping[str, Output]
    macs: int
    logits_shape: tuple[int, ...]
    lonely_norms: tuple[str, ...]


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of a module's output: itself, or those of a tuple or a mapping."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (tuple, list)):
        return [item for item in value if isinstance(item, Tensor)]
    return []


def logits_of(value: Any) -> Tensor:
    """The logits of a network's output.

    Distilled transformers give one prediction a head while they train: the mean of both is what
    they predict in evaluation. A network with auxiliary heads names the main one first.

    Raises:
        BadModel: If there is no tensor of shape (B, K) in it.
    """
    if isinstance(value, Tensor):
        return value
    named = getattr(value, "logits", None)
    if isinstance(named, Tensor):
        return named
    if isinstance(value, (tuple, list)):
        tensors = [item for item in value if isinstance(item, Tensor)]
        if len(tensors) == 2 and len(value) == 2 and tensors[0].shape == tensors[1].shape:
            return (tensors[0] + tensors[1]) / 2
        if tensors:
            return tensors[0]
    raise BadModel(
        f"The network gave {type(value).__name__}, not logits of shape (batch, classes). "
        "Return the logits tensor, or an object with `.logits`."
    )


@contextmanager
def restored(network: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradient; modes, buffers and random states come back afterwards."""
    modes = {module: module.training for module in network.modules()}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with ExitStack() as stack:
        stack.enter_context(kept_random_states())
        stack.enter_context(torch.no_grad())
        try:
            network.eval()
            yield
        finally:
            for module, training in modes.items():
                module.training = training
            for name, buffer in network.named_buffers():
                if name in buffers and buffers[name].shape == buffer.shape:
                    buffer.copy_(buffers[name])


@contextmanager
def kept_random_states() -> Iterator[None]:
    """Puts back the CPU random states of torch, numpy and Python."""
    states = torch.default_generator.get_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.default_generator.set_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draws inside follow ``seed`` alone, on the CPU in float32; outside nothing changes.

    torch's CPU generator looks at the low 32 bits of a seed only, so the high ones are folded in;
    a seed below 2**32 draws what ``torch.manual_seed(seed)`` draws.
    """
    folded = (seed ^ (seed >> 32)) & 0xFFFFFFFF
    dtype = torch.get_default_dtype()
    with kept_random_states(), torch.device("cpu"):
        torch.default_generator.manual_seed(folded)
        np.random.seed(folded)
        random.seed(seed)
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            torch.set_default_dtype(dtype)


def inspect(
    network: nn.Module, input_size: tuple[int, ...], *, by_keyword: bool = False
) -> Inspection:
    """Run the network once on noise of ``input_size`` and record every module.

    Args:
        network: Takes images or table rows, gives logits.
        input_size: Of one sample: (C, H, W) or (F,).
        by_keyword: The network names its images ``pixel_values``, as transformers does.

    Raises:
        BadModel: If the output holds no logits. What the network itself raises passes through.
    """
    noise = _noise(network, input_size)
    recorder = _Recorder()
    # The math backend: its products are plain matrix products, which the counter knows.
    counter = _OperationCounter()
    with restored(network), sdpa_kernel(SDPBackend.MATH), recorder.attached(network), counter:
        output = network(pixel_values=noise) if by_keyword else network(noise)
        logits = logits_of(output)
    return Inspection(
        outputs=recorder.finished(),
        macs=counter.flops // (2 * BATCH),
        logits_shape=tuple(logits.shape[1:]),
        lonely_norms=tuple(recorder.lonely_norms),
    )


def matching_modules(network: nn.Module, input_size: tuple[int, ...]) -> tuple[str, ...]:
    """Modules that give what timm's ``forward_intermediates`` returns, value for value, in order.

    For the networks whose ``feature_info`` names modules that do not exist or give other shapes.
    """
    forward: Any = getattr(network, "forward_intermediates", None)
    if forward is None:
        return ()
    noise = _noise(network, input_size)
    recorder = _Recorder()
    with restored(network), sdpa_kernel(SDPBackend.MATH):
        wanted = tensors_in(forward(noise, intermediates_only=True))
        with recorder.attached(network):
            network(noise)
        found = recorder.matches(wanted)
    recorder.finished()
    return found


def _noise(network: nn.Module, input_size: tuple[int, ...]) -> Tensor:
    place = next(network.parameters(), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    return torch.randn((BATCH, *input_size), generator=generator).to(place.device, place.dtype)


class _OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up torch's own formulas for convolutions and matrix products.

    torch's FlopCounterMode does the same, but its module tracker refuses a parameter that is
    passed from module to module (the class token of CaiT).
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += int(formula(*args, **(kwargs or {}), out_val=result))
        return result


class _Recorder:
    """Forward hooks on every module."""

    def __init__(self) -> None:
        self.lonely_norms: list[str] = []
        self._outputs: dict[str, Output] = {}
        self._kept: dict[str, tuple[Tensor, int]] = {}
        self._channels = 0
        self._channels_last = False
        self._shape: tuple[int, ...] = ()
        self._numbers: dict[int, int] = {}
        self._alive: list[Tensor] = []  # an id is a tensor's only while the tensor lives

    @contextmanager
    def attached(self, network: nn.Module) -> Iterator[None]:
        handles = [
            module.register_forward_hook(self._hook(path))
            for path, module in network.named_modules()
            if path
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def finished(self) -> dict[str, Output]:
        """Outputs with what became of their tensors; the tensors themselves are let go."""
        done = {
            path: replace(output, overwritten=self._kept[path][0]._version != self._kept[path][1])
            for path, output in self._outputs.items()
        }
        self._kept.clear()
        self._alive.clear()
        return done

    def matches(self, wanted: Sequence[Tensor]) -> tuple[str, ...]:
        """The last module for each wanted map whose values it gives, in the order of ``wanted``."""
        found: list[str] = []
        for tensor in wanted:
            for path in reversed(self._outputs):
                given = self._kept[path][0]
                if self._outputs[path].channels_last:
                    given = given.movedim(-1, 1)
                if _same_features(given, tensor):
                    found.append(path)
                    break
        return tuple(found)

    def _hook(self, path: str) -> Any:
        def record(module: nn.Module, arguments: Any, value: Any) -> None:
            tensors = tensors_in(value)
            rows = (i for i, item in enumerate(tensors) if item.ndim > 1 and len(item) == BATCH)
            index = next(rows, None)
            if not tensors:
                return
            tensor = tensors[index or 0]
            if isinstance(module, BATCH_NORMS) and tensor[0].numel() == tensor.shape[1]:
                self.lonely_norms.append(path)
            last = self._is_channels_last(module, tensor)
            if index is None:
                return
            size = tuple(tensor.shape[1:])
            old = self._outputs.get(path)
            self._outputs[path] = Output(
                path=path,
                shape=(size[-1], *size[:-1]) if last else size,
                index=index,
                channels_last=last,
                overwritten=False,
                calls=1 + (old.calls if old else 0),
                tensor=self._numbers.setdefault(id(tensor), len(self._numbers)),
            )
            self._alive.append(tensor)
            self._kept[path] = tensor, tensor._version

        return record

    def _is_channels_last(self, module: nn.Module, tensor: Tensor) -> bool:
        """Follow the axis of the channels through the forward.

        A convolution, a Linear or a LayerNorm knows its axis. Anything else gives the shape of
        the last of these, the same shape turned, or another grid with as many channels.
        """
        shape = tuple(tensor.shape)
        known = _known_axis(module)
        if known is not None and tensor.ndim >= 2:
            self._channels_last = known
            self._channels = shape[-1] if known else shape[1]
            self._shape = shape
        if tensor.ndim != 4:
            return False
        if known is not None:
            return known
        first, last = shape[1] == self._channels, shape[-1] == self._channels
        if first != last:
            return last
        if first and shape == self._shape:
            return self._channels_last
        return False


def _known_axis(module: nn.Module) -> bool | None:
    """True for modules whose channels are the last axis, False for the second, None if unknown."""
    if isinstance(module, CONVOLUTIONS + BATCH_NORMS + (nn.GroupNorm,)):
        return False
    if isinstance(module, nn.Linear):
        return True
    if isinstance(module, nn.LayerNorm):
        return not type(module).__name__.endswith("2d")  # timm's LayerNorm2d turns it inside
    return None


def _same_features(given: Tensor, wanted: Tensor) -> bool:
    """Equal values, where tokens may be laid out as a grid and class tokens may come first."""
    if given.ndim == 3 and wanted.ndim == 4:
        wanted = wanted.flatten(2).transpose(1, 2)
        given = given[:, -wanted.shape[1] :]
    return given.shape == wanted.shape and torch.equal(given, wanted)
