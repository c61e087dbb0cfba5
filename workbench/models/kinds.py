"""The models a user can name; plain data here, torch and the libraries load when one is built.

``cnn-small`` · ``timm/ARCH`` · ``hub:ORG/NAME`` · ``path:FILE_OR_FOLDER`` · ``run:RUN@last``
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, LiteralString

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from workbench.errors import BadInput, BadModel
from workbench.models.facts import Architecture, ModelContext
from workbench.registries import MODELS
from workbench.specs.base import Kind
from workbench.specs.stage import TrainSpec

if TYPE_CHECKING:
    from workbench.models.adapter import ModelAdapter

HUB_ID = re.compile(r"^hub:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?$")
RUN_ID = re.compile(r"^run:(?P<run>[^@\s]+)@(?P<which>last|best|\d+)$")


class ModelSpec(Kind):
    """A model by name, with its options."""

    train: TrainSpec | None = Field(
        None, description="How a teacher is trained first; a student learns in `stages`."
    )
    input_size: int | None = Field(
        None, ge=8, le=1024, description="Side of the network's input in pixels; none: chosen."
    )

    def build(self, context: ModelContext) -> ModelAdapter:
        """The network in its adapter; initial weights are a pure function of ``context.seed``.

        Raises:
            BadModel: If it cannot be built for this data.
            BadFile: If a file it needs is missing or damaged.
        """
        raise NotImplementedError

    def side_of(self, context: ModelContext) -> tuple[int, int, int]:
        """Shape that an own network sees: the data's, or square where ``input_size`` is given.

        Raises:
            BadModel: If the data are table rows.
        """
        channels, height, width = context.image_shape(self.use)
        if self.input_size is None:
            return channels, height, width
        return channels, self.input_size, self.input_size


class OwnModelSpec(ModelSpec):
    """One of our own networks; its options are the arguments of its constructor.

    ``takes_rows`` says whether the network takes table rows, (B, F), as well as images.
    """

    options: ClassVar[tuple[str, ...]] = ()
    takes_rows: ClassVar[bool] = False

    def build(self, context: ModelContext) -> ModelAdapter:
        from workbench.models.architectures import build

        return build(self.architecture(context), context, name=self.use)

    def architecture(self, context: ModelContext) -> Architecture:
        """What rebuilds the network.

        Raises:
            BadModel: If it does not take the rows of a table and the data are one.
        """
        return Architecture(
            family="own",
            name=self.use,
            input_size=self._shape_for(context),
            num_classes=context.num_classes,
            mean=context.mean,
            std=context.std,
            arguments={option: getattr(self, option) for option in self.options},
        )

    def _shape_for(self, context: ModelContext) -> tuple[int, ...]:
        """What the network sees: a row as it is, or an image of :meth:`side_of`."""
        if not (self.takes_rows and context.is_row):
            return self.side_of(context)
        if self.input_size is not None:
            raise BadModel(
                f"{self.use}: `input_size` is {self.input_size}, the side of an image; the data "
                f"are table rows of {context.channels} features. Leave it out."
            )
        return context.shape


@MODELS.register("cnn-small")
class CnnSmall(OwnModelSpec):
    """Four 3x3 convolutions (widths w, w, 2w, 2w), halved once; 37 k parameters on digits."""

    options: ClassVar[tuple[str, ...]] = ("width",)
    width: int = Field(24, ge=1, le=512, description="Channels w of the first convolution.")


@MODELS.register("cnn-tiny")
class CnnTiny(OwnModelSpec):
    """Two 3x3 convolutions (widths w, 2w): a student that a good teacher visibly helps."""

    options: ClassVar[tuple[str, ...]] = ("width",)
    width: int = Field(6, ge=1, le=512, description="Channels w of the first convolution.")


@MODELS.register("mlp")
class Mlp(OwnModelSpec):
    """Fully connected layers on the flattened image, or on a table row."""

    options: ClassVar[tuple[str, ...]] = ("hidden", "dropout")
    takes_rows: ClassVar[bool] = True
    hidden: tuple[int, ...] = Field(
        (128, 64), min_length=1, max_length=8, description="Width of each hidden layer."
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="Share dropped after each hidden layer in training."
    )

    @field_validator("hidden")
    @classmethod
    def _widths_are_bounded(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not all(1 <= width <= 8192 for width in value):
            raise PydanticCustomError("widths", "each width must be in 1..8192", {})
        return value


@MODELS.register("timm/")
class TimmModel(ModelSpec):
    """Any classifier of timm with random weights, sized for the data."""

    drop_rate: float | None = Field(
        None, ge=0, lt=1, description="Dropout before the classifier; none: the architecture's."
    )
    drop_path_rate: float | None = Field(
        None, ge=0, lt=1, description="Stochastic depth; none: the architecture's."
    )

    @property
    def arch(self) -> str:
        """Architecture in timm's words."""
        return self.use.removeprefix("timm/")

    @field_validator("use")
    @classmethod
    def _architecture_is_known(cls, value: str) -> str:
        from workbench.models.timm_models import check_architecture

        try:
            check_architecture(value.removeprefix("timm/"))
        except BadInput as error:
            raise _invalid("unknown_name", error.message) from None
        return value

    def build(self, context: ModelContext) -> ModelAdapter:
        from workbench.models.timm_models import build_timm

        rates = {"drop_rate": self.drop_rate, "drop_path_rate": self.drop_path_rate}
        return build_timm(
            self.arch,
            context,
            name=self.use,
            side=self.input_size,
            arguments={key: rate for key, rate in rates.items() if rate is not None},
        )


@MODELS.register("hub:")
class HubModel(ModelSpec):
    """A pretrained image classifier of timm or transformers from the hub, from the cache first."""

    new_head: bool = Field(
        False, description="Replace the classifier where its classes are not the data's."
    )

    @field_validator("use")
    @classmethod
    def _id_is_complete(cls, value: str) -> str:
        if not HUB_ID.match(value):
            raise _invalid(
                "hub_id",
                f"{value!r} is no hub id; write hub:ORG/NAME, as in hub:timm/resnet18.a1_in1k",
            )
        return value

    def build(self, context: ModelContext) -> ModelAdapter:
        from workbench.models.directories import load_directory
        from workbench.models.hub import fetch

        found = HUB_ID.match(self.use)
        repo, revision = found.group("repo", "revision") if found else (self.use, None)
        return load_directory(
            fetch(repo, revision),
            context,
            name=self.use,
            side=self.input_size,
            new_head=self.new_head,
        )


@MODELS.register("path:")
class PathModel(ModelSpec):
    """A safetensors file of ours, or a folder that ``save_pretrained`` made; never a pickle."""

    new_head: bool = Field(
        False, description="Replace the classifier of a folder's model where the classes differ."
    )

    def build(self, context: ModelContext) -> ModelAdapter:
        from workbench.models.directories import load_directory
        from workbench.models.files import load_file

        path = Path(self.use.removeprefix("path:")).expanduser()
        if path.is_dir():
            return load_directory(
                path, context, name=self.use, side=self.input_size, new_head=self.new_head
            )
        return load_file(path, context, name=self.use)


@MODELS.register("run:")
class RunModel(ModelSpec):
    """The student of a stored run: ``run:RUN@last``, ``@best`` or ``@STEP``."""

    @field_validator("use")
    @classmethod
    def _names_a_checkpoint(cls, value: str) -> str:
        if not RUN_ID.match(value):
            raise _invalid("run_id", f"{value!r}: write run:RUN@last, run:RUN@best or run:RUN@STEP")
        return value

    def build(self, context: ModelContext) -> ModelAdapter:
        from workbench.models.files import load_stored

        return load_stored(self.use.removeprefix("run:"), context, name=self.use)


def _invalid(code: LiteralString, text: str) -> PydanticCustomError:
    return PydanticCustomError(code, "{text}", {"text": text})
