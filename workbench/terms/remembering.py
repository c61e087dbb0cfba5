"""Terms with a memory: CRD and KD++'s class means.

Unusual here: a memory is part of the term's state, so a resumed run goes on with it; it is updated
after the loss of a step is taken, except class means, which take the batch in first.
Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from workbench.errors import BadInput
from workbench.functional import features
from workbench.functional.reductions import pooled
from workbench.registries import TERMS
from workbench.terms.layers import LayerTerm
from workbench.terms.term import Term, TermContext, TermKind, TermValue

if TYPE_CHECKING:
    from torch import Tensor

    from workbench.models.batch import Batch
    from workbench.models.taps import Taps
    from workbench.terms.memory import ClassMeans, ContrastMemory


@TERMS.register("crd")
class CrdTerm(LayerTerm):
    """Tells the teacher's embedding of the same image from those of remembered other images."""

    summary: ClassVar[str] = (
        "Telling one's own image from remembered others, across the two networks' embeddings."
    )
    paper: ClassVar[str] = "Tian, Krishnan, Isola 2020 (CRD), arXiv:1910.10699"
    needs: ClassVar[tuple[str, ...]] = ("student.features", "teacher.features", "ids")
    pull = "teacher"
    width: int = Field(128, ge=2, le=4096, description="Width of both embeddings.")
    num_negatives: int = Field(
        1024, ge=1, le=65536, description="Other images a sample is told from; the paper: 16384."
    )
    temperature: float = Field(
        0.07, ge=0.02, le=10.0, description="Divides the products; fixed, since the scale is."
    )
    momentum: float = Field(
        0.5, ge=0.0, lt=1.0, description="Share of an old embedding when its image is seen again."
    )

    def build(self, context: TermContext) -> Term:
        """Embeddings and banks for every training row."""
        from workbench.models.inspection import seeded
        from workbench.terms.memory import ContrastMemory
        from workbench.terms.readers import width_of

        taps = self.taps(context)
        own, their = context.shapes(taps)
        ids, labels = known_rows(self, context)
        with seeded(context.seed):
            module = ContrastMemory(
                width_of(own),
                width_of(their),
                width=self.width,
                ids=ids,
                labels=labels,
                momentum=self.momentum,
            )
        return Contrasted(taps, module, self.num_negatives, self.temperature)


class Contrasted:
    """CRD, built.

    Args:
        taps: Student's and teacher's layer.
        module: Embeddings and memory.
        num_negatives: Other images a sample is told from.
        temperature: Divides the products of embeddings.
    """

    def __init__(
        self,
        taps: tuple[str, str],
        module: ContrastMemory,
        num_negatives: int,
        temperature: float,
    ) -> None:
        self.module = module
        self.num_negatives, self.temperature = num_negatives, temperature
        self.student_taps: Collection[str] = (taps[0],)
        self.target_taps: Collection[str] = (taps[1],)
        self._taps = taps

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Nats of each sample, both directions; the batch is remembered."""
        value = self.module(
            student[self._taps[0]],
            target[self._taps[1]].detach(),
            batch.ids,
            num_negatives=self.num_negatives,
            temperature=self.temperature,
        )
        return TermValue(value)


@TERMS.register("nd")
class NdTerm(LayerTerm):
    """Long student embeddings in the direction of the teacher's class mean."""

    summary: ClassVar[str] = (
        "One minus the projection of the embedding on the teacher's class mean, by the larger norm."
    )
    paper: ClassVar[str] = "Wang et al. 2023 (KD++), arXiv:2305.17007"
    needs: ClassVar[tuple[str, ...]] = ("student.features", "teacher.features", "labels")
    pull = "teacher"
    unit: ClassVar[str] = "1"

    def build(self, context: TermContext) -> Term:
        """Means of the teacher's classes; an adapter where the widths differ."""
        from workbench.models.inspection import seeded
        from workbench.terms.memory import ClassMeans
        from workbench.terms.readers import width_of

        taps = self.taps(context)
        own, their = context.shapes(taps)
        with seeded(context.seed):
            module = ClassMeans(width_of(own), width_of(their), context.num_classes)
        return TowardsMeans(taps, module)


class TowardsMeans:
    """KD++'s norm and direction loss, built.

    Args:
        taps: Student's and teacher's layer.
        module: Class means and adapter.
    """

    def __init__(self, taps: tuple[str, str], module: ClassMeans) -> None:
        self.module = module
        self.student_taps: Collection[str] = (taps[0],)
        self.target_taps: Collection[str] = (taps[1],)
        self._taps = taps

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """In [0, 2] for each labelled sample; the batch enters the means first."""
        own = self.module.adapter(pooled(student[self._taps[0]]))
        their = pooled(target[self._taps[1]].detach())
        self.module.update(their, batch.labels)
        value = features.nd(own, their, self.module.means, batch.labels)
        return TermValue(value, batch.valid)


def known_rows(kind: TermKind, context: TermContext) -> tuple[Tensor, Tensor]:
    """Ids and labels of the training rows.

    Raises:
        BadInput: If the term is built where they are not known.
    """
    if context.train_ids is None or context.train_labels is None:
        raise BadInput(
            f"{kind.use}: remembers every training row, but is told of none. "
            "Build it with `train_ids` and `train_labels` of the data."
        )
    return context.train_ids, context.train_labels
