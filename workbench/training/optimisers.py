"""Optimisers by name. ``lr`` is the peak; the loop sets the rate before each step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pydantic import Field

from workbench.registries import OPTIMISERS
from workbench.specs.stage import OptimiserSpec

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


class OptimiserKind(OptimiserSpec):
    """Base of the optimisers."""

    weight_decay: float = Field(0.0, ge=0, le=10, description="L2 (SGD) or decoupled decay.")

    @abstractmethod
    def build(self, parameters: Iterable[tuple[str, Tensor]]) -> Optimizer:
        """The torch optimiser over named parameters, in the order given."""


@OPTIMISERS.register("sgd")
class Sgd(OptimiserKind):
    """Stochastic gradient descent with momentum."""

    momentum: float = Field(0.0, ge=0, lt=1, description="Share of the last step kept.")
    nesterov: bool = False

    def build(self, parameters: Iterable[tuple[str, Tensor]]) -> Optimizer:
        """torch.optim.SGD."""
        from torch.optim import SGD

        return SGD(
            _groups(parameters),
            lr=1.0,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )


@OPTIMISERS.register("adamw")
class AdamW(OptimiserKind):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    weight_decay: float = Field(0.01, ge=0, le=10, description="Decoupled decay.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Memory of the mean gradient.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Memory of its square.")
    epsilon: float = Field(1e-8, gt=0, le=1, description="Added to the root of the square.")

    def build(self, parameters: Iterable[tuple[str, Tensor]]) -> Optimizer:
        """torch.optim.AdamW."""
        from torch.optim import AdamW as TorchAdamW

        return TorchAdamW(
            _groups(parameters),
            lr=1.0,
            betas=(self.beta1, self.beta2),
            eps=self.epsilon,
            weight_decay=self.weight_decay,
        )


def _groups(parameters: Iterable[tuple[str, Tensor]]) -> list[dict[str, Any]]:
    return [{"params": [tensor for _, tensor in parameters if tensor.requires_grad]}]
