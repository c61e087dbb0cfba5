"""Terms of one layer whose learned part is more than a projector: VID and KD³.

Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from workbench.functional import features
from workbench.registries import TERMS
from workbench.terms.layers import LayerTerm
from workbench.terms.term import Term, TermContext, TermValue

if TYPE_CHECKING:
    from workbench.models.batch import Batch
    from workbench.models.taps import Taps
    from workbench.terms.readers import Projected
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

    The paper also answers with the teacher's classifier on the projected map; here the student
    keeps its own head, and its scores give the weight.
    """

    summary: ClassVar[str] = (
        "Squared gap of the maps after a bottleneck, more where the two networks disagree."
    )
    paper: ClassVar[str] = "Tang et al. 2023 (KD3), Distribution Shift Matters"
    needs: ClassVar[tuple[str, ...]] = ("student.logits", "teacher.logits", *FEATURES)
    pull = "teacher"
    unit: ClassVar[str] = "1"

    def build(self, context: TermContext) -> Term:
        """SimKD's projector from the shapes of the two taps."""
        from workbench.terms.readers import Projected

        taps = self.taps(context)
        shapes = context.shapes(taps)
        return WeightedHint(taps, Projected(*shapes, projection="bottleneck", seed=context.seed))


class WeightedHint:
    """KD³'s loss of features, built.

    Args:
        taps: Student's and teacher's layer.
        reader: Brings the student's map to the shape of the teacher's.
    """

    def __init__(self, taps: tuple[str, str], reader: Projected) -> None:
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
