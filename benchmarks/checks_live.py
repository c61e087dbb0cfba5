"""From the last edit of an experiment to its checks, on the quickstart: wall time, warm process.

What the page does: ask, hear the answer. The first answer, which waits for the process to preload,
is told apart. The teacher is not in the cache, so nothing of it is trained.
"""

from __future__ import annotations

import statistics
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks._pairs import main, report
from workbench.runs.draft import Draft
from workbench.runs.draft.checker import Checker
from workbench.store import Store

SECONDS = 2.0
PATIENCE = 120.0


def measure(rounds: int) -> dict[str, Any]:
    """Seconds from an edit to its checks; the slowest of the warm ones has the budget."""
    with TemporaryDirectory() as folder:
        store = Store(str(Path(folder) / "workbench.db"))
        checker = Checker(store)
        draft = Draft.of_recipe("quickstart")
        try:
            cold = _answered(checker, draft)
            warm = [
                _answered(checker, draft.edit("stages.main.terms.kd.temperature", 2 + k))
                for k in range(rounds)
            ]
        finally:
            checker.close()
            store.close()
    return report(
        "checks_live",
        max(warm),
        SECONDS,
        clock="wall",
        median=statistics.median(warm),
        cold=cold,
        rounds=rounds,
    )


def _answered(checker: Checker, draft: Draft) -> float:
    """Seconds until the answer.

    Raises:
        TimeoutError: If none comes.
        RuntimeError: If the experiment is refused.
    """
    came = threading.Event()
    answers: list[dict[str, Any]] = []

    def heard(told: dict[str, Any]) -> None:
        answers.append(told)
        came.set()

    began = time.perf_counter()
    checker.ask("benchmark", draft, heard)
    if not came.wait(PATIENCE):
        raise TimeoutError(f"No answer within {PATIENCE:.0f} s.")
    if "refused" in answers[0]:
        raise RuntimeError(answers[0]["refused"])
    return time.perf_counter() - began


if __name__ == "__main__":
    main(measure)
