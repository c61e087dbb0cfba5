"""One batch of examples, as every term, target and probe sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

UNLABELLED = -1
"""Label of a row whose truth the student may not see."""


@dataclass(frozen=True)
class Batch:
    """Examples of one step.

    Attributes:
        ids: Sample ids, int64, shape (B,): row numbers in the whole data set, stable across splits.
        inputs: What the model is given before its own normalisation, float32: images in [0, 1],
            shape (B, C, H, W), or table rows in their own units, shape (B, F).
        labels: Class numbers, int64, shape (B,); :data:`UNLABELLED` where the truth is withheld.
        all_labelled: True where the host knows that no label is withheld; False says nothing.
    """

    ids: Tensor
    inputs: Tensor
    labels: Tensor
    all_labelled: bool = False

    @property
    def labelled(self) -> Tensor:
        """True where the label may be used, bool, shape (B,)."""
        return self.labels != UNLABELLED

    @property
    def valid(self) -> Tensor | None:
        """Validity of each row for a term that needs its label; None where every row counts."""
        return None if self.all_labelled else self.labelled
