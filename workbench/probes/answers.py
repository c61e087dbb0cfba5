"""What both models answer to each probe row, kept with every snapshot: so a sample can be read.

Unusual here: of many classes the same few are kept for both models, so that their bars can stand
side by side; what is left of one is the share of all others.
Shapes: n = probe rows, K = classes, M = min(K, MOST_CLASSES) classes kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from workbench.lazy import LazyModule

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from workbench.probes.view import Rows
else:
    torch = LazyModule("torch")

MOST_CLASSES = 12
"""Probabilities that are kept of a row and model: what a small chart can show."""
PREFIX = "answers."
"""Of their names in a snapshot."""


def answers(student_logits: Tensor, teacher_logits: Tensor, rows: Rows) -> dict[str, np.ndarray]:
    """Classes and probabilities of each row, raw at temperature 1.

    Args:
        student_logits: Raw scores, shape (n, K).
        teacher_logits: Raw scores, shape (n, K).
        rows: The probe rows.

    Returns:
        ``ids`` int64 (n,); ``labels``, ``student_class``, ``teacher_class`` int32 (n,); ``student``
        and ``teacher``, probabilities as float16 (n, M), NaN for a row that has none; and, where
        K > MOST_CLASSES, ``classes`` int32 (n, M), rising: both answers and the label are among
        them, then the classes that either of the two finds likeliest.
    """
    labels = rows.labels
    mine, theirs = (logits.double().softmax(-1) for logits in (student_logits, teacher_logits))
    said = student_logits.argmax(-1), teacher_logits.argmax(-1)
    found: dict[str, np.ndarray] = {
        "ids": rows.ids.cpu().numpy().astype(np.int64),
        "labels": labels.numpy().astype(np.int32),
        "student_class": said[0].numpy().astype(np.int32),
        "teacher_class": said[1].numpy().astype(np.int32),
    }
    if mine.shape[-1] > MOST_CLASSES:
        rank = torch.maximum(mine, theirs).nan_to_num()
        for named in (labels, *said):
            rank.scatter_(1, named[:, None], 2.0)  # above every probability
        kept = rank.topk(MOST_CLASSES, dim=-1).indices.sort(-1).values
        mine, theirs = mine.gather(1, kept), theirs.gather(1, kept)
        found["classes"] = kept.numpy().astype(np.int32)
    # float16: a bar shows three digits, and a snapshot has to stay small
    found["student"] = mine.numpy().astype(np.float16)
    found["teacher"] = theirs.numpy().astype(np.float16)
    return {f"{PREFIX}{name}": values for name, values in found.items()}
