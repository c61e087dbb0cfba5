"""How papers move a weight over the epochs, as pure functions of the epoch.

Unusual here: papers count epochs from 0 or from 1; each function says which.
"""

from __future__ import annotations

import math

KD3_DECAY_EPOCHS = 160
KD3_SHARPNESS = 5.0


def warmup_weight(epoch: float, *, warmup: int = 20) -> float:
    """Linear rise to 1: epoch / warmup, at most 1.

    Args:
        epoch: Counted from 1, so the first epoch already weighs 1 / warmup.
        warmup: Epoch that reaches 1, >= 1.

    Reference:
        Zhao et al. 2022 (DKD), arXiv:2203.08679; Chen et al. 2021 (ReviewKD), arXiv:2104.09044.
    """
    return min(epoch / warmup, 1.0)


def past_share(epoch: float, *, epochs: int, last: float = 0.8) -> float:
    """Share of one's own past prediction in the target: grows linearly up to ``last``.

    Args:
        epoch: Counted from 0.
        epochs: Length of the training, >= 1.
        last: Share in the last epoch, in [0, 1].

    Reference:
        Kim et al. 2021 (PS-KD), arXiv:2006.12000, eq. 7.
    """
    return max(0.0, last * (epoch + 1) / epochs)


def trust_in_teacher(epoch: float, *, until: int = 120) -> float:
    """Weight of the teacher when samples are chosen: near 1 at first, 0 from ``until`` on.

    Args:
        epoch: Counted from 1.
        until: First epoch that trusts the student alone.

    Reference:
        Tang et al. 2023 (KD³); its scale of 160 epochs is fixed.
    """
    if epoch >= until:
        return 0.0
    return 1 - math.exp(-KD3_SHARPNESS * ((epoch + 1) / KD3_DECAY_EPOCHS - 1) ** 2)
