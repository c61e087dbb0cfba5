"""How hard each term pulls on the student: the training's own gradients, as arrays of a snapshot.

Shapes: R = term.
"""

from __future__ import annotations

from workbench.errors import BadInput
from workbench.probes.probe import Measured, Probe
from workbench.probes.view import Look


class BalanceProbe(Probe):
    """Value, gradient norm, share and directions of the terms, as training measured them."""

    def measure(self, student: Look) -> Measured:
        """Arrays (R,) and the cosines (R, R); NaN where a term has no gradient.

        Raises:
            BadInput: If the look holds no pulls: only a model that trains has any.
        """
        pulls = student.pulls
        if pulls is None:
            raise BadInput(
                "balance: a model that does not train has no gradient of terms. Leave `balance` "
                "out of `probes`, or look at the student of a run."
            )
        return Measured(
            {
                "value": pulls.value,
                "weighted": pulls.weighted,
                "norm": pulls.norm,
                "share": pulls.share,
                "cosine": pulls.cosine,
            },
            {
                "n": pulls.num_rows,
                "labelled": pulls.num_labelled,
                "split": "train",
                "terms": list(pulls.terms),
            },
        )
