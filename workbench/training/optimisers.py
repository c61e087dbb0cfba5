"""Optimisers by name. ``lr`` is the peak; the loop sets the rate before each step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from workbench.registries import OPTIMISERS
from workbench.specs.stage import OptimiserSpec

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer


class OptimiserKind(OptimiserSpec):
    """Base of the optimisers."""

    weight_decay: float = Field(0.0, ge=0, le=10, description="L2 (SGD) or decoupled decay.")

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """What each group of torch's optimiser holds beside its rate; may change in mid-run."""

    @abstractmethod
    def build(self, groups: Sequence[Sequence[Tensor]]) -> Optimizer:
        """The torch optimiser over groups of parameters, in the order given."""


@OPTIMISERS.register("sgd")
class Sgd(OptimiserKind):
    """Stochastic gradient descent with momentum."""

    momentum: float = Field(0.0, ge=0, lt=1, description="Share of the last step kept.")
    nesterov: bool = Field(False, description="Momentum that looks a step ahead.")

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            raise PydanticCustomError("nesterov", "`nesterov` needs a `momentum` above 0", {})
        return self

    def settings(self) -> dict[str, Any]:
        """Momentum and decay."""
        return {
            "momentum": self.momentum,
            "weight_decay": self.weight_decay,
            "nesterov": self.nesterov,
        }

    def build(self, groups: Sequence[Sequence[Tensor]]) -> Optimizer:
        """torch.optim.SGD."""
        from torch.optim import SGD

        return SGD(_groups(groups), lr=1.0, **self.settings())


@OPTIMISERS.register("adamw")
class AdamW(OptimiserKind):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    weight_decay: float = Field(0.01, ge=0, le=10, description="Decoupled decay.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Memory of the mean gradient.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Memory of its square.")
    epsilon: float = Field(1e-8, gt=0, le=1, description="Added to the root of the square.")

    def settings(self) -> dict[str, Any]:
        """Memories and decay."""
        return {
            "betas": (self.beta1, self.beta2),
            "eps": self.epsilon,
            "weight_decay": self.weight_decay,
        }

    def build(self, groups: Sequence[Sequence[Tensor]]) -> Optimizer:
        """torch.optim.AdamW."""
        from torch.optim import AdamW as TorchAdamW

        return TorchAdamW(_groups(groups), lr=1.0, **self.settings())


def _groups(groups: Sequence[Sequence[Tensor]]) -> list[dict[str, Any]]:
    return [{"params": list(group)} for group in groups]
