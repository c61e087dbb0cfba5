"""One look at student and teacher that all probes of a refresh share.

Shapes: n = probe rows, m = rows of the similarity map, K = classes, d = pooled feature.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from workbench.functional.cka import pooled
from workbench.models.adapter import ModelAdapter
from workbench.models.inspection import restored

CHUNK = 256


@dataclass(frozen=True)
class Pulls:
    """How hard each of R terms pulls on the student, on fixed training rows.

    Attributes:
        terms: Their names, in order.
        value: Reduced value of each, in its own unit, float64, shape (R,).
        weighted: The same times the weight.
        norm: L2 norm of the weighted value's gradient over the student's weights.
        share: Of the sum of norms, in [0, 1]; NaN where nothing pulls.
        cosine: Between gradients, shape (R, R), in [-1, 1]; NaN where one is zero.
        num_rows: Training rows that were looked at.
        num_labelled: How many of them show their label.
    """

    terms: Sequence[str]
    value: npt.NDArray[np.float64]
    weighted: npt.NDArray[np.float64]
    norm: npt.NDArray[np.float64]
    share: npt.NDArray[np.float64]
    cosine: npt.NDArray[np.float64]
    num_rows: int
    num_labelled: int


@dataclass(frozen=True)
class Look:
    """What one model says about fixed rows, on the CPU.

    Attributes:
        logits: float32, shape (n, K), on the probe split.
        val_logits: float32, shape (v, K), on the validation split.
        train_logits: float32, shape (t, K), on training rows; None unless a probe asks for them.
        features: Pooled layers of the first m probe rows, (m, d) each, in the order asked for.
        pulls: Of the terms that train it; None unless a probe asks for them.
        logs: What these terms log of each probe row, ``TERM.LOG`` to shape (n,); None unless a
            probe asks for it.
    """

    logits: Tensor
    val_logits: Tensor
    features: Sequence[Tensor] = field(default_factory=tuple)
    pulls: Pulls | None = None
    logs: Mapping[str, npt.NDArray[np.float32]] | None = None
    train_logits: Tensor | None = None


@dataclass(frozen=True)
class TrainRows:
    """Training rows without augmentation, with the truth about each.

    Attributes:
        ids: Sample ids, int64, shape (t,).
        inputs: Their inputs, on the training device.
        labels: Their true classes, int64, shape (t,), on the CPU.
    """

    ids: Tensor
    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Rows:
    """The fixed rows that a run is probed on.

    Attributes:
        ids: Sample ids of the probe split, int64, shape (n,).
        inputs: Their inputs, on the training device.
        labels: Their true classes, int64, shape (n,), on the CPU.
        val_inputs: Inputs of the validation split.
        val_labels: Their true classes, on the CPU.
        num_similar: How many of the first probe rows the similarity map uses.
        train: Training rows that the student is asked about, too; None where no probe wants them.
    """

    ids: Tensor
    inputs: Tensor
    labels: Tensor
    val_inputs: Tensor
    val_labels: Tensor
    num_similar: int
    train: TrainRows | None = None


def look(
    model: ModelAdapter,
    rows: Rows,
    layers: Collection[str],
    *,
    val: bool,
    train: bool = False,
) -> Look:
    """Forward the fixed rows in evaluation mode, leaving modes, buffers and RNG as they were.

    Args:
        model: Student or teacher.
        rows: The fixed rows.
        layers: Taps of the similarity map; empty if it is not drawn.
        val: Whether the validation split is needed.
        train: Whether the training rows are needed, where there are any.
    """
    with restored(model):
        logits, features = [], []
        for start in range(0, len(rows.inputs), CHUNK):
            chunk = rows.inputs[start : start + CHUNK]
            if layers and start < rows.num_similar:
                taps = model.taps(chunk, layers)
                features.append([pooled(taps[name]).float().cpu() for name in layers])
                logits.append(taps["logits"])
            else:
                logits.append(model(chunk))
        val_logits = _answers(model, rows.val_inputs) if val else []
        train_logits = _answers(model, rows.train.inputs) if train and rows.train else []
    return Look(
        torch.cat(logits).float().cpu(),
        torch.cat(val_logits).float().cpu() if val_logits else torch.zeros(0),
        [torch.cat(column)[: rows.num_similar] for column in zip(*features, strict=True)],
        train_logits=torch.cat(train_logits).float().cpu() if train_logits else None,
    )


def _answers(model: ModelAdapter, inputs: Tensor) -> list[Tensor]:
    """Logits, in chunks."""
    return [model(inputs[start : start + CHUNK]) for start in range(0, len(inputs), CHUNK)]
