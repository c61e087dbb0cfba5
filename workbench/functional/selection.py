"""Which samples to learn from: scores, thresholds and sampling odds, computed from scores alone.

Unusual here: these return masks and probabilities, never rows, and draw no random number.
Shapes: n = candidate samples, C = classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.functional.guards import at_least_float32, same_shape
from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")


def margin_gain(student_logits: Tensor) -> Tensor:
    """One minus the gap of the two largest probabilities, in [0, 1], shape (n,).

    Args:
        student_logits: Raw scores, shape (n, C), C >= 2.
    """
    best = at_least_float32(student_logits.detach()).softmax(-1).topk(2, dim=-1).values
    return 1 - (best[:, 0] - best[:, 1])


def robust_odds(gains: Tensor, *, num_wrong: int = 1, cost: float = 1.0) -> tuple[Tensor, float]:
    """Sampling odds that earn most if an adversary spoils ``num_wrong`` teacher labels.

    The game's solution: among the k best, odds are inverse to the gain, so that no one label is
    worth spoiling; k is the one of largest value.

    Args:
        gains: What a right label of each sample earns, > 0, shape (n,).
        num_wrong: Labels the adversary may spoil, >= 0.
        cost: What a spoilt label costs, in units of its gain; 1 is "earns nothing".

    Returns:
        Odds that sum to 1, shape (n,), and the value of the game.

    Raises:
        ValueError: If a gain is not positive.

    Reference:
        Baykal et al. 2023 (Robust Active Distillation), arXiv:2210.01213.
    """
    if gains.numel() == 0 or not bool((gains > 0).all()):
        raise ValueError("robust_odds: gains must all be > 0. Leave out samples without gain.")
    ordered, order = gains.sort(descending=True, stable=True)
    count = torch.arange(1, len(gains) + 1, dtype=gains.dtype, device=gains.device)
    values = (count - cost * num_wrong) / (1 / ordered).cumsum(0)
    chosen = int(values.argmax()) + 1
    odds = torch.zeros_like(gains)
    odds[order[:chosen]] = (1 / ordered[:chosen]) / (1 / ordered[:chosen]).sum()
    return odds, float(values[chosen - 1])


def sure_enough(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    teacher_share: float,
    cutoff: float = 0.95,
    per_class: bool = True,
) -> Tensor:
    """Samples whose mixed prediction passes a threshold that is lower for rarer classes.

    Args:
        student_logits: Raw scores, shape (n, C).
        teacher_logits: Raw scores, shape (n, C).
        teacher_share: Weight of the teacher in the mixture of scores, in [0, 1].
        cutoff: Threshold of the most frequent class, in (0, 1].
        per_class: False holds every class to that threshold.

    Returns:
        Bool, shape (n,).

    Reference:
        Tang et al. 2023 (KD³), threshold as in FlexMatch, arXiv:2110.08263.
    """
    same_shape("sure_enough", student_logits, teacher_logits, fix="Same label set?")
    mixed = teacher_share * at_least_float32(teacher_logits.detach())
    mixed = mixed + (1 - teacher_share) * at_least_float32(student_logits.detach())
    sureness, named = mixed.softmax(-1).max(-1)
    if not per_class:
        return sureness > cutoff
    counts = torch.bincount(named, minlength=mixed.shape[-1]).to(mixed.dtype)
    share = counts / counts.max()
    return sureness > cutoff * (share / (2 - share))[named]
