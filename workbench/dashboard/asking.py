"""Who may only look asks somebody who can edit for a change; the editor answers on their own page.

Unusual here: nothing of it is stored and nobody's rights change. A request lives as long as the
page that made it; the editor makes the change, or does not, and says which.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from workbench.dashboard.people import Person
from workbench.dashboard.wording import PAGE, who
from workbench.errors import BadInput, RefusedCommand

LONGEST: Final = 200
"""Letters of what somebody asks for."""


class Asker(Protocol):
    """A page that shows a run."""

    run: str | None
    person: Person


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        id: Number on this server.
        run: That it is about.
        asker: Name of who asks; ``page`` for somebody without one.
        editor: Name of who is asked.
        text: What should change; may be empty.
        answer: ``yes``, ``no``, or empty while it waits.
    """

    id: int
    run: str
    asker: str
    editor: str
    text: str
    answer: str = ""


class Requests:
    """All open requests of a server; may be called from any thread."""

    DOES: Final = ("ask_edit", "unask_edit", "answer_edit")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._of: dict[int, Request] = {}

    def act(self, page: Asker, do: str, asked: Mapping[str, Any], editors: list[str]) -> None:
        """Follow a press.

        Args:
            page: Where it was pressed.
            do: One of :attr:`DOES`.
            asked: ``name`` and ``text`` of a request; ``id`` and ``yes`` of an answer.
            editors: Names of those that look at the run now and can edit it.

        Raises:
            BadInput: If what is asked for is too long or no text.
            RefusedCommand: If nobody of that name can edit, or the request is gone.
        """
        if do == "ask_edit":
            self._ask(page, str(asked.get("name", "")), asked.get("text", ""), editors)
        elif do == "unask_edit":
            self.forget(page)
        else:
            self._answer(page, asked.get("id"), yes=bool(asked.get("yes")))

    def mine(self, page: Asker) -> dict[str, Any] | None:
        """What became of the request of a page, for its rail; None where it has none."""
        with self._lock:
            found = self._of.get(id(page))
        if found is None:
            return None
        return {"editor": found.editor, "text": found.text, "answer": found.answer}

    def waiting(self, page: Asker) -> list[dict[str, Any]]:
        """What the person at a page is asked for, oldest first."""
        if not page.person.visit.touch or page.person.who == PAGE:
            return []
        with self._lock:
            found = [
                one
                for one in self._of.values()
                if one.run == page.run and one.editor == page.person.who and not one.answer
            ]
        return [
            {
                "id": one.id,
                "who": "Somebody" if one.asker == PAGE else who(one.asker),
                "text": one.text,
            }
            for one in sorted(found, key=lambda one: one.id)
        ]

    def forget(self, page: object) -> None:
        """The page is gone, or takes its request back."""
        with self._lock:
            self._of.pop(id(page), None)

    def _ask(self, page: Asker, editor: str, text: Any, editors: list[str]) -> None:
        if not isinstance(text, str) or len(text) > LONGEST or not text.isprintable():
            raise BadInput(f"A request is text, at most {LONGEST} letters.")
        named = [one for one in editors if one != who(PAGE)]
        if editor not in named:
            known = ", ".join(named) or "nobody who has given a name"
            raise RefusedCommand(f"{editor[:40]!r} cannot be asked now. Can edit here: {known}.")
        with self._lock:
            number = next(self._numbers)
            self._of[id(page)] = Request(
                number, str(page.run), page.person.who, editor, text.strip()
            )

    def _answer(self, page: Asker, number: Any, *, yes: bool) -> None:
        with self._lock:
            key = next(
                (
                    key
                    for key, one in self._of.items()
                    if one.id == number and one.run == page.run and one.editor == page.person.who
                ),
                None,
            )
            if key is None:
                raise RefusedCommand("That request is gone: who made it has left, or took it back.")
            self._of[key] = replace(self._of[key], answer="yes" if yes else "no")
