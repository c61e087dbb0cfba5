"""Terms that read several stages of both networks: ReviewKD, TransKD, OFA-KD.

Unusual here: networks may differ in their number of stages; then an even pick of the longer list
is compared, and it always ends with the last stage.
Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from workbench.errors import BadInput
from workbench.functional import LOSSES, features, logits
from workbench.lazy import LazyModule
from workbench.registries import TERMS
from workbench.specs.values import Bounds, Value
from workbench.terms.layers import StagesTerm
from workbench.terms.term import Term, TermContext, TermKind, TermValue

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from workbench.models.batch import Batch
    from workbench.models.taps import Taps
    from workbench.terms.fusion import Fusion
else:
    torch = LazyModule("torch")

FEATURES = ("student.features", "teacher.features")
EMBEDDING_WEIGHTS = (0.1, 0.1, 0.5, 1.0)
"""TransKD's weights of four embeddings, first to last; fewer take the last ones."""
OFA_LIVE = {
    name: Bounds(fact.low, fact.high, fact.open_low, fact.open_high)
    for name, fact in LOSSES["ofa"].parameters.items()
}


@TERMS.register("reviewkd")
class ReviewKdTerm(StagesTerm):
    """Each student stage, fused with all deeper ones, guesses the teacher's map of its stage."""

    summary: ClassVar[str] = (
        "Student stages fused deep to shallow guess the teacher's maps, compared at four scales."
    )
    paper: ClassVar[str] = "Chen et al. 2021 (ReviewKD), arXiv:2104.09044"
    needs: ClassVar[tuple[str, ...]] = FEATURES
    pull = "teacher"
    unit: ClassVar[str] = "1"

    def build(self, context: TermContext) -> Term:
        """Fusion modules from the shapes of all taps and of the pooled last ones."""
        from workbench.models.inspection import seeded
        from workbench.terms.fusion import Fusion

        taps = self.paired(context)
        own, their = map_shapes(context, taps)
        with seeded(context.seed):
            module = Fusion(
                [*own, (own[-1][0], 1, 1)], [*their, (their[-1][0], 1, 1)], gate="position"
            )
        return Reviewed(taps, module, pooled=True)


@TERMS.register("transkd")
class TransKdTerm(StagesTerm):
    """ReviewKD's fusion with a gate a channel, and patch embeddings matched through linear maps."""

    summary: ClassVar[str] = (
        "Student stages fused by channel gates guess the teacher's maps; embeddings on request."
    )
    paper: ClassVar[str] = "Liu et al. 2022 (TransKD), arXiv:2202.13393"
    needs: ClassVar[tuple[str, ...]] = FEATURES
    pull = "teacher"
    unit: ClassVar[str] = "1"
    middle: int = Field(64, ge=1, le=4096, description="Channels of the fused maps.")
    student_embeddings: tuple[str, ...] = Field(
        (), max_length=4, description="Student's patch embeddings, first to last; none: left out."
    )
    teacher_embeddings: tuple[str, ...] = Field(
        (), max_length=4, description="Teacher's patch embeddings, as many."
    )
    mixer: bool = Field(
        False, description="Attention and gated convolution on the last embedding (GL-Mixer)."
    )

    def build(self, context: TermContext) -> Term:
        """Fusion and embedding maps from the shapes of all taps."""
        from torch import nn

        from workbench.models.inspection import seeded
        from workbench.terms.fusion import Fusion, GlobalLocalMixer

        taps = self.paired(context)
        embeddings = list(self.student_embeddings), list(self.teacher_embeddings)
        if len(embeddings[0]) != len(embeddings[1]):
            raise BadInput(
                f"transkd: `student_embeddings` names {len(embeddings[0])} layers, "
                f"`teacher_embeddings` {len(embeddings[1])}. Name equally many."
            )
        own, their = map_shapes(context, taps)
        wide, wanted = map_shapes(context, embeddings)
        with seeded(context.seed):
            fusion = Fusion(own, their, gate="channel", middle=self.middle)
            linear = nn.ModuleList(nn.Linear(a[0], b[0]) for a, b in zip(wide, wanted, strict=True))
            mixer = GlobalLocalMixer(wide[-1][0]) if self.mixer and wide else nn.Identity()
        module = nn.ModuleDict({"fusion": fusion, "linear": linear, "mixer": mixer})
        return Reviewed(taps, fusion, module=module, embeddings=embeddings)


class Reviewed:
    """Fused stages against the teacher's, built.

    Args:
        taps: Student's and teacher's layers, first to last.
        fusion: Makes the guesses.
        pooled: Whether the pooled last layers are one more, deepest stage.
        module: All that learns; the fusion by default.
        embeddings: Layers whose tokens are matched beside the maps.
    """

    def __init__(
        self,
        taps: tuple[list[str], list[str]],
        fusion: Fusion,
        *,
        pooled: bool = False,
        module: nn.ModuleDict | None = None,
        embeddings: tuple[list[str], list[str]] = ([], []),
    ) -> None:
        self.fusion, self.pooled, self.embeddings = fusion, pooled, embeddings
        self._parts = module
        self.module: nn.Module = fusion if module is None else module
        self.student_taps: Collection[str] = [*taps[0], *embeddings[0]]
        self.target_taps: Collection[str] = [*taps[1], *embeddings[1]]
        self._taps = taps

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Sum over stages of each sample, in squared feature units."""
        from workbench.terms.fusion import context_loss

        own = self._maps(student, self._taps[0])
        their = [maps.detach() for maps in self._maps(target, self._taps[1])]
        value = context_loss(self.fusion(own), their)
        if self._parts is not None and self.embeddings[0]:
            value = value + self._embedded(self._parts, student, target)
        return TermValue(value)

    def _maps(self, taps: Taps, names: Sequence[str]) -> list[Tensor]:
        from workbench.terms.projector import as_map

        maps = [as_map(taps[name]) for name in names]
        return [*maps, maps[-1].mean((2, 3), keepdim=True)] if self.pooled else maps

    def _embedded(self, parts: nn.ModuleDict, student: Taps, target: Taps) -> Tensor:
        from workbench.terms.projector import as_map, common_grid

        weights = EMBEDDING_WEIGHTS[-len(self.embeddings[0]) :]
        value = torch.zeros(())
        for i, (own, their) in enumerate(zip(*self.embeddings, strict=True)):
            maps = common_grid(as_map(student[own]), as_map(target[their].detach()))
            tokens, wanted = (each.flatten(2).transpose(1, 2) for each in maps)
            if i == len(weights) - 1:
                tokens = parts["mixer"](tokens)
            linear = parts["linear"].get_submodule(str(i))
            value = value + weights[i] * features.hint(linear(tokens), wanted)
        return value


@TERMS.register("ofa-stages")
class OfaStagesTerm(TermKind):
    """OFA-KD's loss of a branch from every student stage; add ``ofa`` for the head itself."""

    summary: ClassVar[str] = (
        "Branches from every student stage into the label space, each under OFA-KD's loss; summed."
    )
    paper: ClassVar[str] = "Hao et al. 2023 (OFA-KD), arXiv:2310.19444"
    needs: ClassVar[tuple[str, ...]] = (
        "student.features", "teacher.features", "teacher.logits", "labels",
    )  # fmt: skip
    pull = "teacher"
    live: ClassVar[Mapping[str, Bounds]] = OFA_LIVE
    student_taps: tuple[str, ...] = Field(
        (), max_length=16, description="Student's layers, first to last; none: its stages."
    )
    exponent: Annotated[Value, OFA_LIVE["exponent"]] = Field(
        1.0, description=LOSSES["ofa"].parameters["exponent"].help
    )
    temperature: Annotated[Value, OFA_LIVE["temperature"]] = Field(
        1.0, description=LOSSES["ofa"].parameters["temperature"].help
    )

    def build(self, context: TermContext) -> Term:
        """A branch a stage, deeper for earlier ones, from the shapes of the student's taps."""
        from torch import nn

        from workbench.models.inspection import seeded
        from workbench.terms.branches import branch
        from workbench.terms.readers import width_of

        names = list(self.student_taps or context.student_stages)
        shapes = context.student_shapes(names)
        width = width_of(shapes[names[-1]])
        if context.teacher_stages:
            last = context.teacher_stages[-1]
            width = max(width, width_of(context.teacher_shapes([last])[last]))
        with seeded(context.seed):
            branches = nn.ModuleList(
                branch(shapes[name], context.num_classes, remaining=len(names) - 1 - i, width=width)
                for i, name in enumerate(names)
            )
        return Branched(names, branches)


class Branched:
    """A loss in the label space for each of several layers, built.

    Args:
        taps: Student's layers.
        module: A branch for each.
    """

    def __init__(self, taps: list[str], module: nn.ModuleList) -> None:
        self.module = module
        self.student_taps: Collection[str] = taps
        self.target_taps: Collection[str] = ()

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Nats of each labelled sample, summed over branches."""
        parts = [
            logits.ofa(branch(student[tap]), target["logits"], batch.labels, **values)
            for tap, branch in zip(self.student_taps, self.module, strict=True)
        ]
        return TermValue(torch.stack(parts).sum(0), batch.valid)


def map_shapes(
    context: TermContext, taps: tuple[Sequence[str], Sequence[str]]
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """Shapes of the student's and of the teacher's taps, laid out as maps."""
    from workbench.terms.projector import map_shape

    own = context.student_shapes(taps[0])
    their = context.teacher_shapes(taps[1])
    return [map_shape(own[name]) for name in taps[0]], [map_shape(their[name]) for name in taps[1]]
