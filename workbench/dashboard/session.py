"""One browser page: its parts, what it shows, and what a person does on it.

Unusual here: the start page becomes the page of a run without loading anew, so that the first point
of a curve is there within seconds of the click. The watcher's thread only leaves word; models
change in this page's own turn, and the newest word wins.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Any

import panel as pn
from panel.io.document import hold
from workbench_widgets.frame import VIEWS

from workbench.dashboard import after, summary, wording
from workbench.dashboard.address import Compared, Place, step_of
from workbench.dashboard.asking import Requests
from workbench.dashboard.bar import bar
from workbench.dashboard.carrier import PanelView
from workbench.dashboard.compare import group_link
from workbench.dashboard.compare_session import CompareSession
from workbench.dashboard.hub import Hub
from workbench.dashboard.inspector import Inspector
from workbench.dashboard.journal import write_note
from workbench.dashboard.live import Sent, Shown
from workbench.dashboard.new_address import NewAsked
from workbench.dashboard.new_session import NewSession
from workbench.dashboard.opened import begin
from workbench.dashboard.page_session import PageSession
from workbench.dashboard.pairing import Pairing
from workbench.dashboard.people import come_in
from workbench.dashboard.places import PlaceSession, asked_place
from workbench.dashboard.selection import Selection
from workbench.dashboard.start import QUICKSTART, recent_runs
from workbench.dashboard.template import Mode, make_template, own_styles
from workbench.errors import WorkbenchError
from workbench.runs.fork import fork
from workbench.runs.launch import ask_to_set, command, resume
from workbench.runs.selected_layers import SelectedLayers
from workbench.specs.files import parse_scalar

AROUND = (
    *("top", "notice", "rail", "result", "samples"),
    *("journal", "pairing", "tabs", "scrubber"),
)

REFUSED_SECONDS = 8.0
"""How long the page says why a command was not followed."""

LOG = logging.getLogger(__name__)


def open_page(hub: Hub) -> pn.Template:
    """The page that a browser has just asked for.

    `/`, `/?run=RUN`, `/?run=RUN&step=120`, `/?new=RECIPE`, `/?fork=RUN&at=120`,
    `/?compare=RUN,RUN`, `/?runs=`, `/?models=`, `/?pair=`.
    """
    own_styles(pn.state.curdoc)
    if come_in(hub.access).run is not None:  # a view-only link shows its run and nothing else
        return Session(hub, Place.read(pn.state.session_args)).template
    compared = Compared.read(pn.state.session_args)
    if compared is not None:
        return CompareSession(hub, compared).template
    new = NewAsked.read(pn.state.session_args)
    if new is not None:
        return NewSession(hub, new).template
    place = asked_place(pn.state.session_args)
    if place is not None:
        return PlaceSession(hub, place).template
    return Session(hub, Place.read(pn.state.session_args)).template


class Session(PageSession):
    """The start page, and the page of a run, in a browser.

    Args:
        hub: The server's runs.
        asked: What the address asks for.
    """

    def __init__(self, hub: Hub, asked: Place) -> None:
        super().__init__(hub)
        self._asked = asked
        self._began: dict[str, Any] = {}
        self._group: dict[str, str] | None = None
        self._next: Shown | None = None
        self._next_recent: list[dict[str, Any]] | None = None
        self._away = self._leaves = False
        self._refused, self._until = "", 0.0
        self._sent: dict[str, int] = {}
        self._refusals: dict[str, str] = {}
        self._answered: Counter[str] = Counter()
        self.inspector: Inspector | None = None
        self.pairing: Pairing | None = None
        self.chosen: Selection | None = None
        self._seen: dict[str, Sent] = {}
        self._views: dict[str, PanelView] = {}
        self._parts = self._make_parts("start", *AROUND)
        self._slots = {view: pn.Column(sizing_mode="stretch_both", margin=0) for view in VIEWS}
        missing = self._open(asked.run) if asked.run else None
        if self.run is None:
            recent = recent_runs(hub.store)
            page = hub.quickstart.page()
            may = self.person.visit.touch
            self._parts["start"].tell({**page, "runs": recent, "missing": missing, "may": may})
            self._parts["top"].tell({**bar(hub, "start"), "people": self._people()})
        self.template = self._make_template()
        self._listen()

    # Told by the hub, from its thread

    def show(self, shown: Shown) -> None:
        """Draw this in the page's next turn."""
        self._leave(shown, None)

    def show_recent(self, runs: list[dict[str, Any]]) -> None:
        """Draw the list of runs in the page's next turn."""
        self._leave(None, runs)

    def _leave(self, shown: Shown | None, runs: list[dict[str, Any]] | None) -> None:
        with self._lock:
            self._next = shown or self._next
            self._next_recent = runs if runs is not None else self._next_recent
            if self._away and not self._is_told_away(shown):
                return
        self._soon()

    def _compared(self) -> None:
        """More is known of the layers of what is selected here."""
        self.show(self.hub.live(str(self.run)).shown)

    def _end(self) -> None:
        super()._end()
        if self.chosen is not None:
            self.chosen.close()
        if self.inspector is not None:
            self.inspector.close()

    def _is_told_away(self, shown: Shown | None) -> bool:
        """Whether a tab that nobody looks at is told: its title names the status of the run."""
        told = self._parts["top"].told.get("word")
        return shown is not None and shown.parts["top"].get("word") != told

    def _look(self, *, away: bool) -> None:
        """The tab went behind others, or came back: then it gets the newest in one piece."""
        with self._lock:
            self._away = away
        if not away:
            self._turn()

    # In the page's own turn

    def _turn(self) -> None:
        with self._lock:
            shown, runs = self._next, self._next_recent
            away = self._away and self.run is not None
            if not away:
                self._next = self._next_recent = None
        if away:  # nobody sees the views; the title of the tab names the status
            if shown is not None:
                self._tell("top", shown)
            return
        with hold(self._doc):
            if shown is not None and self.run is not None:
                self._draw(shown)
            if runs is not None and self.run is None:
                start = self._parts["start"]
                start.tell({**start.told, "runs": runs})
                self._parts["top"].tell({**bar(self.hub, "start"), "people": self._people()})

    def _draw(self, shown: Shown) -> None:
        views = self.chosen.frames(shown.views) if self.chosen is not None else shown.views
        for view, sent in views.items():
            if self._seen.get(view) is not sent:
                self._seen[view] = sent
                self._views[view].push(sent)
        past = self.chosen.past if self.chosen is not None else None
        if past is not None:
            self._views["cka"].put_aside(past)
        if self.pairing is not None:
            self.pairing.told()
        for kind in shown.parts:
            self._tell(kind, shown)

    def _tell(self, kind: str, shown: Shown) -> None:
        """Tell a part what is shown, and what only this page says."""
        said: dict[str, Any] = {}
        if kind == "rail":
            said = {**self._answers(), "people": self._people()}
            said["asking"] = self.hub.requests.mine(self)
        elif kind == "result":
            ended = shown.parts["top"].get("status") == "finished"
            said = {"after": self._after() if ended else None}
        elif kind == "scrubber":
            said = {**self._began, **(self.chosen.said if self.chosen else {})}
        elif kind == "samples" and self.inspector is not None:
            said = self.inspector.said
        elif kind == "top":
            refused = self._refused if time.monotonic() < self._until else None
            said = {"refused": refused} if refused else {}
            said = {**said, "group": self._group, "people": self._people()}
        elif kind == "notice":
            said = {"queue": self.hub.waiting_words(str(self.run))}
            said |= {"requests": self.hub.requests.waiting(self), "may": self.person.visit.touch}
        self._parts[kind].tell({**(shown.parts[kind] or {}), **said})

    def _people(self) -> dict[str, Any]:
        """Who sits here and who else looks on."""
        others = self.hub.viewers(self.run) if self.run is not None else []
        people = [one.person for one in others if isinstance(one, Session) and one is not self]
        return self.person.told(self.hub.access, self.run, [self.person, *people])

    def _open(self, run: str) -> dict[str, str] | None:
        """Show a run; what to say instead if there is no such run."""
        try:
            row, shown = self.hub.store.runs.get(run), self.hub.live(run).shown
        except WorkbenchError as error:
            return {"run": run, "text": error.message}
        self.run = run
        part = self._parts["samples"]
        self.inspector = Inspector(part, self.hub.explainer, run, self._later)
        self.pairing = Pairing(
            *(self.hub.store, run, self._parts["pairing"], self.hub.starter, self._go),
            who=self.person.who,
        )
        self.chosen = Selection(
            self.hub.live(run), SelectedLayers(self.hub.explainer, run, self._compared)
        )
        self.chosen.open(self._asked.select)
        if self.chosen.ids:  # what people do from now on its card hears in the browser
            self.inspector.select(self.chosen.ids, self.chosen.how)
        self._group = group_link(self.hub.store, run)
        samples = self.hub.live(run).sample_ids
        self._began = begin(self._asked, row, shown, samples)
        for view in VIEWS:
            self._views[view] = PanelView.make()
        self._views["cka"].param.watch(lambda told: self._propose(told.new), "event")
        self._draw(shown)
        for view, slot in self._slots.items():
            slot[:] = [self._views[view]]
        return None

    # What a person does

    def act(self, asked: dict[str, Any]) -> None:
        """Follow a press of a button; what is refused is said in the top bar."""
        try:
            self._act(str(asked.get("do", "")), asked)
        except WorkbenchError as error:
            self._refuse(error)

    def _refuse(self, error: WorkbenchError) -> None:
        self._refused, self._until = error.message, time.monotonic() + REFUSED_SECONDS
        part = self._parts["top" if self.run else "start"]
        part.tell({**part.told, "refused": error.message})

    def _act(self, do: str, asked: dict[str, Any]) -> None:
        store = self.hub.store
        if do == "look":
            self._look(away=bool(asked.get("away")))
        elif do == "name":
            self._name(asked.get("value", ""))
        elif do == "start":
            self._start(str(asked.get("recipe") or QUICKSTART))
        elif self.run is None:
            LOG.warning("The page asked for %r and shows no run.", do)
        elif self.inspector is not None and do in Inspector.DOES:
            self.inspector.act(asked)
        elif do in after.DOES:
            who = self.person.who
            self.hub.after.act(self.run, do, lambda: self._later(self._tell_after), who=who)
        elif self.pairing is not None and do in Pairing.DOES and not self._leaves:
            self.pairing.act(asked)
        elif do in Requests.DOES:
            self.hub.requests.act(self, do, asked, self._people()["editors"])
            self.hub.tell_viewers(self.run)
        elif do == "resume":
            resume(store, self.run, self.hub.starter, who=self.person.who)
        elif do == "select":
            with hold(self._doc):
                self._select(asked)
        elif do == "layers" and self.chosen is not None:
            self.chosen.look(None if asked.get("step") is None else step_of(asked["step"]))
            with hold(self._doc):
                self._draw(self.hub.live(self.run).shown)
        elif do == "note":
            self._note(asked)
        elif do == "set":
            self._set(str(asked.get("path", "")), str(asked.get("value", "")))
        elif do == "fork" and not self._leaves:  # else a second press that was under way
            at = step_of(asked.get("at"))
            # What was done before a failure is what broke it: its fork begins without that.
            keep = store.runs.get(self.run).status != "failed"
            who = self.person.who
            child = fork(store, self.run, at, {}, who=who, keep_later=keep, pause=True)
            self.hub.starter.start(store, child)
            self._go(child)
        elif do in ("pause", "stop"):
            command(store, self.run, do, who=self.person.who)
        elif do == "pace":
            seconds = summary.SLOW_SECONDS if asked.get("slow") else None
            command(store, self.run, do, who=self.person.who, seconds=seconds)

    def _after(self) -> dict[str, Any] | None:
        """What the run offers next, for those who may touch it."""
        return self.hub.after.of(str(self.run)) if self.person.visit.touch else None

    def _tell_after(self) -> None:
        part = self._parts["result"]
        part.tell({**part.told, "after": self._after()})

    def _name(self, name: object) -> None:
        """Take the name that stands in the journal from now on, and tell who looks on."""
        self.person.give(name)
        if self.pairing is not None:
            self.pairing.who = self.person.who
        if self.run is not None:
            self.hub.tell_viewers(self.run)
        top = self._parts["top"]
        top.tell({**top.told, "people": self._people()})

    @property
    def selection(self) -> tuple[int, ...]:
        """Ids of the selected samples, rising; empty: none."""
        return self.chosen.ids if self.chosen is not None else ()

    def _select(self, asked: dict[str, Any]) -> None:
        """The browser has selected samples: all views follow in one message."""
        if self.chosen is not None:
            self.chosen.ask(str(asked.get("text", "")), str(asked.get("how", "")))
            self._draw(self.hub.live(str(self.run)).shown)

    def _go(self, run: str) -> None:
        """Let the browser open another run."""
        self._leaves = True
        top = self._parts["top"]
        top.tell({**top.told, "goto": run})

    def _propose(self, event: dict[str, Any]) -> None:
        """A pair of layers was asked for on the map."""
        if self.pairing is not None and self.person.visit.touch:
            try:
                self.pairing.propose(event)
            except WorkbenchError as error:
                self._refuse(error)

    def _note(self, asked: dict[str, Any]) -> None:
        """Keep a note; a refusal stands under its field."""
        rail = self._parts["rail"]
        self._refusals.pop("note", None)
        try:
            write_note(self.hub.store, str(self.run), asked, who=self.person.who)
        except WorkbenchError as error:
            self._refusals["note"] = error.message
        rail.tell({**rail.told, "refused": dict(self._refusals)})

    def _set(self, path: str, value: str) -> None:
        """Ask the run to change a knob; a refusal stands under it."""
        rail = self._parts["rail"]
        try:
            sent = ask_to_set(
                self.hub.store, str(self.run), path, parse_scalar(value), who=self.person.who
            )
        except WorkbenchError as error:
            self._refusals[path] = wording.refusal(error)
            self._answered[path] += 1
            rail.tell({**rail.told, **self._answers()})
            return
        self._refusals.pop(path, None)
        self._sent[path] = sent

    def _answers(self) -> dict[str, Any]:
        """Why changes of this page were refused, and how many have an answer by now."""
        for path, number in list(self._sent.items()):
            answer = self.hub.store.journal.answer(number)
            if answer.state == "refused":
                self._refusals[path] = answer.reason or "Refused."
            if answer.state != "waiting":
                self._answered[path] += 1
                del self._sent[path]
        return {"refused": dict(self._refusals), "answered": dict(self._answered)}

    def _start(self, recipe: str) -> None:
        if self.run is not None:  # a second click that was under way
            return
        run = self.hub.quickstart.start(recipe, self.hub.starter, who=self.person.who)
        with hold(self._doc):
            self._open(run)
            self._parts["start"].tell({"gone": True})

    def _make_template(self) -> pn.Template:
        mode: Mode = "start" if self.run is None else "run"
        slots = {str(view): slot for view, slot in self._slots.items()}
        return make_template(mode, {**self._parts, **slots})
