"""The selecting pass: at the start of an epoch a data policy chooses which rows are shown.

Unusual here: the pass is of its own (evaluation mode, no augmentation, row order), so which rows
are kept depends on the weights alone and can be found again; the choice goes into the checkpoint.
Shapes: N = training rows, n = those that may be shown at all, E = epochs so far, K = classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workbench.data.examples import Examples
from workbench.data.images import ImageData
from workbench.data.policy import PolicyKind, Report
from workbench.errors import BadData, RunFailed
from workbench.models.adapter import ModelAdapter
from workbench.models.inspection import restored
from workbench.training.part import Part

if TYPE_CHECKING:
    from workbench.data.policy import Kept

CHUNK = 512
SELECTION = "selection"
"""Series of what was chosen, one row an epoch."""


class Selecting:
    """Shows a part the rows that a policy chooses.

    Args:
        policy: Chooses.
        data: Its training rows are chosen from.
        rows: Training rows that may be shown at all, sorted; None is all.
        teacher: Asked once about every row, if the policy asks for it.
    """

    def __init__(
        self,
        policy: PolicyKind,
        data: ImageData,
        rows: npt.NDArray[np.int64] | None,
        teacher: ModelAdapter,
    ) -> None:
        self._policy, self._data = policy, data
        self._all = data.split_ids("train")
        self._ids = self._all if rows is None else self._all[np.isin(self._all, rows)]
        self._teacher = logits(teacher, data, self._ids) if "teacher" in policy.asks else None
        self._epoch = -1
        self._chosen = np.zeros(0, np.int64)
        self._history: dict[int, npt.NDArray[np.uint8]] = {}

    def at(self, part: Part, epoch: int, step: int) -> None:
        """Choose anew, where an epoch begins.

        Raises:
            BadData: If no row is left before the first step.
            RunFailed: If none is left later.
        """
        if epoch == self._epoch:
            return
        try:
            kept = self.choice(part, epoch, step)
        except BadData as error:
            if step == 0:
                raise
            raise RunFailed(
                f"{error.message} The last good checkpoint is kept; a fork before step {step} goes "
                "on from there."
            ) from None
        self._epoch, self._chosen = epoch, self._ids[kept]
        self._history[epoch] = np.packbits(np.isin(self._all, self._chosen))
        part.show(self._chosen)
        if part.on_choice is not None:
            part.on_choice(step, self._numbers())

    def choice(self, part: Part, epoch: int, step: int) -> Kept:
        """Which rows the policy would show now, bool, shape (n,); nothing changes.

        Raises:
            BadData: If it would show none.
        """
        student = None
        if "student" in self._policy.asks:
            student = logits(part.model, self._data, self._ids)
        epochs = part.moment(step).epochs
        kept = self._policy.choose(
            Report(epoch, epochs, part.seed, len(self._ids), student, self._teacher)
        )
        if not kept.any():
            raise BadData(
                f"policy {self._policy.use}: none of the {len(self._ids)} training rows is usable "
                f"in epoch {epoch + 1}. Let it be less strict (a lower `threshold`), or take a "
                "better teacher or other data."
            )
        return kept

    def remember(self, earlier: Selecting) -> None:
        """Keep what another policy chose of the same training rows before."""
        self._history = {**earlier._history, **self._history}

    def state(self) -> dict[str, Any]:
        """For a checkpoint: what was chosen in every epoch so far."""
        return {
            "epoch": self._epoch,
            "history": {epoch: torch.from_numpy(bits) for epoch, bits in self._history.items()},
        }

    def load(self, part: Part, state: Mapping[str, Any]) -> None:
        """Show again what was shown when the checkpoint was written."""
        self._epoch = int(state["epoch"])
        self._history = {int(epoch): bits.numpy() for epoch, bits in state["history"].items()}
        if self._epoch in self._history:
            self._chosen = self._all[self._mask(self._epoch)]
            part.show(self._chosen)

    def chosen(self) -> dict[str, npt.NDArray[Any]]:
        """Every epoch's choice as arrays.

        ``ids`` of all training rows, int64 (N,), ``epochs`` from 0, int64 (E,), ``kept`` bool
        (E, N). Where a policy changed within an epoch, what the later one chose.
        """
        epochs = sorted(self._history)
        kept = [self._mask(epoch) for epoch in epochs]
        return {
            "ids": self._all,
            "epochs": np.asarray(epochs, np.int64),
            "kept": np.stack(kept) if kept else np.zeros((0, len(self._all)), bool),
        }

    def _mask(self, epoch: int) -> npt.NDArray[np.bool_]:
        return np.unpackbits(self._history[epoch], count=len(self._all)).astype(bool)

    def _numbers(self) -> dict[str, float]:
        """Epoch, rows kept, entropy over classes of what is kept (nats), rows by origin if known.

        Classes are the true ones, for people to look at; rows of no class count for none.
        """
        examples = self._data.examples
        labels = examples.labels[self._chosen]
        counts = np.bincount(labels[labels >= 0], minlength=len(examples.class_names))
        found = {
            "epoch": float(self._epoch),
            "kept": float(len(self._chosen)),
            "share": len(self._chosen) / len(self._ids),
            "entropy": entropy(counts),
        }
        for name, rows in _origins(examples).items():
            found[f"origin.{name}"] = float(np.isin(self._chosen, rows).sum())
        return found


def logits(model: ModelAdapter, data: ImageData, ids: npt.NDArray[np.int64]) -> Tensor:
    """What a model says of rows as they are, float32, shape (n, K), on the CPU."""
    with restored(model):
        found = [
            model(data.fetch(ids[start : start + CHUNK]).inputs).float().cpu()
            for start in range(0, len(ids), CHUNK)
        ]
    return torch.cat(found)


def entropy(counts: npt.NDArray[np.int64]) -> float:
    """Of the distribution of counts, in nats; 0 where there is nothing."""
    share = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(share * np.log(share)).sum())


def _origins(examples: Examples) -> dict[str, npt.NDArray[np.int64]]:
    """Rows by where they come from; empty where the data does not say."""
    codes = examples.origin
    if codes is None:
        return {}
    return {name: np.flatnonzero(codes == code) for code, name in enumerate(examples.origin_names)}
