"""How sure a prediction is, and whether it is right, from many rows in one pass without a copy.

Unusual here: of several classes with the largest score the first is the prediction, but a search
for it (several times the cost of the maximum) is done only on rows where the label has that score
and another class may have it too. Probabilities are read once, at the speed of memory; raw scores
a cacheful at a time.
Shapes: n = samples, C = classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from workbench.functional.guards import at_least_float32, labels_match
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

CHUNK_ENTRIES = 1 << 17
"""Entries of one chunk of rows: half a megabyte of float32 stays in the cache of one core."""
STREAM_ENTRIES = 1 << 21
"""Entries read at one go where each is looked at once: few calls, and its rows still in reach."""
LOOK_ENTRIES = 1 << 20
"""Entries that are looked at to tell probabilities from raw scores."""


@dataclass(frozen=True)
class RowSums:
    """What one pass over raw scores gives each row; every tensor has shape (n,).

    Attributes:
        top: Largest score.
        at_label: Score of the label.
        mass: Sum over classes of exp(score - top), >= 1.
        squares: Sum over classes of exp(score - top)², >= 1.
        correct: Whether the (first) class of the largest score is the label.
    """

    top: Tensor
    at_label: Tensor
    mass: Tensor
    squares: Tensor
    correct: Tensor


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
    probs = probs.detach()
    top, at_label = probs.new_empty(2, len(probs)).unbind(0)
    rows = max(1, STREAM_ENTRIES // probs.shape[1])
    for part, most, own, where in zip(
        *(torch.split(tensor, rows) for tensor in (probs, top, at_label, labels)), strict=True
    ):
        torch.amax(part, 1, out=most)
        torch.gather(part, 1, where[:, None].long(), out=own[:, None])
    correct = at_label == top
    # two classes with the largest probability have at most one half each
    _settle_ties(probs, labels, correct, correct & (top <= 0.5))
    return top, correct


def confidence_and_correct_from_logits(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """As :func:`confidence_and_correct`, of raw scores, shape (n, C)."""
    sums = row_sums(logits, labels)
    return sums.mass.reciprocal(), sums.correct


def row_sums(logits: Tensor, labels: Tensor) -> RowSums:
    """One pass over raw scores, a cacheful of rows at a time; no (n, C) tensor is made.

    Args:
        logits: Raw scores, shape (n, C); half precision is computed in float32.
        labels: Class numbers, shape (n,), none withheld.

    Raises:
        ValueError: If shapes do not fit or a label is withheld.
    """
    check_labels(logits, labels)
    scores = logits.detach()
    dtype = torch.float64 if scores.dtype == torch.float64 else torch.float32
    top, mass, squares = scores.new_empty(3, len(scores), dtype=dtype).unbind(0)
    rows = chunk_rows(scores)
    exps = scores.new_empty(min(rows, len(scores)), scores.shape[1], dtype=dtype)
    for part, most, total, square in zip(
        torch.split(scores, rows),
        torch.split(top, rows),
        torch.split(mass, rows),
        torch.split(squares, rows),
        strict=True,
    ):
        chunk = at_least_float32(part)
        torch.amax(chunk, 1, out=most)
        exp = torch.sub(chunk, most[:, None], out=exps[: len(chunk)]).exp_()
        torch.sum(exp, 1, out=total)
        torch.linalg.vector_norm(exp, dim=1, out=square)
    at_label = at_labels(scores, labels).to(dtype)
    correct = at_label == top
    # a second class with the largest score adds another exp(0) = 1
    _settle_ties(scores, labels, correct, correct & (mass >= 2))
    return RowSums(top, at_label, mass, squares.square_(), correct)


def at_labels(scores: Tensor, labels: Tensor) -> Tensor:
    """Entry of each row at its label, shape (n,)."""
    if not scores.is_contiguous():
        return scores.gather(1, labels[:, None]).squeeze(1)
    # a flat index_select has more cache misses in flight than a gather
    start = torch.arange(len(scores), device=labels.device) * scores.shape[1]
    return scores.view(-1).index_select(0, start.add_(labels))


def in_chunks(scores: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Rows of scores and their labels, a cacheful at a time, detached."""
    rows = chunk_rows(scores)
    return zip(torch.split(scores.detach(), rows), torch.split(labels, rows), strict=True)


def chunk_rows(scores: Tensor) -> int:
    """Rows that make one cacheful, at least 1."""
    return max(1, CHUNK_ENTRIES // scores.shape[1])


def check_probs(probs: Tensor, labels: Tensor) -> None:
    """Refuse what cannot be probabilities of these labels."""
    check_labels(probs, labels)
    probe = probs[: max(1, LOOK_ENTRIES // probs.shape[1])].detach()  # enough to tell
    total = probe.sum(1)
    if not (float(probe.amin()) >= 0 and float((total - 1).abs().amax()) < 0.02):
        raise ValueError(
            f"rows of probabilities must be >= 0 and sum to 1; here sums reach {total.min():.4g} "
            f"to {total.max():.4g}. For raw scores use the `_from_logits` function or softmax."
        )


def check_labels(scores: Tensor, labels: Tensor) -> None:
    """Refuse scores that are not (n, C), and labels withheld or outside 0..C-1."""
    if scores.dim() != 2 or scores.shape[0] == 0:
        raise ValueError(f"expected scores of shape (n, C), n >= 1, got {tuple(scores.shape)}.")
    labels_match("calibration", scores, labels)
    low, high = (int(end) for end in labels.aminmax())
    if low < 0 or high >= scores.shape[1]:
        raise ValueError(
            f"labels must lie in 0..{scores.shape[1] - 1}, got {low} to {high}. "
            "Leave out rows whose label is withheld (-1)."
        )


def _settle_ties(scores: Tensor, labels: Tensor, correct: Tensor, unsure: Tensor) -> None:
    """Search for the first largest entry of the unsure rows; corrects ``correct`` in place."""
    for index in torch.split(unsure.nonzero().squeeze(1), chunk_rows(scores)):
        rows = scores[index]
        if rows.is_cuda:
            first = rows.argmax(1)
        else:  # numpy's search is vectorised, torch's takes six times as long
            first = torch.from_numpy(at_least_float32(rows).numpy().argmax(1))
        correct[index] = first == labels[index]
