"""The people on a page: the name that the journal takes, who looks on, what the page says of it."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any, Final
from weakref import WeakKeyDictionary

import panel as pn
from bokeh.document import Document
from workbench_widgets.words import count

from workbench.dashboard.access import READS, Access, Visit
from workbench.dashboard.wording import PAGE, who
from workbench.errors import BadInput

LONGEST_NAME: Final = 40
"""Letters."""
TAKEN: Final = frozenset(
    {PAGE, "worker", "pause-at", "cli", "shell", "python", "experiment", "api"}
)
"""Words by which the journal names what is no person."""


_visits: MutableMapping[Document, Visit] = WeakKeyDictionary()
"""Whose page a document is; gone with it."""


def come_in(access: Access) -> Visit:
    """Who has asked for the page that is being made; known from now on to all its pieces."""
    visit = access.visit(pn.state.cookies, pn.state.session_args).of(access.people)
    if pn.state.curdoc is not None:
        _visits[pn.state.curdoc] = visit
    return visit


def visit_here() -> Visit:
    """Whose page the piece belongs to that is made now; outside of a page everything is allowed."""
    doc = pn.state.curdoc
    return Visit() if doc is None else _visits.get(doc, Visit())


def may(visit: Visit, do: str) -> bool:
    """Whether a page of this visit may ask for this; the one place that every press passes."""
    if do in READS:
        return True
    return visit.stays and (visit.touch or (visit.fork and do == "fork"))


def clean_name(name: object) -> str:
    """A name that may stand in a journal, without blanks around it.

    Raises:
        BadInput: If it is empty, too long, holds what cannot be read, or means no person.
    """
    text = " ".join(str(name).split(" ")).strip()
    if not text:
        raise BadInput("name '' is empty. Allowed: 1 to 40 letters.")
    if len(text) > LONGEST_NAME:
        raise BadInput(
            f"name {text[:LONGEST_NAME]!r}… has {len(text)} letters. Allowed: 1 to {LONGEST_NAME}."
        )
    if not text.isprintable():
        raise BadInput(f"name {text!r} holds a letter that cannot be read. Type it anew.")
    if text.lower() in TAKEN:
        raise BadInput(f"name {text!r} means no person in a journal. Take another one.")
    return text


class Person:
    """Who sits before one page.

    Args:
        visit: What the server knows of them.
    """

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self._given: str | None = None

    @property
    def who(self) -> str:
        """For the journal: the login, else the name that they gave, else the page."""
        return self.visit.name or self._given or PAGE

    def give(self, name: object) -> None:
        """Take the name that somebody typed; an empty one takes it back.

        Raises:
            BadInput: If it cannot stand in a journal, or the login has said who they are.
        """
        if self.visit.name is not None:
            raise BadInput(
                f"name {str(name)[:LONGEST_NAME]!r}: you are logged in as {self.visit.name!r}, and "
                "the journal says so. Log out to be somebody else."
            )
        self._given = clean_name(name) if str(name).strip() else None

    def told(self, access: Access, run: str | None, everyone: Iterable[Person]) -> dict[str, Any]:
        """What the top bar draws: plain data.

        Args:
            access: The rule of the server.
            run: The run that the page shows.
            everyone: Those who look at it, this one among them.
        """
        people = list(everyone)
        names = sorted({who(one.who) for one in people})
        return {
            "name": "" if self.who == PAGE else self.who,
            "called": who(self.who),
            "login": self.visit.name is not None,
            "viewers": f"{count(len(people))} viewers" if len(people) > 1 else "",
            "names": names,
            "editors": sorted({who(one.who) for one in people if one.visit.touch}),
            "touch": self.visit.touch,
            "fork": self.visit.fork,
            "guest": access.people is not None and self.visit.name is None,
            "view": access.token(run) if run else "",
        }
