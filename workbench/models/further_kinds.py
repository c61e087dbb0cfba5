"""Further models of our own that a user can name: a small transformer, a borrowed classifier.

Plain data here; torch loads when one is built.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from workbench.models.facts import ModelContext
from workbench.models.kinds import ModelSpec, OwnModelSpec
from workbench.registries import MODELS
from workbench.specs.base import Pick

if TYPE_CHECKING:
    from workbench.models.adapter import ModelAdapter

BODIES = ("cnn-cells", "cnn-small", "cnn-tiny", "mlp")
"""Networks of ours that pool their last map, or end in a vector, and classify it linearly."""


@MODELS.register("vit-micro")
class VitMicro(OwnModelSpec):
    """Vision transformer of four blocks, 48 wide: 77 k parameters on digits; fit for masking."""

    options: ClassVar[tuple[str, ...]] = (
        "patch",
        "width",
        "depth",
        "heads",
        "mlp_ratio",
        "dropout",
    )
    patch: int = Field(
        2, ge=1, le=64, description="Side of a patch in pixels; must divide the image's sides."
    )
    width: int = Field(
        48, ge=4, le=1024, description="Of a token; must be divisible by 4 and by `heads`."
    )
    depth: int = Field(4, ge=1, le=48, description="Number of blocks.")
    heads: int = Field(4, ge=1, le=32, description="Of the attention in each block.")
    mlp_ratio: float = Field(
        2.0, gt=0, le=8, description="Hidden width of a block's perceptron over the token's width."
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Share dropped after attention and perceptron in training."
    )


@MODELS.register("borrowed-head")
class BorrowedHead(ModelSpec):
    """A network that answers with its teacher's frozen classifier, through a learned projector."""

    of: Annotated[OwnModelSpec, Pick(MODELS)] = Field(
        description="The network whose body it has: a cnn-* or mlp with its options."
    )
    factor: int = Field(
        2, ge=1, le=64, description="How much narrower the projector's middle is than its end."
    )

    @field_validator("of")
    @classmethod
    def _has_a_body(cls, value: OwnModelSpec) -> OwnModelSpec:
        if value.use not in BODIES:
            raise PydanticCustomError(
                "body",
                "{given} has no body that can be taken; allowed: {allowed}",
                {"given": repr(value.use), "allowed": ", ".join(BODIES)},
            )
        if value.train is not None:
            raise PydanticCustomError("body", "a student learns in `stages`; leave out `train`", {})
        return value

    @model_validator(mode="after")
    def _size_stands_in_the_body(self) -> BorrowedHead:
        if self.input_size is not None:
            raise PydanticCustomError("body", "set `input_size` in `of`", {})
        return self

    def build(self, context: ModelContext) -> ModelAdapter:
        """Body and projector follow ``context.seed``, the classifier is ``context.teacher``'s."""
        from workbench.models.architectures import build
        from workbench.models.borrowed import BorrowingNet, classifier_of

        classifier = classifier_of(context.teacher, name=self.use)
        body = self.of.architecture(context)
        arguments = {
            "of": body.name,
            "options": body.arguments,
            "width": classifier.in_features,
            "factor": self.factor,
        }
        architecture = replace(body, name=self.use, arguments=arguments)
        adapter = build(architecture, context, name=self.use)
        cast(BorrowingNet, adapter.network).borrow(classifier)
        return adapter
