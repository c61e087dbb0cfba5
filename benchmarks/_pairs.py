"""Interleaved pairs: two ways of doing the same thing, timed side by side on one thread.

The machine drifts, so nothing is compared across time: a round times the reference, ours and the
reference once more, in turning order, and a ratio is taken within the round. The ratio of the
reference to itself (A/A) says what the method cannot resolve. Where it misses 1 by more than 2 %,
others use the machine, and the processor's time of the thread is compared instead (``clock``).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

ROUNDS = 30
WARM_UP = 2
NOISE = 0.02
"""Largest miss of the A/A ratio at which the wall clock is believed."""


class Spent(NamedTuple):
    """Seconds of one piece of work: on the wall clock, and of the processor in this thread."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Spent:
        """Both clocks."""
        return cls(time.perf_counter(), time.thread_time())

    def since(self, before: Spent) -> Spent:
        """What passed between two looks at the clocks."""
        return Spent(self.wall - before.wall, self.cpu - before.cpu)


Timed = Callable[[], Spent]
"""Does the work once and returns what it took."""


@dataclass(frozen=True)
class Compared:
    """Medians over the rounds, all on one clock.

    Attributes:
        ratio: Ours over the reference.
        aa: The reference over itself; 1 apart from noise.
        ours: Seconds.
        reference: Seconds.
        difference: Seconds, ours minus reference, within a round.
        rounds: How many.
        clock: ``wall``, or ``cpu`` where the wall clock's A/A ratio was no use.
    """

    ratio: float
    aa: float
    ours: float
    reference: float
    difference: float
    rounds: int
    clock: str


def compare(ours: Timed, reference: Timed, *, rounds: int = ROUNDS) -> Compared:
    """Time both in interleaved rounds, after a warm-up that is thrown away."""
    for _ in range(WARM_UP):
        reference()
        ours()
    mine: list[Spent] = []
    first: list[Spent] = []
    second: list[Spent] = []
    for turn in range(rounds):
        order = [(first, reference), (mine, ours), (second, reference)]
        for times, run in order[turn % 3 :] + order[: turn % 3]:
            times.append(run())
    wall = _compared("wall", *([spent.wall for spent in times] for times in (mine, first, second)))
    if abs(wall.aa - 1) <= NOISE:
        return wall
    return _compared("cpu", *([spent.cpu for spent in times] for times in (mine, first, second)))


def timed(work: Callable[[], Any]) -> Timed:
    """A function as something that returns its seconds."""

    def run() -> Spent:
        began = Spent.now()
        work()
        return Spent.now().since(began)

    return run


def _compared(clock: str, mine: list[float], first: list[float], second: list[float]) -> Compared:
    return Compared(
        ratio=statistics.median(a / b for a, b in zip(mine, first, strict=True)),
        aa=statistics.median(a / b for a, b in zip(second, first, strict=True)),
        ours=statistics.median(mine),
        reference=statistics.median(first + second),
        difference=statistics.median(a - b for a, b in zip(mine, first, strict=True)),
        rounds=len(mine),
        clock=clock,
    )


def report(
    name: str, ratio: float, budget: float, *, at_least: bool = False, ok: bool = True, **more: Any
) -> dict[str, Any]:
    """The object that a benchmark prints.

    Args:
        name: Of the benchmark.
        ratio: What was measured.
        budget: What is allowed.
        at_least: The budget is a lower bound (a speed-up).
        ok: False if something beside the ratio failed.
        more: Whatever a reader needs to judge it.
    """
    holds = ratio >= budget if at_least else ratio <= budget
    return {
        "name": name,
        "ratio": ratio,
        "budget": budget,
        "ok": ok and holds,
        "bound": "at least" if at_least else "at most",
        **more,
    }


def main(measure: Callable[[int], Mapping[str, Any]], *, threads: int = 1) -> None:
    """Entry point of a benchmark: ``--json``, ``--rounds N``; exit code 1 for a missed budget."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    options = parser.parse_args()
    import torch

    torch.set_num_threads(threads)
    found = dict(measure(options.rounds))
    if options.json:
        print(json.dumps(found, allow_nan=False))
    else:
        for key, value in found.items():
            print(f"{key}: {value}")
    raise SystemExit(0 if found["ok"] else 1)
