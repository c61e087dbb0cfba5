"""Terms with a head of their own: DHKD's second head, MEAL V2's discriminator.

Nothing here loads torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from workbench.functional import LOSSES, binary, soft_targets
from workbench.functional.reductions import pooled
from workbench.registries import TERMS
from workbench.specs.values import Bounds, Value
from workbench.terms.layers import StudentLayerTerm, resolved
from workbench.terms.term import Term, TermContext, TermKind, TermValue

if TYPE_CHECKING:
    from workbench.models.batch import Batch
    from workbench.models.taps import Taps
    from workbench.terms.heads import Discriminator, SecondHead

SOFTENING = LOSSES["binary-kl-norm"].parameters["temperature"]
TEMPERATURE = Bounds(SOFTENING.low, SOFTENING.high, SOFTENING.open_low)
PART = Bounds(0.0, 1e3)


@TERMS.register("dhkd")
class DhkdTerm(StudentLayerTerm):
    """Only a second head learns from the teacher's scores; the first one keeps to the labels."""

    summary: ClassVar[str] = (
        "A second head on the student's features matches the teacher; the first is spared."
    )
    paper: ClassVar[str] = "Yang et al. 2024 (DHKD), arXiv:2411.08937"
    needs: ClassVar[tuple[str, ...]] = ("student.features", "teacher.logits")
    pull = "teacher"
    live: ClassVar[Mapping[str, Bounds]] = {"temperature": TEMPERATURE}
    temperature: Annotated[Value, TEMPERATURE] = Field(2.0, description=SOFTENING.help)
    head: Literal["linear", "mlp"] = Field(
        "linear", description="One layer, or a hidden one of 200 units before it."
    )

    def build(self, context: TermContext) -> Term:
        """The second head from the width of the student's layer."""
        from workbench.models.inspection import seeded
        from workbench.terms.heads import SecondHead
        from workbench.terms.readers import width_of

        tap = resolved(self.student_tap, context.student_stages)
        width = width_of(context.student_shapes([tap])[tap])
        with seeded(context.seed):
            module = SecondHead(width, context.num_classes, self.head)
        return SecondHeaded(tap, module)


class SecondHeaded:
    """DHKD's loss of the second head, built.

    Args:
        tap: Student's layer, pooled.
        module: The head.
    """

    def __init__(self, tap: str, module: SecondHead) -> None:
        self.module = module
        self.student_taps: Collection[str] = (tap,)
        self.target_taps: Collection[str] = ()
        self._tap = tap

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Nats of each sample."""
        scores = self.module(pooled(student[self._tap]))
        return TermValue(binary.binary_kl_norm(scores, target["logits"], **values))


@TERMS.register("meal-v2")
class MealTerm(TermKind):
    """The teacher's probabilities as targets, and a discriminator of who gave the scores.

    In the released code student and discriminator lower the same sum. With ``adversarial`` the
    gradient from the discriminator reaches the student with the opposite sign: exactly that of
    the min-max game the paper describes, both players stepping at once.
    """

    summary: ClassVar[str] = (
        "Cross-entropy against the teacher's probabilities, plus a discriminator of the scores."
    )
    paper: ClassVar[str] = "Shen & Savvides 2020 (MEAL V2), arXiv:2009.08453"
    needs: ClassVar[tuple[str, ...]] = ("student.logits", "teacher.logits")
    pull = "teacher"
    live: ClassVar[Mapping[str, Bounds]] = {"discrimination": PART}
    discrimination: Annotated[Value, PART] = Field(
        1.0, description="Weight of the discriminator's loss; 0 leaves soft cross-entropy."
    )
    adversarial: bool = Field(
        False, description="The student works against the discriminator; the release: with it."
    )

    def build(self, context: TermContext) -> Term:
        """The discriminator for so many classes."""
        from workbench.models.inspection import seeded
        from workbench.terms.heads import Discriminator

        with seeded(context.seed):
            module = Discriminator(context.num_classes)
        return Discriminated(module, adversarial=self.adversarial)


class Discriminated:
    """MEAL V2's sum of losses, built.

    Args:
        module: The discriminator.
        adversarial: Whether the student gets the opposite of its gradient.
    """

    logs = ("imitation", "told_apart")

    def __init__(self, module: Discriminator, *, adversarial: bool) -> None:
        self.module = module
        self.adversarial = adversarial
        self.student_taps: Collection[str] = ()
        self.target_taps: Collection[str] = ()

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Nats of each sample; both parts are logged, without the weight of the second."""
        from workbench.terms.heads import discrimination_loss, gradient_reversed

        own, their = student["logits"].float(), target["logits"].detach().float()
        imitation = soft_targets.soft_ce(own, their.softmax(-1))
        judged = gradient_reversed(own) if self.adversarial else own
        told_apart = discrimination_loss(self.module, judged, their)
        log = {"imitation": imitation.detach(), "told_apart": told_apart.detach()}
        return TermValue(imitation + values["discrimination"] * told_apart, log=log)
