"""Every stateless loss of :mod:`workbench.functional` as a term, made from its metadata.

A loss of features says in :data:`FORMS` how two layers of different networks are made comparable.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, create_model

from workbench.functional import LOSSES, Loss, Parameter
from workbench.registries import TERMS
from workbench.specs.values import Bounds, Value
from workbench.terms.term import Term, TermContext, TermKind, TermValue

if TYPE_CHECKING:
    from torch import Tensor, nn

    from workbench.models.batch import Batch
    from workbench.models.taps import Taps

Form = Literal["pooled", "grid", "projected"]
FORMS: dict[str, Form] = {
    "cka": "pooled",
    "pkt": "pooled",
    "rkd": "pooled",
    "sp": "pooled",
    "hint": "projected",
}
"""``pooled``: mean over space, (B, D). ``grid``: a common grid. ``projected``: that, and a learned
1x1 convolution from the student's width to the teacher's."""


LAST = "last"
"""Tap of a network's last stage, whatever its number."""


class LossTerm(TermKind):
    """A term that is one stateless loss."""

    loss: ClassVar[Loss]
    fixed: ClassVar[tuple[str, ...]] = ()

    def build(self, context: TermContext) -> Term:
        """Needs nothing of the models but their logits."""
        return LossModule(self.loss, self._fixed(), None)

    def _fixed(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.fixed}


class FeatureTerm(LossTerm):
    """A term that is one stateless loss of two layers."""

    student_tap: str = Field(
        LAST, min_length=1, description="Student's layer: last stage, stage1 and on, or a module."
    )
    teacher_tap: str = Field(
        LAST, min_length=1, description="Teacher's layer: last stage, stage1 and on, or a module."
    )

    def build(self, context: TermContext) -> Term:
        """Builds the projector, if the loss needs one, from the shapes of the two taps."""
        from workbench.terms.projector import Projector, map_shape

        taps = (
            _resolved(self.student_tap, context.student_stages),
            _resolved(self.teacher_tap, context.teacher_stages),
        )
        student = context.student_shapes([taps[0]])[taps[0]]
        teacher = context.teacher_shapes([taps[1]])[taps[1]]
        module = None
        if FORMS[self.loss.name] == "projected":
            module = Projector(map_shape(student)[0], map_shape(teacher)[0], seed=context.seed)
        return LossModule(self.loss, self._fixed(), taps, module)


class LossModule:
    """A loss function wired to taps.

    Args:
        loss: The function and its facts.
        fixed: Parameters that do not change while it trains.
        taps: Student's and teacher's layer, for a loss of features.
        module: Learned projector, if any.
    """

    def __init__(
        self,
        loss: Loss,
        fixed: Mapping[str, Any],
        taps: tuple[str, str] | None,
        module: nn.Module | None = None,
    ) -> None:
        self.loss = loss
        self.fixed = dict(fixed)
        self.taps = taps
        self.module = module
        self.student_taps: Collection[str] = (taps[0],) if taps else ()
        self.target_taps: Collection[str] = (taps[1],) if taps else ()
        self._form = FORMS.get(loss.name)
        self._labelled_only = "labels" in loss.needs

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """The loss; units whose label is withheld count only where the loss needs none."""
        if len(batch.ids) < self.loss.min_samples:  # no valid unit: 0, with a gradient of 0
            return TermValue(student["logits"].sum() * 0.0)
        arguments = {"student.logits": student["logits"], "labels": batch.labels}
        if "teacher.logits" in self.loss.needs:
            arguments["teacher.logits"] = target["logits"]
        if self.taps is not None:
            features = self._features(student[self.taps[0]], target[self.taps[1]])
            arguments["student.features"], arguments["teacher.features"] = features
        value = self.loss.function(
            *(arguments[need] for need in self.loss.needs), **self.fixed, **values
        )
        weight = batch.labelled if self._labelled_only else None
        return TermValue(value, weight)

    def _features(self, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        from workbench.functional.cka import pooled
        from workbench.terms.projector import as_map, common_grid

        teacher = teacher.detach()
        if self._form == "pooled":
            return pooled(student), pooled(teacher)
        student, teacher = common_grid(as_map(student), as_map(teacher))
        return (self.module(student) if self.module is not None else student), teacher


def register_losses() -> None:
    """Put every loss that needs no state of its own into the registry."""
    for name, loss in sorted(LOSSES.items()):
        features = "student.features" in loss.needs
        if not features or name in FORMS:
            TERMS.register(name)(_kind(loss, FeatureTerm if features else LossTerm))


def _resolved(tap: str, stages: Sequence[str]) -> str:
    """Networks differ in how many stages they have; each has a last one."""
    return stages[-1] if tap == LAST and stages else tap


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
