"""Our loop against a hand-written torch loop of the same maths.

Ours seeds, journals, listens, checks the loss, writes every step's numbers to a store; the
hand-written one does what a paper's script does, with its rows, loss and optimiser the same.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks._pairs import Spent, compare, main, report
from benchmarks._training import Bench, Blocks, bench, experiment
from workbench.data.images import ImageData
from workbench.models.adapter import ModelAdapter

TERMS = {"kd": {"use": "kd", "weight": 0.9}, "ce": {"use": "ce", "weight": 0.1}}
LARGE = {"use": "cnn-small", "width": 64}
TINY = {"use": "mlp", "hidden": [8]}
SHARE = 1.03
"""Budget at steps of about 50 ms."""
OVERHEAD = 150e-6
"""Budget in seconds a step, absolute."""


class Handwritten:
    """What one writes who needs the numbers once."""

    def __init__(
        self, network: torch.nn.Module, data: ImageData, teacher: ModelAdapter, batch_size: int
    ) -> None:
        self.network, self.batch_size = network.train(), batch_size
        rows = data.fetch(data.split_ids("train"))
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (data.mean, data.std))
        self.images, self.labels, self.mean, self.std = rows.inputs, rows.labels, mean, std
        with torch.no_grad():
            self.targets = teacher(rows.inputs)
        self.optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4, weight_decay=0.01)
        self.order = torch.empty(0, dtype=torch.int64)

    def steps(self, count: int) -> Spent:
        """What so many steps take."""
        began = Spent.now()
        for _ in range(count):
            if len(self.order) < 1:
                self.order = torch.randperm(len(self.images))
            ids, self.order = self.order[: self.batch_size], self.order[self.batch_size :]
            images = (self.images[ids] - self.mean) / self.std
            loss = self.loss(self.network(images), self.targets[ids], self.labels[ids])
            self.optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimiser.step()
        return Spent.now().since(began)

    @staticmethod
    def loss(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
        """0.9 x KD at temperature 4 + 0.1 x cross-entropy where there is a label."""
        kd = 16 * F.kl_div(
            F.log_softmax(student / 4, -1),
            F.log_softmax(teacher / 4, -1),
            reduction="batchmean",
            log_target=True,
        )
        seen = labels >= 0
        ce = F.cross_entropy(student, labels.clamp_min(0), reduction="none")
        return 0.9 * kd + 0.1 * (ce * seen).sum() / seen.sum().clamp_min(1)


def measure(rounds: int) -> dict[str, Any]:
    """Share at large steps, microseconds at tiny ones."""
    with bench() as place:
        large = _one(place, LARGE, batch_size=128, steps=6, rounds=rounds)
        tiny = _one(place, TINY, batch_size=8, steps=300, rounds=rounds)
    return report(
        "loop",
        large["ratio"],
        SHARE,
        ok=tiny["overhead_us"] <= OVERHEAD * 1e6,
        overhead_us=tiny["overhead_us"],
        overhead_budget_us=OVERHEAD * 1e6,
        large=large,
        tiny=tiny,
    )


def _one(place: Bench, student: Any, *, batch_size: int, steps: int, rounds: int) -> dict[str, Any]:
    spec = experiment(student, batch_size=batch_size, terms=TERMS)
    part, recorder, data, teacher = place.student(spec, taught=True)
    twin, *_ = place.student(spec, taught=True)
    plain = Handwritten(twin.model.network, data, teacher, batch_size)
    blocks = Blocks(part, recorder, steps)
    found = compare(blocks.block, lambda: plain.steps(steps), rounds=rounds)
    blocks.close()
    return {
        "ratio": found.ratio,
        "aa": found.aa,
        "step_ms": found.reference / steps * 1e3,
        "overhead_us": found.difference / steps * 1e6,
        "clock": found.clock,
        "steps_a_block": steps,
        "rounds": rounds,
    }


if __name__ == "__main__":
    main(measure)
