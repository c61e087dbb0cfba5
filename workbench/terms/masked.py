"""Terms of transformers that pre-train on images without labels: MAE, and a hint of one token.

Nothing here loads torch.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from workbench.errors import BadInput, BadModel
from workbench.functional.guards import at_least_float32
from workbench.registries import TERMS
from workbench.terms.term import Term, TermContext, TermKind, TermValue

if TYPE_CHECKING:
    from workbench.models.batch import Batch
    from workbench.models.taps import Taps
    from workbench.terms.mae import MaskedDecoder

NORM = "norm"
"""Tap after a transformer's last norm: the class token, then the patches."""


@TERMS.register("mae")
class MaeTerm(TermKind):
    """Guesses the pixels of patches that the student was not shown."""

    summary: ClassVar[str] = "Squared gap to the normalised pixels of patches that were left out."
    paper: ClassVar[str] = "He et al. 2022 (MAE), arXiv:2111.06377"
    needs: ClassVar[tuple[str, ...]] = ("student.tokens", "inputs")
    pull = "labels"
    unit: ClassVar[str] = "1"
    mask_ratio: float = Field(0.75, gt=0, lt=1, description="Share of patches that is left out.")
    decoder_width: int = Field(
        32, ge=4, le=4096, description="Of the decoder; divisible by 4 and by its heads."
    )
    decoder_depth: int = Field(1, ge=1, le=32, description="Blocks of the decoder.")
    decoder_heads: int = Field(4, ge=1, le=64, description="Heads of each block.")

    def build(self, context: TermContext) -> Term:
        """A decoder for the student's tokens and the data's images.

        Raises:
            BadInput: If the student has no tokens of patches, or the decoder's sizes do not fit.
        """
        from workbench.models.inspection import seeded
        from workbench.terms.mae import MaskedDecoder

        patches, width = tokens_of(self, context, NORM)
        channels, height, across = context.images(self.use)
        side = math.isqrt(height * across // max(patches, 1))
        grid = (height // max(side, 1), across // max(side, 1))
        if grid[0] * grid[1] != patches:
            raise BadInput(
                f"mae: {patches} tokens are no grid of square patches of {height} x {across} "
                "pixels. Take a vision transformer with one class token (vit-micro)."
            )
        try:
            with seeded(context.seed):
                decoder = MaskedDecoder(
                    patches,
                    width,
                    channels * side**2,
                    self.decoder_width,
                    self.decoder_depth,
                    self.decoder_heads,
                    grid=grid,
                )
        except ValueError as error:
            raise BadInput(f"mae: {error}") from None
        return Reconstructed(decoder, self.mask_ratio, patches)


class Reconstructed:
    """MAE's objective, built.

    Args:
        decoder: Learns with the student.
        ratio: Share of patches that is left out.
        num_patches: L.
    """

    def __init__(self, decoder: MaskedDecoder, ratio: float, num_patches: int) -> None:
        from workbench.terms.views import Masked

        self.module = decoder
        self.student_taps: Collection[str] = ()
        self.target_taps: Collection[str] = ()
        self.views = [Masked(f"masked-{ratio:g}", ratio=ratio)]
        self._view, self._num_patches = self.views[0].name, num_patches

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Without unit, of each sample, over the patches that were left out."""
        from workbench.terms.mae import masked_patches, masked_pixel_loss

        keep = student[f"{self._view}:keep"]
        predicted = self.module(student[f"{self._view}:tokens"], keep)
        masked = masked_patches(keep, self._num_patches)
        return TermValue(masked_pixel_loss(predicted, student[f"{self._view}:pixels"], masked))


@TERMS.register("token-hint")
class TokenHintTerm(TermKind):
    """Squared distance of one token of a layer from the target's; both networks are of one width.

    The sum over the token's numbers, not their mean, as the paper has it.
    """

    summary: ClassVar[str] = "Squared distance of the class token, summed over its numbers."
    paper: ClassVar[str] = "Lee et al. 2023 (Self-distillation for further pre-training), ICLR"
    needs: ClassVar[tuple[str, ...]] = ("student.tokens", "teacher.tokens")
    pull = "teacher"
    unit: ClassVar[str] = "1"
    layer: str = Field(NORM, min_length=1, description="Layer of both networks, (B, L, D).")
    token: int = Field(0, ge=0, le=65535, description="Which token: 0 is the class token.")

    def build(self, context: TermContext) -> Term:
        """Nothing is learned.

        Raises:
            BadInput: If there is no such layer, the widths differ or there is no such token.
        """
        try:
            own, their = context.shapes((self.layer, self.layer))
        except BadModel as error:
            raise BadInput(
                f"token-hint: both networks need the layer {self.layer!r}. {error.message} Take "
                "two vision transformers (vit-micro), or a layer that both have."
            ) from None
        if len(own) != 2 or own[-1:] != their[-1:] or self.token >= min(own[0], their[0]):
            raise BadInput(
                f"token-hint: token {self.token} of {self.layer!r} needs layers of tokens of one "
                f"width; the student's is {own}, the target's {their} (tokens, width). Take "
                "another layer, or `hint`, which learns a change of width."
            )
        return OneToken(self.layer, self.token)


class OneToken:
    """The hint of one token, built.

    Args:
        layer: Tap of both networks.
        token: Its number.
    """

    module = None

    def __init__(self, layer: str, token: int) -> None:
        self.student_taps: Collection[str] = (layer,)
        self.target_taps: Collection[str] = (layer,)
        self._layer, self._token = layer, token

    def __call__(
        self, student: Taps, target: Taps, batch: Batch, values: Mapping[str, float]
    ) -> TermValue:
        """Squared feature units of each sample."""
        own, their = (taps[self._layer][:, self._token] for taps in (student, target))
        gap = at_least_float32(own) - at_least_float32(their.detach())
        return TermValue(gap.square().sum(-1))


def tokens_of(kind: TermKind, context: TermContext, tap: str) -> tuple[int, int]:
    """Patches and width of the student's tokens; the first token is the class's.

    Raises:
        BadInput: If there is no such layer, or it holds no tokens.
    """
    try:
        shape = context.student_shapes([tap])[tap]
    except BadModel as error:
        raise BadInput(
            f"{kind.use}: the student has no layer of tokens. {error.message} Take a vision "
            "transformer (vit-micro)."
        ) from None
    if len(shape) != 2 or shape[0] < 2:
        raise BadInput(
            f"{kind.use}: the student's layer {tap!r} has the shape {shape}, not (tokens, width). "
            "Take a vision transformer (vit-micro)."
        )
    return shape[0] - 1, shape[1]
