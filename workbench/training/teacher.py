"""The teacher: taken from the cache by content hash, or trained once and kept.

The key is the hash of everything that decides its bits: model, training, data, machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch

from workbench.data.images import ImageData
from workbench.errors import BadModel
from workbench.models.adapter import ModelAdapter
from workbench.models.kinds import ModelSpec
from workbench.models.weights import load_weights, save_weights, weights_hash
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.stage import TrainSpec
from workbench.training.boundary import Boundary
from workbench.training.build import build_model, restore, state_of, teacher_part
from workbench.training.checkpoint import read_state
from workbench.training.journal import Event, Keeper
from workbench.training.loop import Keep, train
from workbench.training.meter import Meter
from workbench.training.probing import HeadlineProber, probe_rows

RANDOM = "starts from random weights"
TRAINED = ("hub:", "path:", "run:", "object")
"""Models whose weights somebody trained: a user's own module is taken as it is."""


@dataclass(frozen=True)
class Teacher:
    """A teacher ready to teach.

    Attributes:
        model: On the device, frozen.
        weights: SHA-256 of its tensors.
        key: Of the cache; None for a model that was not trained here.
        source: How it came about, in words.
    """

    model: ModelAdapter
    weights: str
    key: str | None
    source: str


def prepare_teacher(
    spec: ExperimentSpec,
    data: ImageData,
    keeper: Keeper,
    device: torch.device,
    machine: dict[str, Any],
    check: Callable[[ModelAdapter], None],
) -> Teacher | None:
    """Load or train the experiment's teacher; None when somebody stopped the run meanwhile.

    Args:
        spec: The experiment.
        data: What teacher and student learn from.
        keeper: Where cached teachers and the teacher's row are.
        device: Where it trains.
        machine: Fingerprint.
        check: Told the built teacher before it trains; raises what would only fail afterwards.

    Raises:
        BadModel: If its weights would be random, or it has seen the run's test rows.
    """
    model_spec = cast(ModelSpec, spec.teacher)
    training = model_spec.train
    seed = training.seed if training is not None else 0
    model = build_model(model_spec, data, seed=seed, role="teacher", keeper=keeper, device=device)
    check(model)
    if training is None:
        if not model_spec.use.startswith(TRAINED):
            raise BadModel(
                f"teacher: {model_spec.use} {RANDOM} and would teach noise. Add "
                "`train: {epochs: 20}`, or take a trained one (run:, path:, hub:)."
            )
        return Teacher(_frozen(model), weights_hash(model), None, f"loaded from {model_spec.use}")
    key = teacher_key(model_spec, data, machine, start=weights_hash(model))
    kept = keeper.teacher(key)
    if kept is not None:
        load_weights(model.network, kept.path)
        return Teacher(_frozen(model), kept.weights, key, "from the cache")
    if not _train(training, data, model, keeper, device):
        return None
    digest = weights_hash(model)
    save_weights(keeper.teacher_path(key), model, model_spec.given())
    keeper.keep_teacher(
        key,
        weights=digest,
        facts={"model": model_spec.given(), "data": data.name, "content": data.content_hash},
    )
    return Teacher(_frozen(model), digest, key, "trained for this run")


def teacher_key(spec: ModelSpec, data: ImageData, machine: dict[str, Any], *, start: str) -> str:
    """Content hash, 32 hexadecimal digits.

    Args:
        spec: Model and training.
        data: What it is trained on.
        machine: Fingerprint.
        start: Hash of the weights that training starts from: a file or a run may have changed.
    """
    content = {
        "start": start,
        "model": spec.full(),
        "data": data.content_hash,
        "train": data.split_hashes["train"],
        "augment": data.augment,
        "machine": machine,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def _train(
    training: TrainSpec,
    data: ImageData,
    model: ModelAdapter,
    keeper: Keeper,
    device: torch.device,
) -> bool:
    recorder, run = keeper.recorder("teacher"), keeper.recorder("student")
    part = teacher_part(training, data, model, device)
    checkpoint = recorder.last_checkpoint()
    start = restore(part, read_state(checkpoint.path)) if checkpoint else 0
    recorder.drop_metrics_after(start)
    recorder.update(status="training", steps=part.steps, step=start)
    prober = HeadlineProber(model, probe_rows(data), part.steps, recorder)
    progress = _Told(recorder, run, part.steps)
    meter = Meter(progress, part.columns(), part.refuse)
    keep = Keep(part, recorder, meter, lambda step: state_of(part, step), lambda: prober.accuracy)
    boundary = Boundary(recorder, run=run, running="preparing", save=keep.now)
    run.update(activity="Training the teacher", progress=start / part.steps)
    outcome = train(part, meter, boundary, prober, keep, start=start)
    recorder.event(Event(outcome.step, "stopped" if outcome.stopped else "finished", "worker"))
    recorder.update(status="stopped" if outcome.stopped else "finished", step=outcome.step)
    return not outcome.stopped


class _Told:
    """A recorder that also tells the student's row how far its teacher is."""

    def __init__(self, recorder: Any, run: Any, steps: int) -> None:
        self._recorder, self._run, self._steps = recorder, run, steps

    def metrics(self, series: str, columns: Any, steps: Any, values: Any, **fields: Any) -> None:
        self._recorder.metrics(series, columns, steps, values, **fields)
        self._run.update(progress=int(steps[-1]) / self._steps)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recorder, name)


def _frozen(model: ModelAdapter) -> ModelAdapter:
    return model.eval().requires_grad_(False)
