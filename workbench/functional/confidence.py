"""How sure a prediction is, and whether it is right, from many rows in one pass without a copy.

Unusual here: rows are read a cacheful at a time, and the first-index rule for tied classes costs an
argmax only where a tie is possible.
Shapes: n = samples, C = classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from workbench.functional.guards import at_least_float32, labels_match
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

CHUNK_ENTRIES = 1 << 20
"""Entries of one chunk of rows: small enough to stay in cache, large enough to keep torch busy."""


def confidence_and_correct(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Largest probability of each row, and whether its (first) class is the label.

    Args:
        probs: Rows sum to 1, shape (n, C).
        labels: Shape (n,), none withheld.

    Returns:
        Confidence in the dtype of ``probs`` and correctness as bool, shape (n,) each.

    Raises:
        ValueError: If the values cannot be probabilities or a label is withheld.
    """
    check_probs(probs, labels)
    parts = [_top(chunk, chunk_labels) for chunk, chunk_labels in in_chunks(probs, labels)]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def confidence_and_correct_from_logits(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`confidence_and_correct`, of raw scores, shape (n, C)."""
    check_labels(logits, labels)
    parts = []
    for chunk, chunk_labels in in_chunks(logits, labels):
        score = at_least_float32(chunk)
        top, correct = _first_top(score, chunk_labels)
        parts.append(((top - score.logsumexp(1)).exp().clamp_max(1.0), correct))
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def in_chunks(scores: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of scores and their labels, a cacheful at a time, detached."""
    rows = max(1, CHUNK_ENTRIES // scores.shape[1])
    return zip(torch.split(scores.detach(), rows), torch.split(labels, rows), strict=True)


def check_probs(probs: Tensor, labels: Tensor) -> None:
    """Refuse what cannot be probabilities of these labels."""
    check_labels(probs, labels)
    probe = probs[: max(1, CHUNK_ENTRIES // probs.shape[1])]  # a first look is enough to tell
    total = probe.detach().sum(1)
    if not (bool((probe >= 0).all()) and bool((total - 1).abs().max() < 0.02)):
        raise ValueError(
            f"rows of probabilities must be >= 0 and sum to 1; here sums reach {total.min():.4g} "
            f"to {total.max():.4g}. For raw scores use the `_from_logits` function or softmax."
        )


def check_labels(scores: Tensor, labels: Tensor) -> None:
    """Refuse scores that are not (n, C), and labels withheld or outside 0..C-1."""
    if scores.dim() != 2 or scores.shape[0] == 0:
        raise ValueError(f"expected scores of shape (n, C), n >= 1, got {tuple(scores.shape)}.")
    labels_match("calibration", scores, labels)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= scores.shape[1]:
        raise ValueError(
            f"labels must lie in 0..{scores.shape[1] - 1}, got {low} to {high}. "
            "Leave out rows whose label is withheld (-1)."
        )


def _top(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Largest probability and correctness; argmax (6 × slower) only where a tie is possible."""
    top = probs.amax(1)
    correct = probs.gather(1, labels[:, None]).squeeze(1) == top
    unsure = (correct & (top <= 0.5)).nonzero().squeeze(1)
    correct[unsure] = probs[unsure].argmax(1) == labels[unsure]
    return top, correct


def _first_top(scores: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    top, index = scores.max(1)
    return top, index == labels
