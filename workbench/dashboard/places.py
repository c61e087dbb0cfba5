"""The pages Runs, Models and Pair in a browser: told of the store, drawn in their own turn.

Unusual here: what a reader did is folded into the address first and the page drawn from that, so a
pasted link, Back and a click are one and the same path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from workbench.dashboard.carrier import PanelView
from workbench.dashboard.hub import Hub
from workbench.dashboard.live import Sent, pack_payload
from workbench.dashboard.models_place import ModelsAsked, models_page
from workbench.dashboard.page_session import PlainSession
from workbench.dashboard.pair_place import (
    PairAsked,
    pair_page,
    question,
    waiting_views,
    waiting_words,
)
from workbench.dashboard.queue_card import read_queue
from workbench.dashboard.runs_place import RunsAsked, runs_page
from workbench.dashboard.start import QUICKSTART
from workbench.dashboard.template import make_template
from workbench.errors import RefusedCommand, WorkbenchError
from workbench.runs.frames import SNAPSHOT_VIEWS
from workbench.runs.inspecting import Inspection, Question, Seen
from workbench.runs.kept_models import KeptModel, kept_models
from workbench.runs.queue import move_to_front, take_back

Asked = RunsAsked | ModelsAsked | PairAsked
MOST_LOOKING: Final = 4
"""Pairs that a server looks at at a time, each in a process with both networks."""
QUEUE_DOES: Final = {"take_back": take_back, "front": move_to_front}
"""What may be done to a run that waits."""
KINDS: Final[Sequence[type[Asked]]] = (RunsAsked, ModelsAsked, PairAsked)


def asked_place(arguments: Mapping[str, Sequence[bytes]]) -> Asked | None:
    """Which of these places an address asks for, and how; None where it asks for another."""
    for kind in KINDS:
        found = kind.read(arguments)
        if found is not None:
            return found
    return None


class PlaceSession(PlainSession):
    """The page in a browser.

    Args:
        hub: The server's runs.
        asked: What the address asks for.
    """

    def __init__(self, hub: Hub, asked: Asked) -> None:
        super().__init__(hub)
        self._asked = asked
        self._models: tuple[Any, list[KeptModel]] = (None, [])
        self._parts = self._make_parts("top", str(asked.kind))
        self._looking: tuple[Question, Inspection] | None = None
        self._seen: Seen | None = None
        self._pushed: Seen | str | None = None
        self._started: str | None = None
        """The run that this page has started; the browser opens it."""
        shown = SNAPSHOT_VIEWS if isinstance(asked, PairAsked) else ()
        self._views: dict[str, PanelView] = {str(view): PanelView.make() for view in shown}
        self._draw()
        self.template = make_template(asked.kind, {**self._parts, **self._views})
        self._listen()

    def _act(self, do: str, asked: dict[str, Any]) -> None:
        if do == "address":  # Back, or Forward
            query = parse_qs(str(asked.get("value") or "").lstrip("?"), keep_blank_values=True)
            found = asked_place({name: [v.encode() for v in vs] for name, vs in query.items()})
            self._asked = found if type(found) is type(self._asked) and found else self._asked
        elif do in QUEUE_DOES:
            if not self.person.visit.touch:
                raise RefusedCommand("This page may only look; it changes nothing.")
            QUEUE_DOES[do](self.hub.store, str(asked.get("value") or ""), who=self.person.who)
        elif do == "cancel" and self._looking is not None:
            self._looking[1].cancel()
        elif do == "again":
            self._leave()
        elif do == "start":
            if self._started is None:  # else a second press that was under way
                quickstart, who = self.hub.quickstart, self.person.who
                self._started = quickstart.start(QUICKSTART, self.hub.starter, who=who)
        else:
            self._asked = self._asked.followed(asked)

    def _draw(self) -> None:
        asked = self._asked
        self._parts["top"].tell(self._bar("models" if asked.kind == "pair" else asked.kind))
        if isinstance(asked, RunsAsked):
            lines = self.hub.quickstart.listing.lines()
            told = runs_page(lines, asked, read_queue(self.hub.store, lines))
        elif isinstance(asked, ModelsAsked):
            told = models_page(self._kept(), asked)
        else:
            told = self._pair(asked)
        may = self.person.visit.touch
        said = {"refused": self._refused, "may": may, "goto": self._started}
        self._parts[asked.kind].tell({**told, **said})

    def _kept(self) -> list[KeptModel]:
        """Models of the store, listed anew only where a run has begun or ended."""
        lines = self.hub.quickstart.listing.lines()
        now = [(line.id, line.status, line.weights) for line in lines]
        if self._models[0] != now:
            self._models = (now, kept_models(self.hub.store))
        return self._models[1]

    def _pair(self, asked: PairAsked) -> dict[str, Any]:
        """The page, and a process on the side where the address asks for another pair."""
        models, problem = self._kept(), ""
        try:
            wanted = question(self.hub.store, models, asked)
        except WorkbenchError as error:
            wanted, problem = None, error.message
        if (wanted is None) != (self._looking is None) or (
            self._looking is not None and wanted != self._looking[0]
        ):
            self._leave()
            if wanted is not None:
                problem = self._look(wanted)
        self._push()
        return pair_page(models, asked, self._seen, problem)

    def _push(self) -> None:
        """Give the views what was found, once; axes and a sentence where nothing was."""
        seen, before = self._seen, self._pushed
        done = seen if seen is not None and seen.state == "done" else None
        now: Seen | str = done or waiting_words(seen)
        works = seen is not None and seen.state == "working"
        if now == before or (works and isinstance(before, Seen)):  # what is shown stays till then
            return
        self._pushed = now
        found = done.views if done is not None else waiting_views(str(now))
        for view, (content, buffers) in found.items():
            self._views[view].push(Sent(0, pack_payload(content, buffers)))

    def _look(self, wanted: Question) -> str:
        """Start a process that looks; why it cannot be started now, or empty."""
        others = [one for one in self.hub.inspections if one.lives]
        if len(others) >= MOST_LOOKING:
            return f"{len(others)} other pairs are looked at on this server. Try again in a while."

        def take(seen: Seen) -> None:
            if self._looking is not None and self._looking[0] is wanted:
                self._seen = seen
                self._draw()

        def heard(seen: Seen) -> None:  # from its thread, perhaps before it is known here
            self._later(lambda: take(seen))

        self._seen = Seen("working", "starting")
        inspection = Inspection(self.hub.store.path, wanted, heard)
        self._looking = (wanted, inspection)
        self.hub.inspections = [*others, inspection]
        return ""

    def _leave(self) -> None:
        """Let go of the pair that was looked at."""
        looking, self._looking, self._seen = self._looking, None, None
        if looking is not None:
            looking[1].cancel()
            self.hub.inspections = [one for one in self.hub.inspections if one is not looking[1]]

    def _end(self) -> None:
        super()._end()
        self._leave()
