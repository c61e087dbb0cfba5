"""One adapter around any network: images in [0, 1] or table rows in, logits and named taps out.

Unusual here: every tap is a forward hook on the network's own forward, so the logits that come
with taps are the logits without, bit for bit, in training too.
Shapes: B = sample, C = channel, H, W = pixel, F = feature of a table row, L = token, D = feature,
K = class.
"""

from __future__ import annotations

import inspect as introspection
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workbench.errors import BadModel, ShapeMismatch, nearest
from workbench.models.facts import Architecture, ModelContext, ModelFacts
from workbench.models.inspection import Inspection, inspect, logits_of, tensors_in
from workbench.models.stages import layer_paths, stage_outputs
from workbench.models.taps import Taps

LOGITS = "logits"
FORWARD_ERRORS = (
    RuntimeError, ValueError, TypeError, AssertionError, LookupError, ArithmeticError,
    AttributeError,
)  # fmt: skip
"""What a network that cannot take these images or rows may raise."""


class ModelAdapter(nn.Module):
    """A network with its own normalisation and size, and taps by name.

    Args:
        network: Takes standardised images, shape (B, C, H, W), or table rows, shape (B, F), and
            gives logits, shape (B, K).
        name: As the user picked it.
        input_size: What the network sees: (C, H, W), or (F,) for table rows.
        num_classes: Length K of the logits.
        mean: Subtracted, a number a channel, in units of [0, 1]; of rows a number a feature.
        std: Divided by, a number a channel, in the same units.
        any_channels: Repeat or average the channels of the images to those of the network.
        architecture: What rebuilds the network; None for a user's own module.

    Attributes:
        network: The inner network; its names are the names of the saved tensors.
        facts: What is true of it, found by one dry forward.

    Raises:
        BadModel: If the network fails on ``input_size`` or gives other than K logits.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        input_size: tuple[int, ...],
        num_classes: int,
        mean: Sequence[float],
        std: Sequence[float],
        any_channels: bool = False,
        architecture: Architecture | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.architecture = architecture
        self._any_channels = any_channels
        self._by_keyword = "pixel_values" in introspection.signature(network.forward).parameters
        place = (1,) * (len(input_size) - 1)
        for key, values in (("mean", mean), ("std", std)):
            constant = torch.tensor(list(values), dtype=torch.float32).view(1, -1, *place)
            self.register_buffer(key, constant, persistent=False)
        seen = _inspected(network, name, input_size, by_keyword=self._by_keyword)
        if seen.logits_shape != (num_classes,):
            raise BadModel(
                f"{name}: the network gives an output of shape (batch, "
                f"{', '.join(map(str, seen.logits_shape))}), the data has {num_classes} classes. "
                f"Give the network {num_classes} outputs."
            )
        stages = stage_outputs(network, seen, input_size)
        self._seen = seen.outputs
        self._lonely_norms = seen.lonely_norms
        self.facts = ModelFacts(
            name=name,
            num_parameters=sum(parameter.numel() for parameter in network.parameters()),
            macs=seen.macs,
            input_size=input_size,
            num_classes=num_classes,
            stages=tuple(f"stage{index + 1}" for index in range(len(stages))),
            stage_paths=tuple(output.path for output in stages),
            layers=(*layer_paths(network, seen, stages), LOGITS),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, shape (B, K).

        Args:
            inputs: Images in [0, 1], float32, shape (B, C, H, W), at the size of the data; or
                table rows in their own units, float32, shape (B, F).
        """
        prepared = self.prepare(inputs)
        if prepared.shape[0] > 1:
            return self._logits(prepared)
        with self._batch_of_one():
            return self._logits(prepared)

    def _logits(self, prepared: Tensor) -> Tensor:
        if self._by_keyword:
            return logits_of(self.network(pixel_values=prepared))
        return logits_of(self.network(prepared))

    def taps(self, inputs: Tensor, names: Collection[str]) -> Taps:
        """Logits and the named tensors of one forward.

        Args:
            inputs: As for :meth:`forward`.
            names: ``stage1`` and on, or any module path of the network; ``logits`` always comes.

        Returns:
            Feature maps (B, C, H, W), tokens (B, L, D), features (B, D), logits (B, K);
            channels-last maps come channels first. A module that gives several tensors is tapped
            at the first with a row a sample; of one that runs more than once the last output is
            kept.

        Raises:
            BadModel: If a name is no module of the network, or the module did not run.
        """
        paths = {name: self._path(name) for name in names if name != LOGITS}
        if not paths:
            return Taps({LOGITS: self.forward(inputs)})
        caught: dict[str, Tensor] = {}
        with self._hooked(set(paths.values()), caught):
            logits = self.forward(inputs)
        taps = Taps({LOGITS: logits})
        for name, path in paths.items():
            if path not in caught:
                raise BadModel(f"{self.facts.name}: module {path!r} did not run in this forward.")
            taps[name] = caught[path]
        return taps

    def stage(self, index: int) -> str:
        """Tap name of a stage, counted from 1; negative counts from the end.

        Raises:
            BadModel: If the network has no such stage.
        """
        count = len(self.facts.stages)
        if index == 0 or abs(index) > count:
            raise BadModel(
                f"{self.facts.name}: no stage {index}; it has {count}. "
                f"Use 1 to {count}, or -1 for the last."
            )
        return self.facts.stages[index - 1 if index > 0 else index]

    def shapes(self, names: Collection[str]) -> dict[str, tuple[int, ...]]:
        """Shapes of taps without the batch, as the dry forward at building saw them."""
        return {
            name: (self.facts.num_classes,)
            if name == LOGITS
            else self._seen[self._path(name)].shape
            for name in names
        }

    def prepare(self, inputs: Tensor) -> Tensor:
        """Images as the network takes them: its channels, its size, standardised.

        Table rows are standardised, a feature each, and nothing else.

        Raises:
            BadModel: If they are not what the network was built for.
        """
        if len(self.facts.input_size) == 1:
            return (self._checked_rows(inputs) - self.mean) / self.std
        channels, height, width = self.facts.input_size
        images = self._with_channels(inputs, channels)
        size = tuple(images.shape[-2:])
        if size != (height, width):
            # Shrinking without a low-pass would alias; growing needs none.
            shrinks = size[0] > height or size[1] > width
            images = F.interpolate(
                images,
                size=(height, width),
                mode="bilinear",
                align_corners=False,
                antialias=shrinks,
            )
        return (images - self.mean) / self.std

    def _checked_rows(self, inputs: Tensor) -> Tensor:
        (features,) = self.facts.input_size
        if inputs.ndim != 2 or inputs.shape[1] != features:
            raise BadModel(
                f"{self.facts.name}: inputs have shape {tuple(inputs.shape)}, the network takes "
                f"table rows of shape (batch, {features}). Build it for this data."
            )
        return inputs

    def _with_channels(self, inputs: Tensor, channels: int) -> Tensor:
        given = inputs.shape[1] if inputs.ndim == 4 else None
        if given == channels:
            return inputs
        if given is None or not self._any_channels:
            raise BadModel(
                f"{self.facts.name}: images have shape {tuple(inputs.shape)}, the network takes "
                f"(batch, {channels}, height, width). Build it for this data."
            )
        if channels > 1 and given > 1:
            inputs = inputs.mean(dim=1, keepdim=True)
        if channels == 1:
            return inputs.mean(dim=1, keepdim=True)
        return inputs.expand(-1, channels, -1, -1)

    @contextmanager
    def _batch_of_one(self) -> Iterator[None]:
        """One sample has no batch statistics without a map: those norms use the running ones."""
        paths = self._lonely_norms if self.network.training else ()
        norms = [norm for norm in map(self.network.get_submodule, paths) if norm.training]
        try:
            for norm in norms:
                norm.training = False
            yield
        finally:
            for norm in norms:
                norm.training = True

    @contextmanager
    def _hooked(self, paths: Collection[str], caught: dict[str, Tensor]) -> Iterator[None]:
        with ExitStack() as stack:
            for path in paths:
                hook = self._hook(path, caught)
                handle = self.network.get_submodule(path).register_forward_hook(hook)
                stack.callback(handle.remove)
            yield

    def _hook(self, path: str, caught: dict[str, Tensor]) -> Any:
        seen = self._seen[path]

        def keep(module: nn.Module, arguments: Any, value: Any) -> None:
            tensors = tensors_in(value)
            if len(tensors) <= seen.index:
                return
            tensor = tensors[seen.index]
            if seen.overwritten:
                tensor = tensor.clone()
            caught[path] = tensor.movedim(-1, 1) if seen.channels_last else tensor

        return keep

    def _path(self, name: str) -> str:
        """Module path behind a tap's name."""
        if name in self.facts.stages:
            return self.facts.stage_paths[self.facts.stages.index(name)]
        if name in self._seen:
            return name
        modules = [path for path, _ in self.network.named_modules() if path]
        if name in modules:
            raise BadModel(
                f"{self.facts.name}: module {name!r} gives no tensor a sample in a forward "
                "(a list, or never called), so it cannot be tapped. Tap one of its children, "
                f"or one of: {', '.join((*self.facts.stages, *self.facts.layers))}."
            )
        near = nearest(name, [*self.facts.stages, *self._seen])
        raise BadModel(
            f"{self.facts.name}: no tap {name!r}.{f' Did you mean {near!r}?' if near else ''} "
            f"Usual taps: {', '.join((*self.facts.stages, *self.facts.layers))}; "
            "any other module path works too."
        )


def pool(tensor: Tensor) -> Tensor:
    """Global average over space or tokens, shape (B, D).

    Args:
        tensor: A tap: (B, C, H, W), (B, L, D) or (B, D).

    Raises:
        ShapeMismatch: If it has another number of axes.
    """
    if tensor.ndim == 4:
        return tensor.mean(dim=(2, 3))
    if tensor.ndim == 3:
        return tensor.mean(dim=1)
    if tensor.ndim == 2:
        return tensor
    raise ShapeMismatch("pool", tensor, ("B", "C", "H", "W"), fix="Use a tap with 2, 3 or 4 axes.")


def wrap_module(
    module: nn.Module, context: ModelContext, *, name: str | None = None
) -> ModelAdapter:
    """Adapter around a user's own module that takes standardised inputs and gives logits.

    Args:
        module: ``forward(images (B, C, H, W)) -> logits (B, K)``, for the data's own size; on a
            table ``forward(rows (B, F))``.
        context: The data it is built for.
        name: Shown to the user; the class name by default.

    Raises:
        BadModel: If it is no module, fails on a sample of the data or gives other than K logits.
    """
    if not isinstance(module, nn.Module):
        raise BadModel(
            f"A model must be a torch.nn.Module, got {type(module).__name__}. "
            "Give an instance, or the name of a registered model."
        )
    return ModelAdapter(
        module,
        name=name or type(module).__name__,
        input_size=context.shape,
        num_classes=context.num_classes,
        mean=context.mean,
        std=context.std,
    )


def _inspected(
    network: nn.Module, name: str, input_size: tuple[int, ...], *, by_keyword: bool
) -> Inspection:
    try:
        return inspect(network, input_size, by_keyword=by_keyword)
    except FORWARD_ERRORS as error:
        text = " ".join(str(error).split())[:300]
        rows = len(input_size) == 1
        what = "table rows" if rows else "images"
        way_out = "Take" if rows else "Give it another `input_size`, or take"
        raise BadModel(
            f"{name}: the network fails on {what} of shape {input_size}: "
            f"{type(error).__name__}: {text}. {way_out} another model."
        ) from error


def adapter_of(
    network: nn.Module, architecture: Architecture, *, name: str, any_channels: bool = False
) -> ModelAdapter:
    """Adapter with everything an architecture says."""
    return ModelAdapter(
        network,
        name=name,
        input_size=architecture.input_size,
        num_classes=architecture.num_classes,
        mean=architecture.mean,
        std=architecture.std,
        any_channels=any_channels,
        architecture=architecture,
    )
