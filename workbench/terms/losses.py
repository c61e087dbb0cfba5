"""Every stateless loss of :mod:`workbench.functional` as a term, made from its metadata.

A loss of features says in :data:`FORMS` how two layers of different networks are made comparable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, create_model

from workbench.errors import BadInput
from workbench.functional import LOSSES, Loss, Parameter
from workbench.models.taps import KNOWN
from workbench.registries import TERMS
from workbench.specs.values import Bounds, Value
from workbench.terms.layers import LayerTerm
from workbench.terms.term import Term, TermContext, TermKind, TermValue

if TYPE_CHECKING:
    from torch import nn

    from workbench.models.batch import Batch
    from workbench.models.taps import Taps
    from workbench.terms.readers import Reader

Form = Literal["pooled", "aligned", "embedded", "grid", "tokens", "projected"]
FORMS: dict[str, Form] = {
    "at": "grid",
    "cc": "embedded",
    "cka": "pooled",
    "cosine": "projected",
    "cwd": "projected",
    "hcl": "projected",
    "hint": "projected",
    "info-nce": "aligned",
    "nst": "grid",
    "pkt": "pooled",
    "rkd": "pooled",
    "sp": "pooled",
    "token-context": "tokens",
    "token-graph": "tokens",
}
"""How a loss reads two layers.

``pooled``: mean over space, (B, D); widths may differ. ``aligned``: that, and a learned linear map
from the student's width to the teacher's. ``embedded``: both mapped to one width. ``grid``: maps on
the coarser grid of the two. ``tokens``: the positions of that grid. ``projected``: that grid, and a
learned change of width."""

OF_POSITIONS = frozenset({"at", "cwd", "nst", "token-context", "token-graph"})
"""Losses about where in a layer something is: with one position they are 0 and teach nothing."""


class LossTerm(TermKind):
    """A term that is one stateless loss."""

    loss: ClassVar[Loss]
    fixed: ClassVar[tuple[str, ...]] = ()

    def build(self, context: TermContext) -> Term:
        """Needs nothing of the models but their logits."""
        return LossModule(self.loss, self._fixed(), None)

    def _fixed(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.fixed}


class FeatureTerm(LossTerm, LayerTerm):
    """A term that is one stateless loss of two layers."""

    def build(self, context: TermContext) -> Term:
        """Builds the learned part, if the loss needs one, from the shapes of the two taps."""
        taps = self.taps(context)
        return LossModule(self.loss, self._fixed(), taps, self._reader(context, taps))

    def _reader(self, context: TermContext, taps: tuple[str, str]) -> Reader:
        from workbench.terms import readers

        shapes = context.shapes(taps)
        if self.loss.name in OF_POSITIONS:
            refuse_one_position(self.use, taps, shapes)
        match FORMS[self.loss.name]:
            case "grid":
                return readers.OnGrid()
            case "tokens":
                return readers.AsTokens()
            case "aligned":
                return readers.Aligned(*shapes, seed=context.seed)
        return readers.Pooled()


class ProjectedTerm(FeatureTerm):
    """A loss of two maps of equal shape: the student's goes through a learned projector."""

    projector: Literal["linear", "fitnet", "two-layer", "bottleneck"] = Field(
        "linear",
        description="Learned change of width: 1x1 convolution; FitNets' regressor, which changes "
        "the grid too; two layers (PromptKD); 1x1, 3x3, 1x1 (SimKD, KD3).",
    )

    def _reader(self, context: TermContext, taps: tuple[str, str]) -> Reader:
        from workbench.terms import readers

        shapes = context.shapes(taps)
        if self.loss.name in OF_POSITIONS:
            refuse_one_position(self.use, taps, shapes)
        return readers.Projected(*shapes, projection=self.projector, seed=context.seed)


class EmbeddedTerm(FeatureTerm):
    """A loss of two vectors of equal width: both go through a learned linear map."""

    width: int = Field(128, ge=1, le=8192, description="Width of both embeddings.")

    def _reader(self, context: TermContext, taps: tuple[str, str]) -> Reader:
        from workbench.terms import readers

        return readers.Embedded(*context.shapes(taps), width=self.width, seed=context.seed)


BASES: dict[Form, type[FeatureTerm]] = {"projected": ProjectedTerm, "embedded": EmbeddedTerm}


class LossModule:
    """A loss function wired to taps.

    Args:
        loss: The function and its facts.
        fixed: Parameters that do not change while it trains.
        taps: Student's and teacher's layer, for a loss of features.
        reader: How it reads them; what it learns, the term learns.
    """

    def __init__(
        self,
        loss: Loss,
        fixed: Mapping[str, Any],
        taps: tuple[str, str] | None,
        reader: Reader | None = None,
    ) -> None:
        self.loss = loss
        self.fixed = dict(fixed)
        self.taps = taps
        self.reader = reader
        self.module: nn.Module | None = reader.module if reader is not None else None
        self.student_taps: Collection[str] = (taps[0],) if taps else ()
        self.target_taps: Collection[str] = (taps[1],) if taps else ()
        self._labelled_only = "labels" in loss.needs
        self._of_target = any(need.startswith("teacher.") for need in loss.needs)

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """The loss; a unit counts where what the loss needs of it is known: label, target."""
        if len(batch.ids) < self.loss.min_samples:  # no valid unit: 0, with a gradient of 0
            return TermValue(student["logits"].sum() * 0.0)
        arguments = {"student.logits": student["logits"], "labels": batch.labels}
        if "teacher.logits" in self.loss.needs:
            arguments["teacher.logits"] = target["logits"]
        if self.taps is not None and self.reader is not None:
            own, their = student[self.taps[0]], target[self.taps[1]].detach()
            features = self.reader(own, their)
            arguments["student.features"], arguments["teacher.features"] = features
        value = self.loss.function(
            *(arguments[need] for need in self.loss.needs), **self.fixed, **values
        )
        weight = batch.valid if self._labelled_only else None
        known = target.get(KNOWN)
        if known is not None and self.loss.per_sample and self._of_target:
            weight = known if weight is None else weight & known
        return TermValue(value, weight)


def register_losses() -> None:
    """Put every loss that needs no state of its own into the registry."""
    for name, loss in sorted(LOSSES.items()):
        if name in FORMS:
            TERMS.register(name)(_kind(loss, BASES.get(FORMS[name], FeatureTerm)))
        elif "student.features" not in loss.needs:
            TERMS.register(name)(_kind(loss, LossTerm))


def refuse_one_position(
    use: str, taps: tuple[str, str], shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    """Refuse two layers whose common grid is a single position.

    Raises:
        BadInput: Names both layers with their shapes.
    """
    from workbench.terms.projector import map_shape

    (_, *own), (_, *their) = (map_shape(shape) for shape in shapes)
    if all(min(a, b) == 1 for a, b in zip(own, their, strict=True)):
        raise BadInput(
            f"{use}: compares positions, but the student's {taps[0]!r} of shape {shapes[0]} and "
            f"the teacher's {taps[1]!r} of shape {shapes[1]} share one only. "
            "Choose layers with a map or several tokens."
        )


def _kind(loss: Loss, base: type[LossTerm]) -> type[LossTerm]:
    live, fixed, fields = {}, [], {}
    for name, parameter in loss.parameters.items():
        default = loss.defaults[name]
        if isinstance(default, bool) or parameter.choices or not parameter.live:
            fixed.append(name)
            fields[name] = (
                _fixed_type(parameter, default),
                Field(default, description=parameter.help),
            )
        else:
            live[name] = Bounds(
                parameter.low, parameter.high, parameter.open_low, parameter.open_high
            )
            annotation = Annotated[Value, live[name]]
            fields[name] = (annotation, Field(float(default), description=parameter.help))
    title = "".join(part.capitalize() for part in loss.name.split("-")) + "Term"
    kind: type[LossTerm] = create_model(  # type: ignore[call-overload]
        title, __base__=base, __module__=__name__, __doc__=loss.summary, **fields
    )
    kind.loss, kind.live, kind.fixed = loss, live, tuple(fixed)
    kind.summary, kind.paper, kind.needs = loss.summary, loss.paper, loss.needs
    kind.pull, kind.unit = loss.pull, loss.unit
    return kind


def _fixed_type(parameter: Parameter, default: Any) -> Any:
    if parameter.choices:
        return Literal[parameter.choices]
    limits = {
        "gt" if parameter.open_low else "ge": parameter.low,
        "lt" if parameter.open_high else "le": parameter.high,
    }
    given: dict[str, Any] = {key: limit for key, limit in limits.items() if limit is not None}
    return Annotated[type(default), Field(**given)] if given else type(default)
