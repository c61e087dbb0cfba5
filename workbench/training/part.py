"""One training as the loop sees it: model, data, loss, optimiser, length. What a step reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from workbench.data.images import ImageData
from workbench.errors import NonFiniteLoss
from workbench.models.adapter import ModelAdapter
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.randomness import key
from workbench.targets.kinds import Moment, Target
from workbench.training.device import reseed
from workbench.training.objective import Evaluated, Objective, non_finite
from workbench.training.schedules import Schedule

if TYPE_CHECKING:
    from workbench.training.players import Playing
    from workbench.training.selecting import Selecting

NO_TARGET = Taps()


@dataclass(frozen=True)
class Length:
    """How steps are laid over epochs, from a step on (a fork may change the batch size there).

    Attributes:
        batch_size: Samples a step.
        rows: Rows of an epoch.
        steps: Total steps of the training, counted from 0.
        step: Step at which this begins.
        epoch: Epoch it begins in.
        row: Rows of that epoch that are done.
    """

    batch_size: int
    rows: int
    steps: int
    step: int = 0
    epoch: int = 0
    row: int = 0

    @cached_property
    def epochs(self) -> int:
        """Passes of the whole training; the last may be a part of one."""
        return self.place(max(self.steps - 1, 0))[0] + 1

    def place(self, step: int) -> tuple[int, int]:
        """Epoch of a step, and the number of its first row in the epoch's order."""
        since, left = step - self.step, -(-(self.rows - self.row) // self.batch_size)
        if since < left:
            return self.epoch, self.row + since * self.batch_size
        per_epoch = -(-self.rows // self.batch_size)
        epochs, offset = divmod(since - left, per_epoch)
        return self.epoch + 1 + epochs, offset * self.batch_size

    def then(
        self, step: int, *, batch_size: int, rows: int, epochs: int | None, steps: int | None
    ) -> Length:
        """The length from ``step`` on with another batch size or end; the epoch goes on.

        Args:
            step: Where it changes.
            batch_size: From there on.
            rows: Rows of an epoch.
            epochs: Planned passes in all, or None.
            steps: Planned steps in all, or None.
        """
        epoch, row = self.place(step)
        if steps is None:
            left = -(-(rows - row) // batch_size)
            per_epoch = -(-rows // batch_size)
            steps = step + left + max((epochs or 0) - epoch - 1, 0) * per_epoch
        return Length(batch_size, rows, max(steps, step), step, epoch, row)


@dataclass
class Part:
    """One training: a model, its data, its loss, its optimiser, its length.

    Attributes:
        groups: Names of trained parameters by group of the optimiser, in its order.
        seed: Of data order, augmentation, dropout and initial weights.
        target: What the terms match; None where no term has a target.
        target_knobs: Live parameters of the target by their address.
        rows: Rows that are shown, sorted; None is all.
        frozen: Module paths of the student whose weights stay.
        see_all_labels: True for the teacher.
        players: Parts with an objective of their own, which move before the student does.
        selecting: Chooses the rows of each epoch; None shows what ``rows`` says.
        on_choice: Told the step and the numbers of a choice.
    """

    model: ModelAdapter
    data: ImageData
    objective: Objective
    optimiser: torch.optim.Optimizer
    groups: dict[str, list[str]]
    schedule: Schedule
    lr: str
    length: Length
    seed: int
    device: torch.device
    target: Target | None = None
    target_knobs: Mapping[str, str] = field(default_factory=dict)
    rows: npt.NDArray[np.int64] | None = None
    frozen: tuple[str, ...] = ()
    see_all_labels: bool = False
    players: list[Playing] = field(default_factory=list)
    selecting: Selecting | None = None
    on_choice: Callable[[int, dict[str, float]], None] | None = None
    _order: tuple[int, npt.NDArray[np.int64]] | None = None

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.length.steps

    def batch(self, step: int) -> Batch:
        """The batch of a step, varied as the data says; pure in (seed, step)."""
        epoch, start = self.length.place(step)
        if self.selecting is not None:
            self.selecting.at(self, epoch, step)
        ids = self._order_of(epoch)[start : start + self.length.batch_size]
        batch = self.data.fetch_full(ids) if self.see_all_labels else self.data.fetch_train(ids)
        return self.data.transform(batch, self.seed, epoch)

    def forward(self, batch: Batch, step: int) -> tuple[Taps, Evaluated]:
        """What the student says of a batch, and the loss of it; draws follow (seed, step)."""
        target = None if self._follows else self.targets(batch, step)
        reseed(self.seed, "student", step)  # dropout and drop path
        taps = self.taps(batch, step)
        if target is None:
            target = self.targets(batch, step, taps)
        return taps, self.objective(taps, target, batch, step)

    def taps(self, batch: Batch, step: int) -> Taps:
        """The student's taps that the terms read, of every view that one asks for."""
        taps = self.model.taps(batch.inputs, self.objective.student_taps)
        for name, view in self.objective.views.items():
            seen = view(self.model, batch, self.seed, step)
            taps |= {f"{name}:{tap}": tensor for tap, tensor in seen.items()}
        return taps

    def targets(self, batch: Batch, step: int, student: Taps | None = None) -> Taps:
        """What the terms match on a batch."""
        if self.target is None:
            return NO_TARGET
        if self.target.draws:
            reseed(self.seed, "target", step)
        knobs = self.objective.knobs
        values = {name: knobs.at(path, step) for name, path in self.target_knobs.items()}
        return self.target(batch, values, self.moment(step), student)

    def moment(self, step: int) -> Moment:
        """Where a step lies in the stage."""
        return Moment(step, self.steps, self.length.place(step)[0], self.length.epochs)

    def learned(self, batch: Batch, taps: Taps) -> None:
        """The student has been moved by a batch, of which it had said ``taps``."""
        if self.target is not None:
            self.target.after_step(batch, taps)

    @property
    def _follows(self) -> bool:
        return self.target is not None and self.target.follows_student

    def show(self, rows: npt.NDArray[np.int64] | None) -> None:
        """Show these rows only, from the next batch on; None is all."""
        self.rows, self._order = rows, None

    def train_mode(self) -> None:
        """Put the model into training mode, what is frozen excepted: its statistics stay too."""
        self.model.train()
        trained = set(self.groups["network"])  # a network may have fixed weights of its own
        for name, parameter in self.model.network.named_parameters():
            if f"network.{name}" in trained:
                parameter.requires_grad_(not below(name, self.frozen))
        for path in self.frozen:
            self.model.network.get_submodule(path).eval()

    def refuse(self, step: int, row: dict[str, float]) -> None:
        """Raise for a step whose loss is no number any more; ``row`` holds its weighted terms.

        Raises:
            NonFiniteLoss: Names term, step and the ids of the batch.
        """
        bad = next((name for name in self.objective.names if not math.isfinite(row[name])), "sum")
        raise non_finite(bad, step, row["loss"], self.batch(step).ids.tolist())

    def refuse_broken(self, step: int) -> None:
        """Raise if a weight is no number any more: the last step has no next loss to tell.

        Raises:
            NonFiniteLoss: Names the parameter and the step.
        """
        for name, parameter in self.model.network.named_parameters():
            if not torch.isfinite(parameter).all():
                raise NonFiniteLoss(
                    f"The weights became NaN or infinite by step {step}, first in {name!r}. The "
                    "last good checkpoint is kept. A smaller learning rate usually cures it."
                )

    def columns(self) -> list[str]:
        """Names of the numbers of a step: the loss, each weighted term, then what is logged.

        ``TERM.LOG`` is the batch mean of what a term logs, ``PLAYER.loss`` and ``PLAYER.gradient``
        are of the player's last move.
        """
        logs = [f"{term}.{log}" for term, log in self.objective.logs]
        played = [f"{one.name}.{what}" for one in self.players for what in one.columns]
        return ["loss", *self.objective.names, *logs, *played]

    def played(self) -> list[float]:
        """Numbers of the players' last moves, in the order of :meth:`columns`."""
        return [number for one in self.players for number in one.numbers]

    def forget_gradients(self) -> None:
        """Drop all gradients: the optimiser's own way takes longer than a tiny step can spare."""
        for group in self.optimiser.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def set_rate(self, step: int) -> float:
        """Give the optimiser the learning rate of a step."""
        rate = self.rate(step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        return self.objective.knobs.at(self.lr, step) * self.schedule.factor(step, self.steps)

    def _order_of(self, epoch: int) -> npt.NDArray[np.int64]:
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, self._planned(epoch))
        return self._order[1]

    def _planned(self, epoch: int) -> npt.NDArray[np.int64]:
        """Training rows in the order of an epoch; rows that are shown fill those that are not."""
        order = self.data.plan(self.seed, epoch)
        if self.rows is None:
            return order
        shown = [order[np.isin(order, self.rows)]]
        while sum(map(len, shown)) < len(order):
            again = self.data.plan(key(self.seed, "again", len(shown)), epoch)
            shown.append(again[np.isin(again, self.rows)])
        return np.concatenate(shown)[: len(order)]


def below(name: str, paths: tuple[str, ...]) -> bool:
    """Whether a parameter belongs to one of the modules."""
    return any(name == path or name.startswith(f"{path}.") for path in paths)
