"""Two frozen teachers whose probabilities are mixed."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.targets.kinds import Memoryless, Moment
from workbench.targets.teacher import FrozenTeacher


class MixedTeachers(Memoryless):
    """``(1 - share) x first + share x second``, in probabilities at temperature 1.

    The mix comes as log-probabilities, which serve as logits: a term's temperature then softens
    the mix. At share 0 or 1 one teacher's logits come as they are, bit for bit.

    Args:
        first: Gives the layers too.
        second: Gives logits only.
    """

    def __init__(self, first: FrozenTeacher, second: FrozenTeacher) -> None:
        self.first, self.second = first, second

    @property
    def draws(self) -> bool:
        """Whether a network runs for each batch."""
        return self.first.draws or self.second.draws

    def want(self, taps: Collection[str]) -> None:
        """Layers of the first teacher."""
        self.first.want(taps)

    def prepare(
        self,
        num_rows: int,
        rows: Tensor,
        fetch: Callable[[Tensor], Tensor],
        progress: Callable[[float], None],
    ) -> None:
        """Fill both tables."""
        self.first.prepare(num_rows, rows, fetch, lambda share: progress(share / 2))
        self.second.prepare(num_rows, rows, fetch, lambda share: progress((1 + share) / 2))

    def __call__(
        self,
        batch: Batch,
        values: Mapping[str, float],
        moment: Moment | None = None,
        student: Taps | None = None,
    ) -> Taps:
        """The first teacher's taps with mixed logits."""
        share = values["share"]
        taps = self.first(batch)
        if share == 0.0:
            return taps
        second = self.second(batch)["logits"]
        taps["logits"] = second if share == 1.0 else _mixed(taps["logits"], second, share)
        return taps


def _mixed(first: Tensor, second: Tensor, share: float) -> Tensor:
    return torch.logaddexp(
        first.log_softmax(-1) + math.log1p(-share), second.log_softmax(-1) + math.log(share)
    )
