"""Other ways to compare two layers, to read beside CKA: metric, local and axis-aligned views.

Unusual here: CKA is dominated by the strongest directions, so it stands beside a true metric
(Procrustes), a local view (who are a sample's neighbours) and a rank view (RSA). CCA is refused
where it is trivially 1 (d >= n).
Shapes: n = examples, d = width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from workbench.functional.guards import at_least_float32, exactly, same_rows
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

Inner = Literal["correlation", "euclidean"]


def procrustes_distance(x: Tensor, y: Tensor) -> float:
    """Distance left after the best rotation, layers centred and of norm 1; in [0, sqrt 2].

    Args:
        x: Features, shape (n, d).
        y: Features of the same examples, shape (n, d').

    Returns:
        sqrt(2 - 2 ||Xᵀ Y||_*); some codes give its square. A constant layer has nothing in common
        with any other: sqrt 2.

    Reference:
        Ding, Denain, Steinhardt 2021, arXiv:2108.01661.
    """
    return float((2 - 2 * _nuclear_cosine(x, y)).clamp_min(0.0).sqrt())


def procrustes_angle(x: Tensor, y: Tensor) -> float:
    """Angle between the shapes of two layers, radians in [0, pi/2]; a metric.

    Reference:
        Williams et al. 2021, arXiv:2110.14739.
    """
    return float(_nuclear_cosine(x, y).clamp(-1.0, 1.0).acos())


def rsa(x: Tensor, y: Tensor, *, inner: Inner = "correlation") -> float:
    """Rank correlation of two layers' pairwise (dis)similarities, in [-1, 1].

    Args:
        x: Features, shape (n, d).
        y: Features of the same examples, shape (n, d').
        inner: Between two examples: Pearson correlation over features, or Euclidean distance.

    Reference:
        Kriegeskorte et al. 2008.
    """
    same_rows("rsa", x, y)
    rows, columns = torch.tril_indices(len(x), len(x), offset=-1)
    sides = []
    for features in (x, y):
        full = at_least_float32(features)
        if inner == "correlation":
            unit = _unit_rows(full - full.mean(1, keepdim=True))
            # products equal but for rounding are ties: rows that repeat have correlation 1
            quantum = 64 * torch.finfo(full.dtype).eps
            matrix = (unit @ unit.T / quantum).round()
        else:
            mode = "donot_use_mm_for_euclid_dist"  # the product form loses close pairs
            matrix = torch.cdist(full, full, compute_mode=mode)
        sides.append(matrix[rows, columns])
    return float(spearman(sides[0][None], sides[1][None]))


def mutual_knn(x: Tensor, y: Tensor, *, k: int = 10) -> float:
    """Mean share of the k nearest neighbours (by cosine) that both layers agree on, in [0, 1].

    Args:
        x: Features, shape (n, d).
        y: Features of the same examples, shape (n, d').
        k: Neighbours, 1 <= k < n. Unrelated layers share k / (n - 1).

    Reference:
        Huh et al. 2024, arXiv:2405.07987.
    """
    shared = _shared_neighbours(x, y, k)
    return float(exactly(shared).mean()) / k


def knn_jaccard(x: Tensor, y: Tensor, *, k: int = 10) -> float:
    """As :func:`mutual_knn`, shared over all neighbours either layer names; in [0, 1]."""
    shared = exactly(_shared_neighbours(x, y, k))
    return float((shared / (2 * k - shared)).mean())


def cknna(x: Tensor, y: Tensor, *, k: int = 10) -> float:
    """Unbiased CKA of the kernel entries between mutual nearest neighbours; about [-1, 1].

    Args:
        x: Features, shape (n, d); scale rows to norm 1 first for a cosine kernel.
        y: Features of the same examples, shape (n, d').
        k: Neighbours by inner product, 1 <= k < n, n >= 4.

    Reference:
        Huh et al. 2024, arXiv:2405.07987, appendix.
    """
    same_rows("cknna", x, y)
    kernels = [full @ full.T for full in (at_least_float32(x), at_least_float32(y))]
    near = [_neighbours(kernel, k) for kernel in kernels]

    def local(i: int, j: int) -> Tensor:
        both = near[i] & near[j]
        return _lopsided_hsic(kernels[i] * both, kernels[j] * both)

    return float(local(0, 1) / (local(0, 0) * local(1, 1)).sqrt())


def cca(x: Tensor, y: Tensor) -> Tensor:
    """Canonical correlations, descending, in [0, 1], shape (min(rank x, rank y),).

    Args:
        x: Features, shape (n, d), d < n.
        y: Features of the same examples, shape (n, d'), d' < n.

    Raises:
        ValueError: If a layer is at least as wide as there are examples: CCA is then 1 for any two.

    Reference:
        Hotelling 1936; Raghu et al. 2017 (SVCCA), arXiv:1706.05806.
    """
    values: Tensor = torch.linalg.svdvals(_basis(x, y).T @ _basis(y, x))
    return values.clamp_max(1.0)


def svcca(x: Tensor, y: Tensor, *, kept: float = 0.99) -> float:
    """Mean canonical correlation of the directions that hold ``kept`` of each layer's variance.

    Args:
        x: Features, shape (n, d).
        y: Features of the same examples, shape (n, d').
        kept: Share of variance, in (0, 1].

    Reference:
        Raghu et al. 2017, arXiv:1706.05806.
    """
    if not 0 < kept <= 1:
        raise ValueError(f"`kept` must lie in (0, 1], got {kept!r}. Usual: 0.99.")
    return float(cca(_principal(x, kept), _principal(y, kept)).mean())


def pwcca(x: Tensor, y: Tensor) -> float:
    """Canonical correlations weighted by how much of ``x`` each direction carries; asymmetric.

    Reference:
        Morcos, Raghu, Bengio 2018, arXiv:1806.05759.
    """
    basis = _basis(x, y)
    left, correlations, _ = torch.linalg.svd(basis.T @ _basis(y, x), full_matrices=False)
    centred = _centred(x)
    weights = ((basis @ left).T @ centred).abs().sum(1)
    return float((weights * correlations.clamp_max(1.0)).sum() / weights.sum())


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Correlation of each row of ``a`` with the same row of ``b``; NaN for a constant row.

    Args:
        a: Shape (N, d).
        b: Shape (N, d).

    Returns:
        Shape (N,), in [-1, 1].
    """
    centred_a, centred_b = (_row_centred(at_least_float32(v)) for v in (a, b))
    norms = row_norms(centred_a) * row_norms(centred_b)
    return (centred_a * centred_b).sum(1) / norms


def spearman(a: Tensor, b: Tensor) -> Tensor:
    """Rank correlation of each row, ties at their mean rank; shape (N,)."""
    return pearson(mean_ranks(a), mean_ranks(b))


def row_norms(values: Tensor) -> Tensor:
    """Euclidean norm of each row, shape (N,)."""
    norms: Tensor = torch.linalg.vector_norm(values, dim=1)
    return norms


def mean_ranks(values: Tensor) -> Tensor:
    """Rank of each entry within its row, from 1; tied entries share their mean."""
    ordered = values.sort(dim=1).values.contiguous()
    first = torch.searchsorted(ordered, values.contiguous(), side="left")
    last = torch.searchsorted(ordered, values.contiguous(), side="right")
    return (first + last + 1).to(
        torch.float64 if values.dtype == torch.float64 else torch.float32
    ) / 2


def _centred(features: Tensor) -> Tensor:
    full = at_least_float32(features)
    shifted = full - full[:1]
    return shifted - shifted.mean(0)


def _row_centred(values: Tensor) -> Tensor:
    # first entry goes first: a constant row comes out exactly 0
    shifted = values - values[:, :1]
    return shifted - shifted.mean(1, keepdim=True)


def _unit_rows(values: Tensor) -> Tensor:
    return values / row_norms(values)[:, None]


def _nuclear_cosine(x: Tensor, y: Tensor) -> Tensor:
    same_rows("procrustes", x, y)
    units = []
    for centred in (_centred(x), _centred(y)):
        norm = torch.linalg.matrix_norm(centred)
        units.append(centred / torch.where(norm > 0, norm, 1.0))
    cosine: Tensor = torch.linalg.svdvals(units[0].T @ units[1]).sum()
    return cosine


def _shared_neighbours(x: Tensor, y: Tensor, k: int) -> Tensor:
    same_rows("mutual_knn", x, y)
    units = [_unit_rows(at_least_float32(features)) for features in (x, y)]
    near_x, near_y = (_neighbours(unit @ unit.T, k) for unit in units)
    return (near_x & near_y).sum(1)


def _neighbours(nearness: Tensor, k: int) -> Tensor:
    """Mask of each row's k nearest others, bool, shape (n, n)."""
    num = len(nearness)
    if not 1 <= k < num:
        raise ValueError(f"`k` must lie in 1..{num - 1} for {num} examples, got {k!r}.")
    others = nearness.clone().fill_diagonal_(-torch.inf)
    mask: Tensor = torch.zeros_like(others, dtype=torch.bool)
    return mask.scatter_(1, others.topk(k).indices, True)


def _lopsided_hsic(k: Tensor, m: Tensor) -> Tensor:
    """Song et al. 2012, eq. 5, for kernels cut to neighbours: they are not symmetric."""
    num = len(k)
    if num < 4:
        raise ValueError(f"cknna needs at least 4 examples, got {num}.")
    trace = (k * m.T).sum()
    totals = k.sum() * m.sum() / ((num - 1) * (num - 2))
    mixed = k.sum(0) @ m.sum(1) * 2 / (num - 2)
    return (trace + totals - mixed) / (num * (num - 3))


def _basis(features: Tensor, other: Tensor) -> Tensor:
    """Orthonormal directions of the centred layer, shape (n, rank)."""
    same_rows("cca", features, other)
    num, width = features.shape
    if width >= num:
        raise ValueError(
            f"cca: {width} features on {num} examples correlate perfectly with anything. "
            "Use more examples, `svcca`, or CKA."
        )
    left, values, _ = torch.linalg.svd(_centred(features), full_matrices=False)
    tolerance = values.amax() * max(num, width) * torch.finfo(values.dtype).eps
    directions: Tensor = left[:, values > tolerance]
    return directions


def _principal(features: Tensor, kept: float) -> Tensor:
    left, values, _ = torch.linalg.svd(_centred(features), full_matrices=False)
    share = values.square().cumsum(0) / values.square().sum()
    num = int((share < kept - 1e-12).sum()) + 1
    directions: Tensor = left[:, :num] * values[:num]
    return directions
