"""A step with a cached teacher against a step of the student alone, both in our loop."""

from __future__ import annotations

from typing import Any

from benchmarks._pairs import compare, main, report
from benchmarks._training import Blocks, bench, experiment

BUDGET = 1.05
STUDENT = {"use": "cnn-small", "width": 16}
STEPS = 20
BATCH = 64


def measure(rounds: int) -> dict[str, Any]:
    """Ratio of the time of a step."""
    alone = {"ce": {"use": "ce", "weight": 0.1}}
    taught = {"kd": {"use": "kd", "weight": 0.9}, **alone}
    with bench() as place:
        blocks = []
        for terms, with_teacher in ((taught, True), (alone, False)):
            spec = experiment(STUDENT, batch_size=BATCH, terms=terms)
            part, recorder, *_ = place.student(spec, taught=with_teacher)
            blocks.append(Blocks(part, recorder, STEPS))
        found = compare(blocks[0].block, blocks[1].block, rounds=rounds)
        for running in blocks:
            running.close()
    return report(
        "teacher_cache",
        found.ratio,
        BUDGET,
        aa=found.aa,
        step_ms=found.ours / STEPS * 1e3,
        alone_ms=found.reference / STEPS * 1e3,
        rounds=rounds,
    )


if __name__ == "__main__":
    main(measure)
