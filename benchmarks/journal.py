"""What the journal and the command inbox cost a step, and what one ``set`` costs.

The same training twice in one process, block by block in turn: once it looks into its inbox, keeps
a timeline and can be steered, once nobody can reach it. The loop's budget includes this.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks._pairs import compare, main, report
from benchmarks._training import CPU, Bench, Blocks, bench, experiment
from workbench.runs.keeper import StoreKeeper
from workbench.specs.experiment import ExperimentSpec
from workbench.training.boundary import Boundary
from workbench.training.intervening import Intervening
from workbench.training.journal import Command, Recorder
from workbench.training.loop import Keep
from workbench.training.meter import Meter
from workbench.training.part import Part
from workbench.training.steering import Steering
from workbench.training.teacher import Teacher
from workbench.training.workshop import Workshop

BUDGET = 150e-6
"""Seconds a step: what the whole of our loop may cost beside the maths."""
TERMS = {"kd": {"use": "kd", "weight": 0.9}, "ce": {"use": "ce", "weight": 0.1}}
TINY = {"use": "mlp", "hidden": [8]}
STEPS = 300
SETS = 30
PATH = "stages.main.terms.kd.weight"


class Unreachable(Boundary):
    """A boundary where nothing happens."""

    def at(self, step: int) -> bool:
        """Go on."""
        return False

    def wait(self, step: int) -> None:
        """At full speed."""


class Held(Blocks):
    """Blocks of a training with another boundary.

    Args:
        part: What is trained.
        recorder: A real store's.
        boundary: What stands between two steps.
        steering: Follows what is set, if anything is.
    """

    def __init__(
        self, part: Part, recorder: Recorder, boundary: Boundary, steering: list[Steering]
    ) -> None:
        self._between, self._steering = boundary, steering
        super().__init__(part, recorder, STEPS)

    def _train(self, part: Part, meter: Meter, keep: Keep) -> None:
        self._boundary = self._between
        for steering in self._steering:
            steering._meter = meter
        super()._train(part, meter, keep)


def measure(rounds: int) -> dict[str, Any]:
    """Microseconds a step, and milliseconds of a set."""
    spec = experiment(TINY, batch_size=8, terms=TERMS)
    with bench() as place:
        reached, hands, recorder = _reached(place, spec)
        part, other, *_ = place.student(spec, taught=True)
        alone = Held(part, other, Unreachable(other, run=other), [])
        found = compare(reached.block, alone.block, rounds=rounds)
        reached.close()
        alone.close()
        milliseconds = _sets(place, hands, recorder)
    seconds = found.difference / STEPS
    return report(
        "journal",
        seconds / BUDGET,
        1.0,
        microseconds_a_step=seconds * 1e6,
        budget_microseconds=BUDGET * 1e6,
        step_ms=found.reference / STEPS * 1e3,
        aa=found.aa,
        clock=found.clock,
        set_ms=milliseconds,
        steps_a_block=STEPS,
        rounds=rounds,
    )


def _reached(place: Bench, spec: ExperimentSpec) -> tuple[Held, Intervening, Recorder]:
    part, recorder, data, teacher = place.student(spec, taught=True)
    meter = Meter(recorder, part.columns(), part.refuse)
    workshop = Workshop(
        data,
        Teacher(teacher, "", None, "random weights, which cost the same time"),
        StoreKeeper(place.store, recorder.run),
        CPU,
        {},
        Path.cwd(),
        recorder,
    )
    steering = Steering(spec, part, workshop, meter, run=recorder.run)
    hands = Intervening(spec, steering, recorder, hold=0)
    boundary = Boundary(recorder, run=recorder, hands=hands)
    return Held(part, recorder, boundary, [steering]), hands, recorder


def _sets(place: Bench, hands: Intervening, recorder: Recorder) -> float:
    """Median milliseconds from the inbox to what has taken effect, journalled durably."""
    spent = []
    for number in range(SETS):
        payload = {"path": PATH, "value": 0.5 + number / 100}
        place.store.journal.send(recorder.run, "set", who="bench", payload=payload)
        began = time.perf_counter()
        (command,) = recorder.commands()
        hands.set(Command(command.id, command.kind, command.who, command.payload), number)
        spent.append(time.perf_counter() - began)
        if place.store.journal.answer(command.id).state != "applied":
            raise SystemExit("a set was refused")
    return statistics.median(spent) * 1e3


if __name__ == "__main__":
    main(measure)
