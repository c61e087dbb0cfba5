"""Which source each sample follows: the ratio that a mix gives it, as training measured it.

Shapes: n = probe rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from workbench.errors import BadInput
from workbench.probes.probe import Measured, Pair, Probe
from workbench.probes.view import Look

LOG = ".ratio"


class RatioProbe(Probe):
    """Ratios of the probe rows, and their means where the teacher is right and where it is not."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(pair)
        self._right = (pair.teacher.logits.argmax(-1) == pair.rows.labels).numpy()

    def measure(self, student: Look) -> Measured:
        """An array (n,) a term, under the term's name; none where no term has a ratio now.

        Raises:
            BadInput: If the look holds no logs: only a model that trains has any.
        """
        if student.logs is None:
            raise BadInput(
                "ratio: a model that does not train has no terms that could give a ratio. Leave "
                "`ratio` out of `probes`, or look at the student of a run."
            )
        ratios = {
            name.removesuffix(LOG): values
            for name, values in student.logs.items()
            if name.endswith(LOG)
        }
        facts: dict[str, Any] = {
            "n": len(self._right),
            "terms": {name: self._told(values) for name, values in ratios.items()},
        }
        if not ratios:
            facts["why"] = "No term of the stage gives samples a ratio now (mix does)."
        return Measured(ratios, facts)

    def _told(self, ratio: npt.NDArray[np.float32]) -> dict[str, Any]:
        """Mean over all rows, and ``[mean, n]`` where the teacher is right and where it is not."""
        return {
            "mean": float(ratio.mean()),
            "right": _mean(ratio[self._right]),
            "wrong": _mean(ratio[~self._right]),
        }


def _mean(values: npt.NDArray[np.float32]) -> list[float | int | None]:
    return [float(values.mean()) if len(values) else None, len(values)]
