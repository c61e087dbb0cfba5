"""Centred kernel alignment: how alike two layers arrange the same examples.

Unusual here: unbiased by default (the biased form reads 0.996 for independent noise at n = 16,
d = 4096), features are shifted and scaled before the Gram product so that large means and scales
cost no digits, and an undefined value is NaN with a reason, never 0 or 1.
Every function reads (n, d) features; pooling is the caller's choice and a different metric each
time, see :func:`pooled`, :func:`flattened`, :func:`pixels_as_samples`.
Shapes: n = examples, d = width, L = layers (Lt of the teacher, Ls of the student).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from workbench.errors import ShapeMismatch
from workbench.functional.cka_null import cka_null_moments, cka_null_p95, cka_null_sd
from workbench.functional.guards import at_least_float32, same_rows
from workbench.functional.metadata import Parameter, loss
from workbench.functional.reductions import flattened, pixels_as_samples, pooled
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

__all__ = [
    "centred_gram",
    "cka_distance",
    "cka_map",
    "cka_null_moments",
    "cka_null_p95",
    "cka_null_sd",
    "flattened",
    "hsic_biased",
    "hsic_unbiased",
    "linear_cka",
    "linear_gram",
    "normalised_grams",
    "pixels_as_samples",
    "pooled",
    "rbf_cka",
    "rbf_gram",
    "undefined_reason",
]


Bandwidth = Literal["off_diagonal", "full"]
MIN_UNBIASED = 4
"""Unbiased HSIC divides by n(n - 3)."""
ROUNDING = 16.0
"""A centred Gram below this many machine epsilons of the uncentred one is rounding error."""


def linear_cka(x: Tensor, y: Tensor, *, unbiased: bool = True) -> Tensor:
    """Linear CKA of two layers on the same examples.

    Args:
        x: Features, shape (n, d).
        y: Features of the same examples in the same order, shape (n, d').
        unbiased: U-centred form, in [-1, 1], around 0 for unrelated layers; else the biased form,
            in [0, 1], which grows towards 1 with d / n for any two layers.

    Returns:
        Scalar; NaN where a layer has no variance (:func:`undefined_reason` says which).

    Raises:
        ValueError: If features are not (n, d), or n < 4 for the unbiased form, n < 2 otherwise.
        ShapeMismatch: If the two have different numbers of examples.

    Reference:
        Kornblith et al. 2019, arXiv:1905.00414; Song et al. 2012 (unbiased HSIC).
    """
    same_rows("linear_cka", x, y)
    return _alignment(_unit_gram(x, unbiased), _unit_gram(y, unbiased), unbiased)


def rbf_cka(
    x: Tensor,
    y: Tensor,
    *,
    unbiased: bool = True,
    scale: float = 1.0,
    bandwidth: Bandwidth = "off_diagonal",
) -> Tensor:
    """CKA with a Gaussian kernel; tends to linear CKA as ``scale`` grows.

    Args:
        x: Features, shape (n, d).
        y: Features, shape (n, d').
        unbiased: As in :func:`linear_cka`.
        scale: Kernel width in units of the root median squared distance, > 0.
        bandwidth: See :func:`rbf_gram`.

    Returns:
        Scalar; NaN where undefined.
    """
    same_rows("rbf_cka", x, y)
    gram_x = rbf_gram(x, scale=scale, bandwidth=bandwidth)
    gram_y = rbf_gram(y, scale=scale, bandwidth=bandwidth)
    return _alignment(gram_x, gram_y, unbiased)


def linear_gram(features: Tensor) -> Tensor:
    """Inner products of the column-centred features, shape (n, n)."""
    centred = _centred(features)
    return centred @ centred.T


def rbf_gram(
    features: Tensor, *, scale: float = 1.0, bandwidth: Bandwidth = "off_diagonal"
) -> Tensor:
    """Gaussian kernel exp(-d² / (2 scale² median)), shape (n, n).

    Args:
        features: Shape (n, d).
        scale: Width factor, > 0.
        bandwidth: Which squared distances the median is of: ``off_diagonal`` (all pairs of
            different examples; gnosis) or ``full`` (the whole matrix with its zero diagonal, lower
            median; ckatorch).
    """
    if not scale > 0:
        raise ValueError(f"`scale` must be > 0, got {scale!r}. Usual: 0.2, 0.4, 0.8 or 1.")
    centred = _centred(features)
    squares = centred.square().sum(-1)
    distances = (squares[:, None] + squares[None, :] - 2 * centred @ centred.T).clamp_min(0.0)
    num = distances.shape[0]
    distances = distances.masked_fill(_diagonal(distances), 0.0)
    if bandwidth == "off_diagonal":
        rows, columns = torch.triu_indices(num, num, offset=1, device=distances.device)
        median = _median(distances[rows, columns])
    else:
        median = distances.flatten().median()
    return torch.exp(-distances / (2 * scale**2 * median))


def hsic_biased(gram_x: Tensor, gram_y: Tensor) -> Tensor:
    """HSIC_0 = tr(KHLH) / (n - 1)² of two Gram matrices, shape (n, n) each; scalar.

    Reference:
        Gretton et al. 2005.
    """
    num = _num_examples(gram_x, gram_y, minimum=2)
    return (_double_centred(gram_x) * gram_y).sum() / (num - 1) ** 2


def hsic_unbiased(gram_x: Tensor, gram_y: Tensor) -> Tensor:
    """HSIC_1 of two Gram matrices, shape (n, n) each, n >= 4; scalar, may be negative.

    Raises:
        ValueError: If n < 4: the estimator divides by n(n - 3).

    Reference:
        Song et al. 2012, JMLR 13, eq. 5.
    """
    num = _num_examples(gram_x, gram_y, minimum=MIN_UNBIASED)
    return (_u_centred(gram_x) * _u_centred(gram_y)).sum() / (num * (num - 3))


@loss(
    "cka",
    paper="Kornblith et al. 2019, arXiv:1905.00414; as a loss: Saha et al. 2022 (CKA-KD)",
    needs=("student.features", "teacher.features"),
    unit="1",
    per_sample=False,
    parameters={
        "unbiased": Parameter("U-centred estimator, around 0 for unrelated layers", live=False)
    },
    upper_bound=2.0,
    min_samples=MIN_UNBIASED,
)
def cka_distance(
    student_features: Tensor, teacher_features: Tensor, *, unbiased: bool = True
) -> Tensor:
    """One minus linear CKA between the student's and the teacher's layer on the batch.

    Needs no projector: widths may differ. More than two axes are flattened to (B, d).

    Args:
        student_features: Shape (B, ...).
        teacher_features: Shape (B, ...); never receives gradient.
        unbiased: U-centred estimator (batch of at least 4), else the biased one.

    Returns:
        Scalar in [0, 2] (biased: [0, 1]), float32. A layer without variance has nothing in common
        with any other: exactly 1, with zero gradient.

    Raises:
        ValueError: If the batch is too small for the estimator.
    """
    same_rows("cka", student_features, teacher_features)
    gram_s = _unit_gram(student_features.flatten(1), unbiased)
    gram_t = _unit_gram(teacher_features.detach().flatten(1), unbiased)
    centre = _u_centred if unbiased else _double_centred
    centred_s, centred_t = centre(gram_s), centre(gram_t)
    dead = _is_rounding(centred_s, gram_s) | _is_rounding(centred_t, gram_t)
    # `where` before the division: its gradient must not meet 0 / 0
    norms = torch.where(dead, 1.0, centred_s.square().sum()) * centred_t.square().sum()
    cosine = (centred_s * centred_t).sum() / torch.where(dead, 1.0, norms).sqrt()
    return 1 - torch.where(dead, 0.0, cosine)


def normalised_grams(features: Sequence[Tensor], *, unbiased: bool = True) -> Tensor:
    """Centred Gram matrices of many layers, each of norm 1, flattened.

    The expensive half of an all-pairs map, O(L n² d). The teacher is frozen: keep its result.

    Args:
        features: L layers of the same n examples, shape (n, d_l) each.
        unbiased: U-centred (n >= 4), else double-centred.

    Returns:
        Shape (L, n*n); float32, or float64 if a layer is. The row of a layer without variance is
        NaN, so its cells come out NaN.

    Raises:
        ValueError: If there is no layer, or n is too small.
        ShapeMismatch: If layers differ in n.
    """
    if not features:
        raise ValueError(
            "normalised_grams: got no layer. Give at least one tensor of shape (n, d)."
        )
    first = at_least_float32(features[0])
    num = first.shape[0]
    dtype = torch.float64 if any(x.dtype == torch.float64 for x in features) else first.dtype
    grams = torch.empty(len(features), num * num, dtype=dtype, device=first.device)
    for layer, flat in zip(features, grams, strict=True):
        same_rows("normalised_grams", layer, first)
        minimum = MIN_UNBIASED if unbiased else 2
        prepared = _centred(layer.detach(), minimum=minimum)
        prepared = prepared.div_(_peak(prepared)).to(dtype)
        gram = flat.view(num, num)
        torch.mm(prepared, prepared.T, out=gram)
        before = flat.dot(flat)
        if unbiased:  # centred columns are double-centred already
            _u_centre_in_place(gram)
        norm = flat.dot(flat)
        flat /= norm.masked_fill(_below_rounding(norm, before), torch.nan).sqrt()
    return grams


def cka_map(teacher_grams: Tensor, student_grams: Tensor) -> Tensor:
    """All-pairs CKA from two results of :func:`normalised_grams`: one matrix product.

    Args:
        teacher_grams: Shape (Lt, n*n).
        student_grams: Shape (Ls, n*n), same examples.

    Returns:
        Shape (Lt, Ls); NaN in the row or column of a layer without variance.
    """
    if teacher_grams.shape[-1] != student_grams.shape[-1]:
        raise ShapeMismatch(
            "cka_map", student_grams, teacher_grams, fix="Both need the same probe examples."
        )
    dtype = torch.promote_types(teacher_grams.dtype, student_grams.dtype)
    return teacher_grams.to(dtype) @ student_grams.to(dtype).T


def undefined_reason(features: Tensor, *, unbiased: bool = True) -> str | None:
    """Why CKA with this layer is NaN, in words for a tooltip; None if it is defined.

    Args:
        features: Shape (n, d).
        unbiased: The estimator that gave NaN.
    """
    num = features.shape[0]
    minimum = MIN_UNBIASED if unbiased else 2
    if num < minimum:
        return f"needs at least {minimum} examples, has {num}"
    if not bool(torch.isfinite(features).all()):
        return "layer has NaN or infinite values"
    centred = _centred(features)
    if not bool(centred.any()):
        return "constant layer"
    gram = _unit_gram(features, unbiased)
    if unbiased and bool(_is_rounding(_u_centred(gram), gram)):
        return "only one example differs from the rest"
    return None


def centred_gram(features: Tensor, *, unbiased: bool = True) -> Tensor:
    """Gram matrix with its diagonal, row and column effects removed, unscaled, shape (n, n)."""
    centred = _centred(features, minimum=MIN_UNBIASED if unbiased else 2)
    gram = centred @ centred.T
    return _u_centred(gram) if unbiased else gram


def _centred(features: Tensor, *, minimum: int = 2) -> Tensor:
    if features.dim() != 2:
        raise ValueError(
            f"CKA reads features of shape (n, d), got {tuple(features.shape)}. "
            "Choose `pooled`, `flattened` or `pixels_as_samples`: each is a different metric."
        )
    if features.shape[0] < minimum:
        raise ValueError(
            f"CKA needs at least {minimum} examples, got {features.shape[0]}. "
            "Merge a short last batch into the one before it."
        )
    full = at_least_float32(features)
    # the first row goes first: exact zeros for constant columns, no cancellation at large means
    shifted = full - full[:1].detach()
    mean = shifted.mean(0)
    return shifted - mean if shifted.requires_grad else shifted.sub_(mean)


def _scaled(centred: Tensor) -> Tensor:
    """Largest entry 1, so that no scale of features over- or underflows in the Gram."""
    return centred / _peak(centred)


def _peak(centred: Tensor) -> Tensor:
    """Largest magnitude, 1 where all is zero; aminmax is 20 × faster than the infinity norm."""
    low, high = centred.detach().aminmax()
    peak = torch.maximum(-low, high)
    return torch.where(peak > 0, peak, 1.0)


def _unit_gram(features: Tensor, unbiased: bool) -> Tensor:
    prepared = _scaled(_centred(features, minimum=MIN_UNBIASED if unbiased else 2))
    return prepared @ prepared.T


def _alignment(gram_x: Tensor, gram_y: Tensor, unbiased: bool) -> Tensor:
    centre = _u_centred if unbiased else _double_centred
    centred_x, centred_y = centre(gram_x), centre(gram_y)
    norm_x, norm_y = centred_x.square().sum(), centred_y.square().sum()
    undefined = _is_rounding(centred_x, gram_x) | _is_rounding(centred_y, gram_y)
    cosine = (centred_x * centred_y).sum() / (norm_x.sqrt() * norm_y.sqrt())
    return cosine.masked_fill(undefined, torch.nan)


def _u_centred(gram: Tensor) -> Tensor:
    """Zero diagonal and zero row sums (Székely & Rizzo 2014); batched over leading axes."""
    num = gram.shape[-1]
    diagonal = _diagonal(gram)
    hollow = gram.masked_fill(diagonal, 0.0)
    rows = hollow.sum(-1) / (num - 2)
    rows = rows - rows.sum(-1, keepdim=True) / (2 * (num - 1))
    return (hollow - rows[..., :, None] - rows[..., None, :]).masked_fill(diagonal, 0.0)


def _u_centre_in_place(gram: Tensor) -> None:
    """As :func:`_u_centred`, in few passes while the matrix lies in cache."""
    num = len(gram)
    gram.fill_diagonal_(0.0)
    rows = gram.sum(-1) / (num - 2)
    rows -= rows.sum() / (2 * (num - 1))
    gram -= rows[:, None]
    gram -= rows
    gram.fill_diagonal_(0.0)


def _double_centred(gram: Tensor) -> Tensor:
    rows = gram.mean(-1, keepdim=True)
    return gram - rows - rows.mT + rows.mean(-2, keepdim=True)


def _diagonal(gram: Tensor) -> Tensor:
    mask: Tensor = torch.eye(gram.shape[-1], dtype=torch.bool, device=gram.device)
    return mask


def _is_rounding(centred: Tensor, gram: Tensor) -> Tensor:
    return _below_rounding(centred.detach().square().sum(), gram.detach().square().sum())


def _below_rounding(norms: Tensor, before: Tensor) -> Tensor:
    return norms <= (ROUNDING * torch.finfo(norms.dtype).eps) ** 2 * before


def _median(values: Tensor) -> Tensor:
    ordered = values.sort().values
    middle = ordered.numel() // 2
    return ordered[middle] if ordered.numel() % 2 else ordered[middle - 1 : middle + 1].mean()


def _num_examples(gram_x: Tensor, gram_y: Tensor, *, minimum: int) -> int:
    for gram in (gram_x, gram_y):
        if gram.dim() != 2 or gram.shape[0] != gram.shape[1]:
            raise ValueError(
                f"HSIC reads Gram matrices of shape (n, n), got {tuple(gram.shape)}. "
                "Make them with `linear_gram` or `rbf_gram`."
            )
    same_rows("HSIC", gram_x, gram_y)
    if gram_x.shape[0] < minimum:
        raise ValueError(f"HSIC needs at least {minimum} examples here, got {gram_x.shape[0]}.")
    return gram_x.shape[0]
