"""The place Runs as plain data: every run of the store in a table, and the queue above it.

Unusual here: filter, order and page are made here and stand in the address, so that a thousand runs
cost a browser no more than a hundred.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from workbench_widgets.words import count, percent

from workbench.dashboard import wording
from workbench.dashboard.address import first_of
from workbench.dashboard.queue_card import Queue, queue_card
from workbench.dashboard.start import step_words
from workbench.dashboard.template import Mode
from workbench.runs.apart import Apart, apart, is_meant
from workbench.runs.listing import Line

PAGE_ROWS: Final = 100
"""Rows that are drawn at first, and that each "more" adds."""
PAGES: Final = re.compile(r"[1-9][0-9]{0,2}")
"""How many times they are shown, as an address says it."""
MOST_CHOSEN: Final = 50
PARTS_SHOWN: Final = 3
"""Settings of a row by which it differs; the others stand in its title."""
Key = Callable[[Line], Any]

PARTS: Final = ("student", "teacher", "control")
SORTS: Final[Mapping[str, Key]] = {
    "new": lambda line: line.created_ns,
    "name": lambda line: (line.name.lower(), line.seed),
    "status": lambda line: wording.CHIPS[line.status][1],
    "seed": lambda line: line.seed,
    "student": lambda line: line.accuracy.get("student"),
    "teacher": lambda line: line.accuracy.get("teacher"),
    "control": lambda line: line.accuracy.get("control"),
    "time": lambda line: line.seconds,
    "group": lambda line: line.group,
    "apart": lambda line: line.id,  # by what sets it apart, which only the whole list knows
}
"""What rows can be ordered by; a run without that number comes last either way."""
RISING: Final = frozenset({"name", "status", "seed", "group", "apart"})
"""Orders that begin with the smallest."""


@dataclass(frozen=True)
class RunsAsked:
    """What an address asks for: ``/?runs=&find=kd&status=failed&sort=student``.

    Attributes:
        find: Words that a row must have, in its name, id, recipe or group; ``temperature=4`` is
            one of its settings.
        status: Only this one; empty for all.
        recipe: Only this one; empty for all.
        sort: Key of :data:`SORTS`.
        turned: Whether the order is turned round.
        chosen: Runs that are ticked, in order.
        pages: How many times :data:`PAGE_ROWS` rows are shown.
    """

    find: str = ""
    status: str = ""
    recipe: str = ""
    sort: str = "new"
    turned: bool = False
    chosen: tuple[str, ...] = ()
    pages: int = 1

    kind: ClassVar[Mode] = "runs"

    @classmethod
    def read(cls, arguments: Mapping[str, Sequence[bytes]]) -> RunsAsked | None:
        """From the arguments of a request; None where it asks for another page."""
        if "runs" not in arguments:
            return None
        sort = first_of(arguments, "sort")
        pages = first_of(arguments, "pages")
        chosen = [run for run in first_of(arguments, "chosen").split(",") if run]
        return cls(
            find=first_of(arguments, "find")[:200],
            status=first_of(arguments, "status"),
            recipe=first_of(arguments, "recipe"),
            sort=sort if sort in SORTS else "new",
            turned=first_of(arguments, "turned") == "1",
            chosen=tuple(dict.fromkeys(chosen))[:MOST_CHOSEN],
            pages=int(pages) if PAGES.fullmatch(pages) else 1,
        )

    @property
    def address(self) -> str:
        """Path and query of the page that shows this."""
        asked = {
            "find": self.find,
            "status": self.status,
            "recipe": self.recipe,
            "sort": self.sort if self.sort != "new" else "",
            "turned": "1" if self.turned else "",
            "chosen": ",".join(self.chosen),
            "pages": str(self.pages) if self.pages > 1 else "",
        }
        kept = {name: value for name, value in asked.items() if value}
        return f"/?{urlencode({'runs': '', **kept}, safe=',')}"

    def followed(self, asked: Mapping[str, Any]) -> RunsAsked:
        """After what a reader did: ``{"do": "sort", "value": "student"}`` and the like."""
        do, value = str(asked.get("do", "")), str(asked.get("value") or "")
        if do in ("find", "status", "recipe"):
            told: dict[str, Any] = {do: value[:200], "pages": 1}
            return replace(self, **told)
        if do == "sort" and value in SORTS:
            again = value == self.sort
            return replace(self, sort=value, turned=again and not self.turned)
        if do == "choose" and value:
            kept = [run for run in self.chosen if run != value]
            chosen = kept if value in self.chosen else [*kept, value][-MOST_CHOSEN:]
            return replace(self, chosen=tuple(chosen))
        if do == "more":
            return replace(self, pages=self.pages + 1)
        if do == "clear":
            return replace(self, chosen=())
        return self


def runs_page(lines: Sequence[Line], asked: RunsAsked, queue: Queue) -> dict[str, Any]:
    """All that the page shows.

    Args:
        lines: All runs, newest first.
        asked: What the address asks for.
        queue: As it stands.
    """
    sizes: dict[str, int] = {}
    for line in lines:
        sizes[line.group] = sizes.get(line.group, 0) + 1
    told = apart(lines)
    found = runs_meant(lines, asked, told)
    shown = found[: PAGE_ROWS * asked.pages]
    known = {line.id for line in lines}
    chosen = [run for run in asked.chosen if run in known]
    groups = {line.group for line in lines if line.id in chosen}
    return {
        "address": asked.address,
        "total": len(lines),
        "count": f"{count(len(found))} of {count(len(lines))} runs"
        if len(found) < len(lines)
        else f"{count(len(lines))} run{'s' if len(lines) != 1 else ''}",
        "find": asked.find,
        "sort": asked.sort,
        "falling": (asked.sort in RISING) == asked.turned,
        "chosen": chosen,
        "compare": ",".join(chosen),
        "one_group": len(groups) == 1 and len(chosen) > 1,
        "status": asked.status,
        "statuses": _facet(lines, lambda line: line.status, lambda name: wording.CHIPS[name][1]),
        "recipe": asked.recipe,
        "recipes": _facet(lines, lambda line: line.recipe or "", lambda name: name or "no recipe"),
        "queue": queue_card(queue, lines, told),
        "rows": [_row(line, sizes, told[line.id]) for line in shown],
        "more": max(len(found) - len(shown), 0),
    }


def runs_meant(lines: Sequence[Line], asked: RunsAsked, told: Mapping[str, Apart]) -> list[Line]:
    """All runs that the filters leave, drawn or not, in the order asked for."""
    return _ordered([line for line in lines if _is_meant(line, asked, told[line.id])], asked, told)


def _is_meant(line: Line, asked: RunsAsked, told: Apart) -> bool:
    if asked.status and line.status != asked.status:
        return False
    if asked.recipe and (line.recipe or "") != asked.recipe:
        return False
    text = f"{line.name} {line.id} {line.recipe or ''} {line.group} seed {line.seed}"
    text = f"{text} {told.words}".lower()
    words = re.sub(r"\s*=\s*", "=", asked.find.lower()).split()
    return all(is_meant(told, word) if "=" in word else word in text for word in words)


def _ordered(lines: Sequence[Line], asked: RunsAsked, told: Mapping[str, Apart]) -> list[Line]:
    """In the order asked for; runs that lack the number come last."""

    def key(line: Line) -> Any:
        return _by_value(told[line.id]) if asked.sort == "apart" else SORTS[asked.sort](line)

    have = [line for line in lines if key(line) is not None]
    lack = [line for line in lines if key(line) is None]
    falling = (asked.sort in RISING) == asked.turned
    return [*sorted(have, key=key, reverse=falling), *lack]


def _facet(
    lines: Sequence[Line], value: Callable[[Line], str], words: Callable[[str], str]
) -> list[dict[str, Any]]:
    """Values that occur, the commonest first, each with how many runs have it."""
    found: dict[str, int] = {}
    for line in lines:
        found[value(line)] = found.get(value(line), 0) + 1
    ranked = sorted(found.items(), key=lambda item: -item[1])
    return [{"value": name, "words": words(name), "count": number} for name, number in ranked]


def _by_value(told: Apart) -> list[tuple[str, float, str]] | None:
    """Settings in an order in which 10 comes after 4; None for a run with nothing to tell."""
    keys = []
    for part in told.parts:
        path, _, value = part.partition(" = ")
        keys.append((path, _number(value), value))
    return keys or None


def _number(text: str) -> float:
    """A value that is a number; any other comes after all numbers."""
    try:
        return float(text)
    except ValueError:
        return math.inf


def _row(line: Line, sizes: Mapping[str, int], told: Apart) -> dict[str, Any]:
    icon, word = wording.CHIPS[line.status]
    size = sizes[line.group]
    return {
        "run": line.id,
        "name": line.name,
        "recipe": line.recipe or "",
        "seed": line.seed,
        "status": line.status,
        "icon": icon,
        "word": "Waiting" if line.waits and line.status == "queued" else word,
        "step": step_words(line),
        "error": line.error,
        **{part: percent(line.accuracy[part]) if part in line.accuracy else "" for part in PARTS},
        "n": f"n = {count(line.num_test)}" if line.num_test and line.accuracy else "",
        "time": "" if line.seconds is None else wording.duration(line.seconds),
        "slow": line.slow,
        "when": when(line.created_ns),
        "group": line.group if size > 1 else "",
        "group_words": f"{count(size)} runs" if size > 1 else "",
        "touched": line.touched,
        "apart": [
            {"text": part, "find": part.replace(" ", "")} for part in told.parts[:PARTS_SHOWN]
        ],
        "apart_more": max(len(told.parts) - PARTS_SHOWN, 0),
        "apart_words": told.words,
        "apart_than": told.than,
    }


def when(nanoseconds: int) -> str:
    """Day and time in local time: ``27 Nov, 14:02``."""
    return time.strftime("%d %b, %H:%M", time.localtime(nanoseconds / 1e9))
