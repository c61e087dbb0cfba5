"""From an experiment to something the loop can train: models, terms, optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from workbench.data.images import ImageData
from workbench.errors import BadFile, BadInput
from workbench.functional import LOSSES
from workbench.models.adapter import ModelAdapter
from workbench.models.facts import ModelContext
from workbench.models.kinds import ModelSpec
from workbench.randomness import key
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.stage import TrainSpec
from workbench.terms.losses import LossModule
from workbench.terms.term import TermContext, TermKind
from workbench.training.journal import Keeper
from workbench.training.knobs import Knobs, knobs_of
from workbench.training.loop import Part
from workbench.training.objective import Objective, WiredTerm
from workbench.training.optimisers import OptimiserKind
from workbench.training.schedules import Schedule


def build_model(
    spec: ModelSpec, data: ImageData, *, seed: int, role: str, keeper: Keeper, device: torch.device
) -> ModelAdapter:
    """A model for this data; its initial weights are a pure function of (seed, role)."""
    context = ModelContext(
        channels=data.channels,
        height=data.height,
        width=data.width,
        num_classes=data.num_classes,
        mean=data.mean,
        std=data.std,
        seed=key(seed, role, "weights"),
        open_run=keeper.open_run,
    )
    return spec.build(context).to(device)


def student_part(
    spec: ExperimentSpec,
    data: ImageData,
    student: ModelAdapter,
    teacher: ModelAdapter | None,
    device: torch.device,
) -> Part:
    """The student's training; with ``teacher=None`` every term must do without one."""
    stage = spec.stage
    steps = stage.num_steps(data.num_train)
    knobs = knobs_of(spec, steps)
    objective = build_objective(spec, student, teacher, knobs)
    return _part(
        stage,
        data,
        student,
        objective,
        lr=f"stages.{spec.stage_name}.optimiser.lr",
        seed=spec.seed,
        device=device,
    )


def teacher_part(
    train: TrainSpec, data: ImageData, teacher: ModelAdapter, device: torch.device
) -> Part:
    """The teacher's training: cross-entropy on every training label."""
    steps = train.num_steps(data.num_train)
    knobs = Knobs({"lr": train.optimiser.lr, "weight": 1.0}, steps)
    wired = WiredTerm("ce", LossModule(LOSSES["ce"], {}, None), "weight", {})
    part = _part(
        train, data, teacher, Objective([wired], knobs), lr="lr", seed=train.seed, device=device
    )
    part.see_all_labels = True
    return part


def build_objective(
    spec: ExperimentSpec, student: ModelAdapter, teacher: ModelAdapter | None, knobs: Knobs
) -> Objective:
    """The stage's terms in order; a term of constant weight 0 is left out.

    Raises:
        BadInput: If a term needs a teacher and there is none, or nothing is left to train.
        BadModel: If a tap does not exist.
    """
    wired = []
    prefix = f"stages.{spec.stage_name}.terms"
    for name, kind in spec.stage.terms.items():
        address = f"{prefix}.{name}"
        if knobs.is_constant_zero(f"{address}.weight"):
            continue
        if not isinstance(kind, TermKind):
            raise BadInput(f"{address}: {type(kind).__name__} is no TermKind; derive it from one.")
        context = TermContext(
            student_shapes=student.shapes,
            teacher_shapes=(teacher or student).shapes,
            student_stages=student.facts.stages,
            teacher_stages=(teacher or student).facts.stages,
            seed=key(spec.seed, "term", name),
        )
        term = kind.build(context)
        if term.module is not None:
            term.module.to(next(student.parameters()).device)
        parameters = {parameter: f"{address}.{parameter}" for parameter in kind.live}
        wired.append(WiredTerm(name, term, f"{address}.weight", parameters))
    if not wired:
        raise BadInput(f"{prefix}: every term has weight 0, so nothing would be trained.")
    return Objective(wired, knobs)


def state_of(part: Part, step: int) -> dict[str, Any]:
    """Everything that training needs to go on at a step with the same bits."""
    return {
        "step": step,
        "network": dict(part.model.network.state_dict()),
        "terms": {
            name: dict(module.state_dict()) for name, module in part.objective.modules().items()
        },
        "optimiser": part.optimiser.state_dict(),
        "names": [name for name, _ in _named(part.model, part.objective)],
    }


def restore(part: Part, state: Mapping[str, Any]) -> int:
    """Put a part into a checkpoint's state; returns its step.

    Raises:
        BadFile: If the checkpoint is of other parameters than the experiment builds.
    """
    names = [name for name, _ in _named(part.model, part.objective)]
    if names != state["names"]:
        raise BadFile(
            "The checkpoint holds other parameters than this experiment builds; it was written by "
            "another version of a model or term. Start the experiment anew."
        )
    part.model.network.load_state_dict(state["network"])
    for name, module in part.objective.modules().items():
        module.load_state_dict(state["terms"][name])
    part.optimiser.load_state_dict(cast(dict[str, Any], state["optimiser"]))
    return int(state["step"])


def _part(
    stage: Any,
    data: ImageData,
    model: ModelAdapter,
    objective: Objective,
    *,
    lr: str,
    seed: int,
    device: torch.device,
) -> Part:
    optimiser = cast(OptimiserKind, stage.optimiser).build(_named(model, objective))
    return Part(
        model=model,
        data=data,
        objective=objective,
        optimiser=optimiser,
        schedule=cast(Schedule, stage.schedule),
        lr=lr,
        batch_size=stage.batch_size,
        steps=stage.num_steps(data.num_train),
        steps_per_epoch=stage.steps_per_epoch(data.num_train),
        seed=seed,
        device=device,
    )


def _named(model: ModelAdapter, objective: Objective) -> list[tuple[str, Tensor]]:
    """Trained parameters in a fixed order: the network's, then each term's."""
    named: list[tuple[str, Tensor]] = [
        (f"network.{name}", parameter) for name, parameter in model.network.named_parameters()
    ]
    modules: dict[str, nn.Module] = objective.modules()
    for name, module in modules.items():
        named += [(f"terms.{name}.{key}", value) for key, value in module.named_parameters()]
    return named
