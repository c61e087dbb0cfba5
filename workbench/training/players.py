"""Players: parts with an objective of their own, which move before the student does.

Unusual here: with ``lookahead`` a player's loss is that of the student *after* one virtual step,
and the gradient goes through that step: the part learns what it does to the student. The virtual
step is plain SGD at the stage's rate; it leaves weights, buffers, memories and random states as
they were, and draws the dropout masks that the real step will draw.
Shapes: P = trained weight of the student.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from workbench.errors import RunFailed
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.randomness import key, permutation
from workbench.specs.stage import PlayerSpec
from workbench.specs.values import value_at
from workbench.training.device import reseed
from workbench.training.objective import Evaluated, Objective
from workbench.training.optimisers import OptimiserKind
from workbench.training.part import Part
from workbench.training.rehearsal import as_found, trained_parameters

PATIENCE = 10
"""Moves in a row without any gradient after which a player is declared dead."""


class Playing:
    """A built player.

    Args:
        name: Its key in the stage.
        spec: Objective, optimiser, cadence.
        module: What it trains; no other optimiser does.
        objective: The sum of its terms.
        asks_target: Whether a term of its objective matches the target.
        rows: Ids of its split, int64, shape (n,), n >= 1.
    """

    columns = ("loss", "gradient")

    def __init__(
        self,
        name: str,
        spec: PlayerSpec,
        module: nn.Module,
        objective: Objective,
        *,
        asks_target: bool,
        rows: Any,
    ) -> None:
        self.name, self.spec, self.module = name, spec, module
        self._objective, self._asks_target, self._rows = objective, asks_target, rows
        self._weights = [weight for weight in module.parameters() if weight.requires_grad]
        self._kind = cast(OptimiserKind, spec.optimiser)
        self._optimiser = self._kind.build([self._weights])
        self._silent = 0
        self.numbers = [math.nan, math.nan]

    def move(self, part: Part, batch: Batch, step: int) -> None:
        """Learn, if it is its turn, from what the student would make of ``batch``.

        Raises:
            RunFailed: If its gradient has been exactly zero for ten moves, or cannot be taken.
        """
        if step % self.spec.every:
            return
        for number in range(self.spec.steps):
            self._once(part, batch, step, number)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "module": dict(self.module.state_dict()),
            "optimiser": self._optimiser.state_dict(),
            "silent": self._silent,
            "numbers": list(self.numbers),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state` gave."""
        self.module.load_state_dict(state["module"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._silent, self.numbers = int(state["silent"]), list(state["numbers"])

    def _once(self, part: Part, batch: Batch, step: int, number: int) -> None:
        learned = part.objective.modules().values()
        with as_found(part.model, *learned), torch.enable_grad():
            try:
                loss, slopes = self._slopes(part, batch, step, number)
            except RuntimeError as error:
                raise RunFailed(
                    f"The player {self.name!r} cannot look ahead: {error} Take a network whose "
                    "layers can be differentiated twice, or set `lookahead: false`."
                ) from error
        for weight, slope in zip(self._weights, slopes, strict=True):
            weight.grad = torch.zeros_like(weight) if slope is None else slope.detach()
        norm = torch.stack(
            [weight.grad.norm() for weight in self._weights if weight.grad is not None]
        )
        self.numbers = [float(loss.detach()), float(norm.norm())]
        self._refuse_silence(step)
        rate = value_at(self.spec.optimiser.lr, step, part.steps)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()
        for weight in self._weights:
            weight.grad = None

    def _slopes(
        self, part: Part, batch: Batch, step: int, number: int
    ) -> tuple[Tensor, list[Tensor | None]]:
        ahead = self._ahead(part, batch, step) if self.spec.lookahead else {}
        own = self._batch(part, step, number)
        loss = _under(part, ahead, lambda: self._judged(part, own, step, number)).total
        if not loss.requires_grad:
            return loss, [None] * len(self._weights)
        return loss, list(torch.autograd.grad(loss, self._weights, allow_unused=True))

    def _ahead(self, part: Part, batch: Batch, step: int) -> dict[str, Tensor]:
        """The student's weights after a virtual step, by name in the network; differentiable."""
        weights = trained_parameters(part)
        total = _under(part, {}, lambda: part.forward(batch, step)[1]).total
        slopes = torch.autograd.grad(
            total, list(weights.values()), create_graph=True, allow_unused=True
        )
        rate = part.rate(step)
        return {
            name: weight if slope is None else weight - rate * slope
            for (name, weight), slope in zip(weights.items(), slopes, strict=True)
        }

    def _judged(self, part: Part, batch: Batch, step: int, number: int) -> Evaluated:
        """Its objective on its own rows."""
        reseed(part.seed, "player", self.name, step, number)
        taps = part.model.taps(batch.inputs, self._objective.student_taps)
        target = part.targets(batch, step, taps) if self._asks_target else Taps()
        return self._objective(taps, target, batch, step)

    def _batch(self, part: Part, step: int, number: int) -> Batch:
        """Rows of its split, one permutation after the other; pure in (seed, step)."""
        size, rows = min(self.spec.batch_size, len(self._rows)), self._rows
        turn = (step // self.spec.every) * self.spec.steps + number
        per_pass = len(rows) // size
        order = permutation(
            key(part.seed, "player", self.name), "order", turn // per_pass, len(rows)
        )
        place = (turn % per_pass) * size
        chosen = rows[order[place : place + size]]
        if self.spec.split == "train":  # labels that the student may not see are not shown here
            return part.data.fetch_train(chosen)
        return part.data.fetch_full(chosen)

    def _refuse_silence(self, step: int) -> None:
        self._silent = 0 if self.numbers[1] > 0 else self._silent + 1
        if self._silent < PATIENCE:
            return
        way = (
            "The stage's loss does not depend on it: is its term's weight 0, or its output cut off?"
            if self.spec.lookahead
            else "Without `lookahead` its objective does not depend on it; set `lookahead: true`."
        )
        raise RunFailed(
            f"The player {self.name!r} trains {self.spec.trains}, whose gradient has been exactly "
            f"zero for {PATIENCE} moves by step {step}: it learns nothing. {way}"
        )


class _Scene(nn.Module):
    """Lets any closure over a model run while its weights stand in for others."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, make: Callable[[], Evaluated]) -> Evaluated:
        return make()


def _under(part: Part, weights: Mapping[str, Tensor], make: Callable[[], Evaluated]) -> Evaluated:
    """What ``make`` gives while the network has these weights, and buffers that are forgotten."""
    buffers = {name: buffer.clone() for name, buffer in part.model.network.named_buffers()}
    stand_in = {f"model.network.{name}": value for name, value in {**weights, **buffers}.items()}
    found: Evaluated = functional_call(_Scene(part.model), stand_in, (make,))
    return found
