"""What each registered term adds to a training step: a table beside the step without it.

The step is a ResNet-18 on 64 × 64 images, batch 128, cross-entropy, SGD. A term is given the taps
of that forward, as leaves, and those of a ResNet-18 teacher; its cost is its value, its gradients
with respect to the taps and to what it learns, and the step of what it learns. The teacher's own
forward is not in it: a cached teacher has none.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks._pairs import Spent, main, report, timed
from workbench.models.adapter import LOGITS, ModelAdapter
from workbench.models.batch import Batch
from workbench.models.facts import ModelContext
from workbench.models.kinds import ModelSpec
from workbench.models.taps import Taps
from workbench.registries import MODELS, TERMS
from workbench.terms.term import Term, TermContext, TermKind

ARCHITECTURE = "timm/resnet18"
BATCH, CLASSES, SIDE, CHANNELS = 128, 100, 64, 3
TRAINING_ROWS = 10_000
BUDGET = 0.05
"""Of a step, for the median term."""
HEAVY = 0.5
"""Of a step: a term that costs more is named apart, so that nobody adds it unaware."""
MOST_ROUNDS = 10
LEARNING_RATE = 1e-3


def measure(rounds: int) -> dict[str, Any]:
    """Costs of all terms in ms and as shares of the step; the median share is judged."""
    rounds = min(rounds, MOST_ROUNDS)
    generator = torch.Generator().manual_seed(0)
    batch = Batch(
        ids=torch.randperm(TRAINING_ROWS, generator=generator)[:BATCH],
        inputs=torch.rand(BATCH, CHANNELS, SIDE, SIDE, generator=generator),
        labels=torch.randint(0, CLASSES, (BATCH,), generator=generator),
    )
    student, teacher = (_model(seed) for seed in (1, 2))
    step = timed(_plain_step(student, batch))
    terms = {name: timed(work) for name, work in _terms(student, teacher, batch, generator)}
    step()
    for run in terms.values():
        run()
    steps: list[Spent] = []
    costs: dict[str, list[Spent]] = {name: [] for name in terms}
    for _ in range(rounds):
        steps.append(step())
        for name, run in terms.items():
            costs[name].append(run())
    first, second = steps[::2], steps[1::2] or steps
    plain = _median(steps)
    table = {
        name: {"ms": _median(spent) * 1e3, "share_of_step": _median(spent) / plain}
        for name, spent in sorted(costs.items(), key=lambda item: -_median(item[1]))
    }
    shares = {name: row["share_of_step"] for name, row in table.items()}
    return report(
        "terms",
        statistics.median(shares.values()),
        BUDGET,
        heavy={name: share for name, share in shares.items() if share > HEAVY},
        step_ms=plain * 1e3,
        aa=_median(second) / _median(first),
        clock="cpu",
        batch=BATCH,
        architecture=ARCHITECTURE,
        macs=student.facts.macs,
        taps={name: list(shape) for name, shape in _shapes(student).items()},
        terms=table,
        rounds=rounds,
    )


def _median(spent: list[Spent]) -> float:
    return statistics.median(one.cpu for one in spent)


def _model(seed: int) -> ModelAdapter:
    context = ModelContext(
        channels=CHANNELS,
        height=SIDE,
        width=SIDE,
        num_classes=CLASSES,
        mean=(0.5,) * CHANNELS,
        std=(0.25,) * CHANNELS,
        seed=seed,
    )
    spec = cast(ModelSpec, MODELS.get(ARCHITECTURE)(use=ARCHITECTURE))
    return spec.build(context)


def _shapes(model: ModelAdapter) -> dict[str, tuple[int, ...]]:
    return model.shapes([*model.facts.stages, LOGITS])


def _plain_step(student: ModelAdapter, batch: Batch) -> Callable[[], None]:
    student.train()
    optimiser = torch.optim.SGD(student.parameters(), lr=LEARNING_RATE, momentum=0.9)

    def work() -> None:
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(F.cross_entropy(student(batch.inputs), batch.labels))
        optimiser.step()

    return work


def _terms(
    student: ModelAdapter, teacher: ModelAdapter, batch: Batch, generator: torch.Generator
) -> list[tuple[str, Callable[[], None]]]:
    context = TermContext(
        student_shapes=student.shapes,
        teacher_shapes=teacher.shapes,
        student_stages=student.facts.stages,
        teacher_stages=teacher.facts.stages,
        seed=0,
        train_ids=torch.arange(TRAINING_ROWS),
        train_labels=torch.randint(0, CLASSES, (TRAINING_ROWS,), generator=generator),
    )
    found = []
    for name, kind in TERMS.items():
        spec = cast(type[TermKind], kind)(use=name)
        term = spec.build(context)
        values = {key: float(cast(float, value)) for key, value in spec.knobs().items()}
        taps = [_taps(model, names, batch.inputs) for model, names in (
            (student, term.student_taps), (teacher, term.target_taps),
        )]  # fmt: skip
        found.append((name, _work(term, taps[0], taps[1], batch, values)))
    return found


def _taps(model: ModelAdapter, names: Any, images: Tensor) -> Taps:
    with torch.no_grad():
        return model.taps(images, names)


def _work(
    term: Term, student: Taps, teacher: Taps, batch: Batch, values: dict[str, float]
) -> Callable[[], None]:
    learned = [p for p in term.module.parameters() if p.requires_grad] if term.module else []
    optimiser = torch.optim.SGD(learned, lr=LEARNING_RATE, momentum=0.9) if learned else None
    leaves = Taps({name: tap.clone().requires_grad_() for name, tap in student.items()})

    def work() -> None:
        for leaf in leaves.values():
            leaf.grad = None
        if optimiser is not None:
            optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(term(leaves, teacher, batch, values).reduced())
        if optimiser is not None:
            optimiser.step()

    return work


if __name__ == "__main__":
    main(measure)
