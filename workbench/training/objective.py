"""The student's loss: the weighted sum of terms, each reduced over its valid units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from workbench.errors import BadInput, NonFiniteLoss
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.terms.term import Term, TermValue
from workbench.training.knobs import Knobs


@dataclass(frozen=True)
class WiredTerm:
    """A built term with its addresses among the knobs."""

    name: str
    term: Term
    weight: str
    parameters: Mapping[str, str]


class Evaluated(NamedTuple):
    """The loss of one batch.

    Attributes:
        total: Scalar that is differentiated.
        weighted: Weight x term for each term in order, scalars.
        values: Unreduced values by term name, for a report on NaN.
        logged: Means of what the terms log, in the order of :attr:`Objective.logs`, scalars.
    """

    total: Tensor
    weighted: list[Tensor]
    values: Mapping[str, TermValue]
    logged: Sequence[Tensor] = ()

    def row(self) -> Tensor:
        """Total, each weighted term, each log: shape (columns,), no gradient, on the device."""
        return torch.stack([part.detach() for part in (self.total, *self.weighted, *self.logged)])

    def numbers(self) -> list[float]:
        """The same on the host: free on a CPU, elsewhere it waits for the device."""
        return [part.item() for part in (self.total, *self.weighted, *self.logged)]


class Objective:
    """Sums the terms of a stage.

    Args:
        terms: In the order of the experiment file.
        knobs: Weights and parameters by address.
    """

    def __init__(self, terms: list[WiredTerm], knobs: Knobs) -> None:
        self.terms = terms
        self.knobs = knobs
        self.student_taps = sorted({tap for wired in terms for tap in wired.term.student_taps})
        self.target_taps = sorted({tap for wired in terms for tap in wired.term.target_taps})
        self.views = {
            view.name: view for wired in terms for view in getattr(wired.term, "views", ())
        }
        self.logs = [
            (wired.name, log) for wired in terms for log in getattr(wired.term, "logs", ())
        ]

    @property
    def names(self) -> list[str]:
        """Names of the terms, in order."""
        return [wired.name for wired in self.terms]

    def modules(self) -> dict[str, nn.Module]:
        """Learned parts by term name."""
        return {wired.name: wired.term.module for wired in self.terms if wired.term.module}

    def played(self) -> dict[str, nn.Module]:
        """Parts that players train, by their place in the stage: ``terms.NAME.PART``."""
        return {
            f"terms.{wired.name}.{part}": module
            for wired in self.terms
            for part, module in getattr(wired.term, "played", {}).items()
        }

    def __call__(self, student: Taps, target: Taps, batch: Batch, step: int) -> Evaluated:
        """The loss at a step."""
        values, weighted = {}, []
        for wired in self.terms:
            parameters = {
                name: self.knobs.at(path, step) for name, path in wired.parameters.items()
            }
            value = wired.term(student, target, batch, parameters)
            values[wired.name] = value
            weighted.append(self.knobs.at(wired.weight, step) * value.reduced())
        total = weighted[0]
        for part in weighted[1:]:  # cheaper to differentiate than the sum of a stack
            total = total + part
        logged = [values[term].log[log].mean() for term, log in self.logs]
        return Evaluated(total, weighted, values, logged)


def refuse_other_logs(wired: WiredTerm, found: TermValue) -> None:
    """Refuse a term that logs other numbers than it says: they would be lost, or be missing.

    Raises:
        BadInput: Names them, and what to do.
    """
    said, logged = {*getattr(wired.term, "logs", ())}, {*found.log}
    wrong = [f"{name!r}, which its `logs` does not name" for name in sorted(logged - said)]
    wrong += [f"no {name!r}, which its `logs` names" for name in sorted(said - logged)]
    if wrong:
        raise BadInput(
            f"terms.{wired.name}: the term logs {', and '.join(wrong)}. Let the two agree: the "
            "names in `logs` are the columns of its numbers."
        )


def refuse_non_finite(found: Evaluated, batch: Batch, names: list[str], step: int) -> list[float]:
    """The numbers of a step; raises if its loss is NaN or infinite.

    Raises:
        NonFiniteLoss: Names the first bad term, the step, and up to five sample ids.
    """
    numbers = found.numbers()
    total, weighted = numbers[0], numbers[1 : 1 + len(names)]
    if math.isfinite(total):
        return numbers
    for name, value in zip(names, weighted, strict=True):
        if not math.isfinite(value):
            raise non_finite(name, step, value, _bad_samples(found.values[name], batch))
    raise non_finite("the sum of terms", step, total, [])


def non_finite(term: str, step: int, value: float, samples: list[int]) -> NonFiniteLoss:
    """The error for a loss that is no number any more."""
    more = f" ({len(samples)} in all)" if len(samples) > 5 else ""
    ids = f" Sample ids: {', '.join(map(str, samples[:5]))}{more}." if samples else ""
    return NonFiniteLoss(
        f"The loss became {value} at step {step}, first in the term {term!r}.{ids} "
        "The last good checkpoint is kept. A smaller learning rate, a higher temperature or a "
        "smaller weight of that term usually cures it.",
        {"term": term, "step": step, "samples": samples[:5]},
    )


def _bad_samples(value: TermValue, batch: Batch) -> list[int]:
    if value.value.dim() != 1 or len(value.value) != len(batch.ids):
        return []
    bad = ~torch.isfinite(value.value.detach())
    if value.weight is not None:
        bad &= value.weight > 0
    return [int(sample) for sample in batch.ids[bad].tolist()]
