"""What a player costs: a step of the `tgeo-kd` recipe against the same step under plain KD.

The move of a player that looks ahead is a forward and a backward of the student, a forward on its
own rows, and a backward through all three. ``every`` divides it: beside a move at each step stands
one at every eighth.
"""

from __future__ import annotations

from typing import Any

from benchmarks._pairs import Compared, compare, main, report
from benchmarks._training import Bench, Blocks, bench, experiment
from workbench.recipes import open_experiment
from workbench.training.build import whose_layers
from workbench.training.casting import build_players

STEPS = 8
"""Of a block, so that one at every eighth has one move in each."""
SELDOM = 8
BUDGET = 6.0
"""Times a plain step, at a move each step: three forwards and backwards, one of them twice."""
MAIN = "stages.main"


def measure(rounds: int) -> dict[str, Any]:
    """The ratio of the steps is judged; one with a rare move stands beside it."""
    with bench() as place:
        each = _one(place, every=1, rounds=rounds)
        seldom = _one(place, every=SELDOM, rounds=rounds)
    return report(
        "players",
        each.ratio,
        BUDGET,
        every_eighth=seldom.ratio,
        aa=each.aa,
        plain_step_ms=each.reference / STEPS * 1e3,
        move_ms=each.difference / STEPS * 1e3,
        clock=each.clock,
        rounds=rounds,
    )


def _one(place: Bench, *, every: int, rounds: int) -> Compared:
    recipe, _, _ = open_experiment("tgeo-kd")
    stage = recipe.stage.given()
    kd = {
        "kd": {"use": "kd", "weight": 0.5, "temperature": 1.5},
        "ce": {"use": "ce", "weight": 0.5},
    }
    plain = experiment(recipe.student.given(), batch_size=recipe.stage.batch_size, terms=kd)
    played = plain.replace(
        {
            f"{MAIN}.terms": stage["terms"],
            f"{MAIN}.players": stage["players"],
            f"{MAIN}.players.controller.every": every,
        }
    )
    blocks = []
    for spec in (played, plain):
        part, recorder, data, teacher = place.student(spec, taught=True)
        part.players = build_players(spec, part, whose_layers(spec, teacher), data)
        blocks.append(Blocks(part, recorder, STEPS))
    found = compare(*(one.block for one in blocks), rounds=rounds)
    for one in blocks:
        one.close()
    return found


if __name__ == "__main__":
    main(measure)
