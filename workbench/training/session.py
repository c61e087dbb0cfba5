"""One run from beginning to end: data, teacher, student, control, final numbers.

Everything it says goes to a recorder, everything it is told comes from one; where they keep it
is not known here. Killed at any moment, the same call goes on from the last checkpoints.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from workbench.data.images import build_data
from workbench.errors import RunFailed
from workbench.models.adapter import ModelAdapter
from workbench.models.kinds import ModelSpec
from workbench.models.weights import save_weights, weights_hash
from workbench.probes.probe import ProbeKind
from workbench.probes.view import Look
from workbench.specs.experiment import ExperimentSpec
from workbench.tasks.task import Task
from workbench.training.balance import Balance
from workbench.training.before import Before, refuse_before_search
from workbench.training.beside import Taught, control_prober
from workbench.training.boundary import PAUSE_AT, Boundary
from workbench.training.build import new_student, restore, state_of, student_part
from workbench.training.building import find_student, measure_scores, num_candidates
from workbench.training.checkpoint import read_state
from workbench.training.choice import changes_search
from workbench.training.choices import keep_choices, record_choice
from workbench.training.control import Options, control_spec, plain_kd_spec
from workbench.training.device import choose_device, fingerprint
from workbench.training.final import on_test
from workbench.training.intervening import AfterTheStudent, Intervening
from workbench.training.journal import Event, Keeper, Recorder
from workbench.training.looks import numbers_of
from workbench.training.loop import Keep, Outcome, train
from workbench.training.meter import TRAIN, Meter
from workbench.training.part import Part
from workbench.training.per_sample import PerSample
from workbench.training.probing import PROBE, Prober, StudentProber, probe_rows
from workbench.training.protocol import pair_facts, protocol
from workbench.training.stages import begin_with, prepare_stages, stages_told
from workbench.training.steering import Steering
from workbench.training.teacher import Teacher, prepare_teacher, refuse_leak
from workbench.training.timeline import SET, timeline, touched
from workbench.training.workshop import Workshop

ACTIVITIES = {
    "changed": "Training the control: the same student, but for what `control` lists",
    "control": "Training the control: the same student without the teacher",
    "plain_kd": "Training the second control: the same student under plain KD",
}


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
    if spec.control:
        control_spec(spec)  # refused now, not after the student
    data = build_data(cast(Any, spec.data), base=options.base, seed=spec.seed, device=device)
    if options.checks:
        refuse_before_search(spec, data, keeper, device, base=options.base)
    asked, found = spec, find_student(spec, data, keeper, device)
    if found is None:
        _stopped(run, 0)
        return
    spec = found
    # From now on every axis of steps has its end; a resumed run's may have been moved by hand.
    known = {} if run.last_checkpoint() else {"steps": spec.stage.num_steps(data.num_train)}
    run.update(activity="Preparing the teacher", progress=None, **known)
    before = Before(
        spec,
        data,
        keeper,
        device,
        base=options.base,
        wanted=options.checks,
        began=began,
        candidates=num_candidates(asked),
    )
    teacher = prepare_teacher(
        spec,
        data,
        keeper,
        device,
        machine,
        check=before.teacher_built,
    )
    if teacher is None:
        _stopped(run, 0)
        return
    if teacher.key is not None:
        run.update(teacher=teacher.key)
    refuse_leak(cast(ModelSpec, spec.teacher), data, keeper)
    workshop = Workshop(data, teacher, keeper, device, machine, options.base, run)
    measured = measure_scores(asked, workshop)
    stages = prepare_stages(spec, workshop, before.stage_ready) if measured else None
    if stages is None:
        _stopped(run, 0)
        return
    workshop = replace(workshop, stages=stages)
    session = _Session(spec, workshop, before, asked)
    student, outcome, prober = session.student(options)
    share = prober.cadence.share  # of the student's own training: the page says the same
    run.update(probe_share=share)
    if session.part.selecting is not None:  # of a stopped run, too: it is looked at all the same
        keep_choices(run.folder, session.part.selecting)
    if outcome.stopped:
        run.update(result={"steps": outcome.step, "weights": weights_hash(student)})
        _stopped(run, outcome.step)
        return
    metrics: dict[str, Any] = {
        "teacher": session.final("teacher", session.last.teacher.model),
        "student": session.final("student", student),
        "control": None,
    }
    save_weights(
        run.folder / "student.safetensors",
        student,
        cast(ModelSpec, spec.student).given(),
        facts={
            "accuracy": metrics["student"]["accuracy"],
            "rows": len(data.split_ids("test")),
            "classes": list(data.class_names),
        },
    )
    facts = {
        "run": run.run,
        "steps": outcome.step,
        "weights": weights_hash(student),
        "metrics": metrics,
    }
    run.update(result=facts)
    for role in session.controls:
        control = session.control(role)
        if control is None:
            _stopped(run, outcome.step)
            return
        metrics[role] = session.final(role, control)
    seconds = time.perf_counter() - began
    run.update(
        result={**facts, "seconds": seconds},
        protocol={
            **protocol(
                spec,
                data,
                session.last.teacher,
                student,
                machine,
                probed=session.probed,
                metrics=metrics,
                numbers=session.numbers(),
                seconds=seconds,
                probe_share=share,
                stages=stages_told(spec, run),
                interventions=_interventions(run),
            ),
            **before.ended(seconds),
            "chance": session.chance,
        },
    )
    run.event(Event(outcome.step, "finished", "worker"))
    run.update(status="finished", activity=None, progress=None, ended_ns=time.time_ns())


class _Session:
    """What student and control share: the workshop and the fixed probe rows.

    Attributes:
        asked: The experiment as given, whose student may have had to be found.
        last: The workshop with the teacher that taught last.
        probed: That teacher's numbers on the probe split.
        taught: What each teacher that taught says of the probe rows, in order.
        chance: What chance alone explains of each part's numbers on test.
        controls: Roles of the controls that the experiment asks for.
    """

    def __init__(
        self, spec: ExperimentSpec, workshop: Workshop, before: Before, asked: ExperimentSpec
    ) -> None:
        self.before, self.asked = before, asked
        self.spec, self.first, self.last = spec, workshop, workshop
        self.keeper, self.data, self.device = workshop.keeper, workshop.data, workshop.device
        self.rows = probe_rows(self.data, cast(list[ProbeKind], spec.probes))
        self.task = cast(Task, spec.task)
        self.probed: dict[str, float] = {}
        self.taught: list[Taught] = []
        self.chance: dict[str, dict[str, float]] = {}
        self.part: Part
        wanted = {"control": bool(spec.control), "plain_kd": spec.plain_kd}
        self.controls = [role for role, asks in wanted.items() if asks]

    def student(self, options: Options) -> tuple[ModelAdapter, Outcome, StudentProber]:
        """Train the student under the teacher, live."""
        run, workshop = self.keeper.recorder("student"), self.first
        _refuse_other_teacher(run, workshop.teacher)
        student = new_student(
            self.spec, self.data, self.keeper, self.device, workshop.teacher.model
        )
        begin_with(student, self.spec, self.spec.stage_name, workshop.stages)
        part = student_part(self.spec, self.data, student, workshop.teacher.model, self.device)
        part.on_choice = lambda step, numbers: record_choice(run, step, numbers)
        workshop.equip(part, self.spec, self.data)
        self.part = part
        prober = StudentProber(
            student,
            self.rows,
            cast(list[ProbeKind], self.spec.probes),
            class_names=self.data.class_names,
            cadence=self.keeper.cadence(run, lambda: part.steps),
            recorder=run,
            pulls=Balance(part).measure,
            logs=PerSample(part).measure,
        )
        seen = self._taught(workshop, student, prober)
        self.before.teacher_ready(part, workshop.teacher, seen, self.rows)
        meter = Meter(run, part.columns(), part.refuse)
        steering = Steering(
            self.spec,
            part,
            workshop,
            meter,
            run=run.run,
            taught=lambda other: self._taught(other, student, prober),
            changed=prober.changed,
        )
        hold = _shown(run)
        hands = Intervening(self.spec, steering, run, hold=hold)
        keep = Keep(
            part,
            run,
            meter,
            lambda step: state_of(part, step, applied=hands.applied),
            lambda: prober.accuracy,
        )
        boundary = Boundary(
            run,
            run=run,
            pace=options.pace,
            pause_at=None if _paused_by_itself(run) else options.pause_at,
            stop_at=options.stop_at,
            save=keep.now,
            probe=lambda step: prober.at(step, meter, force=True),
            hands=hands,
        )
        told = {**self.before.facts(), "teacher": workshop.teacher.weights}
        return student, _train(part, run, meter, boundary, prober, keep, hands, told, hold), prober

    def control(self, role: str = "control") -> ModelAdapter | None:
        """Train a control (``control``, ``plain_kd``) at full speed; None if somebody stopped it.

        It starts from the student's initial weights and sees the same rows in the same order.
        """
        run, recorder = self.keeper.recorder("student"), self.keeper.recorder(role)
        lists = role == "control" and isinstance(self.spec.control, dict)
        run.update(activity=ACTIVITIES["changed" if lists else role])
        make = plain_kd_spec if role == "plain_kd" else control_spec
        workshop, own = self.first, self.spec
        if role == "control" and changes_search(self.asked):
            own = self.asked
        found = find_student(
            make(touched(own, run.events())), self.data, self.keeper, self.device, role=role
        )
        if found is None:
            return None
        plain = found
        if role == "control" and not isinstance(self.spec.control, dict):
            workshop = workshop.without_teacher()
        data = self.data
        if plain.data != self.spec.data or plain.seed != self.spec.seed:
            data = workshop.data_of(plain)
        model = new_student(plain, data, self.keeper, self.device, self.first.teacher.model)
        begin_with(model, plain, plain.stage_name, workshop.stages)
        part = student_part(plain, data, model, workshop.model_or_none, self.device)
        part.on_choice = lambda step, numbers: record_choice(recorder, step, numbers)
        workshop.equip(part, plain, data)
        prober = control_prober(role, part, self.rows, self.spec, self.keeper, self.taught)
        meter = Meter(recorder, part.columns(), part.refuse)
        steering = Steering(plain, part, workshop, meter, run=run.run)
        hands = AfterTheStudent(timeline(plain, []), steering, recorder, run.run)
        keep = Keep(
            part,
            recorder,
            meter,
            lambda step: state_of(part, step, applied=hands.applied),
            lambda: prober.accuracy,
        )
        boundary = Boundary(recorder, run=run, save=keep.now, hands=hands, part=role)
        outcome = _train(part, recorder, meter, boundary, prober, keep, hands)
        recorder.update(status="stopped" if outcome.stopped else "finished", step=outcome.step)
        return None if outcome.stopped else model

    def _taught(self, workshop: Workshop, student: ModelAdapter, prober: StudentProber) -> Look:
        """A teacher takes over: it is looked at once, and what is known of the pair is told."""
        self.last = workshop
        val = prober.needs_val or self.before.wants_val
        seen = workshop.look(self.rows, layers=prober.needs_layers, val=val)
        self.taught.append((seen, workshop.teacher.model.facts.layers))
        prober.teach(*self.taught[-1])
        self.probed = self.task.evaluate(seen.logits, self.rows.labels)
        self.before.tell(pair_facts(workshop.teacher, student, self.probed))
        return seen

    def numbers(self) -> dict[str, Any]:
        """What the probe split said of the student and its controls, by part."""
        rows = len(self.data.split_ids("probe"))
        return {
            role: numbers_of(*self.keeper.recorder(role).read(PROBE), rows=rows)
            for role in ("student", *self.controls)
        }

    def final(self, part: str, model: ModelAdapter) -> dict[str, float]:
        """The task's numbers of a part on the test split."""
        found = on_test(model, self.data, self.task)
        self.chance[part] = found.chance
        return found.metrics


def _train(
    part: Part,
    recorder: Recorder,
    meter: Meter,
    boundary: Boundary,
    prober: Prober,
    keep: Keep,
    hands: Intervening | AfterTheStudent,
    told: Mapping[str, Any] | None = None,
    hold: int = 0,
) -> Outcome:
    checkpoint = recorder.last_checkpoint()
    start = 0
    if checkpoint is not None:
        state = read_state(checkpoint.path)
        hands.fast_forward(int(state.get("applied", 0)))
        start = restore(part, state)
    recorder.drop_metrics_after(start)
    said = {"steps": part.steps} | ({} if start else dict(told or {}))
    said |= {"shown": hold} if hold > start else {}  # until there nothing new is taken
    recorder.event(Event(start, "resumed" if start else "started", "worker", said))
    recorder.update(status="training", steps=part.steps, step=start, activity=None, progress=None)
    return train(part, meter, boundary, prober, keep, start=start)


def _refuse_other_teacher(run: Recorder, teacher: Teacher) -> None:
    """Refuse to go on under a teacher that has other weights than the run began with.

    Raises:
        RunFailed: A stored model (``run:OTHER@last``) may change while a run stands still.
    """
    began = [event.payload.get("teacher") for event in run.events() if event.kind == "started"]
    if any(hashed not in (None, teacher.weights) for hashed in began):
        raise RunFailed(
            f"The run began under a teacher with the weights {str(began[0])[:12]}; "
            f"{teacher.model.facts.name} ({teacher.source}) has {teacher.weights[:12]} by now, so "
            "it cannot go on with the same bits. Put the old weights back, or start anew."
        )


def _shown(run: Recorder) -> int:
    """Steps that people have seen: until there, a resumed run only repeats."""
    changed = [event.step for event in run.events() if event.kind == SET]
    return max([run.last_step(TRAIN), *changed])


def _interventions(run: Recorder) -> list[Mapping[str, Any]]:
    """What was done to the run, oldest first: by people while it trained, or planned before."""
    return [
        {"step": event.step, "kind": event.kind, "who": event.who, **event.payload}
        for event in run.events()
        if event.command is not None or event.kind == SET
    ]


def _paused_by_itself(run: Recorder) -> bool:
    """Whether ``pause_at`` has had its effect: it pauses once, also across a resume."""
    return any(event.kind == "pause" and event.who == PAUSE_AT for event in run.events())


def _stopped(run: Recorder, step: int) -> None:
    run.event(Event(step, "stopped", "worker"))
    run.update(status="stopped", activity=None, progress=None, ended_ns=time.time_ns())
