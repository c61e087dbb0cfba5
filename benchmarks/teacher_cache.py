"""A step with a cached teacher against a step of the student alone, both in our loop.

The step with the teacher also has the KD term, whose own 0.1 to 0.2 ms count against it.
"""

from __future__ import annotations

from typing import Any

from benchmarks._pairs import compare, main, report
from benchmarks._training import Blocks, bench, experiment

BUDGET = 1.05
STUDENT = {"use": "cnn-small", "width": 24}
"""The quickstart's teacher as a student: steps of about 10 ms, of which the KD term is a part."""
STEPS = 10
BATCH = 128


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
        clock=found.clock,
        step_ms=found.ours / STEPS * 1e3,
        alone_ms=found.reference / STEPS * 1e3,
        rounds=rounds,
    )


if __name__ == "__main__":
    main(measure)
