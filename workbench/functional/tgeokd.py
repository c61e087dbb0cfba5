"""What TGeo-KD makes of student, teacher, truth and the teacher's class mean, and its fusion net.

Unusual here: the fusion net is a function of its weights with a gradient (the released code has
none), and there is a state whose width does not grow with the number of classes.
Shapes: n = samples, C = classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from workbench.functional.guards import exactly, labels_match, same_shape
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


class ClassMeans:
    """Mean probabilities of each true class over batches, float64; merges.

    The teacher's class means are the fourth corner of TGeo-KD, and a frame that the samples of a
    class share: embed(student, means[labels], labels).

    Args:
        num_classes: True classes.
        width: Classes that the network scores, C.
    """

    def __init__(self, num_classes: int, width: int) -> None:
        self.count = torch.zeros(num_classes, dtype=torch.int64)
        self._sum = torch.zeros(num_classes, width, dtype=torch.float64)

    def update(self, probs: Tensor, labels: Tensor) -> None:
        """Add samples: probabilities, shape (n, C), and class numbers, shape (n,)."""
        labels_match("ClassMeans", probs, labels)
        self._sum.index_add_(0, labels.cpu(), exactly(probs))
        self.count += torch.bincount(labels.cpu(), minlength=len(self.count))

    def merge(self, other: ClassMeans) -> ClassMeans:
        """Add another's samples to this one; returns this one.

        Raises:
            ValueError: If the numbers of classes differ.
        """
        if self._sum.shape != other._sum.shape:
            raise ValueError("means of different classes cannot be merged; make both alike.")
        self._sum += other._sum
        self.count += other.count
        return self

    def compute(self) -> Tensor:
        """Shape (num_classes, C); NaN for classes without samples."""
        return self._sum / self.count[:, None]


def class_mean_probs(probs: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Mean probabilities of each true class, shape (num_classes, C); NaN for absent classes."""
    sums = probs.new_zeros(num_classes, probs.shape[-1]).index_add_(0, labels, probs)
    return sums / torch.bincount(labels, minlength=num_classes)[:, None]


def tgeokd_state(
    student_probs: Tensor,
    teacher_probs: Tensor,
    labels: Tensor,
    *,
    class_means: Tensor | None = None,
) -> Tensor:
    """The nine blocks that TGeo-KD's fusion net reads, as its released code builds them.

    S, T, G, M, (M-S)², (G-S)², (T-S)², (T-G)², (M-G)², elementwise squares, with M the class mean
    of the teacher.

    Args:
        student_probs: Rows sum to 1, shape (n, C).
        teacher_probs: Shape (n, C).
        labels: Class numbers, shape (n,).
        class_means: The teacher's over the training rows, shape (C, C), see :class:`ClassMeans`;
            over the rows given by default.

    Returns:
        Shape (n, 9 C).

    Reference:
        Hu et al. 2024, arXiv:2312.15112.
    """
    corners = _corners(student_probs, teacher_probs, labels, class_means)
    return torch.cat([*corners, *(edge.square() for edge in _edges(*corners))], -1)


def tgeokd_small_state(
    student_probs: Tensor,
    teacher_probs: Tensor,
    labels: Tensor,
    *,
    top: int = 8,
    class_means: Tensor | None = None,
) -> Tensor:
    """A state for many classes: five distances, and both networks at the teacher's best classes.

    |M-S|, |G-S|, |T-S|, |T-G|, |M-G|, then the teacher's ``top`` largest probabilities, descending,
    then the student's of the same classes. Its width does not grow with C.

    Args:
        student_probs: Rows sum to 1, shape (n, C).
        teacher_probs: Shape (n, C).
        labels: Class numbers, shape (n,).
        top: Classes kept, 1 <= top <= C.
        class_means: As for :func:`tgeokd_state`.

    Returns:
        Shape (n, 5 + 2 top).
    """
    if not 1 <= top <= student_probs.shape[-1]:
        raise ValueError(f"`top` must lie in 1..{student_probs.shape[-1]}, got {top!r}.")
    corners = _corners(student_probs, teacher_probs, labels, class_means)
    sides = [torch.linalg.vector_norm(edge, dim=-1) for edge in _edges(*corners)]
    best = teacher_probs.topk(top, dim=-1)
    return torch.cat(
        [torch.stack(sides, -1), best.values, student_probs.gather(-1, best.indices)], -1
    )


def tgeokd_fusion_ratio(state: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Teacher's weight of each sample from TGeo-KD's fusion net.

    Args:
        state: Of :func:`tgeokd_state`, shape (n, 9 C).
        layers: Weight and bias of each linear layer, the last of width 1; leaky ReLU between.

    Returns:
        In (0, 1), shape (n,).
    """
    hidden = state
    for weight, bias in layers[:-1]:
        hidden = torch.nn.functional.leaky_relu(hidden @ weight.T + bias, 0.01)
    weight, bias = layers[-1]
    return (hidden @ weight.T + bias).squeeze(-1).sigmoid()


def _corners(
    student: Tensor, teacher: Tensor, labels: Tensor, class_means: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """S, T, G and M of each sample."""
    same_shape("tgeokd_state", student, teacher, fix="Same label set?")
    num_classes = student.shape[-1]
    truth = torch.nn.functional.one_hot(labels, num_classes).to(student.dtype)
    if class_means is None:
        class_means = class_mean_probs(teacher, labels, num_classes)
    return student, teacher, truth, class_means.to(student)[labels]


def _edges(student: Tensor, teacher: Tensor, truth: Tensor, mean: Tensor) -> tuple[Tensor, ...]:
    return (mean - student, truth - student, teacher - student, teacher - truth, mean - truth)
