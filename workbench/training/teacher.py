"""The teacher: taken from the cache by content hash, or trained once and kept.

The key is the hash of everything that decides its bits: model, training, data, machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import torch

from workbench.data.images import ImageData
from workbench.errors import BadModel
from workbench.models.adapter import ModelAdapter
from workbench.models.kinds import ModelSpec
from workbench.models.weights import load_weights, read_description, save_weights, weights_hash
from workbench.specs.code import kinds, own_code
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.stage import TrainSpec
from workbench.training.boundary import Boundary
from workbench.training.build import build_model, restore, state_of, teacher_part
from workbench.training.checkpoint import read_state
from workbench.training.early import BeforeTheStudent
from workbench.training.journal import Event, Keeper
from workbench.training.loop import Keep, train
from workbench.training.meter import Meter
from workbench.training.probing import HeadlineProber, probe_rows

RANDOM = "starts from random weights"
TRAINED = ("hub:", "path:", "run:", "object")
"""Models whose weights somebody trained: a user's own module is taken as it is."""


@dataclass(frozen=True)
class Recorded:
    """What the file of a stored model says of it.

    Attributes:
        source: Which file or run, in words.
        accuracy: On its own test rows, in [0, 1]; None if the file does not say.
        rows: How many these were.
        classes: Names of its outputs, in order; empty if the file does not say.
    """

    source: str
    accuracy: float | None
    rows: int
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Teacher:
    """A teacher ready to teach.

    Attributes:
        model: On the device, frozen.
        weights: SHA-256 of its tensors.
        key: Of the cache; None for a model that was not trained here.
        source: How it came about, in words.
        recorded: What its file says of it; None for one that was trained here.
    """

    model: ModelAdapter
    weights: str
    key: str | None
    source: str
    recorded: Recorded | None = None


def prepare_teacher(
    spec: ExperimentSpec,
    data: ImageData,
    keeper: Keeper,
    device: torch.device,
    machine: Mapping[str, Any],
    check: Callable[[ModelAdapter, str | None], None],
) -> Teacher | None:
    """Load or train the experiment's teacher; None when somebody stopped the run meanwhile.

    Args:
        spec: The experiment.
        data: What teacher and student learn from.
        keeper: Where cached teachers and the teacher's row are.
        device: Where it trains.
        machine: Fingerprint.
        check: Told the built teacher before it trains, and its key in the cache (None for a
            stored one); raises what would only fail afterwards.

    Raises:
        BadModel: If its weights would be random, or it has seen the run's test rows.
    """
    model_spec = cast(ModelSpec, spec.teacher)
    training, data = model_spec.train, data.for_teacher()
    model, key = built_teacher(model_spec, data, keeper, device, machine)
    check(model, key)
    ready = _ready(model_spec, model, key, keeper)
    if ready is not None:
        return ready
    if training is None or key is None:
        raise BadModel(
            f"teacher: {model_spec.use} {RANDOM} and would teach noise. Add "
            "`train: {epochs: 20}`, or take a trained one (run:, path:, hub:)."
        )
    if not _train(spec, training, data, model, keeper, device):
        return None
    digest = weights_hash(model)
    save_weights(keeper.teacher_path(key), model, model_spec.given())
    keeper.keep_teacher(
        key,
        weights=digest,
        facts={"model": model_spec.given(), "data": data.name, "content": data.content_hash},
    )
    return Teacher(_frozen(model), digest, key, "trained for this run")


def trained_teacher(
    spec: ModelSpec,
    data: ImageData,
    keeper: Keeper,
    device: torch.device,
    machine: Mapping[str, Any],
) -> Teacher:
    """A teacher that has been trained already: a stored model, or one from the cache.

    Raises:
        BadModel: If it has not.
    """
    model, key = built_teacher(spec, data, keeper, device, machine)
    ready = _ready(spec, model, key, keeper)
    if ready is None:
        raise BadModel(
            f"teacher: {spec.use} is not trained yet, and a run cannot wait for that in its "
            "middle. Train it first in a run of its own and take its student "
            "(`run:ID@last`), or a stored one (path:, hub:)."
        )
    return ready


def refuse_leak(spec: ModelSpec, data: ImageData, keeper: Keeper) -> None:
    """A stored student must not teach if its training rows meet this run's test rows.

    Raises:
        BadModel: Says how many rows meet.
    """
    if not spec.use.startswith("run:"):
        return
    run = spec.use.removeprefix("run:").partition("@")[0]
    seen: set[int] = set()
    for theirs in keeper.learned_from(run):
        if theirs.split_hashes != data.split_hashes:
            seen.update(theirs.row_keys(theirs.split_ids("train")).tolist())
    meet = sum(key in seen for key in data.row_keys(data.split_ids("test")).tolist()) if seen else 0
    if meet:
        raise BadModel(
            f"teacher: run {run} was trained on {meet} of this run's {len(data.split_ids('test'))} "
            "test rows. Use the same data and split_seed, or another teacher."
        )


def teacher_key(
    spec: ModelSpec,
    data: ImageData,
    machine: Mapping[str, Any],
    *,
    start: str,
    code: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Content hash, 32 hexadecimal digits.

    Args:
        spec: Model and training.
        data: What it is trained on.
        machine: Fingerprint.
        start: Hash of the weights that training starts from: a file or a run may have changed.
        code: Of :func:`code_of`.
    """
    model = spec.full()
    if spec.train is not None and not spec.train.without:
        del model["train"]["without"]  # keys from before there was such a field stay
    content = {
        "start": start,
        "model": model,
        "data": data.content_hash,
        "train": data.split_hashes["train"],
        "augment": data.augment,
        "machine": dict(machine),
        **({"code": dict(code)} if code else {}),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]


def code_of(spec: Any, model: ModelAdapter) -> dict[str, str]:
    """What decides a model's bits beside its words: a reader's own code, by module.

    Args:
        spec: What it is built and trained from.
        model: Built.
    """
    parts = [*(kind for _, kind in kinds(spec)), *model.network.modules()]
    return own_code(map(type, parts))


def built_teacher(
    spec: ModelSpec,
    data: ImageData,
    keeper: Keeper,
    device: torch.device,
    machine: Mapping[str, Any],
) -> tuple[ModelAdapter, str | None]:
    """The teacher before it is trained, and its key in the cache; None for a stored one."""
    data = data.for_teacher()
    model = _built(spec, data, keeper, device)
    return model, _key(spec, data, machine, model)


def _built(spec: ModelSpec, data: ImageData, keeper: Keeper, device: torch.device) -> ModelAdapter:
    seed = spec.train.seed if spec.train is not None else 0
    return build_model(spec, data, seed=seed, role="teacher", keeper=keeper, device=device)


def _key(
    spec: ModelSpec, data: ImageData, machine: Mapping[str, Any], model: ModelAdapter
) -> str | None:
    if spec.train is None:
        return None
    code = code_of(spec, model)
    return teacher_key(spec, data, machine, start=weights_hash(model), code=code)


def _ready(spec: ModelSpec, model: ModelAdapter, key: str | None, keeper: Keeper) -> Teacher | None:
    """The teacher, if somebody has trained it; None if that is still to be done."""
    if key is None:
        if not spec.use.startswith(TRAINED):
            return None
        source = f"loaded from {spec.use}"
        return Teacher(_frozen(model), weights_hash(model), None, source, _recorded(spec, keeper))
    kept = keeper.teacher(key)
    if kept is None:
        return None
    load_weights(model.network, kept.path)
    return Teacher(_frozen(model), kept.weights, key, "from the cache")


def _recorded(spec: ModelSpec, keeper: Keeper) -> Recorded | None:
    """What a file of ours says of the model in it; None for any other."""
    path = Path(spec.use.removeprefix("path:")).expanduser()
    if spec.use.startswith("run:"):
        path = keeper.open_run(spec.use.removeprefix("run:")).path
    elif not spec.use.startswith("path:") or not path.is_file():
        return None
    facts = (read_description(path) or {}).get("facts")
    if not isinstance(facts, Mapping):
        return None
    accuracy, rows, classes = (facts.get(name) for name in ("accuracy", "rows", "classes"))
    told = isinstance(accuracy, (int, float)) and isinstance(rows, int) and rows > 0
    return Recorded(
        spec.use,
        float(accuracy) if told and isinstance(accuracy, (int, float)) else None,
        rows if told and isinstance(rows, int) else 0,
        tuple(map(str, classes)) if isinstance(classes, list) else (),
    )


def _train(
    spec: ExperimentSpec,
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
    prober = HeadlineProber(
        model,
        probe_rows(data),
        cadence=keeper.cadence(recorder, lambda: part.steps),
        recorder=recorder,
    )
    progress = Told(recorder, run, part.steps)
    meter = Meter(progress, part.columns(), part.refuse)
    keep = Keep(part, recorder, meter, lambda step: state_of(part, step), lambda: prober.accuracy)
    boundary = Boundary(
        recorder,
        run=run,
        running="preparing",
        save=keep.now,
        hands=BeforeTheStudent(spec, run),
        part="teacher",
    )
    run.update(activity="Training the teacher", progress=start / part.steps)
    outcome = train(part, meter, boundary, prober, keep, start=start)
    recorder.event(Event(outcome.step, "stopped" if outcome.stopped else "finished", "worker"))
    recorder.update(status="stopped" if outcome.stopped else "finished", step=outcome.step)
    return not outcome.stopped


class Told:
    """A recorder that also tells the student's row how far a part before it is."""

    def __init__(self, recorder: Any, run: Any, steps: int) -> None:
        self._recorder, self._run, self._steps = recorder, run, steps

    def metrics(self, series: str, columns: Any, steps: Any, values: Any, **fields: Any) -> None:
        self._recorder.metrics(series, columns, steps, values, **fields)
        self._run.update(progress=int(steps[-1]) / self._steps)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._recorder, name)


def _frozen(model: ModelAdapter) -> ModelAdapter:
    return model.eval().requires_grad_(False)
