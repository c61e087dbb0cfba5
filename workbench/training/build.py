"""From an experiment to something the loop can train: models, terms, optimiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from workbench.data.images import ImageData
from workbench.errors import BadData, BadFile, BadInput, BadModel, nearest
from workbench.functional import LOSSES
from workbench.functional.tgeokd import ClassMeans
from workbench.models.adapter import ModelAdapter
from workbench.models.facts import ModelContext
from workbench.models.kinds import ModelSpec
from workbench.randomness import key
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.stage import TrainingSpec, TrainSpec
from workbench.terms.losses import LossModule
from workbench.terms.term import TermContext, TermKind
from workbench.training.journal import Keeper
from workbench.training.knobs import Knobs, knobs_of
from workbench.training.objective import Objective, WiredTerm
from workbench.training.optimisers import OptimiserKind
from workbench.training.part import Length, Part, below
from workbench.training.schedules import Schedule
from workbench.training.selecting import logits


def build_model(
    spec: ModelSpec,
    data: ImageData,
    *,
    seed: int,
    role: str,
    keeper: Keeper,
    device: torch.device,
    teacher: ModelAdapter | None = None,
) -> ModelAdapter:
    """A model for this data; its initial weights are a pure function of (seed, role).

    ``teacher`` is for a student that takes over a part of it.
    """
    context = model_context(data, seed=seed, role=role, keeper=keeper, teacher=teacher)
    return spec.build(context).to(device)


def new_student(
    spec: ExperimentSpec,
    data: ImageData,
    keeper: Keeper,
    device: torch.device,
    teacher: ModelAdapter,
) -> ModelAdapter:
    """Initial weights follow the seed alone, so every control starts from the student's.

    What a student takes over of its teacher, a control takes over too.
    """
    return build_model(
        cast(ModelSpec, spec.student),
        data,
        seed=spec.seed,
        role="student",
        keeper=keeper,
        device=device,
        teacher=teacher,
    )


def model_context(
    data: ImageData, *, seed: int, role: str, keeper: Keeper, teacher: ModelAdapter | None = None
) -> ModelContext:
    """What a model of this role is built for."""
    return ModelContext(
        channels=data.channels,
        height=data.height,
        width=data.width,
        num_classes=data.num_classes,
        mean=data.mean,
        std=data.std,
        seed=key(seed, role, "weights"),
        open_run=keeper.open_run,
        teacher=teacher,
    )


def student_part(
    spec: ExperimentSpec,
    data: ImageData,
    student: ModelAdapter,
    teacher: ModelAdapter | None,
    device: torch.device,
) -> Part:
    """The student's training; with ``teacher=None`` every term must do without one.

    Raises:
        BadInput: If a term needs a teacher and there is none, or nothing is left to train.
        BadModel: If a tap or a frozen module does not exist.
    """
    stage = spec.stage
    knobs = knobs_of(spec, stage.num_steps(data.num_train))
    objective = build_objective(spec, student, whose_layers(spec, teacher), knobs, data)
    part = _part(
        stage,
        data,
        student,
        objective,
        lr=f"stages.{spec.stage_name}.optimiser.lr",
        seed=spec.seed,
        device=device,
    )
    part.frozen = frozen_paths(student, stage.freeze, part.groups["network"])
    return part


def teacher_part(
    train: TrainSpec, data: ImageData, teacher: ModelAdapter, device: torch.device
) -> Part:
    """The teacher's training: cross-entropy on every training label, but for ``without``.

    Raises:
        BadData: If a class of ``without`` is unknown, or no row is left.
    """
    knobs = Knobs({"lr": train.optimiser.lr, "weight": 1.0}, train.num_steps(data.num_train))
    wired = WiredTerm("ce", LossModule(LOSSES["ce"], {}, None), "weight", {})
    part = _part(
        train, data, teacher, Objective([wired], knobs), lr="lr", seed=train.seed, device=device
    )
    part.see_all_labels = True
    if train.without:
        part.show(_rows_without(train.without, data))
    return part


def _rows_without(names: Sequence[str], data: ImageData) -> npt.NDArray[np.int64]:
    """Training rows of other classes than these, sorted."""
    unseen = classes_of(names, data.class_names, "teacher.train.without")
    rows = data.split_ids("train")
    kept = rows[~np.isin(data.examples.labels[rows], unseen)]
    if not len(kept):
        raise BadData(
            "teacher.train.without: no training row is of another class, so there is nothing to "
            f"learn. Leave one of {', '.join(data.class_names[:20])} out of it."
        )
    return kept


def classes_of(names: Sequence[str], known: Sequence[str], field: str) -> list[int]:
    """Numbers of classes by name.

    Raises:
        BadData: If the data has no such class; names the field.
    """
    for name in names:
        if name not in known:
            near = nearest(name, known)
            raise BadData(
                f"{field}: the data has no class {name!r}."
                f"{f' Did you mean {near!r}?' if near else ''} Classes: {', '.join(known[:20])}."
            )
    return [known.index(name) for name in names]


def whose_layers(spec: ExperimentSpec, teacher: ModelAdapter | None) -> ModelAdapter | None:
    """The model whose layers the target gives; None where they are shaped like the student's."""
    kind = spec.stage.target
    return teacher if getattr(kind, "shaped_like", "teacher") == "teacher" else None


def build_objective(
    spec: ExperimentSpec,
    student: ModelAdapter,
    teacher: ModelAdapter | None,
    knobs: Knobs,
    data: ImageData | None = None,
) -> Objective:
    """The stage's terms in order; a term of constant weight 0 is left out.

    Raises:
        BadInput: If a term needs a teacher and there is none, or nothing is left to train.
        BadModel: If a tap does not exist.
    """
    prefix = f"stages.{spec.stage_name}.terms"
    wired = [
        build_term(spec, name, student, teacher, data)
        for name in spec.stage.terms
        if not knobs.is_constant_zero(f"{prefix}.{name}.weight")
    ]
    if not wired:
        raise BadInput(f"{prefix}: every term has weight 0, so nothing would be trained.")
    return Objective(wired, knobs)


def build_term(
    spec: ExperimentSpec,
    name: str,
    student: ModelAdapter,
    teacher: ModelAdapter | None,
    data: ImageData | None = None,
) -> WiredTerm:
    """One term with its addresses; its learned part is a pure function of (seed, name).

    Without ``data`` a term that remembers training rows cannot be built.
    """
    address = f"stages.{spec.stage_name}.terms.{name}"
    kind = spec.stage.terms[name]
    if not isinstance(kind, TermKind):
        raise BadInput(f"{address}: {type(kind).__name__} is no TermKind; derive it from one.")
    context = TermContext(
        student_shapes=student.shapes,
        teacher_shapes=(teacher or student).shapes,
        student_stages=student.facts.stages,
        teacher_stages=(teacher or student).facts.stages,
        seed=key(spec.seed, "term", name),
        input_size=tuple(student.facts.input_size),
        teacher_means=None if teacher is None or data is None else _class_means(teacher, data),
        **({} if data is None else _training_rows(data)),
    )
    term = kind.build(context)
    device = next(student.parameters()).device
    for module in (term.module, *getattr(term, "played", {}).values()):
        if module is not None:
            module.to(device)
    parameters = {parameter: f"{address}.{parameter}" for parameter in kind.knobs()}
    return WiredTerm(name, term, f"{address}.weight", parameters)


def _class_means(teacher: ModelAdapter, data: ImageData) -> Callable[[], Tensor]:
    """Makes the teacher's mean probabilities of each class over the rows with a visible label."""

    def make() -> Tensor:
        means = ClassMeans(data.num_classes, teacher.facts.num_classes)
        ids = data.visible_ids
        labels = torch.from_numpy(data.shown_labels[ids])
        means.update(logits(teacher, data, ids).double().softmax(-1), labels)
        return means.compute()

    return make


def _training_rows(data: ImageData) -> dict[str, Tensor]:
    """Ids of the training rows, and their labels where the student may see them."""
    ids = data.split_ids("train")
    labels = torch.from_numpy(data.shown_labels[ids])
    return {"train_ids": torch.from_numpy(ids), "train_labels": labels}


def frozen_paths(
    student: ModelAdapter, names: Sequence[str], trained: Sequence[str]
) -> tuple[str, ...]:
    """Module paths behind ``freeze``: stages by name, else paths of the network.

    Args:
        student: Whose.
        names: As the experiment has them.
        trained: All that the optimiser holds of it, whether it is frozen now or not.

    Raises:
        BadModel: If there is no such module, or nothing would be left to train.
    """
    stages = dict(zip(student.facts.stages, student.facts.stage_paths, strict=True))
    modules = [path for path, _ in student.network.named_modules() if path]
    paths = [stages.get(name, name) for name in names]
    for name, path in zip(names, paths, strict=True):
        if path not in modules:
            near = nearest(name, [*stages, *modules])
            raise BadModel(
                f"freeze: {student.facts.name} has no module {name!r}."
                f"{f' Did you mean {near!r}?' if near else ''} Stages: {', '.join(stages)}."
            )
    frozen = tuple(paths)
    if all(below(name.removeprefix("network."), frozen) for name in trained):
        raise BadModel(
            f"freeze: {', '.join(names)} is all of {student.facts.name}; nothing learns."
        )
    return frozen


def state_of(part: Part, step: int, *, applied: int = 0) -> dict[str, Any]:
    """Everything that training needs to go on at a step with the same bits.

    Args:
        part: What is trained.
        step: Optimiser steps done.
        applied: Interventions that have taken effect.
    """
    return {
        "step": step,
        "applied": applied,
        "network": dict(part.model.network.state_dict()),
        "terms": {
            name: dict(module.state_dict()) for name, module in part.objective.modules().items()
        },
        "optimiser": part.optimiser.state_dict(),
        "groups": {name: list(group) for name, group in part.groups.items()},
        "players": {one.name: one.state() for one in part.players},
        "target": {} if part.target is None else dict(part.target.state()),
        "selection": {} if part.selecting is None else part.selecting.state(),
    }


def restore(part: Part, state: Mapping[str, Any]) -> int:
    """Put a part into a checkpoint's state; returns its step.

    Raises:
        BadFile: If the checkpoint is of other parameters than the experiment builds.
    """
    if part.groups != state.get("groups"):
        raise BadFile(
            "The checkpoint holds other parameters than this experiment builds; it was written by "
            "another version of a model or term. Start the experiment anew."
        )
    part.model.network.load_state_dict(state["network"])
    for name, module in part.objective.modules().items():
        module.load_state_dict(state["terms"][name])
    part.optimiser.load_state_dict(cast(dict[str, Any], state["optimiser"]))
    for one in part.players:
        one.load(_kept(state, "players", one.name))
    if part.target is not None and part.target.state():
        part.target.load(_kept(state, "target"))
    if part.selecting is not None:
        part.selecting.load(part, _kept(state, "selection"))
    return int(state["step"])


def _kept(state: Mapping[str, Any], *path: str) -> Any:
    """What a checkpoint keeps under a path.

    Raises:
        BadFile: If it keeps nothing there: it was written without it.
    """
    found: Any = state
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    if not found:
        raise BadFile(
            f"The checkpoint holds no {' '.join(path)}, which this experiment needs to go on. "
            "Start the experiment anew."
        )
    return found


def parameters_of(part_of: str, module: nn.Module) -> dict[str, Tensor]:
    """Trained parameters of the network or of a term's learned part, by full name."""
    return {
        f"{part_of}.{name}": value
        for name, value in module.named_parameters()
        if value.requires_grad
    }


def _part(
    stage: TrainingSpec,
    data: ImageData,
    model: ModelAdapter,
    objective: Objective,
    *,
    lr: str,
    seed: int,
    device: torch.device,
) -> Part:
    groups = {"network": parameters_of("network", model.network)}
    for name, module in objective.modules().items():
        groups[f"terms.{name}"] = parameters_of(f"terms.{name}", module)
    optimiser = cast(OptimiserKind, stage.optimiser).build(
        [list(group.values()) for group in groups.values()]
    )
    return Part(
        model=model,
        data=data,
        objective=objective,
        optimiser=optimiser,
        groups={name: list(group) for name, group in groups.items()},
        schedule=cast(Schedule, stage.schedule),
        lr=lr,
        length=Length(stage.batch_size, data.num_train, stage.num_steps(data.num_train)),
        seed=seed,
        device=device,
    )
