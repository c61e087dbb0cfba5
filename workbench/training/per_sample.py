"""What terms log of single samples, asked on the probe split; who asks the target outside training.

Shapes: n = probe rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from workbench.data.images import ImageData
from workbench.errors import BadInput
from workbench.probes.probe import ProbeKind
from workbench.specs.experiment import ExperimentSpec
from workbench.training.objective import Objective
from workbench.training.part import Part
from workbench.training.rehearsal import as_found

CHUNK = 256


class PerSample:
    """Asks the terms that log something for each row of the probe split, with its true label.

    Args:
        part: What trains; left exactly as found.
    """

    def __init__(self, part: Part) -> None:
        self._part = part

    def measure(self, step: int) -> dict[str, npt.NDArray[np.float32]]:
        """``TERM.LOG`` to a number for each probe row, shape (n,), with weights as at ``step``.

        In evaluation mode and without gradient; empty where no term logs anything.
        """
        part, step = self._part, min(step, self._part.steps - 1)
        terms = [wired for wired in part.objective.terms if getattr(wired.term, "logs", ())]
        if not terms:
            return {}
        objective = Objective(terms, part.objective.knobs)
        learned = [*objective.modules().values(), *objective.played().values()]
        asked, ids = replace(part, objective=objective), part.data.split_ids("probe")
        found: dict[str, list[npt.NDArray[np.float32]]] = {}
        with as_found(part.model, *learned), torch.no_grad():
            for module in (part.model, *learned):
                module.eval()
            for start in range(0, len(ids), CHUNK):
                batch = part.data.fetch_full(ids[start : start + CHUNK])
                taps = asked.taps(batch, step)
                values = objective(taps, asked.targets(batch, step, taps), batch, step).values
                for term, log in objective.logs:
                    numbers = values[term].log[log].float().cpu().numpy()
                    found.setdefault(f"{term}.{log}", []).append(numbers)
        return {name: np.concatenate(chunks) for name, chunks in found.items()}


def refuse_missing_logs(kinds: Sequence[ProbeKind], objective: Objective, stage: str) -> None:
    """Refuse a probe that reads what no term of the stage logs.

    Raises:
        BadInput: Names the probe, what it reads, and what to do.
    """
    logged = {log for _, log in objective.logs}
    for kind in kinds:
        if kind.needs_log and kind.needs_log not in logged:
            raise BadInput(
                f"probes: {kind.use} shows the {kind.needs_log} that a term gives each sample, "
                f"and no term of stages.{stage} logs one. Take a term that does (mix), or leave "
                f"{kind.use} out of `probes`."
            )


def rows_outside(spec: ExperimentSpec, data: ImageData) -> npt.NDArray[np.int64]:
    """Rows outside the training part on which players or probes ask the target, sorted."""
    asked: set[str] = {player.split for player in spec.stage.players.values()}
    kinds: Sequence[Any] = spec.probes
    if any(isinstance(kind, ProbeKind) and kind.needs_log for kind in kinds):
        asked.add("probe")
    rows = [data.split_ids(name) for name in sorted(asked - {"train"})]
    return np.unique(np.concatenate(rows)) if rows else np.zeros(0, np.int64)
