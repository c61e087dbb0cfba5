"""A term that compares two ways to show one batch: as it is, and in another style.

Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from workbench.functional import contrast
from workbench.functional.reductions import pooled
from workbench.registries import TERMS
from workbench.specs.values import Bounds, Value
from workbench.terms.layers import StudentLayerTerm, resolved
from workbench.terms.term import Term, TermContext, TermValue

if TYPE_CHECKING:
    from torch import nn

    from workbench.models.batch import Batch
    from workbench.models.taps import Taps
    from workbench.terms.views import Styled

TEMPERATURE = Bounds(0.0, 10.0, open_low=True)


@TERMS.register("nt-xent")
class NtXentTerm(StudentLayerTerm):
    """Each image must find itself again when it is shown in another image's style (KD³).

    The layer is pooled and brought to ``width`` numbers by a learned linear map. The paper adds the
    same loss of the teacher's embeddings; as the teacher is frozen, that one trains a linear map
    of the teacher which nothing else reads, and never the student. It is left out.

    Reference:
        Chen et al. 2020 (SimCLR), arXiv:2002.05709, eq. 1; between an image and its restyled copy
        in Tang et al. 2023 (KD³).
    """

    summary: ClassVar[str] = (
        "Cross-entropy of finding an image among others when it is shown in another style."
    )
    paper: ClassVar[str] = "Tang et al. 2023 (KD3); NT-Xent: Chen et al. 2020, arXiv:2002.05709"
    needs: ClassVar[tuple[str, ...]] = ("student.features", "inputs")
    pull = "labels"
    live: ClassVar[Mapping[str, Bounds]] = {"temperature": TEMPERATURE}
    temperature: Annotated[Value, TEMPERATURE] = Field(
        0.3, description="Small looks at the nearest others only."
    )
    width: int = Field(128, ge=1, le=65536, description="Numbers of an embedding.")
    concentration: float = Field(
        0.1, gt=0, le=100, description="Of the Beta distribution of the share of an own style."
    )

    def build(self, context: TermContext) -> Term:
        """The linear map from the width of the student's layer.

        Raises:
            BadInput: If the student sees no images: table rows have no style.
        """
        from torch import nn

        from workbench.models.inspection import seeded
        from workbench.terms.readers import width_of
        from workbench.terms.views import Styled

        context.images(self.use)
        tap = resolved(self.student_tap, context.student_stages)
        name = f"styled-{self.concentration:g}-{tap}"
        with seeded(context.seed):
            module = nn.Linear(width_of(context.student_shapes([tap])[tap]), self.width)
        return Restyled(tap, module, Styled(name, [tap], concentration=self.concentration))


class Restyled:
    """NT-Xent between a batch and its restyled copy, built.

    Args:
        tap: Student's layer, pooled.
        module: To the width of the embeddings; trained with the student.
        view: The restyled copy.
    """

    def __init__(self, tap: str, module: nn.Linear, view: Styled) -> None:
        self.module = module
        self.student_taps: Collection[str] = (tap,)
        self.target_taps: Collection[str] = ()
        self.views = [view]
        self._tap, self._other = tap, f"{view.name}:{tap}"

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Nats, of the batch as a set; ln(2B - 1) is chance."""
        own, other = (self.module(pooled(student[tap])) for tap in (self._tap, self._other))
        return TermValue(contrast.nt_xent(own, other, **values))
