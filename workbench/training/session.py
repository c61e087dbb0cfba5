"""One run from beginning to end: data, teacher, student, control, final numbers.

Everything it says goes to a recorder, everything it is told comes from one; where they keep it
is not known here. Killed at any moment, the same call goes on from the last checkpoints.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from workbench.data.images import ImageData, build_data
from workbench.errors import BadData, BadModel, NonFiniteLoss
from workbench.models.adapter import ModelAdapter
from workbench.models.kinds import ModelSpec
from workbench.models.weights import save_weights, weights_hash
from workbench.probes.probe import ProbeKind
from workbench.probes.view import look
from workbench.specs.experiment import ExperimentSpec
from workbench.targets.teacher import FrozenTeacher
from workbench.tasks.task import Task
from workbench.training.boundary import PAUSE_AT, Boundary
from workbench.training.build import build_model, restore, state_of, student_part
from workbench.training.checkpoint import read_state
from workbench.training.control import Options, control_spec
from workbench.training.device import choose_device, fingerprint
from workbench.training.journal import Event, Keeper, Recorder
from workbench.training.loop import Keep, Outcome, Part, train
from workbench.training.meter import Meter
from workbench.training.probing import HeadlineProber, Prober, StudentProber, probe_rows
from workbench.training.protocol import pair_facts, protocol
from workbench.training.teacher import Teacher, prepare_teacher

EVALUATION_CHUNK = 256


def run_session(spec: ExperimentSpec, keeper: Keeper, options: Options) -> None:
    """Train everything the experiment asks for and record the result.

    Raises:
        WorkbenchError: What went wrong, in words; the last good checkpoints stay.
    """
    began = time.perf_counter()
    run = keeper.recorder("student")
    run.update(status="preparing", activity="Loading data", progress=None)
    device = choose_device(spec.device)
    machine = fingerprint(device)
    plain = control_spec(spec) if spec.control else None
    data = build_data(cast(Any, spec.data), base=options.base, seed=spec.seed, device=device)
    run.update(activity="Preparing the teacher", progress=None)
    teacher = prepare_teacher(
        spec,
        data,
        keeper,
        device,
        machine,
        check=lambda model: _check_terms(spec, data, model, keeper, device),
    )
    if teacher is None:
        _stopped(run, 0)
        return
    _refuse_leak(spec, data, keeper, options.base)
    session = _Session(spec, data, teacher, device, keeper)
    student, outcome, prober = session.student(options)
    if outcome.stopped:
        _stopped(run, outcome.step)
        return
    metrics: dict[str, Any] = {
        "teacher": session.final(teacher.model),
        "student": session.final(student),
        "control": None,
    }
    save_weights(run.folder / "student.safetensors", student, cast(ModelSpec, spec.student).given())
    facts = {
        "run": run.run,
        "steps": outcome.step,
        "weights": weights_hash(student),
        "metrics": metrics,
    }
    run.update(result=facts)
    if plain is not None:
        control = session.control(plain, options.base)
        if control is None:
            _stopped(run, outcome.step)
            return
        metrics["control"] = session.final(control)
    seconds = time.perf_counter() - began
    run.update(
        result={**facts, "seconds": seconds},
        protocol=protocol(
            spec,
            data,
            teacher,
            student,
            machine,
            probed=session.probed,
            metrics=metrics,
            seconds=seconds,
            probe_steps=run.snapshot_steps(),
            probe_share=prober.cadence.share,
            interventions=_interventions(run),
        ),
    )
    run.event(Event(outcome.step, "finished", "worker"))
    run.update(status="finished", activity=None, progress=None, ended_ns=time.time_ns())


class _Session:
    """What student and control share: data, the frozen teacher, the device."""

    def __init__(
        self,
        spec: ExperimentSpec,
        data: ImageData,
        teacher: Teacher,
        device: torch.device,
        keeper: Keeper,
    ) -> None:
        self.spec, self.data, self.teacher = spec, data, teacher
        self.device, self.keeper = device, keeper
        self.rows = probe_rows(data)
        self.task = cast(Task, spec.task)
        self.probed: dict[str, float] = {}

    def student(self, options: Options) -> tuple[ModelAdapter, Outcome, StudentProber]:
        """Train the student under the teacher, live."""
        run, teacher = self.keeper.recorder("student"), self.teacher.model
        student = _new_student(self.spec, self.data, self.keeper, self.device)
        part = student_part(self.spec, self.data, student, teacher, self.device)
        part.target = self._target(part, run)
        kinds = cast(list[ProbeKind], self.spec.probes)
        layers = teacher.facts.layers if any(kind.needs_layers for kind in kinds) else ()
        seen = look(teacher, self.rows, layers, val=any(kind.needs_val for kind in kinds))
        self.probed = self.task.evaluate(seen.logits, self.rows.labels)
        prober = StudentProber(
            student,
            seen,
            self.rows,
            kinds,
            teacher_layers=teacher.facts.layers,
            class_names=self.data.class_names,
            steps=part.steps,
            recorder=run,
        )
        run.update(protocol=pair_facts(self.teacher, student, self.probed))
        meter = Meter(run, part.columns(), part.refuse)
        keep = Keep(part, run, meter, lambda step: state_of(part, step), lambda: prober.accuracy)
        pause_at = None if _paused_by_itself(run) else options.pause_at
        boundary = Boundary(run, run=run, pace=options.pace, pause_at=pause_at, save=keep.now)
        return student, self._train(part, run, meter, boundary, prober, keep), prober

    def control(self, plain: ExperimentSpec, base: Path) -> ModelAdapter | None:
        """Train the control at full speed; None if somebody stopped it."""
        run, recorder = self.keeper.recorder("student"), self.keeper.recorder("control")
        run.update(activity="Training the control: the same student without the teacher")
        model = _new_student(plain, self.data, self.keeper, self.device)
        data = self._data_of(plain, base)
        teacher = self.teacher.model if isinstance(self.spec.control, dict) else None
        part = student_part(plain, data, model, teacher, self.device)
        if teacher is not None:
            part.target = self._target(part, run)
        prober = HeadlineProber(model, self.rows, part.steps, recorder)
        meter = Meter(recorder, part.columns(), part.refuse)
        keep = Keep(
            part, recorder, meter, lambda step: state_of(part, step), lambda: prober.accuracy
        )
        boundary = Boundary(recorder, run=run, save=keep.now)
        outcome = self._train(part, recorder, meter, boundary, prober, keep)
        recorder.update(status="stopped" if outcome.stopped else "finished", step=outcome.step)
        return None if outcome.stopped else model

    def final(self, model: ModelAdapter) -> dict[str, float]:
        """The task's numbers on the test split, which is read here and nowhere else."""
        ids = self.data.split_ids("test")
        model.eval()
        logits, labels = [], []
        with torch.no_grad():
            for start in range(0, len(ids), EVALUATION_CHUNK):
                batch = self.data.fetch_full(ids[start : start + EVALUATION_CHUNK])
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
        return self.task.evaluate(scores, torch.cat(labels))

    def _target(self, part: Part, run: Recorder) -> FrozenTeacher:
        """The frozen teacher; its answers are looked up where that is exact."""
        data = part.data
        target = FrozenTeacher(self.teacher.model, part.objective.target_taps)
        if data.augment == "none":
            run.update(activity="Asking the teacher about every image", progress=0.0)
            target.prepare(
                len(data.examples),
                torch.from_numpy(data.split_ids("train")).to(self.device),
                lambda ids: data.fetch(ids).inputs,
                lambda share: run.update(progress=share),
            )
        return target

    def _data_of(self, plain: ExperimentSpec, base: Path) -> ImageData:
        """The control's data: the student's, unless ``control`` changes how it is shown."""
        if plain.data == self.spec.data and plain.seed == self.spec.seed:
            return self.data
        data = build_data(cast(Any, plain.data), base=base, seed=plain.seed, device=self.device)
        if data.split_hashes != self.data.split_hashes:
            raise BadData(
                "`control` changes the data's splits: it would be judged on rows it has learned. "
                "Keep the same `data.use`, `limit` and `split_seed`."
            )
        return data

    @staticmethod
    def _train(
        part: Part,
        recorder: Recorder,
        meter: Meter,
        boundary: Boundary,
        prober: Prober,
        keep: Keep,
    ) -> Outcome:
        checkpoint = recorder.last_checkpoint()
        start = restore(part, read_state(checkpoint.path)) if checkpoint else 0
        recorder.drop_metrics_after(start)
        recorder.event(
            Event(start, "resumed" if start else "started", "worker", {"steps": part.steps})
        )
        recorder.update(
            status="training", steps=part.steps, step=start, activity=None, progress=None
        )
        return train(part, meter, boundary, prober, keep, start=start)


def _check_terms(
    spec: ExperimentSpec,
    data: ImageData,
    teacher: ModelAdapter,
    keeper: Keeper,
    device: torch.device,
) -> None:
    """Build student and terms once in vain: a tap that is not there must not cost a teacher."""
    student_part(spec, data, _new_student(spec, data, keeper, device), teacher, device)


def _new_student(
    spec: ExperimentSpec, data: ImageData, keeper: Keeper, device: torch.device
) -> ModelAdapter:
    """Initial weights follow the seed alone, so the control starts from the student's."""
    return build_model(
        cast(ModelSpec, spec.student),
        data,
        seed=spec.seed,
        role="student",
        keeper=keeper,
        device=device,
    )


def _refuse_leak(spec: ExperimentSpec, data: ImageData, keeper: Keeper, base: Path) -> None:
    """A stored student must not teach if its training rows meet this run's test rows."""
    use = cast(ModelSpec, spec.teacher).use
    if not use.startswith("run:"):
        return
    run = use.removeprefix("run:").partition("@")[0]
    other = ExperimentSpec.parse(keeper.experiment_of(run), source=f"the experiment of run {run}")
    theirs = build_data(cast(Any, other.data), base=base, seed=other.seed)
    if theirs.split_hashes == data.split_hashes:
        return
    seen = set(theirs.row_keys(theirs.split_ids("train")).tolist())
    meet = sum(key in seen for key in data.row_keys(data.split_ids("test")).tolist())
    if meet:
        raise BadModel(
            f"teacher: run {run} was trained on {meet} of this run's {len(data.split_ids('test'))} "
            f"test rows (its data.split_seed is {other.data.given().get('split_seed', 0)!r}). "
            "Use the same data and split_seed, or another teacher."
        )


def _interventions(run: Recorder) -> list[Mapping[str, Any]]:
    """Journalled commands of people, oldest first."""
    return [
        {"step": event.step, "kind": event.kind, "who": event.who, **event.payload}
        for event in run.events()
        if event.command is not None
    ]


def _paused_by_itself(run: Recorder) -> bool:
    """Whether ``pause_at`` has had its effect: it pauses once, also across a resume."""
    return any(event.kind == "pause" and event.who == PAUSE_AT for event in run.events())


def _stopped(run: Recorder, step: int) -> None:
    run.event(Event(step, "stopped", "worker"))
    run.update(status="stopped", activity=None, progress=None, ended_ns=time.time_ns())
