"""What is open on the page of a run, as an address has it: ``&tab=curves&cell=teacher&sample=17``.

Unusual here: the browser writes it (page/opened.js), only what a page does not open by itself, and
no other page hears of it; this side reads the link that opened a page and says what it cannot open.
The rail is written only where it lies over the views (900 to 1199 pixels): elsewhere it is always
there, and a link from there must cover nothing. Maps of a sample wait for a press whoever opens it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from workbench_widgets.since import bases, control
from workbench_widgets.words import count

from workbench.dashboard.address import Place
from workbench.dashboard.inspector import OFFERED
from workbench.dashboard.live import Shown
from workbench.dashboard.scrubber import settle
from workbench.dashboard.toggles import settle_toggles
from workbench.runs.attribution import TARGETS
from workbench.store import RunRow

PANES: Final[Mapping[str, tuple[str, ...]]] = {
    "tab": ("views", "curves"),
    "lower": ("samples", "result"),
    "journal": ("all", "changes", "notes", "run"),
    "rail": ("open",),
    "cell": ("both", "teacher", "student", "neither"),
    "method": tuple(name for name, _ in OFFERED),
    "target": TARGETS,
}
"""Which one of several is open: a tab (narrow pages), a card, lines of the journal, the rail's
drawer (likewise), a cell of the sample inspector, the question that its maps answer."""
LONGEST: Final = 60
"""Letters that the journal is searched for at most."""
SAMPLE: Final = re.compile(r"[0-9]{1,9}")
RANGE: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
SAID: Final = 40
"""Letters of an unreadable text that are said again."""


def begin(
    asked: Place, row: RunRow, shown: Shown, samples: Collection[int] | None
) -> dict[str, Any]:
    """All that the page of a run is told once about the link that opened it.

    Args:
        asked: What the address asks for.
        row: The run.
        shown: What is shown of it: the newest frames, steps of its snapshots, its journal.
        samples: Ids of the probe split, or None before the first snapshot.

    Returns:
        ``asked`` (see :func:`settle`), ``toggles`` (:func:`settle_toggles`) and ``opened``.
    """
    scrubber = shown.parts["scrubber"]
    begun = settle(asked, row, scrubber["snapshots"])
    since = None
    if begun is not None and begun["step"] is not None:
        seen = [step for step in scrubber["snapshots"] if step <= begun["step"]]
        since = control(bases(seen, scrubber["marks"]))
    people = shown.parts["journal"]["people"]
    opened = settle_opened(asked.opened, steps=row.steps, samples=samples, people=people)
    ranged = "range" in opened["open"]
    toggles = settle_toggles(asked.toggles, shown.views, ranged=ranged, since=since)
    return {"asked": begun, "toggles": toggles, "opened": opened}


def settle_opened(
    asked: Sequence[tuple[str, str]],
    *,
    steps: int,
    samples: Collection[int] | None,
    people: Sequence[str] = (),
) -> dict[str, Any]:
    """What a page opens, and what of its address it cannot.

    Args:
        asked: Name and text, as they stand in the address.
        steps: Steps of the run.
        samples: Ids of the probe split; None: not known yet, any is kept.
        people: Who has written in the run's journal.

    Returns:
        ``open`` (a text by each name of :data:`PANES`, ``author``, ``find``, ``sample``: an id,
        ``range``: two steps; without those that are not asked for) and ``words``, empty if all
        can be opened.
    """
    found: dict[str, Any] = {}
    words = []
    for name, text in asked:
        allowed = ""
        if name in PANES:
            found[name] = text
            allowed = "" if text in PANES[name] else ", ".join(PANES[name])
        elif name == "author":
            found[name] = text
            allowed = "" if text in people else ", ".join(people) or "none, nobody has written"
        elif name == "find":
            found[name] = text
            allowed = "" if len(text) <= LONGEST else f"{LONGEST} letters"
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
