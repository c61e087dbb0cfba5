"""What comes before step 0: the checks and the estimate, kept with the run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch

from workbench.data.images import ImageData, build_data
from workbench.models.adapter import ModelAdapter
from workbench.models.kinds import ModelSpec
from workbench.models.weights import weights_hash
from workbench.probes.probe import ProbeKind
from workbench.probes.view import Look, Rows
from workbench.specs.experiment import ExperimentSpec
from workbench.training.build import new_student, student_part, whose_layers
from workbench.training.building import first_guess, num_candidates
from workbench.training.casting import build_players
from workbench.training.choice import found_for, is_searched
from workbench.training.device import choose_device, fingerprint
from workbench.training.estimate import (
    Estimate,
    StageCost,
    estimate,
    folder_bytes,
    peak_memory,
)
from workbench.training.journal import STAGE, Keeper
from workbench.training.part import Part
from workbench.training.per_sample import refuse_missing_logs
from workbench.training.stages_ahead import of_stage, stages_ahead
from workbench.training.teacher import Teacher, built_teacher
from workbench.training.tripwires import Report
from workbench.training.tripwires_student import check_student
from workbench.training.tripwires_teacher import Lesson, check_shares, check_teacher

TOUCHED = frozenset({"resumed", "pause", "pace", "set", "forked"})
"""Events after which the time of a run is no longer that of the run alone."""


class Before:
    """Checks a run before step 0 and estimates its cost.

    A run that goes on (resumed, forked in its middle) was checked when it began: what was found
    then is read from its journal. A replay is not checked: it trains what has trained.

    Args:
        spec: The experiment.
        data: What is trained on.
        keeper: Where the run is kept.
        device: Where it trains.
        base: Folder that relative paths start from.
        wanted: False for a replay.
        began: When the run's preparation began, on the clock of ``time.perf_counter``.
        candidates: Others that are trained before the student, to measure a search's scores.
    """

    def __init__(
        self,
        spec: ExperimentSpec,
        data: ImageData,
        keeper: Keeper,
        device: torch.device,
        *,
        base: Path,
        wanted: bool,
        began: float,
        candidates: int = 0,
    ) -> None:
        self._spec, self._data, self._keeper, self._device = spec, data, keeper, device
        self._base = base
        self._stages: dict[str, StageCost] = {}
        self._began, self._candidates = began, candidates
        self._report = Report()
        self._estimate: Estimate | None = None
        self._known: Mapping[str, Any] = {}
        self._pair: Mapping[str, Any] = {}
        self._trains = False
        events = keeper.recorder("student").events() if wanted else []
        for event in events:
            if event.kind == "started":
                self._known = event.payload
        started = any(event.kind in ("started", "resumed") for event in events)
        midway = any(event.kind == "forked" and event.payload.get("at") for event in events)
        self._wanted = wanted and not (started or midway)

    def teacher_built(self, teacher: ModelAdapter, key: str | None) -> None:
        """Build student, terms and stages in vain: what is wrong must not cost a teacher.

        Args:
            teacher: Trained or not.
            key: Of the cache; None for one that is not trained here.

        Raises:
            BadInput: If an earlier stage cannot be built.
            BadModel: If a tap does not exist.
            FailedChecks: If a check stops the run.
        """
        part = built_in_vain(self._spec, self._data, teacher, self._keeper, self._device)
        if not self._wanted:
            return
        self._take(check_student(self._spec, part, teacher))
        self._trains, self._stages, self._estimate, more = _priced(
            self._spec,
            part,
            teacher,
            key,
            self._keeper,
            self._device,
            base=self._base,
            began=self._began,
            candidates=self._candidates,
            checked=self._report,
        )
        self._take(more)

    def stage_ready(self, name: str, spec: ExperimentSpec, part: Part) -> None:
        """Check how the terms of an earlier stage share its student, its target being ready."""
        if self._wanted:
            self._take(of_stage(name, check_shares(spec, part), self._report))

    def teacher_ready(self, part: Part, teacher: Teacher, seen: Look, rows: Rows) -> None:
        """Check the teacher as it will teach.

        Args:
            part: The student's training, with its target.
            teacher: Ready.
            seen: Its look at the fixed rows, validation included.
            rows: These rows.

        Raises:
            FailedChecks: If a check stops the run.
        """
        if not self._wanted:
            return
        logits, labels = [seen.logits], [rows.labels]
        if len(seen.val_logits):
            logits.append(seen.val_logits)
            labels.append(rows.val_labels)
        lesson = Lesson(
            self._spec,
            part,
            teacher,
            torch.cat(logits),
            torch.cat(labels),
            self._data.class_names,
        )
        self._take(check_teacher(lesson))

    @property
    def wants_val(self) -> bool:
        """Whether the teacher is judged on the validation split too."""
        return self._wanted and not self._pair

    def tell(self, pair: Mapping[str, Any]) -> None:
        """Record what is known of both models, with the checks and the estimate."""
        self._pair = pair
        self._tell()

    def facts(self) -> dict[str, Any]:
        """``checks`` and ``estimate``, for protocol and journal; empty where there are none."""
        if not self._wanted:
            return {key: self._known[key] for key in ("checks", "estimate") if key in self._known}
        made = {"checks": self._report.plain()}
        return made if self._estimate is None else {**made, "estimate": self._estimate.plain()}

    def ended(self, seconds: float) -> dict[str, Any]:
        """The same with what the run took and how far off the estimate was, as ratios.

        Time counts only where nobody paused, slowed, changed or resumed the run.
        """
        facts = self.facts()
        told = facts.get("estimate")
        if not isinstance(told, Mapping):
            return facts
        asked = {"control": bool(self._spec.control), "plain_kd": self._spec.plain_kd}
        roles = ["student", *(role for role, wanted in asked.items() if wanted)]
        if self._trains:
            roles.append("teacher")
        roles += [f"{STAGE}-{name}" for name, cost in self._stages.items() if cost.seconds]
        recorders = [self._keeper.recorder(role) for role in roles]
        events = recorders[0].events()
        spent: dict[str, float] = {
            "memory_bytes": peak_memory(self._device),
            "disk_bytes": sum(folder_bytes(recorder.folder) for recorder in recorders),
        }
        if not any(event.kind in TOUCHED for event in events):
            spent["seconds"] = seconds
        error = {key: value / told[key] for key, value in spent.items() if told.get(key)}
        return {**facts, "spent": spent, "estimate_error": error}

    def _take(self, report: Report) -> None:
        self._report += report
        self._tell()
        self._report.refuse()

    def _tell(self) -> None:
        self._keeper.recorder("student").update(protocol={**self._pair, **self.facts()})


def built_in_vain(
    spec: ExperimentSpec,
    data: ImageData,
    teacher: ModelAdapter,
    keeper: Keeper,
    device: torch.device,
) -> Part:
    """The student's training as it will be, on weights of its own.

    Raises:
        BadModel: If a tap does not exist.
        BadInput: If a player has nothing to train or nothing to learn from, or a probe reads what
            no term logs.
    """
    student = new_student(spec, data, keeper, device, teacher)
    part = student_part(spec, data, student, teacher, device)
    part.players = build_players(spec, part, whose_layers(spec, teacher), data)
    refuse_missing_logs(cast(list[ProbeKind], spec.probes), part.objective, spec.stage_name)
    return part


def refuse_before_search(
    spec: ExperimentSpec, data: ImageData, keeper: Keeper, device: torch.device, *, base: Path
) -> None:
    """Refuse what no student could mend before one is searched, which may take hours.

    All is tried on a student as it might be found. What the checks say of that one does not count:
    it is another that will be trained, and is checked once it is found.

    Args:
        spec: The experiment as given; one whose student is named, or found already, passes.
        data: What is trained on.
        keeper: Where the run is kept.
        device: Where it trains.
        base: Folder that relative paths start from.

    Raises:
        BadInput: If a term, a player or an earlier stage cannot be built.
        BadModel: If nothing can be found, or a tap does not exist.
        FailedChecks: If a check stops the run.
    """
    found = found_for("student", keeper.recorder("student").events())
    if not is_searched(spec) or found is not None:
        return
    machine = fingerprint(device)
    guess, _ = first_guess(spec, data, keeper, device)
    teacher, _ = built_teacher(cast(ModelSpec, spec.teacher), data, keeper, device, machine)
    part = built_in_vain(guess, data, teacher, keeper, device)
    report = check_student(guess, part, teacher)
    _, more = stages_ahead(
        guess, data, teacher, keeper, device,
        base=base, machine=machine, taught_by=None, checked=report,
    )  # fmt: skip
    both = report + more
    kept = tuple(
        item for item in both.found if item.subject == "teacher" or "terms." in item.subject
    )
    Report(both.made, kept).refuse()


def looked_ahead(
    spec: ExperimentSpec, keeper: Keeper, *, base: Path, refuse: bool = True
) -> dict[str, Any]:
    """Checks and estimate of an experiment that is not started; nothing is trained or kept.

    Args:
        spec: The experiment, with one seed.
        keeper: Where stored and cached teachers are.
        base: Folder that relative paths start from.
        refuse: Raise what would stop the run; else it stands among the checks, and there is no
            estimate.

    Returns:
        ``checks`` (those that need no trained teacher) and ``estimate``.

    Raises:
        FailedChecks: If a check would stop the run.
    """
    began = time.perf_counter()
    device = choose_device(spec.device)
    data = build_data(cast(Any, spec.data), base=base, seed=spec.seed, device=device)
    asked, (spec, searching) = spec, first_guess(spec, data, keeper, device)
    teacher, key = built_teacher(
        cast(ModelSpec, spec.teacher), data, keeper, device, fingerprint(device)
    )
    part = built_in_vain(spec, data, teacher, keeper, device)
    report = check_student(spec, part, teacher)
    if not refuse and report.stops:
        return {"checks": report.plain(), "estimate": None}
    report.refuse()
    _, _, found, more = _priced(
        spec,
        part,
        teacher,
        key,
        keeper,
        device,
        base=base,
        began=began,
        searching=searching,
        candidates=num_candidates(asked),
        checked=report,
    )
    report += more
    if refuse:
        report.refuse()
    told = None if report.stops else found.plain()
    return {"checks": report.plain(), "estimate": told}


def _priced(
    spec: ExperimentSpec,
    part: Part,
    teacher: ModelAdapter,
    key: str | None,
    keeper: Keeper,
    device: torch.device,
    *,
    base: Path,
    began: float,
    searching: float = 0.0,
    candidates: int = 0,
    checked: Report,
) -> tuple[bool, dict[str, StageCost], Estimate, Report]:
    """Whether the teacher is still to be trained, the cost of each earlier stage, and of all.

    Last comes what the checks found of the earlier stages; where that stops the run, the estimate
    is one of what could be priced, and nobody is to see it.
    """
    kept = None if key is None else keeper.teacher(key)
    trains = key is not None and kept is None
    weights = None if trains else kept.weights if kept else weights_hash(teacher)
    spent = time.perf_counter() - began
    stages, report = stages_ahead(
        spec,
        part.data,
        teacher,
        keeper,
        device,
        base=base,
        machine=fingerprint(device),
        taught_by=weights,
        checked=checked,
    )
    found = estimate(
        spec,
        part,
        teacher,
        trains=trains,
        controls=num_controls(spec),
        spent=spent,
        stages=list(stages.values()),
        searching=searching,
        candidates=candidates,
    )
    return trains, stages, found, report


def num_controls(spec: ExperimentSpec) -> int:
    """How many controls train after the student."""
    return int(bool(spec.control)) + int(spec.plain_kd)
