"""Numbers that steer a running stage, by address: term weights, term parameters, learning rate."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.specs.experiment import ExperimentSpec
from workbench.specs.values import Value, value_at
from workbench.targets.kinds import TargetKind
from workbench.terms.term import TermKind


class Knobs:
    """Values by address, each a number or a course over the stage's steps."""

    def __init__(self, values: Mapping[str, Value], steps: int) -> None:
        self._values = dict(values)
        self._steps = steps

    def at(self, address: str, step: int) -> float:
        """The number at a step."""
        return value_at(self._values[address], step, self._steps)

    def is_constant_zero(self, address: str) -> bool:
        """Whether it is the plain number 0."""
        value = self._values[address]
        return isinstance(value, float) and value == 0.0

    def now(self, step: int) -> dict[str, float]:
        """All numbers at a step, by address."""
        return {address: self.at(address, step) for address in self._values}


def knobs_of(spec: ExperimentSpec, steps: int) -> Knobs:
    """The knobs of the experiment's stage, with the addresses of its file."""
    stage, prefix = spec.stage, f"stages.{spec.stage_name}"
    values: dict[str, Value] = {f"{prefix}.optimiser.lr": stage.optimiser.lr}
    for name, term in stage.terms.items():
        values[f"{prefix}.terms.{name}.weight"] = term.weight
        if isinstance(term, TermKind):
            for parameter, value in term.knobs().items():
                values[f"{prefix}.terms.{name}.{parameter}"] = value
    if isinstance(stage.target, TargetKind):
        for parameter, value in stage.target.knobs().items():
            values[f"{prefix}.target.{parameter}"] = value
    return Knobs(values, steps)
