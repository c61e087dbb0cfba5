"""How hard each term pulls on the student, and whether the terms agree.

Shapes: R = term, P = trained weight of the student.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workbench.data.images import ImageData
from workbench.models.batch import Batch
from workbench.probes.view import Pulls
from workbench.training.part import Part
from workbench.training.rehearsal import (
    as_found,
    gradients,
    rehearsed_batch,
    rehearsed_rows,
    trained_parameters,
)


class Balance:
    """Measures the pull of each term on fixed training rows, in the training's own mode.

    Args:
        part: What trains; left exactly as found.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._batch: Batch | None = None
        self._shown: tuple[ImageData, npt.NDArray[np.int64] | None] | None = None

    def measure(self, step: int) -> Pulls:
        """Value, weighted value and gradient of each term, with weights as they are at ``step``.

        One forward and a backward a term. Dropout is drawn from (seed, step).
        """
        part, batch = self._part, self._rows()
        objective, step = part.objective, min(step, part.steps - 1)
        with as_found(part.model, *objective.modules().values()), torch.enable_grad():
            part.train_mode()
            _, found = part.forward(batch, step)
            over = list(trained_parameters(part).values())
            value, weighted, slopes = [], [], []
            for wired in objective.terms:
                term = found.values[wired.name].reduced()
                pull = objective.knobs.at(wired.weight, step) * term
                value.append(float(term.detach()))
                weighted.append(float(pull.detach()))
                slopes.append(gradients(pull, over))
        dots = _dots(slopes)
        norm = np.sqrt(np.diag(dots))
        with np.errstate(divide="ignore", invalid="ignore"):  # no pull: NaN, which says so
            share = norm / norm.sum()
            cosine = np.clip(dots / np.outer(norm, norm), -1.0, 1.0)
        return Pulls(
            terms=tuple(objective.names),
            value=np.asarray(value),
            weighted=np.asarray(weighted),
            norm=norm,
            share=share,
            cosine=cosine,
            num_rows=len(batch.ids),
            num_labelled=int(batch.labelled.sum()),
        )

    def _rows(self) -> Batch:
        """The fixed rows; others where a change of the run shows other rows or other data."""
        shown = (self._part.data, self._part.rows)
        if self._batch is None or self._shown is None or not _same(self._shown, shown):
            self._shown = shown
            self._batch = rehearsed_batch(self._part, rehearsed_rows(self._part))
        return self._batch


def _same(before: tuple[object, object], now: tuple[object, object]) -> bool:
    return before[0] is now[0] and before[1] is now[1]


def _dots(slopes: list[list[Tensor | None]]) -> npt.NDArray[np.float64]:
    """Inner products of the terms' gradients over all weights, shape (R, R)."""
    count = len(slopes)
    dots = np.zeros((count, count))
    for column in zip(*slopes, strict=True):
        there = [(i, slope.flatten()) for i, slope in enumerate(column) if slope is not None]
        if not there:
            continue
        rows = torch.stack([slope for _, slope in there]).float()
        places = [i for i, _ in there]
        dots[np.ix_(places, places)] += (rows @ rows.T).double().cpu().numpy()
    return dots
