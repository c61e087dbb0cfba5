"""Checks and the one dtype rule that every loss and measure shares.

The rule: half precision is computed in float32, float64 stays float64. A bf16 log-softmax over
many classes loses exactly the tail that distillation is about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.errors import ShapeMismatch
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32, or unchanged if it is float64."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def exactly(tensor: Tensor) -> Tensor:
    """A detached float64 copy on the CPU, where sums are exact enough and every device has it."""
    return tensor.detach().cpu().double()


def same_shape(what: str, student: Tensor, teacher: Tensor, *, fix: str) -> None:
    """Refuse two tensors whose shapes differ.

    Raises:
        ShapeMismatch: Naming both shapes and the way out ``fix``.
    """
    if student.shape != teacher.shape:
        raise ShapeMismatch(what, student, teacher, fix=fix)


def same_rows(what: str, student: Tensor, teacher: Tensor) -> None:
    """Refuse two tensors that do not hold the same number of examples."""
    if student.shape[0] != teacher.shape[0]:
        raise ShapeMismatch(
            what, student, teacher, fix="Both need the same examples, in the same order."
        )


def positive(name: str, value: float, *, usual: str) -> None:
    """Refuse a value that is not above zero; NaN is refused too."""
    if not value > 0:
        raise ValueError(f"`{name}` must be > 0, got {value!r}. Usual range: {usual}.")


def labels_match(what: str, scores: Tensor, labels: Tensor) -> None:
    """Refuse labels that are not one whole number per unit of ``scores``.

    Raises:
        ValueError: If the shape is not that of ``scores`` without its last (class) axis, or the
            dtype is not an integer one.
    """
    if labels.shape != scores.shape[:-1] or labels.is_floating_point():
        raise ValueError(
            f"{what}: labels have shape {tuple(labels.shape)} and dtype {labels.dtype}; scores of "
            f"shape {tuple(scores.shape)} need whole numbers of shape {tuple(scores.shape[:-1])}. "
            "Pass class numbers, not one-hot rows."
        )
