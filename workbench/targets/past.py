"""What the student said of every training row when it last saw it, as a target (PS-KD).

Unusual here: a row is seen once an epoch, so "last time" is the last epoch; where a stage shows
rows more often it is the last time. The memory is of fixed size and goes into every checkpoint.
Shapes: N = training rows, B = sample, K = class.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from workbench.errors import BadFile, BadInput
from workbench.functional.soft_targets import past_target
from workbench.models.batch import Batch
from workbench.models.taps import KNOWN, Taps
from workbench.targets.kinds import Moment

TINY = torch.finfo(torch.float32).tiny
"""Least probability whose logarithm is taken: a one-hot target has finite log-probabilities."""


class PastPredictions:
    """Remembers probabilities; gives log-probabilities of the mixed target as logits.

    Args:
        ids: Of the training rows, int64, shape (N,).
        num_rows: Rows of the whole data set.
        num_classes: K.
    """

    follows_student = True
    draws = False

    def __init__(self, ids: Tensor, num_rows: int, num_classes: int) -> None:
        self._place = torch.full((num_rows,), -1, dtype=torch.int64, device=ids.device)
        self._place[ids] = torch.arange(len(ids), device=ids.device)
        self.probs = torch.zeros(len(ids), num_classes, device=ids.device)
        self.seen = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

    def want(self, taps: Collection[str]) -> None:
        """Refuse terms of layers: the past has logits only.

        Raises:
            BadInput: If a term reads a layer.
        """
        layers = sorted(set(taps) - {"logits"})
        if layers:
            raise BadInput(
                f"target past: it remembers logits, not layers, but a term reads {layers[0]!r}. "
                "Take a term of logits (kd, soft-ce), or `target: teacher`."
            )

    def prepare(
        self,
        num_rows: int,
        rows: Tensor,
        fetch: Callable[[Tensor], Tensor],
        progress: Callable[[float], None],
    ) -> None:
        """Nothing is known beforehand."""

    def __call__(
        self, batch: Batch, values: Mapping[str, float], moment: Moment, student: Taps | None
    ) -> Taps:
        """Log of the mixed target, (B, K); a row whose label is withheld is not known."""
        if student is None:
            raise BadInput("target past: it is asked with what the student says of the batch.")
        now = student["logits"].detach().float()
        places = self._places(batch.ids)
        labels = batch.labels.clamp_min(0)
        truth = torch.nn.functional.one_hot(labels, self.probs.shape[1]).to(self.probs.dtype)
        past = torch.where(self.seen[places, None], self.probs[places], truth)
        share = values["share"] * (moment.epoch + 1) / moment.epochs
        mixed = past_target(labels, past, share=share).clamp_min(TINY).log()
        taps = Taps({"logits": torch.where(batch.labelled[:, None], mixed, now)})
        if batch.valid is not None:
            taps[KNOWN] = batch.valid
        return taps

    def after_step(self, batch: Batch, student: Taps) -> None:
        """Remember what the student said before it learned from the batch."""
        places = self._places(batch.ids)
        self.probs[places] = student["logits"].detach().to(self.probs.dtype).softmax(-1)
        self.seen[places] = True

    def state(self) -> Mapping[str, Tensor]:
        """Probabilities and which rows have any."""
        return {"probs": self.probs, "seen": self.seen}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put them back.

        Raises:
            BadFile: If they are of other rows or classes.
        """
        found = tuple(state["probs"].shape) if "probs" in state else ()
        if found != tuple(self.probs.shape):
            kept = " x ".join(map(str, found)) or "no"
            raise BadFile(
                f"target past: its memory holds {kept} numbers (training rows x classes), the data "
                f"has {self.probs.shape[0]} x {self.probs.shape[1]}. The data has changed since: "
                "take the data the memory was made on, or start anew."
            )
        self.probs.copy_(state["probs"])
        self.seen.copy_(state["seen"])

    def _places(self, ids: Tensor) -> Tensor:
        return self._place[ids]
