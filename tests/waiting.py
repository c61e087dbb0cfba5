"""How tests wait: for a condition, never for a time.

Unusual here: one patience for all. A busy machine is several times slower than a quiet one, and a
condition that never comes fails however long it was waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import pytest

PATIENCE: Final = 180.0
"""Seconds after which what is waited for will not come."""

T = TypeVar("T")


def until(
    condition: Callable[[], T], what: str, *, seconds: float = PATIENCE, every: float = 0.02
) -> T:
    """Wait until ``condition`` is true; its value then.

    Args:
        condition: What has to come.
        what: Said where it does not come.
        seconds: To wait at most.
        every: Seconds between two looks; a page that is asked often draws late.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what}")
        time.sleep(every)
