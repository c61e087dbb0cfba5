"""What is open on the page of a run, as an address has it: ``&tab=curves&cell=teacher&sample=17``.

Unusual here: the browser writes it (page/opened.js), only what a page does not open by itself, and
no other page hears of it; this side reads the link that opened a page and says what it cannot open.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from workbench_widgets.words import count

from workbench.dashboard.address import Place
from workbench.dashboard.live import Sent
from workbench.dashboard.scrubber import settle
from workbench.dashboard.toggles import settle_toggles
from workbench.store import RunRow

PANES: Final[Mapping[str, tuple[str, ...]]] = {
    "tab": ("views", "curves"),
    "lower": ("samples", "result"),
    "cell": ("both", "teacher", "student", "neither"),
}
"""What one of several is open: a tab (narrow pages), a card, a cell of the sample inspector."""
SAMPLE: Final = re.compile(r"[0-9]{1,9}")
RANGE: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
SAID: Final = 40
"""Letters of an unreadable text that are said again."""


def begin(
    asked: Place,
    row: RunRow,
    stored: Sequence[int],
    views: Mapping[str, Sent],
    samples: Collection[int] | None,
) -> dict[str, Any]:
    """All that the page of a run is told once about the link that opened it.

    Args:
        asked: What the address asks for.
        row: The run.
        stored: Steps of its snapshots, rising.
        views: The newest frames.
        samples: Ids of the probe split, or None before the first snapshot.

    Returns:
        ``asked`` (see :func:`settle`), ``toggles`` (:func:`settle_toggles`) and ``opened``.
    """
    opened = settle_opened(asked.opened, steps=row.steps, samples=samples)
    toggles = settle_toggles(asked.toggles, views, ranged="range" in opened["open"])
    return {"asked": settle(asked, row, stored), "toggles": toggles, "opened": opened}


def settle_opened(
    asked: Sequence[tuple[str, str]], *, steps: int, samples: Collection[int] | None
) -> dict[str, Any]:
    """What a page opens, and what of its address it cannot.

    Args:
        asked: Name and text, as they stand in the address.
        steps: Steps of the run.
        samples: Ids of the probe split; None: not known yet, any is kept.

    Returns:
        ``open`` (``tab``, ``lower``, ``cell``, ``sample``: an id, ``range``: two steps; without
        those that are not asked for) and ``words``, empty if all can be opened.
    """
    found: dict[str, Any] = {}
    words = []
    for name, text in asked:
        allowed = ""
        if name in PANES:
            found[name] = text
            allowed = "" if text in PANES[name] else ", ".join(PANES[name])
        elif name == "sample":
            found[name] = int(text) if SAMPLE.fullmatch(text) else None
            if found[name] is None or (samples is not None and found[name] not in samples):
                n = "" if samples is None else f", {count(len(samples))} of them"
                allowed = f"an id of a sample of the probe split{n}"
        elif name == "range":
            ends = RANGE.fullmatch(text)
            found[name] = [int(end) for end in ends.groups()] if ends else None
            if not ends or not found[name][0] <= found[name][1] or found[name][0] > steps:
                allowed = f"FROM-TO, two steps from 0 to {count(steps)}"
        if allowed:
            del found[name]
            told = text if len(text) <= SAID else f"{text[:SAID]}…"
            words.append(f"`{name}={told}` in the address cannot be opened. Allowed: {allowed}.")
    return {"open": found, "words": " ".join(words)}
