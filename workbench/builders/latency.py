"""How long a forward takes here, measured and never guessed from a count.

Unusual here: the same network is timed as two series that take turns, A and B. How far their
medians lie apart is what this machine cannot tell from nothing; a smaller difference between two
networks is none.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from workbench.models.adapter import ModelAdapter
from workbench.models.inspection import restored

BATCH_SIZE = 64
WARM = 3
"""Forwards before the clock starts: caches fill and kernels are chosen."""
REPEATS = 25
"""Forwards of each series."""


def latency(
    adapter: ModelAdapter,
    shape: tuple[int, ...],
    *,
    device: torch.device | str = "cpu",
    batch_size: int = BATCH_SIZE,
    repeats: int = REPEATS,
) -> dict[str, Any]:
    """Median time of a forward in evaluation mode, on one thread where it runs on the CPU.

    Args:
        adapter: On ``device``.
        shape: Of one example as the data gives it, for images (C, H, W).
        device: Where it is timed.
        batch_size: Images of a forward.
        repeats: Forwards of each of the two series, >= 1.

    Returns:
        ``latency_ms`` of a batch, > 0, the median of both series; ``latency_spread_ms``, the gap
        between their medians; ``latency_of``: device, threads, batch size and forwards.
    """
    device = torch.device(device)
    images = torch.full((batch_size, *shape), 0.5, device=device)
    series: tuple[list[float], list[float]] = ([], [])
    with restored(adapter.network), _one_thread(device) as threads:
        for _ in range(WARM):
            adapter(images)
        for turn in range(2 * repeats):
            _settle(device)
            began = time.perf_counter()
            adapter(images)
            _settle(device)
            series[turn % 2].append(1e3 * (time.perf_counter() - began))
    a, b = (statistics.median(times) for times in series)
    return {
        "latency_ms": statistics.median([*series[0], *series[1]]),
        "latency_spread_ms": abs(a - b),
        "latency_of": {
            "device": device.type,
            "threads": threads,
            "batch_size": batch_size,
            "forwards": 2 * repeats,
        },
    }


@contextmanager
def _one_thread(device: torch.device) -> Iterator[int]:
    """One thread for a CPU's arithmetic; the count comes back afterwards."""
    before = torch.get_num_threads()
    if device.type != "cpu" or before == 1:
        yield before
        return
    torch.set_num_threads(1)
    try:
        yield 1
    finally:
        torch.set_num_threads(before)


def _settle(device: torch.device) -> None:
    """Wait for what an accelerator was told to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
