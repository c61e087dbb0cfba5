"""Terms built for two made-up networks, and a batch of their taps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.registries import TERMS
from workbench.terms import Term, TermContext, TermValue

STUDENT_SHAPES = {"stage1": (3, 8, 8), "stage2": (4, 4, 4), "logits": (6,)}
TEACHER_SHAPES = {"stage1": (5, 6, 6), "stage2": (7, 2, 2), "stage3": (9,), "logits": (6,)}
ROWS = 12


@dataclass(frozen=True)
class Wired:
    """A term with the values of its live parameters."""

    term: Term
    values: Mapping[str, float]

    def __call__(self, student: Taps, teacher: Taps, batch: Batch) -> TermValue:
        return self.term(student, teacher, batch, self.values)


@dataclass(frozen=True)
class Example:
    """Taps of both networks on one batch."""

    student: Taps
    teacher: Taps
    batch: Batch

    def rows(self, index: torch.Tensor) -> Example:
        """Only these rows, in this order."""
        return Example(
            Taps({name: tap.detach()[index] for name, tap in self.student.items()}),
            Taps({name: tap.detach()[index] for name, tap in self.teacher.items()}),
            Batch(self.batch.ids[index], self.batch.inputs[index], self.batch.labels[index]),
        )

    def with_labels(self, labels: torch.Tensor) -> Example:
        batch = Batch(self.batch.ids, self.batch.inputs, labels)
        return Example(self.student, self.teacher, batch)


@pytest.fixture
def wire() -> Callable[..., Wired]:
    """Build a term by its name for the two made-up networks."""

    def make(use: str, *, seed: int = 5, **options: Any) -> Wired:
        spec = TERMS.get(use).model_validate({"use": use, **options})
        context = TermContext(
            student_shapes=lambda names: {name: STUDENT_SHAPES[name] for name in names},
            teacher_shapes=lambda names: {name: TEACHER_SHAPES[name] for name in names},
            student_stages=("stage1", "stage2"),
            teacher_stages=("stage1", "stage2", "stage3"),
            seed=seed,
        )
        return Wired(spec.build(context), spec.knobs())

    return make


@pytest.fixture
def example() -> Example:
    """Twelve rows, two thirds of them labelled; every tap asks for a gradient."""
    generator = torch.Generator().manual_seed(3)

    def taps(shapes: Mapping[str, tuple[int, ...]]) -> Taps:
        return Taps(
            {
                name: (1.5 * torch.randn(ROWS, *shape, generator=generator)).requires_grad_()
                for name, shape in shapes.items()
            }
        )

    labels = torch.randint(0, 6, (ROWS,), generator=generator)
    labels[::3] = -1
    batch = Batch(torch.arange(100, 100 + ROWS), torch.zeros(ROWS, 1, 8, 8), labels)
    return Example(taps(STUDENT_SHAPES), taps(TEACHER_SHAPES), batch)
