"""The page on which an experiment is written, checked and started.

Unusual here: the address holds what was changed, so a pasted link opens the same experiment, and a
reload loses nothing.
"""

from __future__ import annotations

import uuid
from typing import Any, Final

from workbench_widgets.words import count

from workbench.dashboard.compare import group_link
from workbench.dashboard.hub import Hub
from workbench.dashboard.new_address import LOSS, NewAsked, address_of
from workbench.dashboard.new_fork import Forking
from workbench.dashboard.new_page import new_page
from workbench.dashboard.new_sweep import sweep_part, swept
from workbench.dashboard.page_session import PlainSession
from workbench.dashboard.people import may
from workbench.dashboard.start import QUICKSTART, pace_of
from workbench.dashboard.template import make_template
from workbench.errors import BadInput, WorkbenchError
from workbench.recipes import names
from workbench.runs.draft import Draft
from workbench.runs.draft.paths import value_at
from workbench.runs.draft.stages import add_stage, pick_stage, remove_stage, rename_stage
from workbench.runs.launch import accept_all
from workbench.runs.queue import go_on
from workbench.specs.files import parse_scalar

MOST_EDITS: Final = 200
"""Edits that can be taken back."""
LONGEST_TEXT: Final = 100_000
"""Letters of one edit or file: reading them keeps all pages waiting."""
PARTS: Final = ("data", "teacher", "student")
"""Of what the facts are told that stay while new ones are on their way."""
ONLY_LOOKS: Final = "This server only shows: nothing is changed, tried or started here."


class NewSession(PlainSession):
    """The page in a browser.

    Args:
        hub: The server's runs.
        asked: What the address asks for.
    """

    def __init__(self, hub: Hub, asked: NewAsked) -> None:
        super().__init__(hub)
        self._asked = asked
        self._me = uuid.uuid4().hex
        self._done: list[Draft] = []
        self._undone: list[Draft] = []
        self._sweep = asked.sweep
        self._told: dict[str, Any] | None = None
        self._awaited = False
        """Whether Start was pressed while the checks ran: it begins once they have passed."""
        self._started = False
        """Whether it has begun: the second press of a double click begins no second run."""
        self._last: dict[str, Any] = {}
        self._fork: Forking | None = None
        self._draft = self._tried = self._opened(asked)
        self._parts = self._make_parts("top", "new")
        self._parts["top"].tell(self._bar("new"))
        self._ask()
        self._draw()
        self.template = make_template("new", self._parts)
        self._listen()

    def show_recent(self, runs: list[dict[str, Any]]) -> None:
        """A new teacher or run does not change what is being written."""

    # What a person does

    def _act(self, do: str, asked: dict[str, Any]) -> None:
        path, value = str(asked.get("path", "")), str(asked.get("value", ""))
        if not may(self.person.visit, "start"):
            raise BadInput(ONLY_LOOKS)
        size = asked.get("size")  # of a file that the browser did not send
        letters = max(len(value), size if isinstance(size, int) else 0)
        if letters > LONGEST_TEXT:
            raise BadInput(
                f"A text of {count(letters)} letters; at most {count(LONGEST_TEXT)} are read here. "
                "Larger experiments: `workbench run FILE`."
            )
        if asked.get("unreadable"):
            raise BadInput("That could not be read (a folder?). Drop one experiment file, a .yaml.")
        draft = self._draft
        self._awaited = False
        if do == "begin":
            self._start()
            return
        self._started = False
        if do == "undo" and self._done:
            self._undone.append(draft)
            self._turn_to(self._done.pop())
        elif do == "redo" and self._undone:
            self._done.append(draft)
            self._turn_to(self._undone.pop())
        elif do == "reset":
            self._change(draft.reset())
        elif do == "open":
            self._change(Draft.of_yaml(value))
        elif do == "edit":
            own = None if self._forking is None else self._forking.follow(draft, path, value)
            self._change(own or _edited(draft, path, value))
        elif do == "loss":
            self._change(draft.set_loss(value))
        elif do == "yaml":
            self._change(draft.set_yaml(value))
        elif do == "python":
            self._change(draft.set_python(value))
        elif do == "add":
            self._change(draft.add_term(value))
        elif do == "remove":
            self._change(draft.remove_term(value))
        elif do == "stage":
            self._draft = pick_stage(draft, value)
        elif do == "add-stage":
            self._change(add_stage(draft))
        elif do == "remove-stage":
            self._change(remove_stage(draft, value))
        elif do == "rename-stage":
            self._change(rename_stage(draft, path, value))
        elif do == "sweep":
            self._sweep = (path, value)
        elif do == "probe":
            self._change(_with_probe(draft, value))

    def _change(self, draft: Draft) -> None:
        if draft == self._draft:
            return
        self._done = [*self._done[-MOST_EDITS:], self._draft]
        self._undone = []
        self._turn_to(draft)

    def _turn_to(self, draft: Draft) -> None:
        self._draft = draft
        self._ask()

    def _start(self) -> None:
        if self._started:
            return
        page = self._page()
        if page["off"]:
            raise BadInput(page["off"])
        if page["running"]:  # whoever types a value and presses Start at once means both
            self._awaited = True
            return
        spec = self._draft.spec
        if spec is None:
            raise BadInput("Something is still wrong; the checks say what.")
        top = self._parts["top"]
        if self._forking is not None:
            run = self._forking.start(self._draft, who=self.person.who)
            self._started = True
            self.hub.starter.start(self.hub.store, run)
            top.tell({**top.told, "goto": run})
            return
        planned = swept(spec, self._sweep)
        one = planned.num_runs == 1
        run = accept_all(
            self.hub.store,
            planned.specs,
            recipe=self._draft.recipe,
            base=self._draft.base,
            pace=pace_of(spec, None) if one else None,  # several are compared, not watched
            queued=not one,
            who=self.person.who,
        )
        self._started = True
        if one:
            self.hub.starter.start(self.hub.store, run)
        else:
            go_on(self.hub.store, self.hub.starter)
        group = group_link(self.hub.store, run)
        # Several are compared; the runs that still train move there as they do on their own page.
        lands = {"goto": run} if group is None else {"open": group["href"]}
        top.tell({**top.told, **lands})

    # What is known

    def _ask(self) -> None:
        """Have the draft tried, where its fields do not show already that it is wrong."""
        self._told = None
        if self._draft.typed is not None or self._draft.spec is None:
            self.hub.checker.forget(self._me)
            self._last = self._of_what_stands()
            return
        asked = self._draft
        self.hub.checker.ask(self._me, asked, lambda told: self._heard(asked, told))

    def _heard(self, asked: Draft, told: dict[str, Any]) -> None:
        """From the checker's thread; an edit may come between the answer and the page's turn."""

        def take() -> None:
            if self._draft.data == asked.data:  # another stage may have been picked
                self._told = self._last = told
                self._tried = asked
                self._go_on()
                self._draw()

        self._later(take)

    def _of_what_stands(self) -> dict[str, Any]:
        """What was told last, without the parts that are others by now: nobody asks for those."""

        def stands(part: str) -> bool:
            before, now = (value_at(draft.data, part) for draft in (self._tried, self._draft))
            return bool(before == now)

        return {key: told for key, told in self._last.items() if key not in PARTS or stands(key)}

    def _go_on(self) -> None:
        """Begin what was to begin after the checks; where one failed, the page says it itself."""
        awaited, self._awaited = self._awaited, False
        if not awaited or self._page()["off"]:
            return
        try:
            self._start()
        except WorkbenchError as error:
            self._refused = error.message

    def _page(self) -> dict[str, Any]:
        undo, redo = bool(self._done), bool(self._undone)
        fork = self._forking
        more = [] if fork is None else list(fork.rows(self._draft))
        told = self._told if fork is None else fork.priced(self._draft, self._told)
        page = new_page(self._draft, told, undo=undo, redo=redo, more=more)
        if not may(self.person.visit, "start"):
            page["off"] = ONLY_LOOKS
        if fork is not None:
            return {**page, "fork": fork.part(self._draft)}
        return {**page, **sweep_part(self._draft, self._sweep, page["off"])}

    def _draw(self) -> None:
        page = self._page()
        if self._told is None:  # facts of before stay until new ones come
            old = new_page(self._draft, self._last, undo=False, redo=False) if self._last else {}
            for key in ("models", "models_words", "data", "pictures", "target", "schedule"):
                page[key] = old.get(key, page[key])
        page |= {"awaited": self._awaited, "address": self._address(), "refused": self._refused}
        self._parts["new"].tell(page)

    def _address(self) -> str:
        """Path and query that open this experiment; of a file that was opened, only the place."""
        draft = self._draft
        if draft.origin == "a file":
            return "/?new="
        if self._forking is not None:
            return address_of(draft, self._forking.pairs(draft))
        return address_of(draft, [("new", self._asked.origin)], self._sweep)

    def _opened(self, asked: NewAsked) -> Draft:
        settings = asked.settings
        if not may(self.person.visit, "start"):
            # Trying a draft builds it: it would read any file that an address names.
            self._refused, settings, self._sweep = ONLY_LOOKS, (), ("", "")
        try:
            draft = self._begun(asked)
        except WorkbenchError as error:
            self._refused = error.message
            return Draft.of_recipe(QUICKSTART)
        try:
            for path, text in settings:
                draft = draft.set_loss(text) if path == LOSS else _edited(draft, path, text)
        except WorkbenchError as error:
            self._refused = error.message
        if asked.stage in (draft.data.get("stages") or {}):
            draft = pick_stage(draft, asked.stage)
        return draft

    def _begun(self, asked: NewAsked) -> Draft:
        """What the address began with: a run at a step, a recipe, or a run from its beginning."""
        if asked.fork is not None:
            self._refused = self._refused or asked.fork.words
            self._fork = Forking(self.hub.store, asked.fork)
            return self._fork.draft()
        if asked.origin in names():
            return Draft.of_recipe(asked.origin)
        return Draft.of_run(self.hub.store, asked.origin)

    @property
    def _forking(self) -> Forking | None:
        """The fork that is written; None once a file was opened in its place."""
        return self._fork if self._draft.parent is not None else None

    def _end(self) -> None:
        super()._end()
        self.hub.checker.forget(self._me)


def _edited(draft: Draft, path: str, text: str) -> Draft:
    """A value typed in a form: empty is the default, else as the command line reads it."""
    if path == LOSS:
        return draft.set_loss(text)
    if not text.strip():
        return draft.clear(path)
    return draft.edit(path, parse_scalar(text))


def _with_probe(draft: Draft, name: str) -> Draft:
    """A probe more, or one less."""
    given = draft.data.get("probes")
    listed = list(given) if isinstance(given, list) else []
    kept = [one for one in listed if (one if isinstance(one, str) else one.get("use")) != name]
    return draft.edit("probes", kept if len(kept) < len(listed) else [*listed, name])
