"""Terms of one layer whose learned part is more than a projector: VID and KD³.

Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from workbench.errors import BadInput
from workbench.functional import features
from workbench.registries import TERMS
from workbench.terms.layers import LayerTerm
from workbench.terms.term import Term, TermContext, TermValue

if TYPE_CHECKING:
    from workbench.models.batch import Batch
    from workbench.models.taps import Taps
    from workbench.terms.readers import OnGrid, Projected
    from workbench.terms.regressors import GaussianRegressor

FEATURES = ("student.features", "teacher.features")


@TERMS.register("vid")
class VidTerm(LayerTerm):
    """Likelihood of the teacher's map under a Gaussian around a guess from the student's."""

    summary: ClassVar[str] = (
        "Negative log-likelihood of the teacher's map under a Gaussian around a learned guess."
    )
    paper: ClassVar[str] = "Ahn et al. 2019 (VID), arXiv:1904.05835"
    needs: ClassVar[tuple[str, ...]] = FEATURES
    pull = "teacher"
    variance: float = Field(
        5.0, gt=1e-4, le=1e4, description="Of every channel at the start; it is learned."
    )

    def build(self, context: TermContext) -> Term:
        """Regressor and variances from the shapes of the two taps."""
        from workbench.models.inspection import seeded
        from workbench.terms.projector import map_shape
        from workbench.terms.regressors import GaussianRegressor

        taps = self.taps(context)
        own, their = context.shapes(taps)
        with seeded(context.seed):
            module = GaussianRegressor(
                map_shape(own)[0], map_shape(their)[0], variance=self.variance
            )
        return Variational(taps, module)


class Variational:
    """VID, built.

    Args:
        taps: Student's and teacher's layer.
        module: The guess and the variances; trained with the student.
    """

    def __init__(self, taps: tuple[str, str], module: GaussianRegressor) -> None:
        self.module = module
        self.student_taps: Collection[str] = (taps[0],)
        self.target_taps: Collection[str] = (taps[1],)
        self._taps = taps

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Nats of each sample, up to a constant; may be negative."""
        from workbench.terms.projector import as_map, common_grid

        own, their = common_grid(
            as_map(student[self._taps[0]]), as_map(target[self._taps[1]].detach())
        )
        return TermValue(features.vid(self.module(own), their, self.module.log_scale))


@TERMS.register("kd3")
class Kd3Term(LayerTerm):
    """Hint of the last map, weighted by how far student and teacher disagree on the sample.

    The paper's student answers with the teacher's classifier on the projected map: that is the
    model ``borrowed-head``, which has the projector inside, so the term takes ``projector: none``.
    Any other student keeps its own head, whose scores give the weight, and which the term does not
    train.
    """

    summary: ClassVar[str] = (
        "Squared gap of the maps after a bottleneck, more where the two networks disagree."
    )
    paper: ClassVar[str] = "Tang et al. 2023 (KD3), Distribution Shift Matters"
    needs: ClassVar[tuple[str, ...]] = ("student.logits", "teacher.logits", *FEATURES)
    pull = "teacher"
    unit: ClassVar[str] = "1"
    projector: Literal["bottleneck", "none"] = Field(
        "bottleneck",
        description="1x1, 3x3, 1x1 (SimKD); none where the student's layer has the teacher's width "
        "already, as the projector of a borrowed-head has.",
    )

    def build(self, context: TermContext) -> Term:
        """SimKD's projector from the shapes of the two taps, or none.

        Raises:
            BadInput: If there shall be none and the widths differ.
        """
        from workbench.terms.projector import map_shape
        from workbench.terms.readers import OnGrid, Projected

        taps = self.taps(context)
        shapes = context.shapes(taps)
        if self.projector == "bottleneck":
            reader = Projected(*shapes, projection="bottleneck", seed=context.seed)
            return WeightedHint(taps, reader)
        own, their = (map_shape(shape)[0] for shape in shapes)
        if own != their:
            raise BadInput(
                f"kd3: `projector` is none, but the student's {taps[0]} has {own} channels and the "
                f"teacher's {taps[1]} has {their}. Take a borrowed-head student, whose projector "
                "has the teacher's width, or `projector: bottleneck`."
            )
        return WeightedHint(taps, OnGrid())


class WeightedHint:
    """KD³'s loss of features, built.

    Args:
        taps: Student's and teacher's layer.
        reader: Brings the student's map to the shape of the teacher's.
    """

    def __init__(self, taps: tuple[str, str], reader: Projected | OnGrid) -> None:
        self.reader = reader
        self.module = reader.module
        self.student_taps: Collection[str] = (taps[0],)
        self.target_taps: Collection[str] = (taps[1],)
        self._taps = taps

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Squared feature units of each sample."""
        weight = features.disagreement_weight(student["logits"], target["logits"])
        own, their = self.reader(student[self._taps[0]], target[self._taps[1]].detach())
        return TermValue(weight * features.hint(own, their))
