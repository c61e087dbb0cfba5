"""What the parts of a run share and what a change in mid-run is built from: data and teachers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch

from workbench.data.images import ImageData, build_data
from workbench.data.policy import PolicyKind
from workbench.errors import BadData
from workbench.models.adapter import ModelAdapter
from workbench.models.kinds import ModelSpec
from workbench.probes.view import Look, Rows, look
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.stage import RowsSpec
from workbench.targets.kinds import Target, TargetContext, TargetKind
from workbench.training.build import classes_of, whose_layers
from workbench.training.casting import build_players
from workbench.training.journal import Keeper, Recorder
from workbench.training.part import Part
from workbench.training.per_sample import rows_outside
from workbench.training.selecting import Selecting
from workbench.training.teacher import Teacher, refuse_leak, trained_teacher

CHUNK = 1024


@dataclass(frozen=True)
class Workshop:
    """Data, the frozen teacher and the way to others.

    Attributes:
        data: As the student sees it.
        teacher: Who teaches now.
        keeper: Where stored models are.
        device: Where things train.
        machine: Its fingerprint.
        base: Folder that relative paths start from.
        run: Told what goes on.
        teaches: False for a control, whose terms have no target.
        stages: Models of the stages that are done, frozen, by name.
    """

    data: ImageData
    teacher: Teacher
    keeper: Keeper
    device: torch.device
    machine: Mapping[str, Any]
    base: Path
    run: Recorder
    teaches: bool = True
    stages: Mapping[str, ModelAdapter] = field(default_factory=dict)

    @property
    def model_or_none(self) -> ModelAdapter | None:
        """The teacher, for terms; None where no term may ask one."""
        return self.teacher.model if self.teaches else None

    def equip(
        self,
        part: Part,
        spec: ExperimentSpec,
        data: ImageData,
        *,
        taught: bool = True,
    ) -> None:
        """Give a part its target, its players and its rows.

        Args:
            part: Built for ``spec``.
            spec: The experiment.
            data: What it learns from.
            taught: Whether its terms have a target.
        """
        if self.teaches and taught:
            part.target = self.target(spec, data, part.objective.target_taps)
            part.target_knobs = self.target_knobs(spec)
        part.players = build_players(spec, part, whose_layers(spec, self.model_or_none), data)
        rows = self.rows(spec.stage.rows, data)
        part.show(rows)
        part.selecting = self.selecting(spec, data, rows)

    def selecting(
        self,
        spec: ExperimentSpec,
        data: ImageData,
        rows: npt.NDArray[np.int64] | None,
    ) -> Selecting | None:
        """Who chooses the rows of each epoch; None where nobody does."""
        if spec.stage.policy is None:
            return None
        policy = cast(PolicyKind, spec.stage.policy)
        return Selecting(policy, data, rows, self.teacher.model)

    def without_teacher(self) -> Workshop:
        """The same for a control."""
        return replace(self, teaches=False)

    def with_teacher(self, spec: ExperimentSpec) -> Workshop:
        """The same with the teacher that ``spec`` names, which must have been trained.

        Raises:
            BadModel: If it has not, or has learned this run's test rows.
        """
        return replace(self, teacher=self._open(cast(ModelSpec, spec.teacher)))

    def target(self, spec: ExperimentSpec, data: ImageData, taps: Collection[str]) -> Target:
        """The stage's target; what never changes is looked up where that is exact."""
        kind = cast(TargetKind, spec.stage.target)
        target = kind.build(
            TargetContext(
                teacher=self.teacher.model,
                open_model=lambda other: self._open(other).model,
                open_stage=lambda name: self.stages[name],
                num_rows=len(data.examples),
                train_ids=torch.from_numpy(data.split_ids("train")).to(self.device),
                num_classes=data.num_classes,
            )
        )
        target.want(taps)
        if data.augment == "none":
            self.run.update(activity="Asking the target about every row", progress=0.0)
            for rows in (data.split_ids("train"), rows_outside(spec, data)):
                target.prepare(
                    len(data.examples),
                    torch.from_numpy(rows).to(self.device),
                    lambda ids: data.fetch(ids).inputs,
                    lambda share: self.run.update(progress=share),
                )
            self.run.update(activity=None, progress=None)
        return target

    @staticmethod
    def target_knobs(spec: ExperimentSpec) -> dict[str, str]:
        """Live parameters of the target by their address."""
        kind = cast(TargetKind, spec.stage.target)
        return {name: f"stages.{spec.stage_name}.target.{name}" for name in kind.live}

    def data_of(self, spec: ExperimentSpec) -> ImageData:
        """The data of an experiment that changes how it is shown, not which rows are judged.

        Raises:
            BadData: If the splits differ.
        """
        data = build_data(cast(Any, spec.data), base=self.base, seed=spec.seed, device=self.device)
        if data.split_hashes != self.data.split_hashes:
            raise BadData(
                "This changes the data's splits: the student would be judged on rows it has "
                "learned. Keep the same `data.use`, `limit` and `split_seed`."
            )
        return data

    def rows(self, chosen: RowsSpec, data: ImageData) -> npt.NDArray[np.int64] | None:
        """Training rows that are shown, sorted; None for all of them.

        Raises:
            BadData: If a class is unknown or no row is left.
        """
        if chosen.everything:
            return None
        train = data.split_ids("train")
        visible = np.isin(train, data.visible_ids)
        keep = np.ones(len(train), bool)
        if chosen.labels != "all":
            keep &= visible == (chosen.labels == "visible")
        if chosen.classes or chosen.confidence > 0:
            answers, confidence = self._answers(data, train)
            keep &= confidence >= chosen.confidence
            if chosen.classes:
                known = np.where(visible, data.shown_labels[train], answers)
                keep &= np.isin(known, classes_of(chosen.classes, data.class_names, "rows.classes"))
        if not keep.any():
            raise BadData(
                f"rows: none of the {len(train)} training rows is left with {chosen.given()}. "
                "Ask for less."
            )
        return np.asarray(train[keep])

    def look(self, rows: Rows, *, layers: bool, val: bool) -> Look:
        """What the teacher says about the probe rows, and of training rows where there are any."""
        model = self.teacher.model
        return look(model, rows, model.facts.layers if layers else (), val=val, train=True)

    def _open(self, spec: ModelSpec) -> Teacher:
        teacher = trained_teacher(spec, self.data, self.keeper, self.device, self.machine)
        refuse_leak(spec, self.data, self.keeper)
        return teacher

    def _answers(
        self, data: ImageData, train: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """The teacher's answer to each training row, and its probability."""
        found = []
        with torch.no_grad():
            for start in range(0, len(train), CHUNK):
                inputs = data.fetch(train[start : start + CHUNK]).inputs
                found.append(self.teacher.model(inputs).float().softmax(-1).max(-1))
        answers = np.concatenate([part.indices.cpu().numpy() for part in found])
        return answers, np.concatenate([part.values.double().cpu().numpy() for part in found])
