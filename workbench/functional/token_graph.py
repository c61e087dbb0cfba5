"""Losses on the graph of patch tokens: who is near whom inside one image.

Unusual here: no official code exists; direction and sums follow the printed equations, the KL runs
from the teacher to the student as everywhere in this package.
Shapes: L = tokens, D = width, B = images; ... = any leading axes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from workbench.functional.guards import at_least_float32, positive, same_rows
from workbench.functional.metadata import Parameter, loss
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    import torch.nn.functional as F
    from torch import Tensor
else:
    torch = LazyModule("torch")
    F = LazyModule("torch.nn.functional")


def neighbour_affinity(tokens: Tensor, *, k: int = 3, sigma: float = 1.0) -> Tensor:
    """exp(-d² / (2 sigma)) from each token's k nearest others, 0 elsewhere; shape (..., L, L).

    Args:
        tokens: Shape (..., L, D).
        k: Neighbours, 1 <= k < L. Entry (i, j) is kept if i is among the nearest of j.
        sigma: Scale of the squared distance, > 0 (not squared, as printed).
    """
    length = tokens.shape[-2]
    if not 1 <= k < length:
        raise ValueError(f"`k` must lie in 1..{length - 1} for {length} tokens, got {k}.")
    positive("sigma", sigma, usual="1")
    full = at_least_float32(tokens)
    squares = (full.unsqueeze(-2) - full.unsqueeze(-3)).square().sum(-1)
    itself = torch.eye(length, dtype=torch.bool, device=full.device)
    near = squares.detach().masked_fill(itself, torch.inf).topk(k, largest=False).indices
    kept = torch.zeros_like(squares, dtype=torch.bool).scatter_(-1, near, True).mT
    return torch.where(kept, (-squares / (2 * sigma)).exp(), 0.0)


def local_structure(
    student_tokens: Tensor, teacher_tokens: Tensor, *, k: int = 3, sigma: float = 1.0
) -> Tensor:
    """KL between the tokens' affinity rows, teacher to student, of each token.

    Args:
        student_tokens: Shape (..., L, D).
        teacher_tokens: Shape (..., L, D'); never receives gradient.
        k: Neighbours of :func:`neighbour_affinity`, each network its own.
        sigma: Scale.

    Returns:
        Nats, shape (..., L).

    Reference:
        Zhang et al. 2023 (TRG), arXiv:2306.12442, eq. 4.
    """
    same_rows("local_structure", student_tokens, teacher_tokens)
    log_s = F.log_softmax(neighbour_affinity(student_tokens, k=k, sigma=sigma), dim=-1)
    teacher = neighbour_affinity(teacher_tokens.detach(), k=k, sigma=sigma)
    kl: Tensor = F.kl_div(log_s, F.log_softmax(teacher, -1), reduction="none", log_target=True)
    return kl.sum(-1)


@loss(
    "token-graph",
    paper="Zhang et al. 2023 (TRG), arXiv:2306.12442",
    needs=("student.features", "teacher.features"),
    parameters={
        "num_neighbours": Parameter(
            "Nearest other tokens that count", low=1, high=1024, live=False
        ),
        "sigma": Parameter(
            "Scale of squared distances; take about their mean", low=0.0, open_low=True
        ),
    },
)
def graph(
    student_features: Tensor,
    teacher_features: Tensor,
    *,
    num_neighbours: int = 3,
    sigma: float = 1.0,
) -> Tensor:
    """KL between who is near whom among the tokens of an image, teacher to student.

    Args:
        student_features: Tokens, shape (B, L, D).
        teacher_features: Tokens, shape (B, L, D'); never receives gradient.
        num_neighbours: At most L - 1 are taken; with one token there is no graph and no loss.
        sigma: Scale > 0, in squared feature units.

    Returns:
        Mean over tokens, nats, shape (B,), float32.

    Reference:
        Zhang et al. 2023, arXiv:2306.12442, eq. 4.
    """
    _same_tokens("token-graph", student_features, teacher_features)
    k = min(num_neighbours, student_features.shape[1] - 1)
    if k == 0:
        return at_least_float32(student_features).flatten(1).sum(-1) * 0.0
    return local_structure(student_features, teacher_features, k=k, sigma=sigma).mean(-1)


@loss(
    "token-context",
    paper="Zhang et al. 2023 (TRG), arXiv:2306.12442",
    needs=("student.features", "teacher.features"),
    unit="1",
    upper_bound=1.0,
)
def token_context(student_features: Tensor, teacher_features: Tensor) -> Tensor:
    """Mean squared gap of how each token attends to the others of its image.

    Needs no projector: each network's products are scaled by its own width.

    Args:
        student_features: Tokens, shape (B, L, D).
        teacher_features: Tokens, shape (B, L, D'); never receives gradient.

    Returns:
        Shape (B,), float32, in [0, 1].

    Reference:
        Zhang et al. 2023, arXiv:2306.12442, eq. 7.
    """
    _same_tokens("token-context", student_features, teacher_features)
    gap = _context(student_features) - _context(teacher_features.detach())
    return gap.square().mean((1, 2))


def _same_tokens(what: str, student: Tensor, teacher: Tensor) -> None:
    if student.dim() != 3 or student.shape[:2] != teacher.shape[:2]:
        raise ValueError(
            f"{what}: needs tokens (B, L, D) of equal B and L, got student "
            f"{tuple(student.shape)} and teacher {tuple(teacher.shape)}. "
            "Pick layers with the same number of tokens."
        )


def _context(tokens: Tensor) -> Tensor:
    full = at_least_float32(tokens)
    return (full @ full.mT / math.sqrt(full.shape[-1])).softmax(-1)
