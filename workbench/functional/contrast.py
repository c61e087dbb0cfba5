"""Losses that pull each sample to its own partner and away from others.

Unusual here: InfoNCE forms are statistics of the whole batch. A larger batch has more others, so
values of different batch sizes do not compare (chance is the logarithm of the number of
candidates). CRD's others come from a memory instead: its loss is per sample, its state is the
term's.
Shapes: B = samples (or tokens), D = width, K = negatives, N = training samples.
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

NOISE_EPS = 1e-7
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


def memory_scores(embeddings: Tensor, bank: Tensor, index: Tensor, *, temperature: float) -> Tensor:
    """Exp of the products with remembered embeddings, before normalisation; shape (B, K + 1).

    Args:
        embeddings: Of norm 1, shape (B, D).
        bank: The other network's embeddings of all training samples, shape (N, D).
        index: Rows of the bank, int64, shape (B, K + 1), the positive first.
        temperature: Divides the products, > 0.
    """
    positive("temperature", temperature, usual="0.07")
    remembered = bank.detach()[index]
    return ((remembered @ embeddings.unsqueeze(-1)).squeeze(-1) / temperature).exp()


def noise_contrast(scores: Tensor, num_samples: int) -> Tensor:
    """Loss of telling the positive from K noise samples drawn from N, of each sample.

    Args:
        scores: Normalised density ratios > 0, positive first, shape (B, K + 1).
        num_samples: N, all training samples.

    Returns:
        Nats, shape (B,).

    Reference:
        Tian, Krishnan, Isola 2020 (CRD), arXiv:1910.10699, eq. 18.
    """
    own, others = scores[:, 0], scores[:, 1:]
    counts = torch.ones_like(others)
    return counted_contrast(own, others, counts, others.shape[1], num_samples)


def counted_contrast(
    own: Tensor, others: Tensor, counts: Tensor, num_negatives: int, num_samples: int
) -> Tensor:
    """:func:`noise_contrast` where each candidate may have been drawn several times, or never.

    With K draws from N remembered rows this needs N scores a sample, not K rows of the bank.

    Args:
        own: Normalised density ratio of the positive, > 0, shape (B,).
        others: Of every candidate, shape (B, M).
        counts: How often each was drawn, shape (B, M).
        num_negatives: K, draws a sample.
        num_samples: N, all training samples.

    Returns:
        Nats, shape (B,).
    """
    noise = num_negatives / num_samples
    hit = (own / (own + noise + NOISE_EPS)).log()
    misses = (counts * (noise / (others + noise + NOISE_EPS)).log()).sum(1)
    return -(hit + misses)


def remembered(bank: Tensor, index: Tensor, embeddings: Tensor, *, momentum: float = 0.5) -> Tensor:
    """The bank with the batch's rows moved towards its embeddings and brought back to norm 1.

    Args:
        bank: Shape (N, D).
        index: The batch's rows, int64, shape (B,).
        embeddings: Shape (B, D).
        momentum: Share of the old row, in [0, 1).
    """
    fresh = bank.clone()
    fresh[index] = moved_rows(bank[index], embeddings, momentum=momentum)
    return fresh


def moved_rows(rows: Tensor, embeddings: Tensor, *, momentum: float = 0.5) -> Tensor:
    """Rows of a bank moved towards new embeddings and brought back to norm 1, shape (B, D)."""
    return F.normalize(momentum * rows + (1 - momentum) * embeddings.detach(), dim=1)
