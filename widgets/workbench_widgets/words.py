"""Numbers as the views write them: thin spaces, true minus, three significant digits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

THIN = "\u2009"
MINUS = "\u2212"
NONE = "\u2013"
"""Stands for a number that is not there."""


def count(value: float) -> str:
    """A whole number with a thin space per thousand: ``12 345``."""
    return f"{int(value):,}".replace(",", THIN).replace("-", MINUS)


def signed(value: float) -> str:
    """A whole difference with its sign: ``+32``, ``−10``, ``0``."""
    return ("+" if value > 0 else "") + count(value)


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as a percentage: ``95.8 %``."""
    if share is None or not math.isfinite(share):
        return NONE
    return f"{100 * share:.{digits}f}".replace("-", MINUS) + "\u00a0%"


def number(value: float | None, significant: int = 3) -> str:
    """Any value with three significant digits: ``0.0591``, ``1.41``, ``2.5e+04``."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:.{significant}g}".replace("-", MINUS)


def fixed(value: float | None, digits: int) -> str:
    """A value with a fixed number of decimals, so that a field keeps its width."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:.{digits}f}".replace("-", MINUS)


def unit_cell(value: float) -> str:
    """A value of at most 1 for a small cell: ``.74``, ``1.00``, ``−.05``."""
    return f"{value:.2f}".replace("-", MINUS).replace("0.", ".", 1)


def shorten(text: str, length: int) -> str:
    """A name cut in its middle, because both ends of a module path carry meaning."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def term_name(name: str) -> str:
    """A term of the loss as people write it: ``KD``, ``DIST``; longer names as they were given."""
    return name.upper() if len(name) <= 4 else name


def sampled(n: int, facts: Mapping[str, Any]) -> str:
    """How many samples a view shows: ``n = 252 probe``, ``n = 37 of 252 selected, probe``."""
    split = str(facts.get("split", ""))
    selected = facts.get("selected")
    if not selected:
        return f"n = {count(n)} {split}".rstrip()
    return f"n = {count(n)} of {count(selected['of'])} selected" + (f", {split}" if split else "")
