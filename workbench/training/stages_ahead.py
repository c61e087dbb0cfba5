"""What the stages before the last will cost, and whether they hold up, before any is trained.

Each is built in vain, checked on its own first batch as the last one is, and measured by a few real
steps, so what is wrong with one is told before a teacher is trained. One that the cache has costs
nothing; whether it has, hangs on the weights of all that it begins with.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

import torch

from workbench.data.images import ImageData
from workbench.models.adapter import ModelAdapter
from workbench.models.inspection import kept_random_states
from workbench.models.weights import weights_hash
from workbench.specs.experiment import ExperimentSpec
from workbench.targets.kinds import TargetContext, TargetKind
from workbench.training.build import new_student, student_part, whose_layers
from workbench.training.casting import build_players
from workbench.training.estimate import StageCost, part_cost
from workbench.training.journal import Keeper
from workbench.training.part import Part
from workbench.training.rehearsal import as_found
from workbench.training.stages import is_taught, stage_data, stage_key
from workbench.training.tripwires import Report
from workbench.training.tripwires_student import check_student
from workbench.training.workshop import Workshop

OF_THE_LAST: Final = "unused-weights"
"""A check that says something of the last stage only."""


def stages_ahead(
    spec: ExperimentSpec,
    data: ImageData,
    teacher: ModelAdapter,
    keeper: Keeper,
    device: torch.device,
    *,
    base: Path,
    machine: Mapping[str, Any],
    taught_by: str | None,
    checked: Report,
) -> tuple[dict[str, StageCost], Report]:
    """Build and check every earlier stage in vain, and measure those that are still to be trained.

    Args:
        spec: The experiment.
        data: Of its last stage.
        teacher: Trained or not; left as found.
        keeper: Where stages that were trained before are.
        device: Where they will train.
        base: Folder that relative paths start from.
        machine: Fingerprint.
        taught_by: Hash of the trained teacher; None while nobody has trained it.
        checked: What was found of the last stage; what a student is told there is not told again.

    Returns:
        Costs by name, in order; zeros for what the cache has, and none once something stops the
        run. And what the checks found, by stage.

    Raises:
        BadInput: If a term or a player of a stage cannot be built.
        BadModel: If its data does not fit the student, or a tap or a view does not exist.
    """
    ahead = _Ahead(data, teacher, keeper, device, machine, taught_by)
    with kept_random_states(), torch.enable_grad(), as_found(teacher):
        for name in spec.earlier:
            own = stage_data(spec, name, data, base=base, device=device)
            ahead.add(spec, name, own, checked)
    return ahead.costs, ahead.report


class _Ahead:
    """Goes through the stages in order.

    Attributes:
        costs: Of the stages so far, by name.
        report: What the checks found of them.
    """

    def __init__(
        self,
        first: ImageData,
        teacher: ModelAdapter,
        keeper: Keeper,
        device: torch.device,
        machine: Mapping[str, Any],
        taught_by: str | None,
    ) -> None:
        self._first, self._teacher, self._keeper = first, teacher, keeper
        self._device, self._machine, self._taught_by = device, machine, taught_by
        self._weights: dict[str, str | None] = {}
        self.costs: dict[str, StageCost] = {}
        self.report = Report()

    def add(self, whole: ExperimentSpec, name: str, data: ImageData, last: Report) -> None:
        """Build a stage, check it, find it in the cache or measure it."""
        spec = whole.of_stage(name)
        model = new_student(spec, self._first, self._keeper, self._device, self._teacher)
        start = whole.start_of(name)
        begins = weights_hash(model) if start is None else self._weights[start]
        part = student_part(spec, data, model, self._teacher, self._device)
        part.players = build_players(spec, part, whose_layers(spec, self._teacher), data)
        self.report += of_stage(name, check_student(spec, part, self._teacher), last)
        if self.report.stops:
            return
        self._weights[name] = self._kept(spec, data, model, begins)
        begun = [other for other in (start, _target_stage(spec)) if other is not None]
        common = spec.stage.seed is not None and all(self.costs[other].common for other in begun)
        if self._weights[name] is not None:
            self.costs[name] = StageCost(common=common)
            return
        if is_taught(spec.stage):
            self._teach(spec, part)
        self.costs[name] = replace(part_cost(part), common=common)

    def _kept(
        self, spec: ExperimentSpec, data: ImageData, model: ModelAdapter, begins: str | None
    ) -> str | None:
        """Hash of the weights in the cache; None if it has none, or nobody can know yet."""
        taught, other = is_taught(spec.stage), _target_stage(spec)
        target = None if other is None else self._weights[other]
        unknown = (taught and self._taught_by is None) or (other is not None and target is None)
        if begins is None or unknown:
            return None
        key = stage_key(
            spec,
            data,
            start=begins,
            teacher=self._taught_by if taught else None,
            target=target,
            machine=self._machine,
            model=model,
        )
        kept = self._keeper.teacher(key)
        return None if kept is None else kept.weights

    def _teach(self, spec: ExperimentSpec, part: Part) -> None:
        """A target that costs what the real one costs: other stages are as large as this one."""
        data, kind = part.data, cast(TargetKind, spec.stage.target)
        stand_in = copy.deepcopy(part.model).eval().requires_grad_(False)
        target = kind.build(
            TargetContext(
                teacher=self._teacher,
                open_model=lambda other: self._teacher,
                open_stage=lambda name: stand_in,
                num_rows=len(data.examples),
                train_ids=torch.from_numpy(data.split_ids("train")).to(self._device),
                num_classes=data.num_classes,
            )
        )
        target.want(part.objective.target_taps)
        if data.augment == "none":  # what is looked up in the run is looked up here
            target.prepare(
                len(data.examples),
                part.batch(0).ids,
                lambda ids: data.fetch(ids).inputs,
                lambda share: None,
            )
        part.target, part.target_knobs = target, Workshop.target_knobs(spec)


def of_stage(name: str, report: Report, last: Report) -> Report:
    """Findings of a stage by its path in the experiment, without those of the last stage, too.

    A stage may well leave weights alone that a later one trains: a classifier, without labels. Of
    weights that nobody trains the last stage tells.
    """
    known = {(finding.check, finding.message) for finding in last.found}
    found = []
    for finding in report.found:
        subject, message = f"stages.{name}.{finding.subject}", finding.message
        if not finding.subject.startswith("terms."):  # of a network, not of a field of the stage
            subject, message = f"stages.{name}", f"{finding.subject}: {message}"
        if finding.check != OF_THE_LAST and (finding.check, finding.message) not in known:
            found.append(replace(finding, subject=subject, message=message))
    return Report(report.made, tuple(found))


def _target_stage(spec: ExperimentSpec) -> str | None:
    """Name of the stage that a stage learns from."""
    return getattr(spec.stage.target, "stage", None)
