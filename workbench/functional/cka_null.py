"""What unbiased CKA reads when two layers have nothing in common.

Unusual here: no permutation is drawn. U-centred Gram matrices have zero diagonal and zero row
sums, so all moments of <K, P L P'> over random relabellings P are closed forms: the mean is 0, the
variance depends on n alone, 2 / (n(n - 3)) for matrices of norm 1, and the third moment needs two
numbers a layer. Real layers have a few strong directions, their null is skewed to the right like a
chi-square, and a normal quantile would call noise significant; Pearson's type III curve with the
exact three moments does not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.functional.guards import exactly
from workbench.functional.quantiles import pearson3_quantile
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def cka_null_sd(n: int) -> float:
    """Standard deviation of unbiased CKA between unrelated layers, over relabellings.

    The variance is 2/(n(n-1)) + 4/(n(n-1)(n-2)) + 4/(n(n-1)(n-2)(n-3)) = 2/(n(n-3)): one over the
    dimension of the space that U-centred matrices span.

    Args:
        n: Number of examples, >= 4.

    Raises:
        ValueError: If n < 4.
    """
    if n < 4:
        raise ValueError(f"unbiased CKA needs at least 4 examples, got {n}.")
    return math.sqrt(2 / (n * (n - 3)))


def cka_null_moments(grams: Tensor, n: int) -> Tensor:
    """The two numbers a layer gives to the skewness of its null; keep the teacher's.

    Args:
        grams: Unbiased result of ``normalised_grams``, shape (L, n*n).
        n: Number of examples.

    Returns:
        Sum of cubed entries and trace of the cube, float64 on the CPU, shape (L, 2). One matrix
        product of size n a layer.
    """
    square = grams.view(-1, n, n)
    cubes = [(layer * layer * layer).sum() for layer in square]
    triangles = [((layer @ layer) * layer).sum() for layer in square]
    return exactly(torch.stack([torch.stack(cubes), torch.stack(triangles)], dim=-1))


def cka_null_skewness(teacher_moments: Tensor, student_moments: Tensor, n: int) -> Tensor:
    """Exact skewness of each cell's permutation null, shape (Lt, Ls), float64.

    The triple sum over entries splits by which of the six indices coincide into eight kinds of
    three-edge graphs; zero row sums reduce every one to the layer's two moments.

    Args:
        teacher_moments: Of :func:`cka_null_moments`, shape (Lt, 2).
        student_moments: Shape (Ls, 2).
        n: Number of examples, >= 4.
    """
    cube_t, tri_t = (column[:, None] for column in teacher_moments.unbind(-1))
    cube_s, tri_s = (column[None, :] for column in student_moments.unbind(-1))

    def graph(count: int, cube: float, tri: float, vertices: int) -> Tensor:
        """Number of such index patterns × sum over the teacher × mean over the student."""
        ways = math.perm(n, vertices)
        if ways == 0:
            return torch.zeros_like(cube_t * cube_s)
        value: Tensor = (cube * cube_t + tri * tri_t) * (cube * cube_s + tri * tri_s)
        return count * value / ways

    third = (
        graph(4, 1, 0, 2)  # one edge three times
        + graph(24, -1, 0, 3)  # an edge twice, and one touching it
        + graph(6, 2, 0, 4)  # an edge twice, and one apart
        + graph(8, 0, 1, 3)  # triangle
        + graph(8, 2, 0, 4)  # star
        + graph(24, 1, -1, 4)  # path
        + graph(12, -4, 2, 5)  # two touching, one apart
        + graph(1, 16, -8, 6)  # three apart
    )
    return third / cka_null_sd(n) ** 3


def cka_null_band(
    teacher_grams: Tensor,
    student_grams: Tensor,
    n: int,
    *,
    coverage: float = 0.95,
    teacher_moments: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Where each cell lies in a share ``coverage`` of random relabellings of its examples.

    The high end, which similarity is read against, is as good as :func:`cka_null_p95`. The low end
    is passed up to twice as often as it says where both layers have one strong direction: their
    null has a wall there, not a tail.

    Args:
        teacher_grams: Unbiased result of ``normalised_grams``, shape (Lt, n*n).
        student_grams: Shape (Ls, n*n).
        n: Number of examples, >= 4.
        coverage: Share of chance results inside, in (0, 1); the rest is split evenly.
        teacher_moments: The teacher's :func:`cka_null_moments` if kept.

    Returns:
        Low and high end, shape (Lt, Ls) each, float64; NaN where CKA is undefined.
    """
    if teacher_moments is None:
        teacher_moments = cka_null_moments(teacher_grams, n)
    skewness = cka_null_skewness(teacher_moments, cka_null_moments(student_grams, n), n)
    tail, sd = (1 - coverage) / 2, cka_null_sd(n)
    return sd * pearson3_quantile(tail, skewness), sd * pearson3_quantile(1 - tail, skewness)


def cka_null_biased(teacher_grams: Tensor, student_grams: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of biased CKA over relabellings: what papers' values start from.

    The mean of <K, P L P'> is tr K tr L / (n - 1) for double-centred matrices, far above 0 for wide
    layers; the variance splits by which indices of two pairs coincide, as in Kazi-Aoual et al.

    Args:
        teacher_grams: Biased result of ``normalised_grams``, shape (Lt, n*n).
        student_grams: Shape (Ls, n*n).
        n: Number of examples, >= 4.

    Returns:
        Shape (Lt, Ls) each, float64; NaN where CKA is undefined.

    Reference:
        Kazi-Aoual et al. 1995, Computational Statistics & Data Analysis 20.
    """
    if n < 4:
        raise ValueError(f"the null of CKA needs at least 4 examples, got {n}.")
    sides = []
    for grams in (teacher_grams, student_grams):
        square = grams.view(-1, n, n)
        diagonal = square.diagonal(dim1=-2, dim2=-1).to(torch.float64)
        trace = diagonal.sum(-1)
        total = square.square().sum((-2, -1), dtype=torch.float64)
        fourth = diagonal.square().sum(-1)
        # what is left of each matrix's squares beyond those that its trace forces
        spread = (n - 1) * total - trace.square()
        peaks = n * (n + 1) * fourth - (n - 1) * (trace.square() + 2 * total)
        sides.append(tuple(exactly(value) for value in (trace, spread, peaks)))
    (trace_t, spread_t, peaks_t), (trace_s, spread_s, peaks_s) = sides
    mean = torch.outer(trace_t, trace_s) / (n - 1)
    variance = 2 * torch.outer(spread_t, spread_s) / ((n - 1) ** 2 * (n + 1) * (n - 2))
    variance += torch.outer(peaks_t, peaks_s) / ((n + 1) * n * (n - 1) * (n - 2) * (n - 3))
    return mean, variance.clamp_min(0.0).sqrt()


def cka_null_p95(
    teacher_grams: Tensor,
    student_grams: Tensor,
    n: int,
    *,
    quantile: float = 0.95,
    teacher_moments: Tensor | None = None,
) -> Tensor:
    """Level that a cell exceeds in one of twenty random relabellings of its examples.

    Within 5 % of the level that permutations of real features give (n = 64 to 512); without the
    skewness correction (1.645 sd) it would be too low by up to a fifth for few-directional layers.

    Args:
        teacher_grams: Unbiased result of ``normalised_grams``, shape (Lt, n*n).
        student_grams: Shape (Ls, n*n).
        n: Number of examples, >= 4.
        quantile: Level's probability, in (0, 1).
        teacher_moments: The teacher's :func:`cka_null_moments` if kept, to save half the work.

    Returns:
        Shape (Lt, Ls), float64; NaN where CKA is undefined.

    Reference:
        Kazi-Aoual et al. 1995 (moments of permuted matrix products; Pearson III approximation).
    """
    if teacher_moments is None:
        teacher_moments = cka_null_moments(teacher_grams, n)
    skewness = cka_null_skewness(teacher_moments, cka_null_moments(student_grams, n), n)
    return cka_null_sd(n) * pearson3_quantile(quantile, skewness)
