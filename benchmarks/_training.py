"""A training that is let go a block of steps at a time, so that it can be interleaved."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch

from benchmarks._pairs import Spent
from workbench.data.images import ImageData, build_data
from workbench.models.adapter import ModelAdapter
from workbench.models.kinds import ModelSpec
from workbench.runs.keeper import StoreKeeper
from workbench.runs.launch import accept
from workbench.specs.experiment import ExperimentSpec
from workbench.store.store import Store
from workbench.targets.teacher import FrozenTeacher
from workbench.training.boundary import Boundary
from workbench.training.build import build_model, state_of, student_part
from workbench.training.journal import Recorder
from workbench.training.loop import Keep, train
from workbench.training.meter import Meter
from workbench.training.part import Part

ENDLESS = 10**7
CPU = torch.device("cpu")


class Blocks:
    """Our loop in a thread of its own, standing still but for the block that is timed.

    Args:
        part: What is trained.
        recorder: Where its rows go: a real store, so that writing is part of the time.
        steps: Of a block.
    """

    def __init__(self, part: Part, recorder: Recorder, steps: int) -> None:
        self._steps = steps
        self._go, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._spent = self._began = Spent.now()
        self._failed: BaseException | None = None
        self._boundary = Boundary(recorder, run=recorder)
        meter = Meter(recorder, part.columns(), part.refuse)
        keep = Keep(part, recorder, meter, lambda step: state_of(part, step), lambda: None)
        self._thread = threading.Thread(target=self._train, args=(part, meter, keep), daemon=True)
        self._thread.start()
        self._await()

    def block(self) -> Spent:
        """Train one block; returns what it took."""
        self._go.release()
        self._await()
        return self._spent

    def close(self) -> None:
        """Let the training end."""
        self._boundary.stopped = True
        self._go.release()
        self._thread.join()

    def at(self, step: int, meter: Meter, *, force: bool = False) -> None:
        """The loop asks here whether to probe: between two blocks it waits instead."""
        if step % self._steps or self._boundary.stopped:
            return
        self._spent = Spent.now().since(self._began)
        self._done.release()
        self._go.acquire()
        meter.skip_time()
        self._began = Spent.now()

    def _train(self, part: Part, meter: Meter, keep: Keep) -> None:
        torch.set_num_threads(1)
        try:
            train(part, meter, self._boundary, self, keep, start=0)
        except BaseException as error:  # handed to the thread that waits
            self._failed = error
            self._done.release()

    def _await(self) -> None:
        self._done.acquire()
        if self._failed is not None:
            raise self._failed


class Bench:
    """A store in a temporary folder and the parts of an experiment on digits."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def student(
        self, spec: ExperimentSpec, *, taught: bool
    ) -> tuple[Part, Recorder, ImageData, ModelAdapter]:
        """A student's training; its teacher has random weights, which costs the same time."""
        run = accept(self.store, spec)
        keeper = StoreKeeper(self.store, run)
        recorder = keeper.recorder("student")
        data = build_data(cast(Any, spec.data), base=Path.cwd(), seed=spec.seed)

        def built(model: Any, role: str) -> ModelAdapter:
            return build_model(
                cast(ModelSpec, model), data, seed=spec.seed, role=role, keeper=keeper, device=CPU
            )

        teacher = built(spec.teacher, "teacher")
        student = built(spec.student, "student")
        part = student_part(spec, data, student, teacher if taught else None, CPU)
        if taught:
            part.target = target = FrozenTeacher(teacher, part.objective.target_taps)
            rows = torch.from_numpy(data.split_ids("train"))
            target.prepare(len(data.examples), rows, lambda ids: data.fetch(ids).inputs, _ignore)
        return part, recorder, data, teacher


@contextmanager
def bench() -> Iterator[Bench]:
    """A bench that leaves nothing behind."""
    with TemporaryDirectory() as folder:
        store = Store(str(Path(folder) / "wb.db"))
        try:
            yield Bench(store)
        finally:
            store.close()


def experiment(student: Any, *, batch_size: int, terms: dict[str, Any]) -> ExperimentSpec:
    """An endless training on digits."""
    return ExperimentSpec.parse(
        {
            "name": "benchmark",
            "data": {"use": "digits", "labels_per_class": 10},
            "teacher": {"use": "cnn-small", "train": {"epochs": 1}},
            "student": student,
            "stages": {
                "main": {
                    "terms": terms,
                    "optimiser": {"use": "adamw", "lr": 1e-4},
                    "batch_size": batch_size,
                    "steps": ENDLESS,
                }
            },
        }
    )


def _ignore(share: float) -> None:
    """Nobody looks at the progress."""
