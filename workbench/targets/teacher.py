"""What the student should match: the frozen teacher's taps on the same batch."""

from __future__ import annotations

from collections.abc import Callable, Collection

import torch
from torch import Tensor

from workbench.models.adapter import ModelAdapter
from workbench.models.batch import Batch
from workbench.models.taps import Taps

CACHE_ROWS = 1024
CACHE_BYTES = 1 << 30
"""Largest table of cached teacher logits."""


class FrozenTeacher:
    """The teacher in evaluation mode, without gradient.

    Where only logits are needed and images do not vary, they are computed once for every row
    and looked up afterwards: exact, since the same row always gives the same logits. Built by
    chunks in row order, so the bits do not depend on the run's data order.

    Args:
        teacher: Its parameters never change here.
        taps: Names that the terms read.
    """

    def __init__(self, teacher: ModelAdapter, taps: Collection[str]) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self.taps = sorted(set(taps) - {"logits"})
        self._table: Tensor | None = None

    @property
    def cached(self) -> bool:
        """Whether logits are looked up."""
        return self._table is not None

    def prepare(
        self,
        num_rows: int,
        rows: Tensor,
        fetch: Callable[[Tensor], Tensor],
        progress: Callable[[float], None],
    ) -> None:
        """Fill the table for ``rows`` of a data set of ``num_rows``, if it would be exact and fit.

        Args:
            num_rows: Rows of the whole data set.
            rows: Ids that will be asked for, int64, shape (R,).
            fetch: Ids to images as they will be trained on.
            progress: Told the share done.
        """
        classes = self.teacher.facts.num_classes
        if self.taps or num_rows * classes * 4 > CACHE_BYTES:
            return
        # NaN: a row that was not prepared stops the run, a zero would teach it noise
        table = torch.full((num_rows, classes), torch.nan, device=rows.device)
        for start in range(0, len(rows), CACHE_ROWS):
            ids = rows[start : start + CACHE_ROWS]
            with torch.no_grad():
                table[ids] = self.teacher(fetch(ids)).float()
            progress(min(start + CACHE_ROWS, len(rows)) / len(rows))
        self._table = table

    def __call__(self, batch: Batch) -> Taps:
        """Taps of the teacher on a batch; logits always."""
        if self._table is not None:
            return Taps({"logits": self._table.index_select(0, batch.ids)})
        # no_grad, not inference_mode: a hint's gradient passes through saved teacher features
        with torch.no_grad():
            return self.teacher.taps(batch.inputs, self.taps)
