"""Losses that pull each sample to its own partner and away from all others.

Unusual here: both are statistics of the whole batch. A larger batch has more others, so values of
different batch sizes do not compare (chance is the logarithm of the number of candidates).
Shapes: B = samples (or tokens), D = width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.functional.guards import at_least_float32, positive, same_shape
from workbench.functional.metadata import Parameter, loss
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")

SAME_WIDTH = "Project both to one width first."


@loss(
    "info-nce",
    paper="van den Oord et al. 2018, arXiv:1807.03748; in TRG: arXiv:2306.12442",
    needs=("student.features", "teacher.features"),
    per_sample=False,
    parameters={
        "temperature": Parameter(
            "Small looks at the nearest others only", low=0.0, high=10.0, open_low=True
        )
    },
    min_samples=2,
)
def info_nce(
    student_features: Tensor, teacher_features: Tensor, *, temperature: float = 0.1
) -> Tensor:
    """Cross-entropy of finding one's own teacher among the batch's teachers, by cosine.

    Args:
        student_features: Projected to the teacher's width, shape (B, D).
        teacher_features: Shape (B, D); never receives gradient.
        temperature: Divides the cosines, > 0.

    Returns:
        Mean over the batch, nats, scalar, float32; ln B is chance.
    """
    same_shape("info-nce", student_features, teacher_features, fix=SAME_WIDTH)
    positive("temperature", temperature, usual="0.05 to 1")
    student = F.normalize(at_least_float32(student_features).flatten(1), dim=1)
    teacher = F.normalize(at_least_float32(teacher_features.detach()).flatten(1), dim=1)
    own = torch.arange(len(student), device=student.device)
    return F.cross_entropy(student @ teacher.T / temperature, own)


def nt_xent(first: Tensor, second: Tensor, *, temperature: float = 0.3) -> Tensor:
    """As :func:`info_nce` between two views, each row also against its own view's others.

    Args:
        first: Embeddings of one view, shape (B, D); receives gradient.
        second: Embeddings of the other view, shape (B, D); receives gradient.
        temperature: Divides the cosines, > 0.

    Returns:
        Mean over both views, nats, scalar; ln(2B - 1) is chance.

    Reference:
        Chen et al. 2020 (SimCLR), arXiv:2002.05709, eq. 1.
    """
    same_shape("nt_xent", first, second, fix=SAME_WIDTH)
    positive("temperature", temperature, usual="0.1 to 1")
    both = F.normalize(at_least_float32(torch.cat([first, second])), dim=1)
    itself = torch.eye(len(both), dtype=torch.bool, device=both.device)
    nearness = (both @ both.T / temperature).masked_fill(itself, -torch.inf)
    partner = torch.arange(len(both), device=both.device).roll(len(first))
    return F.cross_entropy(nearness, partner)
