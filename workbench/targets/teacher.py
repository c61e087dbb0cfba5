"""The frozen teacher's taps on the batch that the student sees."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from workbench.models.adapter import ModelAdapter
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.targets.kinds import Memoryless, Moment

CACHE_ROWS = 1024
CACHE_BYTES = 1 << 30
"""Largest table of cached teacher logits."""


class FrozenTeacher(Memoryless):
    """The teacher in evaluation mode, without gradient.

    Where images do not vary, its logits are computed once for every row and looked up afterwards:
    exact, since the same row always gives the same logits. Built by chunks in row order, so the
    bits depend neither on the run's data order nor on which layers are asked for besides.

    Args:
        teacher: Its parameters never change here.
        taps: Names that the terms read.
    """

    def __init__(self, teacher: ModelAdapter, taps: Collection[str] = ()) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self._table: Tensor | None = None
        self.want(taps)

    @property
    def cached(self) -> bool:
        """Whether logits are looked up."""
        return self._table is not None

    @property
    def draws(self) -> bool:
        """Whether the network runs for each batch."""
        return self._table is None or bool(self.taps)

    def want(self, taps: Collection[str]) -> None:
        """Which layers the terms read from now on.

        Raises:
            BadModel: If the teacher has no such layer.
        """
        wanted = sorted(set(taps) - {"logits"})
        self.teacher.shapes(wanted)
        self.taps = wanted

    def prepare(
        self,
        num_rows: int,
        rows: Tensor,
        fetch: Callable[[Tensor], Tensor],
        progress: Callable[[float], None],
    ) -> None:
        """Fill the table for ``rows`` of a data set of ``num_rows``, if it fits; may be repeated.

        What it holds stays: rows of another call are another call's chunks, so they move no bits.

        Args:
            num_rows: Rows of the whole data set.
            rows: Ids that will be asked for, int64, shape (R,).
            fetch: Ids to images as they will be trained on.
            progress: Told the share done.
        """
        classes = self.teacher.facts.num_classes
        if num_rows * classes * 4 > CACHE_BYTES:
            return
        table = self._table
        if table is None:
            # NaN: a row that was not prepared stops the run, a zero would teach it noise
            table = torch.full((num_rows, classes), torch.nan, device=rows.device)
        for start in range(0, len(rows), CACHE_ROWS):
            ids = rows[start : start + CACHE_ROWS]
            with torch.no_grad():
                table[ids] = self.teacher(fetch(ids)).float()
            progress(min(start + CACHE_ROWS, len(rows)) / len(rows))
        self._table = table

    def __call__(
        self,
        batch: Batch,
        values: Mapping[str, float] | None = None,
        moment: Moment | None = None,
        student: Taps | None = None,
    ) -> Taps:
        """Taps of the teacher on a batch; logits always."""
        if self.draws:
            # no_grad, not inference_mode: a hint's gradient passes through saved teacher features
            with torch.no_grad():
                taps = self.teacher.taps(batch.inputs, self.taps)
        else:
            taps = Taps()
        if self._table is not None:
            taps["logits"] = self._table.index_select(0, batch.ids)
        return taps
