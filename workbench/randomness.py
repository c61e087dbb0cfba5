"""Stateless randomness: every draw is a pure function of who asks, never of what was drawn before.

Unusual here: nothing holds a state. The order of epoch 7, the crop of sample 12 in epoch 3 or the
seed of dropout at step 400 follow from (run seed, purpose, epoch or step, sample id) alone. So a
resumed run needs no saved generator and lands on the bits it would have had; a probe, a new term
or another number of workers that also draws cannot shift anybody else's numbers; and the order of
calls does not matter.

Built only on what numpy promises to keep (raw Philox words) and on published integer mixing, so
the values do not change with numpy's version: ``Generator.permutation`` may, ours may not.

Reference:
    Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox); Steele, Lea,
    Flood 2014, "Fast splittable pseudorandom number generators" (splitmix64).
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt

KEY_BITS = 62
"""Keys are below 2**62: they fit a signed int64, and two of them add without overflow."""

GOLDEN_GAMMA = 0x9E3779B97F4A7C15
MULTIPLIER_1 = 0xBF58476D1CE4E5B9
MULTIPLIER_2 = 0x94D049BB133111EB
"""Constants of splitmix64 (Steele, Lea, Flood 2014; finaliser by Stafford, variant 13)."""
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)
"""Made once: `json.dumps` with options makes one a call, and a key is made twice a step."""


def key(*parts: Any) -> int:
    """A 62-bit seed that stands for ``parts``; equal parts give equal keys, on any machine.

    Args:
        parts: JSON values: numbers, strings, booleans, None, lists, mappings. ``1`` and ``1.0``
            differ, a tuple equals a list, the order of a mapping's entries does not matter.

    Returns:
        Integer in [0, 2**62), fit for ``torch.manual_seed`` and numpy bit generators.

    Raises:
        TypeError: If a part is no JSON value (a numpy integer, a tensor).
        ValueError: If a part is NaN or infinite.

    Example:
        >>> key(0, "order", 3) == key(0, "order", 3)
        True
    """
    digest = blake2b(_ENCODER.encode(parts).encode("ascii"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> (64 - KEY_BITS)


def permutation(seed: int, purpose: str, epoch: int, n: int) -> npt.NDArray[np.int64]:
    """A random order of ``range(n)`` that belongs to (seed, purpose, epoch).

    Args:
        seed: Seed of the run, or of the splits.
        purpose: Who asks, for example ``"order"``; two purposes never share an order.
        epoch: Number of the epoch, 0 where there is none.
        n: How many, >= 0.

    Returns:
        Each of 0..n-1 once, int64, shape (n,).
    """
    words = np.random.Philox(key=key(seed, purpose, epoch)).random_raw(n)
    # Sorting raw words, not Generator.permutation: numpy keeps only the words the same for ever.
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def mix(values: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The splitmix64 hash of each value: a bijection of 64-bit words that scatters neighbours.

    Args:
        values: uint64, any shape.

    Returns:
        uint64, the same shape; ``mix(k * GOLDEN_GAMMA)`` is output k + 1 of splitmix64 seeded 0.
    """
    with np.errstate(over="ignore"):  # the arithmetic is modulo 2**64 on purpose
        word = np.asarray(values, dtype=np.uint64) + np.uint64(GOLDEN_GAMMA)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(MULTIPLIER_1)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(MULTIPLIER_2)
    return np.asarray(word ^ (word >> np.uint64(31)), dtype=np.uint64)


def uniform(ids: npt.ArrayLike, *parts: Any) -> npt.NDArray[np.float64]:
    """One number in [0, 1) for each sample id, the same whatever batch the sample is in.

    Args:
        ids: Sample ids, integers >= 0, any shape.
        parts: What the numbers are for, as in :func:`key`: (seed, purpose, epoch).

    Returns:
        float64 with 53 random bits, the shape of ``ids``.
    """
    words = mix(np.asarray(ids).astype(np.uint64) ^ np.uint64(key(*parts)))
    return np.asarray((words >> np.uint64(11)) * 2.0**-53, dtype=np.float64)
