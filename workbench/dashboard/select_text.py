"""Sample ids as text in an address, short and exact.

Unusual here: what people draw is short as it stands (`3,7-12`); a long one is the gaps between
ids, seven bits a byte, in base64 after a `~`. Neither needs escaping; page/selection.js writes and
reads the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Final

from workbench_widgets.words import count

from workbench.errors import BadAddress

LONGEST: Final = 400
"""Letters of ids and ranges; beyond it the gaps are packed."""
MOST: Final = 1_000_000
"""Samples that a text may name: a range is short, what it stands for is not."""
PACKED: Final = "~"
PLAIN: Final = re.compile(r"[0-9]{1,9}(?:-[0-9]{1,9})?(?:,[0-9]{1,9}(?:-[0-9]{1,9})?)*")
SHAPE: Final = "Allowed: sample ids and ranges such as `3,7-12`, or what this page wrote itself"
SAID: Final = 20
"""Letters of an unreadable text that are said again."""

Ids = tuple[int, ...]


def encode(ids: Sequence[int]) -> str:
    """The ids as text of an address, which needs no escaping; empty for none.

    Args:
        ids: Sample ids, >= 0, in any order.

    Example:
        >>> encode([9, 3, 8, 7])
        '3,7-9'
    """
    ordered = sorted(set(ids))
    runs: list[list[int]] = []
    for one in ordered:
        if runs and one == runs[-1][1] + 1:
            runs[-1][1] = one
        else:
            runs.append([one, one])
    plain = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
    return plain if len(plain) <= LONGEST else PACKED + _packed(ordered)


def decode(text: str) -> Ids:
    """Ids from the text of an address, rising; none from an empty text.

    Raises:
        BadAddress: If the text names no ids; says what is allowed.
    """
    if not text:
        return ()
    if text.startswith(PACKED):
        return _unpacked(text)
    if not PLAIN.fullmatch(text):
        raise _unreadable(text, "names no samples")
    found: set[int] = set()
    named = 0  # ranges that overlap cost as much time as those that do not
    for piece in text.split(","):
        low, _, high = piece.partition("-")
        first, last = int(low), int(high or low)
        if last < first:
            raise _unreadable(text, f"has a range that ends before it begins (`{piece}`)")
        named += last - first + 1
        if named > MOST:
            raise _unreadable(text, f"names more than {count(MOST)} samples")
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def _packed(ordered: Sequence[int]) -> str:
    """Gaps between rising ids, seven bits a byte (the eighth: one more follows), in base64."""
    made, before = bytearray(), -1
    for one in ordered:
        gap, before = one - before - 1, one
        while gap > 0x7F:
            made.append(gap & 0x7F | 0x80)
            gap >>= 7
        made.append(gap)
    return base64.urlsafe_b64encode(made).rstrip(b"=").decode()


def _unpacked(text: str) -> Ids:
    body = text.removeprefix(PACKED)
    try:
        raw = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise _unreadable(text, "is not what this page writes") from None
    found: list[int] = []
    gap = shift = 0
    for byte in raw:
        gap |= (byte & 0x7F) << shift
        shift += 7
        if byte & 0x80 and shift < 35:
            continue
        found.append((found[-1] if found else -1) + gap + 1)
        gap = shift = 0
        if len(found) > MOST or found[-1] >= 2**31:
            raise _unreadable(text, "names samples that cannot be")
    if shift or not found:
        raise _unreadable(text, "was cut off")
    return tuple(found)


def _unreadable(text: str, why: str) -> BadAddress:
    told = text if len(text) <= SAID else f"{text[:SAID]}…"
    return BadAddress(f"`select={told}` in the address {why}. {SHAPE}.")
