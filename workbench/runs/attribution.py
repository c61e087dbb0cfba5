"""Where student and teacher of a run look in one sample: two attribution maps of the same question.

Unusual here: a run keeps no network per snapshot, so the student is that of the nearest checkpoint,
and the answer says which. A similarity never comes without that of mismatched pairs.
Shapes: N = samples whose maps are made (the one asked about first), the rest as the data's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
import numpy.typing as npt

from workbench.errors import BadInput, RefusedCommand, UnknownName
from workbench.functional.attribution import (
    METHODS,
    Method,
    attribute,
    completeness_gap,
    shuffled_null,
)
from workbench.lazy import LazyModule
from workbench.runs.explanation import Explanation
from workbench.runs.keeper import StoreKeeper
from workbench.runs.objects import refuse_stored_objects, spec_of
from workbench.store.store import Store
from workbench.training.choice import chosen
from workbench.training.timeline import stands, timeline

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from workbench.data.images import ImageData
    from workbench.models.adapter import ModelAdapter
    from workbench.models.kinds import ModelSpec
else:
    torch = LazyModule("torch")

SPLIT: Final = "probe"
"""Samples that may be looked at one by one: test is read once, at the end of a training."""
NULL_SAMPLES: Final = 20
"""Other samples whose maps are mismatched with each other and with the one asked about."""
STEPS: Final = 50
"""Of integrated gradients."""
ROWS_AT_ONCE: Final = 4
"""Samples between two words of progress."""
PATCHES: Final = 8
"""Squares along the shorter side of an image that occlusion covers one at a time."""
FORWARD_ROWS: Final = 64
"""Rows of one forward: fifty steps of many samples need not be in memory together."""
ROLES: Final = ("student", "teacher")
TARGETS: Final = ("label", "student", "teacher")
"""What a question may be about besides a class: its true one, or the one that a model says."""
BY_GRADIENT: Final[tuple[Method, ...]] = ("saliency", "input_x_gradient", "integrated_gradients")
"""Methods that need a gradient at the input."""

Told = Callable[[int, int], None]
"""Called with maps made and maps in all."""


class Explained:
    """What a run in Python can be asked about one sample."""

    store: Store
    id: str

    def explain(
        self,
        sample: int,
        *,
        method: Method = "integrated_gradients",
        target: int | str = "label",
        step: int | None = None,
    ) -> Explanation:
        """Attribution maps of student and teacher for one probe sample, in this process.

        Args:
            sample: Id of a sample of the probe split, as ``arrays("trilateral")`` lists them.
            method: ``integrated_gradients`` (50 steps), ``saliency``, ``input_x_gradient`` or
                ``occlusion``.
            target: A class by name or number, ``label``, or what the ``student`` or ``teacher``
                answers; both models are asked about the same one.
            step: The student is that of the checkpoint nearest to it; None is the newest.

        Raises:
            BadInput: If sample, method or target are none of the run's.
            RefusedCommand: If there is no checkpoint yet, no teacher, or no gradient.
        """
        return OpenPair.of(self.store, self.id, step).explain(sample, method=method, target=target)


@dataclass
class OpenPair:
    """Student and teacher of a run in memory, on the CPU, frozen.

    Attributes:
        run: Its id.
        step: Of the student's checkpoint.
        checkpoint: Its SHA-256.
        data: What the run learns from.
        models: By role.
    """

    run: str
    step: int
    checkpoint: str
    data: ImageData
    models: Mapping[str, ModelAdapter]
    _maps: dict[tuple[Method, str], Tensor] = field(default_factory=dict)
    """Of the samples that are mismatched, by method and role: made once."""

    @classmethod
    def of(
        cls, store: Store, run: str, step: int | None = None, data: ImageData | None = None
    ) -> OpenPair:
        """Open the pair as it stood at the checkpoint nearest to a step.

        Args:
            store: Where the run lies.
            run: Its id.
            step: None is the newest.
            data: The run's data if they are in memory already.

        Raises:
            UnknownRun: If the store has no such run.
            RefusedCommand: If it has no checkpoint yet, or its teacher is gone.
            NotSendable: If it trains a module of another process.
        """
        from workbench.data.images import build_data
        from workbench.training.build import new_student
        from workbench.training.checkpoint import read_state

        row = store.runs.get(run)
        refuse_stored_objects(row.experiment, run)
        kept = nearest_checkpoint(store, run, step)
        events = store.journal.events(run)
        spec = chosen(spec_of(row), events)
        spec = stands(spec, [item for item in timeline(spec, events) if item.step < kept.step])
        base = Path(row.options.get("base") or ".")
        if data is None:
            data = build_data(cast(Any, spec.data), base=base, seed=spec.seed)
        keeper = StoreKeeper(store, run)
        teacher = _teacher(cast("ModelSpec", spec.teacher), data, keeper, row.teacher)
        device = torch.device("cpu")
        student = new_student(spec, data, keeper, device, teacher)
        state = read_state(store.runs.folder(run) / kept.file)
        student.network.load_state_dict(state["network"])
        models = {"student": student.eval().requires_grad_(False), "teacher": teacher}
        return cls(run, int(kept.step), str(kept.sha256), data, models)

    def explain(
        self,
        sample: int,
        *,
        method: Method = "integrated_gradients",
        target: int | str = "label",
        told: Told = lambda done, of: None,
    ) -> Explanation:
        """Both maps of one sample, their similarity, and that of mismatched pairs.

        Args:
            sample: Id, of the probe split.
            method: As :data:`METHODS` lists them.
            target: A class, or one of :data:`TARGETS`.
            told: Hears of progress; what it raises ends the work.

        Raises:
            BadInput: If sample, method or target are none of the run's.
            RefusedCommand: If a model gives no gradient.
        """
        if method not in METHODS:
            raise UnknownName("attribution method", method, METHODS)
        ids = self.data.split_ids(SPLIT)
        if sample not in ids:
            raise BadInput(
                f"sample {sample} is not one of the {len(ids)} {SPLIT} samples of run {self.run}. "
                f"Its ids run from {ids[0]} to {ids[-1]}."
            )
        batch = self.data.fetch_full(np.asarray([sample]))
        said = self._said(batch.inputs)
        label = int(batch.labels[0])
        wanted = self._target(target, label, said)
        drawn = _spread(ids)
        each = 1 + len(drawn)
        maps: dict[str, Tensor] = {}
        for place, who in enumerate(ROLES):
            own = self._map(who, batch.inputs, torch.tensor([wanted]), method)
            began = place * each + 1
            told(began, 2 * each)
            more = self._drawn(method, who, drawn, told, began, 2 * each)
            maps[who] = torch.cat([own, more[torch.from_numpy(drawn != sample)][:NULL_SAMPLES]])
        paired, mismatched, _ = shuffled_null(maps["student"], maps["teacher"])
        null = mismatched[~mismatched.isnan()]
        low, high = (
            torch.quantile(null.double(), torch.tensor([0.5, 0.95], dtype=torch.float64)).tolist()
            if len(null)
            else (float("nan"),) * 2
        )
        gap, moved = self._completeness(method, batch.inputs, wanted, maps)
        return Explanation(
            run=self.run,
            sample=int(sample),
            label=label,
            target=wanted,
            said=said,
            class_names=self.data.class_names,
            method=method,
            step=self.step,
            checkpoint=self.checkpoint,
            input=batch.inputs[0].float().numpy(),
            student_map=maps["student"][0].float().numpy(),
            teacher_map=maps["teacher"][0].float().numpy(),
            similarity=float(paired[0]),
            null_median=low,
            null_p95=high,
            null_pairs=len(null),
            gap=gap,
            moved=moved,
            baseline="a black image" if self.data.kind == "image" else "the mean of each feature",
        )

    def _said(self, inputs: Tensor) -> dict[str, int]:
        with torch.no_grad():
            return {who: int(self.models[who](inputs).argmax(-1)) for who in ROLES}

    def _target(self, target: int | str, label: int, said: Mapping[str, int]) -> int:
        names = list(self.data.class_names)
        if target in TARGETS:
            return {"label": label, **said}[str(target)]
        if isinstance(target, str) and target in names:
            return names.index(target)
        if isinstance(target, bool) or not isinstance(target, int):
            raise UnknownName("class to ask about", str(target), [*TARGETS, *names])
        if not 0 <= target < len(names):
            raise BadInput(f"target {target}: the data has classes 0 to {len(names) - 1}.")
        return target

    def _drawn(
        self,
        method: Method,
        who: str,
        ids: npt.NDArray[np.int64],
        told: Told,
        began: int,
        of: int,
    ) -> Tensor:
        """Maps of the samples that are mismatched, each about its own label."""
        if (method, who) not in self._maps:
            made = []
            for start in range(0, len(ids), ROWS_AT_ONCE):
                batch = self.data.fetch_full(ids[start : start + ROWS_AT_ONCE])
                made.append(self._map(who, batch.inputs, batch.labels, method))
                told(began + min(start + ROWS_AT_ONCE, len(ids)), of)
            self._maps[method, who] = torch.cat(made)
        return self._maps[method, who]

    def _map(self, who: str, inputs: Tensor, targets: Tensor, method: Method) -> Tensor:
        model, inputs = self._from_baseline(who, inputs)
        try:
            return attribute(
                model,
                inputs,
                targets,
                method=method,
                steps=STEPS,
                window=max(1, min(inputs.shape[2:], default=1) // PATCHES),
                rows_at_once=FORWARD_ROWS,
            )
        except RuntimeError as error:
            if method not in BY_GRADIENT or "grad" not in str(error):
                raise
            raise RefusedCommand(
                f"The {who} gives no gradient at its input ({str(error).splitlines()[0][:120]}). "
                "Take `occlusion`: it needs none."
            ) from None

    def _from_baseline(self, who: str, inputs: Tensor) -> tuple[Any, Tensor]:
        """A model and inputs whose zero is the baseline: black, or the mean row of a table."""
        model = self.models[who]
        if self.data.kind == "image":
            return model, inputs
        return lambda rows: model(rows + model.mean), inputs - model.mean

    def _completeness(
        self, method: Method, inputs: Tensor, target: int, maps: Mapping[str, Tensor]
    ) -> tuple[dict[str, float], dict[str, float]]:
        if method != "integrated_gradients":
            return {}, {}
        gap, moved = {}, {}
        asked = torch.tensor([target])
        for who in ROLES:
            model, shifted = self._from_baseline(who, inputs)
            gap[who] = float(completeness_gap(model, shifted, asked, maps[who][:1])[0])
            with torch.no_grad():
                both = model(torch.cat([shifted, torch.zeros_like(shifted)]))[:, target]
            moved[who] = float(both[0] - both[1])
        return gap, moved


def nearest_checkpoint(store: Store, run: str, step: int | None) -> Any:
    """Row of the checkpoint nearest to a step whose file is there; the newest for None.

    Raises:
        RefusedCommand: If there is none.
    """
    folder = store.runs.folder(run)
    kept = [row for row in store.checkpoints(run) if (folder / row.file).is_file()]
    if not kept:
        row = store.runs.get(run)
        when = "The first is written 10 s after training begins." if row.active else ""
        raise RefusedCommand(
            f"Run {run} has no checkpoint to take the student from. {when}".rstrip()
        )
    return kept[0] if step is None else min(kept, key=lambda row: abs(int(row.step) - step))


def _teacher(
    spec: ModelSpec, data: ImageData, keeper: StoreKeeper, key: str | None
) -> ModelAdapter:
    """The run's teacher: a stored one by its name, one that it trained by its key in the cache."""
    from workbench.models.weights import load_weights
    from workbench.training.teacher import built_teacher, trained_teacher

    device = torch.device("cpu")
    if spec.train is None:
        return trained_teacher(spec, data, keeper, device, {}).model
    kept = keeper.teacher(key) if key else None
    if kept is None:
        raise RefusedCommand("The teacher of this run is not in the cache of teachers any more.")
    model, _ = built_teacher(spec, data, keeper, device, {})
    load_weights(model.network, kept.path)
    return model.eval().requires_grad_(False)


def _spread(ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """One more than :data:`NULL_SAMPLES`, evenly over the whole: one may be the one asked about."""
    if len(ids) <= NULL_SAMPLES + 1:
        return ids
    return ids[np.linspace(0, len(ids) - 1, NULL_SAMPLES + 1).round().astype(np.int64)]
