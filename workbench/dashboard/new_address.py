"""The address of the page New experiment: what it asks for, and what leads to a draft."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode

from workbench.dashboard.address import first_of
from workbench.dashboard.new_fork import ForkAsked
from workbench.dashboard.start import QUICKSTART
from workbench.runs.draft import Draft
from workbench.runs.draft.forked import has_other_stages
from workbench.runs.draft.paths import value_at

LONGEST: Final = 6000
"""Characters of an address; a larger experiment is kept as a file instead."""
LOSS: Final = "loss"
"""Stands for all terms of the last stage."""


@dataclass(frozen=True)
class NewAsked:
    """What an address asks for: ``/?new=quickstart&set=seed=3&set=loss=KD``, or ``/?fork=RUN``.

    Attributes:
        origin: A recipe or a run.
        settings: Paths and their values as text, in order.
        sweep: A path and several values of it as text, ``2, 4``; empty for one experiment.
        fork: The fork that it asks for instead of an experiment from step 0.
        stage: Name of the stage in the form; empty for the last.
    """

    origin: str
    settings: tuple[tuple[str, str], ...] = ()
    sweep: tuple[str, str] = ("", "")
    fork: ForkAsked | None = None
    stage: str = ""

    @classmethod
    def read(cls, arguments: Mapping[str, Sequence[bytes]]) -> NewAsked | None:
        """From the arguments of a request; None where it asks for another page."""
        fork = ForkAsked.read(arguments)
        if "new" not in arguments and fork is None:
            return None
        texts = (value.decode("utf-8", "replace") for value in arguments.get("set", ()))
        pairs = tuple((path, value) for path, _, value in (text.partition("=") for text in texts))
        path, _, values = first_of(arguments, "sweep").partition("=")
        origin, stage = first_of(arguments, "new") or QUICKSTART, first_of(arguments, "stage")
        return cls(origin, pairs, (path, values), fork, stage)


def address_of(
    draft: Draft, begin: Sequence[tuple[str, str]], sweep: tuple[str, str] = ("", "")
) -> str:
    """Path and query that open this draft; one that is too long opens only what it began with.

    Args:
        draft: The experiment as it stands.
        begin: Arguments for what it began with.
        sweep: A path and several values of it; no values for none.
    """
    pairs = [*begin, *(("set", f"{path}={text}") for path, text in settings_of(draft))]
    if draft.stage != _last(draft).stage:
        pairs.append(("stage", draft.stage))
    if sweep[1].strip():
        pairs.append(("sweep", "=".join(sweep)))
    address = f"/?{urlencode(pairs, safe='@:/=()*,')}"
    return address if len(address) <= LONGEST else f"/?{urlencode(begin)}"


def settings_of(draft: Draft) -> list[tuple[str, str]]:
    """Paths and values, as text, that lead from what the draft began with to what it is.

    Where stages came or went all stand in one value: a path alone would put a new one last.
    """
    changed, found = draft.changed(), []
    if has_other_stages(draft):
        found.append(("stages", _as_text(draft.data.get("stages"))))
        changed = [path for path in changed if path.partition(".")[0] != "stages"]
    last = _last(draft)
    prefix = f"stages.{last.stage}.terms."
    if any(path.startswith(prefix) for path in changed):
        found.append((LOSS, last.loss))
    others = (path for path in changed if not path.startswith(prefix))
    return [*found, *((path, _as_text(value_at(draft.data, path))) for path in others)]


def _last(draft: Draft) -> Draft:
    """The draft with its last stage in the form; a loss that cannot be read is of the chosen."""
    last = replace(draft, chosen=None)
    return last if last.stage == draft.stage else replace(last, typed=None)


def _as_text(value: Any) -> str:
    """A value as :func:`workbench.specs.files.parse_scalar` reads it back."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
