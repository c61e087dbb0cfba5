"""The numbers on the test split, which is read here and nowhere else, once for each model."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from workbench.data.images import ImageData
from workbench.errors import NonFiniteLoss
from workbench.models.adapter import ModelAdapter
from workbench.tasks.task import Task

EVALUATION_CHUNK = 256


@dataclass(frozen=True)
class Final:
    """What a model came to.

    Attributes:
        metrics: The task's numbers, by name.
        chance: What chance alone explains of them, by name; see :meth:`Task.chance`.
    """

    metrics: dict[str, float]
    chance: dict[str, float]


def on_test(model: ModelAdapter, data: ImageData, task: Task) -> Final:
    """Judge a model on the test split.

    Raises:
        NonFiniteLoss: If it gives NaN or infinity for a row.
    """
    ids = data.split_ids("test")
    model.eval()
    logits, labels = [], []
    with torch.no_grad():
        for start in range(0, len(ids), EVALUATION_CHUNK):
            batch = data.fetch_full(ids[start : start + EVALUATION_CHUNK])
            logits.append(model(batch.inputs).float().cpu())
            labels.append(batch.labels.cpu())
    scores = torch.cat(logits)
    broken = int((~torch.isfinite(scores)).any(-1).sum())
    if broken:
        raise NonFiniteLoss(
            f"{model.facts.name} gives NaN or infinity for {broken} of {len(ids)} test rows: "
            "its weights grew without bound. The last good checkpoint is kept. A smaller "
            "learning rate usually cures it."
        )
    return Final(task.evaluate(scores, torch.cat(labels)), task.chance(scores))
