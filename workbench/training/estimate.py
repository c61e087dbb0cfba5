"""What a run will cost, from a few real steps: time, peak memory, disk.

Everything is measured on networks built in vain, with the run's own batches, so the run keeps its
bits. Teachers that are not trained yet cost what trained ones cost.
"""

from __future__ import annotations

import copy
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from workbench.data.images import ImageData
from workbench.models.adapter import ModelAdapter
from workbench.models.inspection import kept_random_states
from workbench.probes.probe import Pair, ProbeKind
from workbench.probes.view import look
from workbench.specs.experiment import ExperimentSpec
from workbench.targets.teacher import FrozenTeacher
from workbench.training.balance import Balance
from workbench.training.beside import kinds_beside
from workbench.training.build import state_of, teacher_part, whose_layers
from workbench.training.grid import grid
from workbench.training.loop import CHECKPOINT_SECONDS
from workbench.training.part import Part
from workbench.training.per_sample import PerSample, rows_outside
from workbench.training.probing import MARGIN, SHARE, probe_rows
from workbench.training.rehearsal import as_found

ENOUGH_SECONDS = 0.15
"""Of measured steps: then the median stands."""
MOST_STEPS = 12
WARM_STEPS = 2
"""Not measured: the first fill caches and make the optimiser's state."""
TIMED_CHECKPOINTS = 2
"""That a run keeps besides its last."""
NUMBER_BYTES = 8
BALLAST = "ballast"
"""A file that a run holds while it trains, for a full disk; it goes with the run's end."""
CHUNK = 256


@dataclass(frozen=True)
class Estimate:
    """What a run will cost.

    Attributes:
        seconds: Wall-clock from its worker's start to its end.
        memory_bytes: Peak of the process, and on an accelerator of its memory, added.
        disk_bytes: Of checkpoints, snapshots, weights and metrics when it has ended; a cached
            teacher is not its own.
        parts: Seconds by part: ``prepare``, ``teacher``, ``stages`` (before the last, where there
            are any), ``student``, ``probes``, ``controls``, ``test``.
        step_seconds: Of one step of the student.
        shared_seconds: Of what is trained once for all seeds: the teacher and common stages.
        snapshot_bytes: Of the disk, what the student's snapshots take.
    """

    seconds: float
    memory_bytes: int
    disk_bytes: int
    parts: Mapping[str, float] = field(default_factory=dict)
    step_seconds: float = 0.0
    shared_seconds: float = 0.0
    snapshot_bytes: int = 0

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "seconds": self.seconds,
            "memory_bytes": self.memory_bytes,
            "disk_bytes": self.disk_bytes,
            "parts": dict(self.parts),
            "step_seconds": self.step_seconds,
            "shared_seconds": self.shared_seconds,
            "snapshot_bytes": self.snapshot_bytes,
        }


@dataclass(frozen=True)
class StageCost:
    """What an earlier stage will cost; zeros if the cache has it.

    Attributes:
        seconds: Of its training.
        disk_bytes: Of its checkpoints and metrics.
        common: Whether it is the same for all seeds.
    """

    seconds: float = 0.0
    disk_bytes: int = 0
    common: bool = False


def estimate(
    spec: ExperimentSpec,
    part: Part,
    teacher: ModelAdapter,
    *,
    trains: bool,
    controls: int,
    spent: float,
    stages: Sequence[StageCost] = (),
    searching: float = 0.0,
    candidates: int = 0,
) -> Estimate:
    """Measure a few steps of everything.

    Args:
        spec: The experiment.
        part: The student's training, built in vain: it is trained for a few steps.
        teacher: Trained or not; left as found.
        trains: Whether the teacher has to be trained first.
        controls: How many controls train after the student.
        spent: Seconds that have gone by since the run's start.
        stages: Costs of those before the last.
        searching: Seconds of the search for a student that is still to come.
        candidates: Others that are trained as the student is, to measure what scores are worth.
    """
    with kept_random_states(), torch.enable_grad():
        learned = part.data.for_teacher()
        taught = _Teaching(spec, learned, teacher, part.device) if trains else None
        with as_found(teacher):
            whose = whose_layers(spec, teacher) or copy.deepcopy(part.model)
            target = FrozenTeacher(whose, part.objective.target_taps)
            measured = _measured(spec, part, teacher, target)
    student = measured.step * part.steps
    room = MARGIN * SHARE * student
    planned = len(grid(part.steps))
    looks = max(planned, int(room / max(measured.look, 1e-6)))
    search = searching + candidates * (student + measured.headline)
    parts = {
        "prepare": spent + measured.table,
        "teacher": taught.seconds + planned * measured.teacher_look if taught else 0.0,
        **({"stages": sum(stage.seconds for stage in stages)} if stages else {}),
        **({"search": search} if search else {}),
        "student": student,
        "probes": max(planned * measured.look, min(room, looks * measured.look)),
        "controls": controls * (student + planned * measured.headline) + planned * measured.beside,
        "test": measured.test * (1 + controls) + measured.teacher_test,
    }
    numbers = part.steps * (len(part.columns()) + 2) * NUMBER_BYTES * (1 + controls)
    kept = 1 + min(TIMED_CHECKPOINTS, int(student / CHECKPOINT_SECONDS))
    disk = (1 + controls) * kept * measured.state + measured.weights + looks * measured.snapshot
    disk += planned * measured.beside_bytes
    if taught:
        later = 1 + min(TIMED_CHECKPOINTS, int(taught.seconds / CHECKPOINT_SECONDS))
        disk += later * taught.state
    return Estimate(
        seconds=sum(parts.values()),
        memory_bytes=peak_memory(part.device) + measured.table_bytes,
        disk_bytes=disk + numbers + sum(stage.disk_bytes for stage in stages),
        parts=parts,
        step_seconds=measured.step,
        shared_seconds=parts["teacher"] + sum(stage.seconds for stage in stages if stage.common),
        snapshot_bytes=looks * measured.snapshot,
    )


def part_cost(part: Part) -> StageCost:
    """Measure a few steps of a part that is trained without being looked at; it moves."""
    seconds = _step_seconds(part) * part.steps
    kept = 1 + min(TIMED_CHECKPOINTS, int(seconds / CHECKPOINT_SECONDS))
    numbers = part.steps * (len(part.columns()) + 2) * NUMBER_BYTES
    return StageCost(seconds, kept * _bytes(_tensors(state_of(part, 0))) + numbers)


def peak_memory(device: torch.device) -> int:
    """Largest memory of this process so far, and of the accelerator's, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak *= 1 if sys.platform == "darwin" else 1024
    return peak + (torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0)


def folder_bytes(folder: Path) -> int:
    """Bytes of the files of a folder that stay; one that goes away meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        if path.name == BALLAST:
            continue
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


@dataclass(frozen=True)
class _Measured:
    """Seconds and bytes of single things."""

    step: float
    look: float
    headline: float
    teacher_look: float
    test: float
    teacher_test: float
    table: float
    table_bytes: int
    state: int
    weights: int
    snapshot: int
    beside: float
    beside_bytes: int


class _Teaching:
    """Seconds of the teacher's own training, measured on a copy of it."""

    def __init__(
        self, spec: ExperimentSpec, data: ImageData, teacher: ModelAdapter, device: torch.device
    ) -> None:
        training = cast(Any, spec.teacher).train
        part = teacher_part(training, data, copy.deepcopy(teacher), device)
        self.seconds = _step_seconds(part) * part.steps
        self.state = _bytes(_tensors(state_of(part, 0)))


def _measured(
    spec: ExperimentSpec, part: Part, teacher: ModelAdapter, target: FrozenTeacher
) -> _Measured:
    data, device = part.data, part.device
    table, table_bytes = 0.0, 0
    if data.augment == "none":  # its logits are looked up, as in the run
        first = torch.from_numpy(data.split_ids("train")[:CHUNK]).to(device)
        row = _seconds(lambda: teacher(data.fetch(first).inputs), device) / len(first)
        table = row * data.num_train
        table_bytes = len(data.examples) * data.num_classes * 4
        rows = part.batch(0).ids
        outside = torch.from_numpy(rows_outside(spec, data)).to(device)
        for asked in (rows, outside):
            target.prepare(len(data.examples), asked, lambda ids: data.fetch(ids).inputs, _ignored)
    part.target, part.target_knobs = target, {}
    step = _step_seconds(part)
    kinds = cast(list[ProbeKind], spec.probes)
    rows_of = probe_rows(data, kinds)
    layers = any(kind.needs_layers for kind in kinds)
    val = any(kind.needs_val for kind in kinds)
    theirs = look(teacher, rows_of, teacher.facts.layers if layers else (), val=val, train=True)
    pair = Pair(rows_of, theirs, teacher.facts.layers, part.model.facts.layers, data.class_names)
    probing = _Probing(part, kinds, pair, layers=layers, val=val)
    seconds = _seconds(probing.look, device)
    headline = _seconds(lambda: look(part.model, rows_of, (), val=False), device)
    beside, beside_bytes = 0.0, 0
    if spec.control and layers:  # the first control is compared with the teacher, too
        similarity = _Probing(part, kinds_beside(spec), pair, layers=True, val=False)
        beside = max(_seconds(similarity.look, device) - headline, 0.0)
        beside_bytes = similarity.bytes
    teacher_look = _seconds(lambda: look(teacher, rows_of, (), val=False), device)
    scale = len(data.split_ids("test")) / max(len(rows_of.ids), 1)
    return _Measured(
        step=step,
        look=seconds,
        headline=headline,
        teacher_look=teacher_look,
        test=headline * scale,
        teacher_test=teacher_look * scale,
        table=table,
        table_bytes=table_bytes,
        state=_bytes(_tensors(state_of(part, 0))),
        weights=_bytes(part.model.network.state_dict().values()),
        snapshot=probing.bytes,
        beside=beside,
        beside_bytes=beside_bytes,
    )


class _Probing:
    """All probes of the run, as a prober takes them."""

    def __init__(
        self, part: Part, kinds: list[ProbeKind], pair: Pair, *, layers: bool, val: bool
    ) -> None:
        self._part, self._rows, self._val = part, pair.rows, val
        self._layers = part.model.facts.layers if layers else ()
        self._probes = [kind.build(pair) for kind in kinds]
        self._train = any(kind.wants_train for kind in kinds)
        self._balance = any(kind.needs_pulls for kind in kinds)
        self._logs = any(kind.needs_log for kind in kinds)
        self.bytes = 0

    def look(self) -> None:
        seen = look(self._part.model, self._rows, self._layers, val=self._val, train=self._train)
        if self._balance:
            seen = replace(seen, pulls=Balance(self._part).measure(0))
        if self._logs:
            seen = replace(seen, logs=PerSample(self._part).measure(0))
        arrays = [array for probe in self._probes for array in probe.measure(seen).arrays.values()]
        self.bytes = sum(array.nbytes for array in arrays)


def _step_seconds(part: Part) -> float:
    """Median of the first step, made a few times exactly as the loop makes it; the part moves."""
    part.train_mode()
    taken: list[float] = []
    for _ in range(WARM_STEPS + MOST_STEPS):
        _settle(part.device)
        began = time.perf_counter()
        _first_step(part)
        _settle(part.device)
        taken.append(time.perf_counter() - began)
        if sum(taken[1:]) >= ENOUGH_SECONDS:
            break
    return statistics.median(taken[WARM_STEPS:] or taken[1:])


def _first_step(part: Part) -> None:
    batch = part.batch(0)
    for player in part.players:
        player.move(part, batch, 0)
    _, found = part.forward(batch, 0)
    if part.device.type == "cpu":
        found.numbers()
    part.optimiser.zero_grad(set_to_none=True)
    found.total.backward()  # type: ignore[no-untyped-call]
    part.set_rate(0)
    part.optimiser.step()


def _seconds(make: Callable[[], Any], device: torch.device) -> float:
    """Of the second of two calls: the first fills caches."""
    with torch.no_grad():
        first = time.perf_counter()
        make()
        _settle(device)
        began = time.perf_counter()
        if began - first > ENOUGH_SECONDS:
            return began - first
        make()
        _settle(device)
    return time.perf_counter() - began


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _tensors(tree: Any) -> Iterable[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping):
        for value in tree.values():
            yield from _tensors(value)
    elif isinstance(tree, (list, tuple)):
        for value in tree:
            yield from _tensors(value)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _ignored(share: float) -> None:
    """Nobody waits for it."""
