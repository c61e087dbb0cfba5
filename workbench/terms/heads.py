"""Further heads on a network: one that only the teacher speaks to, one that tells networks apart.

Shapes: B = sample, D = feature, K = class.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 200
DROPOUT = 0.1
FEWEST = 4
"""Fewest units of a hidden layer of the discriminator: a tenth of ten classes would be one."""


class SecondHead(nn.Module):
    """Scores from pooled features, beside the student's own head.

    Args:
        width: D.
        num_classes: K.
        kind: ``linear``, or ``mlp``: 200 units with dropout, norm and ReLU before it.

    Reference:
        Yang et al. 2024 (DHKD), arXiv:2411.08937.
    """

    def __init__(self, width: int, num_classes: int, kind: Literal["linear", "mlp"]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if kind == "mlp":
            layers = [nn.Linear(width, HIDDEN), nn.Dropout(DROPOUT), VectorNorm(HIDDEN), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(HIDDEN if layers else width, num_classes))

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, D) to scores (B, K)."""
        scores: Tensor = self.layers(vectors)
        return scores


class VectorNorm(nn.BatchNorm1d):
    """Batch norm that takes its running statistics for a batch of one."""

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, D) to the same shape."""
        if self.training and len(vectors) == 1:
            return F.batch_norm(
                vectors, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(vectors)


class Discriminator(nn.Module):
    """Three layers that say of scores whether the student or the teacher gave them.

    Args:
        num_classes: K.
        factor: Each hidden layer is so many times narrower than the one before, at least 4 wide.

    Reference:
        Shen & Savvides 2020 (MEAL V2), arXiv:2009.08453; a ReLU after the last layer too, as in
        the released code.
    """

    def __init__(self, num_classes: int, *, factor: int = 8, fewest: int = FEWEST) -> None:
        super().__init__()
        first = max(num_classes // factor, fewest)
        second = max(num_classes // factor**2, fewest)
        self.conv1 = nn.Linear(num_classes, first)
        self.conv2 = nn.Linear(first, second)
        self.conv3 = nn.Linear(second, 2)

    def forward(self, scores: Tensor) -> Tensor:
        """(B, K) to two scores >= 0, student's and teacher's, (B, 2)."""
        hidden = self.conv2(self.conv1(scores).relu()).relu()
        verdict: Tensor = self.conv3(hidden).relu()
        return verdict


def discrimination_loss(
    discriminator: nn.Module, student_logits: Tensor, teacher_logits: Tensor
) -> Tensor:
    """Binary cross-entropy of telling who gave the scores, mean of both halves, shape (B,)."""
    halves = []
    for scores, truth in ((student_logits, (1.0, 0.0)), (teacher_logits.detach(), (0.0, 1.0))):
        verdict = discriminator(scores)
        wanted = torch.tensor(truth, dtype=verdict.dtype, device=verdict.device)
        loss = F.binary_cross_entropy_with_logits(
            verdict, wanted.expand_as(verdict), reduction="none"
        )
        halves.append(loss.mean(-1))
    return torch.stack(halves).mean(0)


class _Reversed(torch.autograd.Function):
    @staticmethod
    def forward(context: object, value: Tensor) -> Tensor:
        """The value itself."""
        return value.view_as(value)

    @staticmethod
    def backward(context: object, *gradients: Tensor) -> Tensor:
        """The opposite gradient."""
        return -gradients[0]


def gradient_reversed(value: Tensor) -> Tensor:
    """The same value whose gradient changes its sign (Ganin & Lempitsky 2015, arXiv:1409.7495)."""
    turned: Tensor = _Reversed.apply(value)
    return turned
