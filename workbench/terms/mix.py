"""Two terms that share each sample between them: ``ratio x a + (1 - ratio) x b``.

Unusual here: the ratio may be one number, or what a network says of each sample. Such a network is
not the student's: the stage's optimiser leaves it alone, a player trains it. Nothing here loads
torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from workbench.errors import BadInput
from workbench.randomness import key
from workbench.registries import RATIOS, TERMS
from workbench.specs.base import Pick
from workbench.specs.stage import TermSpec
from workbench.specs.values import Bounds, Value
from workbench.terms.ratios import RatioKind
from workbench.terms.term import Term, TermContext, TermKind, TermValue, View

if TYPE_CHECKING:
    from torch import Tensor, nn

    from workbench.models.batch import Batch
    from workbench.models.taps import Taps
    from workbench.terms.fusion_net import RatioNetwork

SHARE = Bounds(0.0, 1.0)
WEIGHTS = Bounds(0.0, 1e6)
RATIO = "ratio"
PARTS = ("a", "b")


@TERMS.register("mix")
class MixTerm(TermKind):
    """``ratio x a + (1 - ratio) x b`` for each sample."""

    summary: ClassVar[str] = "Two terms that share each sample, by a ratio or a network."
    paper: ClassVar[str] = "After Hu et al. 2024 (TGeo-KD), arXiv:2312.15112"
    needs: ClassVar[tuple[str, ...]] = ("student.logits", "teacher.logits", "labels")
    pull = "teacher"
    live: ClassVar[Mapping[str, Bounds]] = {RATIO: SHARE}
    a: Annotated[TermSpec, Pick(TERMS)] = Field(description="Gets `ratio` of each sample.")
    b: Annotated[TermSpec, Pick(TERMS)] = Field(description="Gets the rest.")
    ratio: Annotated[Value, SHARE] = Field(
        0.5, description="Of `a`, one for all samples; has no effect where `net` is given."
    )
    net: Annotated[RatioKind | None, Pick(RATIOS, optional=True)] = Field(
        None, description="A network that gives each sample its ratio; a player trains it."
    )

    def build(self, context: TermContext) -> Term:
        """Both terms, and the network if there is one."""
        for part in PARTS:
            if not isinstance(getattr(self, part), TermKind):
                raise BadInput(f"mix: `{part}` must be a term, such as {{use: kd}}.")
        built = {
            part: getattr(self, part).build(replace(context, seed=key(context.seed, part)))
            for part in PARTS
        }
        network = None if self.net is None else self.net.build(context)
        return Mixed(built, network)

    def frame(self) -> dict[str, Any]:
        """Of both terms and the network."""
        frames = {part: getattr(self, part).frame() for part in PARTS}
        net = None if self.net is None else self.net.full()
        return {"use": self.use, **frames, "net": net}

    def bounds(self, name: str) -> Bounds:
        """Of the ratio, or of a weight or a parameter of one of the terms."""
        part, _, own = name.partition(".")
        if not own:
            return self.live[name]
        kind: TermKind = getattr(self, part)
        return WEIGHTS if own == "weight" else kind.bounds(own)

    def knobs(self) -> dict[str, Value]:
        """The ratio, unless a network gives it, and weight and live parameters of both terms."""
        found: dict[str, Value] = {} if self.net is not None else {RATIO: self.ratio}
        for part in PARTS:
            kind = getattr(self, part)
            found[f"{part}.weight"] = kind.weight
            found |= {f"{part}.{name}": value for name, value in kind.knobs().items()}
        return found


class Mixed:
    """A mix, built.

    Args:
        parts: The terms ``a`` and ``b``.
        network: Gives each sample its ratio; None where it is a knob.
    """

    logs = (RATIO,)

    def __init__(self, parts: Mapping[str, Term], network: RatioNetwork | None) -> None:
        self._parts, self._network = dict(parts), network
        self.student_taps: Collection[str] = sorted(
            {tap for term in parts.values() for tap in term.student_taps}
        )
        self.target_taps: Collection[str] = sorted(
            {tap for term in parts.values() for tap in term.target_taps}
        )
        self.views: list[View] = [
            view for term in parts.values() for view in getattr(term, "views", ())
        ]
        self.module = _together({name: term.module for name, term in parts.items()})

    @property
    def played(self) -> dict[str, nn.Module]:
        """The network, which a player trains."""
        return {} if self._network is None else {"net": self._network}

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Value of each sample; one of which only one term knows anything counts for that alone.

        Raises:
            BadInput: If a term has one value for the whole batch.
        """
        found = {}
        for name, term in self._parts.items():
            own = {
                path.removeprefix(f"{name}."): value
                for path, value in values.items()
                if path.startswith(f"{name}.") and path != f"{name}.weight"
            }
            found[name] = term(student, target, batch, own)
            if found[name].value.ndim != 1:
                raise BadInput(
                    f"mix: the term {name!r} has one value for the whole batch, so samples cannot "
                    "share it. Take a term of single samples (kd, ce, hint, ...)."
                )
        ratio = self._ratio(student, target, batch, values)
        return _shared(found["a"], found["b"], ratio, values)

    def _ratio(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> Tensor:
        """Of each sample, shape (B,), in [0, 1]."""
        if self._network is not None:
            return self._network.ratio(student["logits"], target["logits"], batch)
        return student["logits"].new_full((len(batch.ids),), values[RATIO])


def _shared(a: TermValue, b: TermValue, ratio: Tensor, values: Mapping[str, float]) -> TermValue:
    parts = (
        (a, values["a.weight"] * ratio),
        (b, values["b.weight"] * (1 - ratio)),
    )
    total = sum((share * _known(part) for part, share in parts), start=ratio.new_zeros(()))
    valid = [part.weight > 0 for part, _ in parts if part.weight is not None]
    counted = valid[0] | valid[1] if len(valid) == len(parts) else None
    return TermValue(total, counted, {RATIO: ratio.detach()})


def _known(part: TermValue) -> Tensor:
    """Value of each sample, 0 where the term does not know it."""
    if part.weight is None:
        return part.value
    return (part.value * part.weight).where(part.weight > 0, 0.0)


def _together(modules: Mapping[str, nn.Module | None]) -> nn.Module | None:
    there = {name: module for name, module in modules.items() if module is not None}
    if not there:
        return None
    from torch import nn

    return nn.ModuleDict(there)
