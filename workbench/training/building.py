"""A student that has to be found first: its builder runs as a stage of its own, before the run.

What it found is journalled as plain data; whatever goes on from a journal (a resumed run, a replay,
a fork, an export) builds from that and searches nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import torch

from workbench.builders.builder import BuildContext, Builder, BuilderSpec, choice_of
from workbench.builders.correlation import Study
from workbench.data.images import ImageData
from workbench.models.kinds import ModelSpec
from workbench.randomness import key
from workbench.specs.experiment import ExperimentSpec
from workbench.training.boundary import Boundary
from workbench.training.build import build_model, model_context, new_student, student_part
from workbench.training.checkpoint import read_state
from workbench.training.choice import BUILT, MEASURED, changes_search, found_for, is_searched
from workbench.training.control import PLAIN_KD
from workbench.training.early import BeforeTheStudent
from workbench.training.journal import Event, Keeper, Recorder
from workbench.training.loop import CHECKPOINT_SECONDS, train
from workbench.training.meter import Meter
from workbench.training.probing import HeadlineProber, probe_rows
from workbench.training.unkept import Unkept, Unprobed, Unrecorded
from workbench.training.workshop import Workshop

SEARCH = "search"
"""Series of a builder's row, one row a step."""


def find_student(
    spec: ExperimentSpec,
    data: ImageData,
    keeper: Keeper,
    device: torch.device,
    *,
    role: str = "student",
) -> ExperimentSpec | None:
    """The experiment with its student found; None if somebody stopped the run.

    Args:
        spec: The experiment; one whose student is named already comes back as it is.
        data: What candidates are built for.
        keeper: Where the run is.
        device: Where they are scored.
        role: Whose student: ``student``, or a control's.

    Raises:
        BadModel: If nothing can be found, known before the first step.
    """
    if not is_searched(spec):
        return spec
    run = keeper.recorder("student")
    known = found_for(role, run.events())
    if known is not None:
        return spec.replace({"student": known})
    builder = cast(BuilderSpec, spec.student).builder(context_of(spec, data, keeper, device))
    name = SEARCH if role == "student" else f"{SEARCH}-{role}"
    done = _driven(lambda _: builder, spec, keeper, name, "Searching a student")
    if done is None:
        return None
    found = done.result()
    run.event(Event(0, BUILT, "worker", {"for": role, **found}))
    return spec.replace({"student": choice_of(found).given()})


def first_guess(
    spec: ExperimentSpec, data: ImageData, keeper: Keeper, device: torch.device
) -> tuple[ExperimentSpec, float]:
    """The experiment with a student as it might be found, and the seconds of the whole search.

    Raises:
        BadModel: If nothing can be found.
    """
    if not is_searched(spec):
        return spec, 0.0
    builder = cast(BuilderSpec, spec.student).builder(context_of(spec, data, keeper, device))
    builder.step()  # fills caches
    began = time.perf_counter()
    builder.step()
    seconds = (time.perf_counter() - began) * builder.total
    found = {"student": choice_of(builder.result()).given(), "control": bool(spec.control)}
    searches = 2 if changes_search(spec) else 1
    return spec.replace(found), searches * seconds


def num_candidates(spec: ExperimentSpec) -> int:
    """How many candidates are trained to measure what scores are worth."""
    return int(getattr(spec.student, "measure", 0)) if is_searched(spec) else 0


def measure_scores(spec: ExperimentSpec, workshop: Workshop) -> bool:
    """Train random candidates by plain KD and journal how scores rank with accuracy.

    Args:
        spec: The experiment as given, its student not found yet.
        workshop: With the trained teacher.

    Returns:
        False if somebody stopped the run.
    """
    run, keeper = workshop.run, workshop.keeper
    if not num_candidates(spec) or any(event.kind == MEASURED for event in run.events()):
        return True
    context = context_of(spec, workshop.data, keeper, workshop.device)
    search = cast(Any, spec.student).builder(context)

    def study(boundary: Boundary) -> Study:
        return Study(search, lambda mapping: _distilled(spec, mapping, workshop, boundary))

    done = _driven(study, spec, keeper, "measure", "Measuring what the scores are worth")
    if done is None:
        return False
    run.event(Event(0, MEASURED, "worker", done.result()))
    return True


def context_of(
    spec: ExperimentSpec, data: ImageData, keeper: Keeper, device: torch.device
) -> BuildContext:
    """What the builder of the experiment's student may use."""
    size = getattr(spec.student, "batch_size", 64)
    rows = data.plan(key(spec.seed, "search"), 0)
    labelled = np.isin(rows, data.visible_ids)
    batch = data.fetch(np.concatenate([rows[labelled], rows[~labelled]])[:size])
    teacher = build_model(
        cast(ModelSpec, spec.teacher), data, seed=0, role="teacher", keeper=keeper, device=device
    )
    return BuildContext(
        batch=batch,
        teacher=teacher,
        model=model_context(data, seed=spec.seed, role="student", keeper=keeper),
        seed=key(spec.seed, "search"),
        device=device,
    )


class _Stopped(Exception):
    """Somebody stopped the run in the middle of a builder's step, which counts for nothing."""


def _driven(
    make: Callable[[Boundary], Builder],
    spec: ExperimentSpec,
    keeper: Keeper,
    name: str,
    activity: str,
) -> Builder | None:
    """Step a builder to its end, in a row of its own; None if somebody stopped the run."""
    run, recorder = keeper.recorder("student"), keeper.recorder(f"stage-{name}")

    def save(step: int, reason: str) -> None:
        state = {"step": builder.steps, "builder": builder.state()}
        recorder.checkpoint(builder.steps, state, reason=reason, accuracy=None)

    boundary = Boundary(
        recorder,
        run=run,
        running="preparing",
        save=save,
        hands=BeforeTheStudent(spec, run),
        part=f"stage {name}",
    )
    builder = make(boundary)
    checkpoint = recorder.last_checkpoint()
    if checkpoint is not None:
        builder.load(read_state(checkpoint.path)["builder"])
    recorder.drop_metrics_after(builder.steps)
    recorder.update(status="training", steps=builder.total, step=builder.steps)
    run.update(activity=activity, progress=builder.steps / max(builder.total, 1))

    saved = time.perf_counter()
    while True:
        boundary.at(builder.steps)
        if boundary.stopped or builder.done:
            break
        before = builder.steps
        try:
            builder.step()
        except _Stopped:
            break
        if builder.steps > before:
            _record(recorder, builder)
            run.update(progress=builder.steps / max(builder.total, 1))
        if time.perf_counter() - saved >= CHECKPOINT_SECONDS:
            save(builder.steps, "time")
            saved = time.perf_counter()
    save(builder.steps, "stop" if boundary.stopped else "end")
    ended = "stopped" if boundary.stopped else "finished"
    recorder.event(Event(builder.steps, ended, "worker"))
    recorder.update(status=ended, step=builder.steps)
    return None if boundary.stopped else builder


def _record(recorder: Recorder, builder: Builder) -> None:
    row = builder.row()
    recorder.metrics(
        SEARCH,
        list(row),
        np.asarray([builder.steps], np.int64),
        np.asarray([list(row.values())], np.float64),
        step=builder.steps,
    )


def _distilled(
    spec: ExperimentSpec, mapping: Mapping[str, Any], workshop: Workshop, boundary: Boundary
) -> float:
    """Accuracy on the probe split of a candidate that plain KD has trained, in [0, 1]."""
    prefix = f"stages.{spec.stage_name}"
    plain = spec.replace(
        {
            "student": dict(mapping),
            f"{prefix}.terms": PLAIN_KD,
            f"{prefix}.target": {"use": "teacher"},
            f"{prefix}.players": {},
            "interventions": [],
        }
    )
    data = workshop.data
    model = new_student(plain, data, workshop.keeper, workshop.device, workshop.teacher.model)
    part = student_part(plain, data, model, workshop.teacher.model, workshop.device)
    workshop.equip(part, plain, data)
    meter = Meter(Unrecorded(), part.columns(), part.refuse)
    if train(part, meter, boundary, Unprobed(), Unkept(), start=0).stopped:
        raise _Stopped
    prober = HeadlineProber(
        model,
        probe_rows(data),
        cadence=workshop.keeper.cadence(Unrecorded(), lambda: part.steps),
        recorder=Unrecorded(),
    )
    prober.at(part.steps, meter, force=True)
    return float(prober.accuracy or 0.0)
