"""The steps at which every run of a length is probed: what a run and its replay have in common."""

from __future__ import annotations

import math

LOOKS = 12
"""Snapshots that every run has at least, beside the first."""


def grid(steps: int, looks: int = LOOKS) -> set[int]:
    """Steps at which every run of that length is probed, the first and the last included."""
    return {math.ceil(i * steps / looks) for i in range(looks + 1)}
