"""All-pairs CKA of 16 x 16 layers, 512 samples, teacher cached, against torch_cka and a product.

torch_cka recomputes every Gram matrix for every pair; it is timed a few rounds only, since one
takes seconds. Of ckatorch the function for one pair is timed on some pairs and scaled up: its
class wants a loader of images. The bare product is what nobody can leave out: the student's 16
Gram matrices and their inner products with the teacher's.
"""

from __future__ import annotations

import io
import statistics
import warnings
from contextlib import redirect_stderr
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks._pairs import compare, main, report, timed
from workbench.functional.cka import cka_map, normalised_grams

LAYERS = 16
SAMPLES = 512
SPEED_UP = {512: 30.0, 4096: 15.0}
PRODUCT = 1.5
PEER_ROUNDS = 3
PAIRS = 8
"""Of the 256 pairs, those on which ckatorch is timed."""


class Layers(nn.Module):
    """A network whose layers give prepared features, so that a peer's hooks find them."""

    def __init__(self, features: list[Tensor]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Given(layer) for layer in features)

    def forward(self, rows: Tensor) -> Tensor:
        for layer in self.layers:
            rows = layer(rows)
        return rows


class Given(nn.Module):
    """Gives what it was given, whatever comes in."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, rows: Tensor) -> Tensor:
        return self.features


def measure(rounds: int) -> dict[str, Any]:
    """The smaller margin of the two widths."""
    widths = {width: _width(width, rounds) for width in SPEED_UP}
    margin = min(widths[width]["speed_up"] / SPEED_UP[width] for width in widths)
    return report(
        "similarity",
        margin,
        1.0,
        at_least=True,
        ok=all(found["against_product"] <= PRODUCT for found in widths.values()),
        product_budget=PRODUCT,
        speed_up_budgets={str(width): budget for width, budget in SPEED_UP.items()},
        widths={str(width): found for width, found in widths.items()},
    )


def _width(width: int, rounds: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(0)
    teacher, student = (
        [torch.randn(SAMPLES, width, generator=generator) for _ in range(LAYERS)] for _ in range(2)
    )
    cached = normalised_grams(teacher)
    flat = cached.reshape(LAYERS, -1)

    def ours() -> Tensor:
        return cka_map(cached, normalised_grams(student))

    def product() -> Tensor:
        grams = torch.stack([layer @ layer.T for layer in student])
        return flat @ grams.reshape(LAYERS, -1).T

    found = compare(timed(ours), timed(product), rounds=rounds)
    peer, theirs = _peer(teacher, student, found.clock)
    return {
        "speed_up": peer / found.ours,
        "against_product": found.ratio,
        "aa": found.aa,
        "clock": found.clock,
        "ours_ms": found.ours * 1e3,
        "torch_cka_s": peer,
        "ckatorch_s": _ckatorch(teacher, student, found.clock),
        "ckatorch_pairs": PAIRS,
        "largest_difference": float((ours() - theirs).abs().max()),
        "rounds": rounds,
        "torch_cka_rounds": PEER_ROUNDS,
    }


def _peer(teacher: list[Tensor], student: list[Tensor], clock: str) -> tuple[float, Tensor]:
    """Median seconds of torch_cka on the same features, and its map (uncentred Gram matrices)."""
    from torch_cka import CKA

    names = [f"layers.{i}" for i in range(LAYERS)]
    rows = DataLoader(TensorDataset(torch.zeros(SAMPLES, 1)), batch_size=SAMPLES)
    seconds = []
    with warnings.catch_warnings(), redirect_stderr(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")
        peer = CKA(Layers(teacher), Layers(student), "teacher", "student", names, names)
        for _ in range(PEER_ROUNDS):
            seconds.append(timed(lambda: peer.compare(rows, rows))())
    found: Tensor = peer.hsic_matrix
    return statistics.median(getattr(spent, clock) for spent in seconds), found


def _ckatorch(teacher: list[Tensor], student: list[Tensor], clock: str) -> float:
    """Seconds of all pairs, from a few."""
    from ckatorch.core import cka_base

    def some() -> None:
        for x, y in zip(teacher[:PAIRS], student[:PAIRS], strict=True):
            cka_base(x, y, unbiased=True, method="hsic")

    seconds: list[float] = [getattr(timed(some)(), clock) for _ in range(PEER_ROUNDS)]
    return statistics.median(seconds) * LAYERS**2 / PAIRS


if __name__ == "__main__":
    main(measure)
