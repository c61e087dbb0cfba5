"""CKA over more examples than fit in memory, batch by batch.

Unusual here: two ways, both mergeable float64 sums. :class:`MinibatchCKA` adds HSIC of each batch
(all pairs of layers; the estimate of Nguyen et al., a ratio of sums and not a mean of ratios); it
compares examples within a batch only, so its value depends on how the data is cut into batches.
:class:`StreamingCKA` does not: it gives exactly the full-set value of one pair from column sums
and one d × d' product, without any n × n matrix.
Shapes: B = batch, n = all examples, d = width, L = layers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.functional.cka import MIN_UNBIASED, centred_gram
from workbench.functional.guards import exactly, same_rows
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


SUMS = ("product", "sum_x", "sum_y", "weighted_x", "weighted_y", "norm_x", "norm_y", "norms")


class MinibatchCKA:
    """All-pairs unbiased CKA as a ratio of HSIC_1 summed over batches.

    Examples of different batches never meet: another batch size or order of examples gives another
    value. State the batch size beside it. The order of batches, and merging, change nothing.

    Args:
        num_teacher: Teacher layers, Lt.
        num_student: Student layers, Ls.

    Reference:
        Nguyen, Raghu, Kornblith 2021, arXiv:2010.15327, eq. 3.
    """

    def __init__(self, num_teacher: int, num_student: int) -> None:
        self._cross = torch.zeros(num_teacher, num_student, dtype=torch.float64)
        self._teacher = torch.zeros(num_teacher, dtype=torch.float64)
        self._student = torch.zeros(num_student, dtype=torch.float64)

    def update(
        self, teacher_features: Sequence[Tensor], student_features: Sequence[Tensor]
    ) -> None:
        """Add one batch of at least 4 examples.

        Args:
            teacher_features: Lt layers, shape (B, d_l) each.
            student_features: Ls layers of the same examples.

        Raises:
            ValueError: If the batch is too small: merge a short last batch into the one before.
        """
        teacher = self._stack(teacher_features, len(self._teacher), "teacher")
        student = self._stack(student_features, len(self._student), "student")
        num = teacher_features[0].shape[0]
        scale = num * (num - 3)
        self._cross += teacher @ student.T / scale
        self._teacher += teacher.square().sum(1) / scale
        self._student += student.square().sum(1) / scale

    def merge(self, other: MinibatchCKA) -> MinibatchCKA:
        """Add another accumulator's batches to this one; returns this one.

        Raises:
            ValueError: If the numbers of layers differ.
        """
        if self._cross.shape != other._cross.shape:
            raise ValueError(
                f"accumulators of {tuple(self._cross.shape)} and {tuple(other._cross.shape)} "
                "layers cannot be merged; make both for the same layers."
            )
        self._cross += other._cross
        self._teacher += other._teacher
        self._student += other._student
        return self

    def compute(self) -> Tensor:
        """CKA, float64, shape (Lt, Ls), in [-1, 1]; NaN for a layer without variance."""
        return self._cross / (self._teacher[:, None] * self._student[None, :]).sqrt()

    def _stack(self, features: Sequence[Tensor], expected: int, whose: str) -> Tensor:
        if len(features) != expected:
            raise ValueError(f"expected {expected} {whose} layers, got {len(features)}.")
        for layer in features:
            same_rows("MinibatchCKA", layer, features[0])
        grams = [exactly(centred_gram(layer, unbiased=True)).flatten() for layer in features]
        return torch.stack(grams)


class StreamingCKA:
    """Exact CKA of one pair of layers over a whole data set; memory O(d² + d'² + d d').

    Batches of any sizes, in any order and merged in any way, give the value of the whole set to
    rounding.

    Args:
        width_x: Features of the first layer, d.
        width_y: Features of the second layer, d'.
    """

    def __init__(self, width_x: int, width_y: int) -> None:
        self._xy = _PairSums(width_x, width_y)
        self._xx = _PairSums(width_x, width_x)
        self._yy = _PairSums(width_y, width_y)
        self._shift: tuple[Tensor, Tensor] | None = None

    def update(self, x: Tensor, y: Tensor) -> None:
        """Add a batch of any size, shape (B, d) and (B, d')."""
        same_rows("StreamingCKA", x, y)
        x64, y64 = exactly(x), exactly(y)
        if self._shift is None:  # near the mean, so that large means cost no digits
            self._shift = x64.mean(0), y64.mean(0)
        x64, y64 = x64 - self._shift[0], y64 - self._shift[1]
        self._xy.add(x64, y64)
        self._xx.add(x64, x64)
        self._yy.add(y64, y64)

    def merge(self, other: StreamingCKA) -> StreamingCKA:
        """Add another accumulator's examples to this one; returns this one.

        Raises:
            ValueError: If widths differ.
        """
        if self._xy.product.shape != other._xy.product.shape:
            raise ValueError(
                f"accumulators of widths {tuple(self._xy.product.shape)} and "
                f"{tuple(other._xy.product.shape)} cannot be merged."
            )
        if other._shift is None:
            return self
        if self._shift is None:
            self._shift = other._shift
        move_x, move_y = (
            theirs - ours for ours, theirs in zip(self._shift, other._shift, strict=True)
        )
        self._xy.merge(other._xy.moved(move_x, move_y))
        self._xx.merge(other._xx.moved(move_x, move_x))
        self._yy.merge(other._yy.moved(move_y, move_y))
        return self

    def compute(self, *, unbiased: bool = True) -> float:
        """CKA of all examples so far; NaN for a layer without variance.

        Raises:
            ValueError: If there are fewer than 4 examples (2 for the biased form).
        """
        minimum = MIN_UNBIASED if unbiased else 2
        if self._xy.num < minimum:
            raise ValueError(f"CKA needs at least {minimum} examples, got {self._xy.num}.")
        cross, own_x, own_y = (
            sums.hsic(unbiased=unbiased) for sums in (self._xy, self._xx, self._yy)
        )
        return float(cross / (own_x * own_y).sqrt())


class _PairSums:
    """Sums from which both HSIC estimators of one pair follow."""

    def __init__(self, width_x: int, width_y: int) -> None:
        self.num = 0
        self.product = torch.zeros(width_x, width_y, dtype=torch.float64)
        self.sum_x, self.weighted_x = (torch.zeros(width_x, dtype=torch.float64) for _ in "ab")
        self.sum_y, self.weighted_y = (torch.zeros(width_y, dtype=torch.float64) for _ in "ab")
        self.norm_x, self.norm_y, self.norms = (torch.zeros((), dtype=torch.float64) for _ in "abc")

    def add(self, x: Tensor, y: Tensor) -> None:
        square_x, square_y = x.square().sum(1), y.square().sum(1)
        self.num += len(x)
        self.product += x.T @ y
        self.sum_x += x.sum(0)
        self.sum_y += y.sum(0)
        self.weighted_x += square_y @ x
        self.weighted_y += square_x @ y
        self.norm_x += square_x.sum()
        self.norm_y += square_y.sum()
        self.norms += (square_x * square_y).sum()

    def merge(self, other: _PairSums) -> None:
        self.num += other.num
        for name in SUMS:
            getattr(self, name).add_(getattr(other, name))

    def moved(self, d: Tensor, e: Tensor) -> _PairSums:
        """The sums of x + d and y + e instead of x and y."""
        n, dd, ee = self.num, d.square().sum(), e.square().sum()
        result = _PairSums(len(d), len(e))
        result.num = n
        result.product += self.product + torch.outer(self.sum_x, e)
        result.product += torch.outer(d, self.sum_y + n * e)
        result.sum_x += self.sum_x + n * d
        result.sum_y += self.sum_y + n * e
        result.norm_x += self.norm_x + 2 * d @ self.sum_x + n * dd
        result.norm_y += self.norm_y + 2 * e @ self.sum_y + n * ee
        result.weighted_x += self.weighted_x + 2 * self.product @ e + ee * self.sum_x
        result.weighted_x += d * result.norm_y
        result.weighted_y += self.weighted_y + 2 * self.product.T @ d + dd * self.sum_y
        result.weighted_y += e * result.norm_x
        # sum of |x + d|² |y + e|², with |x + d|² = |x|² + (2 d·x + |d|²)
        result.norms += self.norms + 2 * e @ self.weighted_y + ee * self.norm_x
        result.norms += 2 * d @ (self.weighted_x + 2 * self.product @ e + ee * self.sum_x)
        result.norms += dd * result.norm_y
        return result

    def hsic(self, *, unbiased: bool) -> Tensor:
        n = self.num
        if not unbiased:
            centred = self.product - torch.outer(self.sum_x, self.sum_y) / n
            return centred.square().sum() / (n - 1) ** 2
        trace = self.product.square().sum() - self.norms
        total_x = self.sum_x.square().sum() - self.norm_x
        total_y = self.sum_y.square().sum() - self.norm_y
        mixed = (
            self.sum_x @ self.product @ self.sum_y
            - self.sum_x @ self.weighted_x
            - self.sum_y @ self.weighted_y
            + self.norms
        )
        value = trace + total_x * total_y / ((n - 1) * (n - 2)) - 2 * mixed / (n - 2)
        return value / (n * (n - 3))
