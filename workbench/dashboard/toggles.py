"""What a person toggled in the views, as an address has it: ``&calibration=bins:mass``.

Unusual here: one argument a view, only what is not as it was first, all of it text. The browser
writes it (page/toggles.js) and no other page hears of it; this side reads the link that opened a
page and says what of it there is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from workbench_widgets.frame import VIEWS
from workbench_widgets.since import STATE

from workbench.dashboard.live import Sent, unpack

LONGEST: Final = 200
"""Letters of one view's toggles in an address."""
SAID: Final = 40
"""Letters of an unreadable text that are said again."""
SHAPE: Final = re.compile(r"[^:,]{1,60}:[^:,]{1,60}(,[^:,]{1,60}:[^:,]{1,60})*")

Toggles = dict[str, dict[str, str]]
"""By view, name and value of each toggle that is not as it was first."""


def settle_toggles(
    asked: Sequence[tuple[str, str]],
    views: Mapping[str, Sent],
    *,
    ranged: bool = False,
    since: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """What a page begins with, and what of its address cannot be followed.

    Args:
        asked: View and text, as they stand in the address.
        views: The newest frames; of one that still waits for data all is kept that can be read,
            since its toggles come with the data.
        ranged: Whether the address holds a range of steps, over which the map can show its change.
        since: The toggle of marks (:func:`workbench_widgets.since.control`) as it is at the past
            step that the address asks for; None: it asks for none.

    Returns:
        ``views`` (:data:`Toggles`) and ``words``, empty if all can be followed.
    """
    found: Toggles = {}
    words: list[str] = []
    for view, text in asked:
        if view not in VIEWS or not text:
            continue
        pairs, why = _pairs(view, text)
        words += why
        if pairs and views[view].step >= 0:
            frame = _at_step(unpack(views[view].packed)[0], since)
            pairs, why = _known(view, pairs, frame, ranged=ranged)
            words += why
        if pairs:
            found[view] = pairs
    return {"views": found, "words": " ".join(words)}


def _pairs(view: str, text: str) -> tuple[dict[str, str], list[str]]:
    """Names and values of a text, and why there are none."""
    if len(text) <= LONGEST and SHAPE.fullmatch(text):
        return dict(piece.split(":") for piece in text.split(",")), []
    why = f"`{view}={_short(text)}` in the address is no toggle. Allowed: `NAME:VALUE`, several "
    return {}, [f"{why}between commas. The view is as it is first."]


def _at_step(frame: dict[str, Any], since: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    """The frame with the marks that can be chosen at the step asked for: other ones than now."""
    controls = frame["controls"]
    if since is None or not any(one["name"] == STATE for one in controls):
        return frame
    others = (one for one in controls if one["name"] != STATE)
    return {**frame, "controls": [*since, *others]}


def _known(
    view: str, pairs: Mapping[str, str], frame: Mapping[str, Any], *, ranged: bool
) -> tuple[dict[str, str], list[str]]:
    """Those that the frame has, and what is said of the others."""
    allowed = {control["name"]: list(_values(control, frame)) for control in frame["controls"]}
    for cursor in (frame["cursor"][way] for way in "yx") if frame["cursor"] else ():
        allowed[cursor["state"]] = list(map(str, range(cursor["count"])))
    if ranged and view == "cka":
        allowed.setdefault(STATE, ["start"]).append("range")
    pairs = {name: _by_name(frame, name, value) for name, value in pairs.items()}
    kept = {name: value for name, value in pairs.items() if value in allowed.get(name, ())}
    words = []
    for name, value in pairs.items():
        if name in kept:
            continue
        told = f"`{view}={_short(f'{name}:{value}')}` in the address is none of this run's toggles."
        known = allowed.get(name)
        here = ", ".join(known[:12] if known else allowed)
        said = f"`{name}` may be" if known else "There are"
        words.append(f"{told} {said} {here}." if here else f"{told} There is none here.")
    return kept, words


def _values(control: Mapping[str, Any], frame: Mapping[str, Any]) -> Iterator[str]:
    """What may stand in an address for a control."""
    if "options" in control:
        return (str(option.get("name", option["value"])) for option in control["options"])
    return map(str, range(len(frame["facts"][control["of"]])))


def _by_name(frame: Mapping[str, Any], name: str, value: str) -> str:
    """The name of an option that a link gives by its place, as links did before marks had names."""
    controls = (one for one in frame["controls"] if one["name"] == name and "options" in one)
    options = [option for control in controls for option in control["options"]]
    return next(
        (one["name"] for one in options if str(one["value"]) == value and "name" in one), value
    )


def _short(text: str) -> str:
    return text if len(text) <= SAID else f"{text[:SAID]}…"
