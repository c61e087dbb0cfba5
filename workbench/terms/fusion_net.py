"""TGeo-KD's fusion net as a module: state of the triangle in, ratio of each sample out.

Shapes: B = sample, K = class.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from workbench.functional.guards import at_least_float32
from workbench.functional.tgeokd import (
    tgeokd_fusion_ratio,
    tgeokd_small_state,
    tgeokd_state,
)
from workbench.models.batch import Batch
from workbench.models.inspection import seeded
from workbench.randomness import key


class RatioNetwork(nn.Module):
    """Base of the networks that give each sample its ratio."""

    def ratio(self, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """In [0, 1], shape (B,), of logits (B, K); with a gradient of its own weights only."""
        raise NotImplementedError


class FusionNet(RatioNetwork):
    """Linear layers with leaky ReLU between, a sigmoid at the end.

    Args:
        class_means: The teacher's mean probabilities of each class, shape (K, K); NaN rows (no
            labelled row of that class) are taken as uniform.
        hidden: Widths between state and ratio.
        top: Classes of the small state; None for the full one.
        seed: Of the initial weights.

    Reference:
        Hu et al. 2024, arXiv:2312.15112.
    """

    class_means: Tensor

    def __init__(
        self, class_means: Tensor, hidden: Sequence[int], *, top: int | None, seed: int
    ) -> None:
        super().__init__()
        classes = len(class_means)
        self.register_buffer("class_means", class_means.float().nan_to_num(1 / classes))
        self._top = top
        widths = [9 * classes if top is None else 5 + 2 * top, *hidden, 1]
        with seeded(key(seed, "fusion")):
            self.layers = nn.Sequential(
                *(nn.Linear(before, after) for before, after in pairwise(widths))
            )

    def ratio(self, student: Tensor, teacher: Tensor, batch: Batch) -> Tensor:
        """Of each sample, shape (B,); 1 where its label is withheld."""
        corners = _probs(student), _probs(teacher)
        labels = batch.labels.clamp_min(0)
        if self._top is None:
            state = tgeokd_state(*corners, labels, class_means=self.class_means)
        else:
            state = tgeokd_small_state(
                *corners, labels, top=self._top, class_means=self.class_means
            )
        layers = [
            (layer.weight, layer.bias) for layer in self.layers if isinstance(layer, nn.Linear)
        ]
        found = tgeokd_fusion_ratio(state, layers)
        return torch.where(batch.labelled, found, torch.ones_like(found))


def _probs(logits: Tensor) -> Tensor:
    return at_least_float32(logits.detach()).softmax(-1)
