"""Layer similarity of selected samples: forwarded anew, for no snapshot keeps features.

Unusual here: the probe of the training itself measures it, on the selected rows instead of the
first ones, so a selection of those rows has the snapshot's own map, null level and all.
Shapes: n = selected samples, Lt, Ls = layers of teacher, student.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from workbench.errors import BadInput, RefusedCommand
from workbench.lazy import LazyModule
from workbench.runs.attribution import FORWARD_ROWS, SPLIT, OpenPair

if TYPE_CHECKING:
    import torch

    from workbench.probes.probe import Measured
    from workbench.probes.view import Look
else:
    torch = LazyModule("torch")

GRAM_BYTES: Final = 2**30
"""Of all Gram matrices, in both estimators: what a look may take beside a training."""

Told = Callable[[int, int, str], None]
"""Called with samples asked about, samples in all, and what is done, in words."""


def most_samples(num_layers: int) -> int:
    """Samples whose Gram matrices fit into :data:`GRAM_BYTES`; two float32 of (n, n) a layer."""
    return math.isqrt(GRAM_BYTES // (8 * max(num_layers, 1)))


def compare_layers(
    pair: OpenPair, ids: Sequence[int], told: Told = lambda done, of, words: None
) -> Measured:
    """Unbiased and biased CKA of every pair of layers, and the null level, over these samples.

    Args:
        pair: Student and teacher in memory.
        ids: Of samples of the probe split, at least as many as the unbiased estimator needs.
        told: Hears of progress; what it raises ends the work.

    Returns:
        As the probe of a training: ``unbiased``, ``biased``, ``null_p95``, float32, (Lt, Ls).

    Raises:
        BadInput: If a sample is none of the probe split.
        RefusedCommand: If they are more than fit into memory.
        ValueError: If they are fewer than the estimator needs.
    """
    from workbench.probes.probe import Pair
    from workbench.probes.similarity import SimilarityProbe
    from workbench.probes.view import Rows

    known = pair.data.split_ids(SPLIT)
    wanted = np.asarray(sorted(ids), dtype=np.int64)
    strange = wanted[~np.isin(wanted, known)]
    if strange.size:
        raise BadInput(
            f"sample {strange[0]} is not one of the {len(known)} {SPLIT} samples of run {pair.run}."
        )
    layers = {who: list(model.facts.layers) for who, model in pair.models.items()}
    most = most_samples(sum(map(len, layers.values())))
    if len(wanted) > most:
        raise RefusedCommand(
            f"{len(wanted)} samples are selected; with {len(layers['teacher'])} and "
            f"{len(layers['student'])} layers at most {most} are compared at once (1 GiB of Gram "
            "matrices). Select fewer."
        )
    rows = pair.data.fetch_full(wanted)
    looks = {
        who: _look(pair, who, layers[who], rows.inputs, place, told)
        for place, who in enumerate(layers)
    }
    told(2 * len(wanted), 2 * len(wanted), "Compares layers")
    empty = rows.inputs[:0]
    shown = Rows(rows.ids, rows.inputs, rows.labels, empty, rows.labels[:0], len(wanted))
    about = Pair(shown, looks["teacher"], layers["teacher"], layers["student"], ())
    return SimilarityProbe(about).measure(looks["student"])


def _look(
    pair: OpenPair, who: str, layers: Sequence[str], inputs: Any, place: int, told: Told
) -> Look:
    """What a model says about the samples, with word of progress between few rows and the next."""
    from workbench.functional.cka import pooled
    from workbench.probes.view import Look

    model, features, logits = pair.models[who], [], []
    num = len(inputs)
    for start in range(0, num, FORWARD_ROWS):
        told(place * num + start, 2 * num, f"Asks the {who}")
        with torch.no_grad():
            taps = model.taps(inputs[start : start + FORWARD_ROWS], layers)
        features.append([pooled(taps[name]).float() for name in layers])
        logits.append(taps["logits"].float())
    columns = [torch.cat(column) for column in zip(*features, strict=True)]
    return Look(torch.cat(logits), torch.zeros(0), columns)
