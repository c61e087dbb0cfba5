"""The stages before the one that people watch: each makes weights that a later one names.

They are kept as teachers are: trained once, found again by the hash of everything that decides
their bits, so a fork, a control and another run that asks for the same take them from the cache.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch

from workbench.data.images import ImageData, build_data
from workbench.errors import BadModel, RunFailed
from workbench.models.adapter import ModelAdapter
from workbench.models.kinds import ModelSpec
from workbench.models.weights import load_weights, save_weights, weights_hash
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.stage import FRESH, StageSpec
from workbench.terms.term import TermKind
from workbench.training.boundary import Boundary
from workbench.training.build import new_student, restore, state_of, student_part
from workbench.training.checkpoint import read_state
from workbench.training.early import BeforeTheStudent
from workbench.training.journal import STAGE, Event, Recorder
from workbench.training.loop import Keep, train
from workbench.training.meter import TRAIN, Meter
from workbench.training.part import Part
from workbench.training.teacher import Told, code_of
from workbench.training.unkept import Unprobed
from workbench.training.workshop import Workshop

Check = Callable[[str, ExperimentSpec, Part], None]
"""Called with a stage's name, itself as an experiment, and its training, before its step 0."""


def prepare_stages(
    spec: ExperimentSpec, workshop: Workshop, check: Check | None = None
) -> dict[str, ModelAdapter] | None:
    """Models of all stages before the last, frozen, by name; None if somebody stopped the run.

    Args:
        spec: The whole experiment.
        workshop: Data, teacher, keeper.
        check: Of those that are trained; not of those that the cache has.

    Raises:
        BadModel: If a stage's data does not fit the student.
        RunFailed: If the run began with other weights than these.
    """
    done: dict[str, ModelAdapter] = {}
    hashes: dict[str, str] = {}
    for name in spec.earlier:
        found = _Stage(spec, name, workshop, done, hashes, check).model()
        if found is None:
            return None
        done[name] = found.eval().requires_grad_(False)
    return done


def begin_with(
    model: ModelAdapter, spec: ExperimentSpec, name: str, done: Mapping[str, ModelAdapter]
) -> None:
    """Give a stage's student the weights that it begins with: an earlier stage's, or its own."""
    start = spec.start_of(name)
    if start is not None:
        model.network.load_state_dict(done[start].network.state_dict())


def moved(model: ModelAdapter, before: Mapping[str, torch.Tensor]) -> float:
    """Euclidean distance of all weights from what they were."""
    squares = [
        (value.detach().double() - before[name].double()).square().sum()
        for name, value in model.network.named_parameters()
    ]
    return float(torch.stack(squares).sum().sqrt())


def is_taught(stage: StageSpec) -> bool:
    """Whether a term of a stage asks its target."""
    return any(
        not isinstance(kind, TermKind) or kind.pull == "teacher" for kind in stage.terms.values()
    )


def stage_data(
    spec: ExperimentSpec, name: str, first: ImageData, *, base: Path, device: torch.device
) -> ImageData:
    """What an earlier stage is trained on; the student is built for the experiment's data.

    Args:
        spec: The whole experiment.
        name: Of the stage.
        first: The experiment's data.
        base: Folder that relative paths start from.
        device: Where it trains.

    Raises:
        BadModel: If one row has another shape than the student takes.
    """
    stage = spec.of_stage(name)
    if stage.stage.data is None and stage.seed == spec.seed:
        return first
    data = build_data(cast(Any, stage.data), base=base, seed=stage.seed, device=device)
    own, theirs = data.examples.inputs.shape[1:], first.examples.inputs.shape[1:]
    if own != theirs:
        raise BadModel(
            f"stages.{name}.data: one row of {data.name} has the shape {tuple(own)}, the student "
            f"is built for {tuple(theirs)} of {first.name}. Take data of that shape."
        )
    return data


def stage_key(
    spec: ExperimentSpec,
    data: ImageData,
    *,
    start: str,
    teacher: str | None,
    target: str | None,
    machine: Mapping[str, Any],
    model: ModelAdapter,
) -> str:
    """Content hash of everything that decides a stage's weights, 32 hexadecimal digits.

    Args:
        spec: The stage as an experiment of its own.
        data: What it is trained on.
        start: Hash of the weights that it begins with.
        teacher: Of the teacher's, where one is asked.
        target: Of those of the stage that it learns from.
        machine: Fingerprint.
        model: Its student, built.
    """
    code = code_of((spec.stage, spec.student), model)
    content = {
        "stage": spec.stage.full(),
        "student": cast(ModelSpec, spec.student).full(),
        "seed": spec.seed,
        "start": start,
        "data": data.content_hash,
        "split": data.split_hashes["train"],
        "visible": hashlib.sha256(data.shown_labels.tobytes()).hexdigest(),
        "augment": data.augment,
        "teacher": teacher,
        "target": target,
        "machine": dict(machine),
        **({"code": code} if code else {}),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def stages_told(spec: ExperimentSpec, run: Recorder) -> list[dict[str, Any]]:
    """What a run's journal says of its stages, in order, for the protocol.

    Returns:
        ``name``, ``steps``, ``start`` (a stage, or ``fresh``), ``data``, ``hash`` and ``distance``
        (Euclidean, of all weights from those it began with) of each.
    """
    lines = {event.payload["stage"]: event.payload for event in run.events() if event.kind == STAGE}
    return [
        {
            "name": name,
            "steps": lines[name]["steps"],
            "start": lines[name]["start"] or FRESH,
            "data": lines[name]["data"],
            "hash": lines[name]["weights"],
            "distance": lines[name]["distance"],
        }
        for name in spec.earlier
        if name in lines
    ]


class _Stage:
    """One stage on its way from plain data to weights.

    Args:
        spec: The whole experiment.
        name: Of the stage.
        workshop: Data, teacher, keeper.
        done: Models of the stages before.
        hashes: Of their weights; this one's is added.
        check: Looks at its training before step 0.
    """

    def __init__(
        self,
        spec: ExperimentSpec,
        name: str,
        workshop: Workshop,
        done: Mapping[str, ModelAdapter],
        hashes: dict[str, str],
        check: Check | None = None,
    ) -> None:
        self._whole, self._spec, self._name = spec, spec.of_stage(name), name
        self._workshop, self._done, self._hashes = workshop, done, hashes
        self._check = check
        self._taught = is_taught(self._spec.stage)

    def model(self) -> ModelAdapter | None:
        """The trained student of this stage; None if somebody stopped the run."""
        workshop, keeper = self._workshop, self._workshop.keeper
        data = stage_data(
            self._whole, self._name, workshop.data, base=workshop.base, device=workshop.device
        )
        model = new_student(
            self._spec, workshop.data, keeper, workshop.device, workshop.teacher.model
        )
        begin_with(model, self._whole, self._name, self._done)
        before = {key: value.clone() for key, value in model.network.state_dict().items()}
        key = self._key(data, model)
        kept = keeper.teacher(key)
        if kept is None:
            trained = self._trained(model, data, before)
            if trained is None:
                return None
            digest, facts = weights_hash(model), trained
            student = cast(ModelSpec, self._spec.student).given()
            save_weights(keeper.teacher_path(key), model, student)
            keeper.keep_teacher(key, weights=digest, facts=facts)
        else:
            load_weights(model.network, kept.path)
            digest, facts = kept.weights, dict(kept.facts)
        self._hashes[self._name] = digest
        self._told(workshop.run, digest, facts)
        return model

    def _key(self, data: ImageData, model: ModelAdapter) -> str:
        target = getattr(self._spec.stage.target, "stage", None)
        return stage_key(
            self._spec,
            data,
            start=weights_hash(model),
            teacher=self._workshop.teacher.weights if self._taught else None,
            target=None if target is None else self._hashes[target],
            machine=self._workshop.machine,
            model=model,
        )

    def _trained(
        self, model: ModelAdapter, data: ImageData, before: Mapping[str, torch.Tensor]
    ) -> dict[str, Any] | None:
        """Train it; what is worth knowing of it, or None if somebody stopped the run."""
        workshop, run = self._workshop, self._workshop.run
        recorder = workshop.keeper.recorder(f"{STAGE}-{self._name}")
        part = student_part(self._spec, data, model, workshop.teacher.model, workshop.device)
        workshop = replace(workshop, stages=dict(self._done))
        workshop.equip(part, self._spec, data, taught=self._taught)
        checkpoint = recorder.last_checkpoint()
        if checkpoint is None and self._check is not None:
            self._check(self._name, self._spec, part)
        start = restore(part, read_state(checkpoint.path)) if checkpoint else 0
        recorder.drop_metrics_after(start)
        recorder.update(status="training", steps=part.steps, step=start)
        meter = Meter(Told(recorder, run, part.steps), part.columns(), part.refuse)
        keep = Keep(part, recorder, meter, lambda step: state_of(part, step), lambda: None)
        boundary = Boundary(
            recorder,
            run=run,
            running="preparing",
            save=keep.now,
            hands=BeforeTheStudent(self._whole, run, part=f"stage {self._name!r}"),
            part=f"{STAGE} {self._name}",
        )
        run.update(activity=f"Stage {self._name}", progress=start / part.steps)
        outcome = train(part, meter, boundary, Unprobed(), keep, start=start)
        ended = "stopped" if outcome.stopped else "finished"
        recorder.event(Event(outcome.step, ended, "worker"))
        recorder.update(status=ended, step=outcome.step)
        if outcome.stopped:
            return None
        names, _, values = recorder.read(TRAIN)
        last = dict(zip(names, values[-1].tolist(), strict=True))
        return {
            "stage": self._name,
            "steps": outcome.step,
            "loss": last["loss"],
            "distance": moved(model, before),
            "model": cast(ModelSpec, self._spec.student).given(),
            "data": data.name,
            "content": data.content_hash,
        }

    def _told(self, run: Recorder, digest: str, facts: Mapping[str, Any]) -> None:
        """Journal it once; a run goes on only with what it began with.

        Raises:
            RunFailed: If the journal has other weights.
        """
        for event in run.events():
            if event.kind == STAGE and event.payload.get("stage") == self._name:
                if event.payload["weights"] != digest:
                    raise RunFailed(
                        f"The stage {self._name!r} had the weights {event.payload['weights'][:12]} "
                        f"when the run began, and has {digest[:12]} now, so the run cannot go on "
                        "with the same bits. Start anew."
                    )
                return
        known = {"start": self._whole.start_of(self._name), **facts}
        payload = {"stage": self._name, "weights": digest, **known}
        run.event(Event(0, STAGE, "worker", payload))
