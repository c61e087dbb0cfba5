"""What an untrained network shows on one batch, and how well it fits a teacher's.

Unusual here: BatchNorm uses the batch (the running statistics of an untrained network are 0 and 1)
while dropout stays off, so that nothing is drawn; and the classifier's gradient is written down,
not asked of autograd, so that none is left behind. Modes and buffers come back afterwards.
Shapes: B = sample, C = class, D = width of what the classifier reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from workbench.functional.architecture import relation_score, semantic_score
from workbench.models.adapter import ModelAdapter
from workbench.models.batch import Batch
from workbench.models.inspection import BATCH_NORMS, restored


@dataclass(frozen=True)
class Signature:
    """What one network shows on one batch.

    Attributes:
        features: Its last map before pooling, or its last features, shape (B, ...).
        grads: Gradient of the mean cross-entropy by the classifier's weight, shape (C, D); None
            where the network has no linear classifier.
    """

    features: Tensor
    grads: Tensor | None

    @property
    def width(self) -> int | None:
        """D, what the classifier reads."""
        return None if self.grads is None else self.grads.shape[1]


def signature(adapter: ModelAdapter, batch: Batch) -> Signature:
    """Features and classifier gradient of a network on a batch; leaves no trace in it.

    Args:
        adapter: On the device of the batch.
        batch: Rows without a label count for the features only.
    """
    classifier = classifier_of(adapter)
    read: list[Tensor] = []

    def keep(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        read.append(arguments[0])

    with restored(adapter.network):
        for module in adapter.network.modules():
            if isinstance(module, BATCH_NORMS):
                module.train()
        handle = classifier.register_forward_pre_hook(keep) if classifier is not None else None
        try:
            taps = adapter.taps(batch.inputs, [adapter.stage(-1)])
        finally:
            if handle is not None:
                handle.remove()
    features = taps[adapter.stage(-1)]
    if not read or read[-1].ndim != 2:
        return Signature(features, None)
    return Signature(features, classifier_grads(taps["logits"], read[-1], batch))


def classifier_of(adapter: ModelAdapter) -> nn.Linear | None:
    """The last linear layer that gives as many numbers as there are classes."""
    found = None
    for module in adapter.network.modules():
        if isinstance(module, nn.Linear) and module.out_features == adapter.facts.num_classes:
            found = module
    return found


def classifier_grads(logits: Tensor, read: Tensor, batch: Batch) -> Tensor:
    """Gradient of the mean cross-entropy by the weight of ``logits = weight @ read + bias``.

    Args:
        logits: Shape (B, C).
        read: What the classifier read, shape (B, D).
        batch: With the labels; rows without one are left out.

    Returns:
        (probs - one hot)ᵀ read / rows with a label, shape (C, D); zero where no row has a label.
    """
    rows = batch.labelled
    gap_BC = logits[rows].softmax(dim=1) - F.one_hot(batch.labels[rows], logits.shape[1])
    return gap_BC.T @ read[rows] / max(len(gap_BC), 1)


def fit(student: Signature, teacher: Signature) -> dict[str, float]:
    """Both scores of DisWOT, <= 0; ``semantic`` only where both classifiers have one width.

    ``relation`` is a mean over pairs, never below -4 / B and near -0.001 on digits, where
    ``semantic`` is near -1: the paper's plain sum ranks almost as ``semantic`` alone.

    Args:
        student: Of the candidate.
        teacher: On the same batch.

    Reference:
        Dong, Li, Wei 2023 (DisWOT), arXiv:2303.15678, eq. 3 and 5.
    """
    found = {"relation": float(relation_score(student.features, teacher.features))}
    ours, theirs = student.grads, teacher.grads
    if ours is not None and theirs is not None and ours.shape == theirs.shape:
        found["semantic"] = float(semantic_score(ours, theirs))
    return found
