"""Ways to show a batch otherwise: in a partner's style, or with most patches left out.

Unusual here: what is drawn (partner, ratio, patches) is a pure function of (seed, step, sample id)
or of (seed, step) and the batch, never of a stream, so a run replays bit for bit.
Shapes: B = sample, C = channel, H, W = pixel, L = patch.
"""

from __future__ import annotations

import numpy as np
import torch

from workbench.errors import BadModel
from workbench.functional.mixing import mix_statistics
from workbench.models.adapter import ModelAdapter
from workbench.models.batch import Batch
from workbench.models.taps import Taps
from workbench.randomness import key, permutation
from workbench.terms.mae import random_keep


class Styled:
    """The batch with each image's channel statistics mixed with another's (MixStyle, on inputs).

    Args:
        name: Of the view.
        taps: Student's taps to take.
        concentration: Both parameters of the Beta distribution of the ratio, > 0.

    Reference:
        Zhou et al. 2021 (MixStyle), arXiv:2104.02008; on inputs in Tang et al. 2023 (KD³).
    """

    def __init__(self, name: str, taps: list[str], *, concentration: float) -> None:
        self.name, self._taps, self._concentration = name, taps, concentration

    def __call__(self, model: ModelAdapter, batch: Batch, seed: int, step: int) -> Taps:
        """The named taps of the mixed batch."""
        count, inputs = len(batch.ids), batch.inputs
        if inputs.ndim != 4:
            raise BadModel(f"view {self.name}: only images have a style; these are table rows.")
        draws = np.random.Generator(np.random.Philox(key(seed, "style", step)))
        ratio = draws.beta(self._concentration, self._concentration, count)
        partner = permutation(key(seed, "style"), "partner", step, count)
        mixed = mix_statistics(
            inputs,
            torch.from_numpy(ratio).to(inputs),
            torch.from_numpy(partner).to(inputs.device),
        )
        return model.taps(mixed, self._taps)


class Masked:
    """What a transformer makes of the patches that are left when most are taken away.

    Gives ``tokens`` (B, 1 + kept, D), the patches that stayed as ``keep`` (B, kept), and the
    standardised ``pixels`` of all patches (B, L, P).

    Args:
        name: Of the view.
        ratio: Share of patches that is left out, in (0, 1).

    Reference:
        He et al. 2022 (MAE), arXiv:2111.06377.
    """

    def __init__(self, name: str, *, ratio: float) -> None:
        self.name, self._ratio = name, ratio

    def __call__(self, model: ModelAdapter, batch: Batch, seed: int, step: int) -> Taps:
        """Tokens, kept patches and pixels.

        Raises:
            BadModel: If the network cannot leave out patches.
        """
        network = model.network
        encode, patchify = getattr(network, "encode", None), getattr(network, "patchify", None)
        if encode is None or patchify is None:
            raise BadModel(
                f"{model.facts.name}: view {self.name} leaves out patches, which needs a network "
                "with `encode(images, keep)` and `patchify(images)`. Take vit-micro, or give your "
                "own transformer these two."
            )
        images = model.prepare(batch.inputs)
        pixels = patchify(images)
        keep = random_keep(batch.ids, pixels.shape[1], self._ratio, seed, step)
        return Taps({"tokens": encode(images, keep), "keep": keep, "pixels": pixels})
