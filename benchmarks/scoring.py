"""ECE, NLL, Brier score and accuracy from raw scores in one pass, against a bare softmax."""

from __future__ import annotations

from typing import Any

import torch

from benchmarks._pairs import compare, main, report, timed
from benchmarks.calibration import CLASSES
from workbench.functional.scoring import Scores, ScoreTable, brier_score, nll

ROWS = 100_000
BUDGET = 1.1


def measure(rounds: int) -> dict[str, Any]:
    """Ratio of the time, and how far float32 rows are from float64 ones."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(ROWS, CLASSES, generator=generator)
    labels = torch.randint(0, CLASSES, (ROWS,), generator=generator)

    def ours() -> Scores:
        table = ScoreTable()
        table.update(logits, labels)
        return table.compute()

    found = compare(timed(ours), timed(lambda: logits.softmax(1)), rounds=rounds)
    scores = ours()
    few = slice(0, 5000)
    exact = nll(logits[few], labels[few]), brier_score(logits[few].double().softmax(1), labels[few])
    table = ScoreTable()
    table.update(logits[few], labels[few])
    part = table.compute()
    return report(
        "scoring",
        found.ratio,
        BUDGET,
        rows=ROWS,
        classes=CLASSES,
        ours_s=found.ours,
        softmax_s=found.reference,
        aa=found.aa,
        clock=found.clock,
        nll=scores.nll,
        nll_relative_error=abs(part.nll / exact[0] - 1),
        brier_relative_error=abs(part.brier / exact[1] - 1),
        rounds=rounds,
    )


if __name__ == "__main__":
    main(measure)
