"""The law of everything that accumulates: update, merge and compute forget how data was cut.

Counts have the same bits for any batches and any order of merging; float sums agree to 1e-12.
Minibatch CKA is the exception by definition: only the order of its batches is free.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from workbench.functional.calibration import ClasswiseTable, ReliabilityTable, ScoreTable
from workbench.functional.cka_streaming import MinibatchCKA, StreamingCKA
from workbench.functional.knowledge import FlipTable, KnowledgeTable
from workbench.functional.loyalty_table import LoyaltyTable
from workbench.functional.trilateral import ClassMeans, DensityTable

NUM, CLASSES = 60, 6
RELATIVE = 1e-12


@dataclass(frozen=True)
class Rows:
    """Predictions of two networks; some rows certain, some tied, all float64."""

    student: Tensor
    teacher: Tensor
    labels: Tensor

    def __getitem__(self, index: Tensor) -> Rows:
        return Rows(self.student[index], self.teacher[index], self.labels[index])


def rows(seed: int) -> Rows:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (
        3 * torch.randn(NUM, CLASSES, generator=generator, dtype=torch.float64) for _ in "ab"
    )
    student[:4] = 0.0
    student[4:8] *= 300
    teacher[6:12] = student[6:12]
    return Rows(student, teacher, torch.randint(0, CLASSES, (NUM,), generator=generator))


def reliability(table: ReliabilityTable, part: Rows) -> None:
    top, guess = part.student.softmax(-1).max(-1)
    table.update(top, guess == part.labels)


def flips(table: FlipTable, part: Rows) -> None:
    before, after = part.student.argmax(-1), (part.student + part.teacher).argmax(-1)
    truth = part.labels
    table.update(before == truth, after == truth, part.teacher.argmax(-1) == truth)


def plane(table: DensityTable, part: Rows) -> None:
    table.update(part.student[:, 0] / 3, part.student[:, 1] / 3)


Update = Callable[[Any, Rows], None]
ACCUMULATORS: dict[str, tuple[Callable[[], Any], Update]] = {
    "reliability": (ReliabilityTable, reliability),
    "reliability, left-closed": (lambda: ReliabilityTable(7, closed="left"), reliability),
    "classwise": (
        lambda: ClasswiseTable(CLASSES),
        lambda table, part: table.update(part.student.softmax(-1), part.labels),
    ),
    "scores": (ScoreTable, lambda table, part: table.update(part.student, part.labels)),
    "loyalty": (
        LoyaltyTable,
        lambda table, part: table.update(part.student, part.teacher, part.labels),
    ),
    "knowledge": (
        lambda: KnowledgeTable(CLASSES),
        lambda table, part: table.update(part.student, part.teacher, part.labels),
    ),
    "flips": (FlipTable, flips),
    "density": (lambda: DensityTable(16), plane),
    "class means": (
        lambda: ClassMeans(CLASSES, CLASSES),
        lambda table, part: table.update(part.teacher.softmax(-1), part.labels),
    ),
    "streaming CKA": (
        lambda: StreamingCKA(CLASSES, CLASSES),
        lambda table, part: table.update(part.student.tanh(), part.teacher.tanh() + 50),
    ),
}


def leaves(found: Any) -> list[Any]:
    """Numbers and tensors of a result, however deep."""
    if is_dataclass(found):
        return [leaf for part in fields(found) for leaf in leaves(getattr(found, part.name))]
    return [found]


def assert_same(actual: Any, expected: Any, *, relative: float) -> None:
    for mine, theirs in zip(leaves(actual), leaves(expected), strict=True):
        if isinstance(mine, int) or (isinstance(mine, Tensor) and not mine.is_floating_point()):
            assert torch.equal(torch.as_tensor(mine), torch.as_tensor(theirs))
        else:
            torch.testing.assert_close(
                torch.as_tensor(mine, dtype=torch.float64),
                torch.as_tensor(theirs, dtype=torch.float64),
                rtol=relative,
                atol=relative,
                equal_nan=True,
            )


def counts(accumulator: Any) -> list[Tensor]:
    """Every whole-number tensor that an accumulator holds."""
    held = vars(accumulator).values()
    nested = [value for value in held if isinstance(value, ReliabilityTable)]
    own = [v for v in held if isinstance(v, Tensor) and not v.is_floating_point()]
    return own + [tensor for table in nested for tensor in counts(table)]


@pytest.mark.parametrize("name", ACCUMULATORS)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 5),
    cuts=st.lists(st.integers(1, NUM - 1), max_size=5, unique=True),
    order=st.randoms(use_true_random=False),
)
def test_any_batches_merged_in_any_order_equal_one_pass(name, seed, cuts, order):
    make, update = ACCUMULATORS[name]
    data = rows(seed)
    whole = make()
    update(whole, data)
    sample_order = list(range(NUM))
    order.shuffle(sample_order)
    shuffled = data[torch.tensor(sample_order)]
    edges = [0, *sorted(cuts), NUM]
    parts = []
    for start, stop in itertools.pairwise(edges):
        part = make()
        middle = (start + stop) // 2
        for low, high in ((start, middle), (middle, stop)):
            if low < high:
                update(part, shuffled[torch.arange(low, high)])
        parts.append(part)
    order.shuffle(parts)
    merged = make()  # an empty one is neutral
    for part in parts:
        assert merged.merge(part) is merged
    assert_same(merged.compute(), whole.compute(), relative=RELATIVE)
    for mine, theirs in zip(counts(merged), counts(whole), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ReliabilityTable(5), ReliabilityTable(6)),
        (ReliabilityTable(5), ReliabilityTable(5, closed="left")),
        (ClasswiseTable(3), ClasswiseTable(4)),
        (ScoreTable(5), ScoreTable(6)),
        (LoyaltyTable(2), LoyaltyTable(3)),
        (KnowledgeTable(2), KnowledgeTable(3)),
        (DensityTable(4), DensityTable(4, x_range=(0.0, 1.0))),
        (ClassMeans(2, 3), ClassMeans(3, 3)),
        (StreamingCKA(2, 3), StreamingCKA(3, 3)),
        (MinibatchCKA(1, 2), MinibatchCKA(2, 2)),
    ],
)
def test_accumulators_of_different_make_do_not_merge(one, other):
    with pytest.raises(ValueError, match="cannot be merged"):
        one.merge(other)


def test_minibatch_cka_forgets_the_order_of_its_batches_and_not_how_they_were_cut():
    data = rows(0)
    x, y = data.student.tanh(), (data.student + data.teacher).tanh()

    def value(size: int, *, backwards: bool = False) -> Tensor:
        total = MinibatchCKA(1, 1)
        batches = list(zip(x.split(size), y.split(size), strict=True))
        for part_x, part_y in reversed(batches) if backwards else batches:
            alone = MinibatchCKA(1, 1)
            alone.update([part_x], [part_y])
            total.merge(alone)
        return total.compute()

    torch.testing.assert_close(value(15), value(15, backwards=True), rtol=RELATIVE, atol=RELATIVE)
    assert abs(float(value(15) - value(20))) > 1e-4
