"""The experiment as it stands at a step, and how a part follows when a path of it changes.

A change is prepared completely (validated, built, loaded) before it is journalled, and journalled
before it takes effect; so what is in the journal can be carried out, by a resumed run, a replay
and a fork alike. What is built here has the bits it would have had from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from torch import Tensor, nn

from workbench.data.images import ImageData
from workbench.errors import BadInput, RunFailed
from workbench.specs.experiment import ExperimentSpec
from workbench.specs.knobs import steered
from workbench.targets.kinds import Target
from workbench.training.build import build_term, frozen_paths, parameters_of, whose_layers
from workbench.training.knobs import Knobs, knobs_of
from workbench.training.meter import Meter
from workbench.training.objective import Objective, WiredTerm
from workbench.training.optimisers import OptimiserKind
from workbench.training.part import Part
from workbench.training.schedules import Schedule
from workbench.training.timeline import Change, Item, values_at
from workbench.training.workshop import Workshop


class Steering:
    """Keeps a part and the experiment in step.

    Args:
        spec: What the part was built from.
        part: What trains.
        workshop: Where teachers, targets and data come from.
        meter: Told when the numbers of a step get other names.
        run: Id, for words.
        taught: Told when another teacher takes over.
        changed: Told the step of every change.
    """

    def __init__(
        self,
        spec: ExperimentSpec,
        part: Part,
        workshop: Workshop,
        meter: Meter,
        *,
        run: str,
        taught: Callable[[Workshop], object] | None = None,
        changed: Callable[[int], None] | None = None,
    ) -> None:
        self.spec = spec
        self.applied = 0
        self._part, self._workshop, self._meter = part, workshop, meter
        self._run, self._taught, self._changed = run, taught, changed

    @property
    def steps(self) -> int:
        """Steps of the whole training as it stands."""
        return self._part.steps

    def set(self, path: str, value: Any, step: int) -> Change:
        """A change that a person asks for.

        Raises:
            WorkbenchError: Why it cannot be; nothing has changed.
        """
        spec = steered(self.spec, path, value, run=self._run, step=step)
        return self._prepared(spec, {path: value}, step, asked=True)

    def follow(self, item: Item) -> Change:
        """A change that was planned or journalled.

        Raises:
            RunFailed: If the teacher that took over then has other weights by now.
        """
        change = self._prepared(self.spec.replace(item.set), item.set, item.step)
        now = change.facts.get("teacher")
        if item.teacher is not None and now != item.teacher:
            raise RunFailed(
                f"The teacher that took over at step {item.step} had the weights "
                f"{item.teacher[:12]}; `{self.spec.replace(item.set).teacher.use}` has "
                f"{str(now)[:12]} by now, so the run cannot go on with the same bits. Put the old "
                "weights back, or fork before that step."
            )
        return change

    def fast_forward(self, items: list[Item]) -> None:
        """Rebuild a part's structure as it was when these had been applied."""
        for item in items:
            self.follow(item).commit()

    def _prepared(
        self, spec: ExperimentSpec, changes: Mapping[str, Any], step: int, *, asked: bool = False
    ) -> Change:
        self._meter.flush()  # what came before is written, and compared, before
        old, new, part = self.spec.stage, spec.stage, self._part
        teacher, facts = self._workshop, {}
        if spec.teacher != self.spec.teacher:
            teacher = self._workshop.with_teacher(spec)
            facts = {"teacher": teacher.teacher.weights}
        data = self._workshop.data_of(spec) if spec.data != self.spec.data else part.data
        length = part.length
        if (old.batch_size, old.epochs, old.steps) != (new.batch_size, new.epochs, new.steps):
            length = length.then(
                step,
                batch_size=new.batch_size,
                rows=data.num_train,
                epochs=new.epochs,
                steps=new.steps,
            )
        knobs = knobs_of(spec, length.steps)
        terms = self._terms(spec, teacher, knobs, data)
        objective = Objective(terms, knobs)
        target = part.target
        swapped = teacher is not self._workshop or data is not part.data
        if teacher.teaches and (swapped or not _same_target(old.target, new.target)):
            target = teacher.target(spec, data, objective.target_taps)
            remembered = part.target.state() if part.target is not None else {}
            if remembered and _same_target(old.target, new.target):
                target.load(remembered)  # the rows are the same: what it knows of them stands
        frozen = frozen_paths(part.model, new.freeze, part.groups["network"])
        rows, selecting = part.rows, part.selecting
        if swapped or new.rows != old.rows or new.policy != old.policy:
            rows = teacher.rows(new.rows, data)
            selecting = teacher.selecting(spec, data, rows)
            if asked and selecting is not None:  # else the next batch would end the run
                selecting.choice(part, length.place(step)[0], step)
        played = part.objective.played()
        if any(played.get(place) is not module for place, module in objective.played().items()):
            raise BadInput(
                "This builds anew what a player trains, and a player cannot begin in mid-run. "
                "A fork at step 0 can: workbench fork RUN --at 0 --set PATH=VALUE"
            )
        if target is not None and target is part.target:
            target.want(objective.target_taps)  # one that refuses a tap does so before the journal

        def commit() -> None:
            part.data, part.length = data, length
            self._wire(spec, objective)
            self._teach(spec, target, teacher)
            part.schedule = cast(Schedule, new.schedule)
            part.frozen = frozen
            if selecting is not part.selecting or selecting is None:
                part.show(rows)
                if selecting is not None and part.selecting is not None:
                    selecting.remember(part.selecting)
            part.selecting = selecting
            part.train_mode()
            self.spec = spec
            self._meter.rename(part.columns())
            self.applied += 1
            if self._changed is not None:
                self._changed(step)

        return Change(
            changes, values_at(self.spec, changes), values_at(spec, changes), facts, commit
        )

    def _terms(
        self, spec: ExperimentSpec, teacher: Workshop, knobs: Knobs, data: ImageData
    ) -> list[WiredTerm]:
        """Terms in the order of the file; what has not changed stays the object it was.

        One whose layers or choices change is built anew, and what it had learned with it: between
        other layers that would mean nothing. So are all where the teacher changes, or the target
        to one that gives the layers of another network.
        """
        kept = {wired.name: wired for wired in self._part.objective.terms}
        prefix = f"stages.{spec.stage_name}.terms"
        whose = whose_layers(spec, teacher.model_or_none)
        before = whose_layers(self.spec, self._workshop.model_or_none)
        swapped = teacher is not self._workshop or whose is not before
        terms = []
        for name, kind in spec.stage.terms.items():
            here = kept.get(name)
            if here is None and knobs.is_constant_zero(f"{prefix}.{name}.weight"):
                continue
            if here is None or swapped or _frame(kind) != _frame(self.spec.stage.terms[name]):
                here = build_term(spec, name, self._part.model, whose, data)
            terms.append(here)
        if not terms:
            raise BadInput(f"{prefix}: every term has weight 0, so nothing would be trained.")
        return terms

    def _wire(self, spec: ExperimentSpec, objective: Objective) -> None:
        """Put the objective in place; the optimiser follows with its groups and settings."""
        part, kind = self._part, cast(OptimiserKind, spec.stage.optimiser)
        before = part.objective.modules()
        part.objective = objective
        if kind.use != self.spec.stage.optimiser.use:
            known = dict(part.model.network.named_parameters(prefix="network"))
            groups: dict[str, dict[str, Tensor]] = {}
            groups["network"] = {name: known[name] for name in part.groups["network"]}
            for name, module in objective.modules().items():
                groups[f"terms.{name}"] = parameters_of(f"terms.{name}", module)
            part.optimiser = kind.build([list(group.values()) for group in groups.values()])
            part.groups = {name: list(group) for name, group in groups.items()}
            return
        for group in part.optimiser.param_groups:
            group.update(kind.settings())
        for name, module in objective.modules().items():
            if before.get(name) is not module:
                self._learn(f"terms.{name}", module, kind)

    def _learn(self, group: str, module: nn.Module, kind: OptimiserKind) -> None:
        """Give a learned part a group of its own, or put it in place of the one before it."""
        optimiser, found = self._part.optimiser, parameters_of(group, module)
        if group in self._part.groups:
            place = optimiser.param_groups[list(self._part.groups).index(group)]
            for parameter in place["params"]:
                optimiser.state.pop(parameter, None)
            place["params"] = list(found.values())
        else:
            optimiser.add_param_group({"params": list(found.values()), **kind.settings()})
        self._part.groups[group] = list(found)

    def _teach(self, spec: ExperimentSpec, target: Target | None, workshop: Workshop) -> None:
        part = self._part
        swapped, self._workshop = workshop is not self._workshop, workshop
        part.target = target
        if target is not None:
            target.want(part.objective.target_taps)
            part.target_knobs = workshop.target_knobs(spec)
        if swapped and self._taught is not None:
            self._taught(workshop)


def _frame(kind: Any) -> dict[str, Any]:
    """A term without what moves freely: its weight and its live parameters."""
    frame: dict[str, Any] = kind.frame()
    return frame


def _same_target(old: Any, new: Any) -> bool:
    """Whether only live parameters of the target differ."""
    return type(old) is type(new) and bool(
        {key: value for key, value in old.full().items() if key not in old.live}
        == {key: value for key, value in new.full().items() if key not in new.live}
    )
