"""What all pages of a server share: the store, the worker starter, the runs in memory, one watcher.

One daemon thread asks SQLite two hundred times a second whether anything changed (``PRAGMA
data_version``, microseconds) and tells the sessions; it never touches a model of a page.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection
from typing import Any, Protocol

from workbench.dashboard.access import Access
from workbench.dashboard.after import After
from workbench.dashboard.asking import Requests
from workbench.dashboard.live import Live, Shown
from workbench.dashboard.queue_card import Queue, read_queue, waiting_words
from workbench.dashboard.start import Quickstart, recent_runs
from workbench.errors import UnknownRun, WorkbenchError
from workbench.runs.draft.checker import Checker
from workbench.runs.explainer import Explainer
from workbench.runs.inspecting import Inspection
from workbench.runs.launch import Starter, ZygoteStarter
from workbench.runs.queue import go_on
from workbench.store import Store
from workbench.store.listing import waiting

POLL_SECONDS = 0.005
"""Between two looks at whether the store has changed, which take microseconds."""
QUEUE_SECONDS = 1.0
"""Between two looks at whose turn it is: a worker that was killed tells nobody."""
RECENT_SECONDS = 1.0
"""Between two updates of the list of runs."""
BROKEN_SECONDS = 1.0
"""After a run could not be read, before it is tried again."""

LOG = logging.getLogger(__name__)


class Viewer(Protocol):
    """A page that is told what to show; may be called from any thread."""

    run: str | None

    def show(self, shown: Shown) -> None:
        """A run has moved."""

    def show_recent(self, runs: list[dict[str, Any]]) -> None:
        """The list of runs has changed."""


class Hub:
    """The server's one place for runs that are looked at.

    Args:
        store: Where runs lie.
        starter: Starts workers.
        access: Who may look and touch; by default everybody of this machine.
    """

    def __init__(self, store: Store, starter: Starter, access: Access | None = None) -> None:
        self.store = store
        self.starter = starter
        self.quickstart = Quickstart(store)
        self.after = After(store, starter)
        self.explainer = Explainer(
            store, starter.explain if isinstance(starter, ZygoteStarter) else None
        )
        self.checker = Checker(store)
        self.inspections: list[Inspection] = []
        """Pairs that are looked at in processes of their own; touched in the pages' turns only."""
        self.requests = Requests()
        self.access = access or Access()
        self._lives: dict[str, Live] = {}
        self._viewers: set[Viewer] = set()
        self._gone: set[Viewer] = set()
        """Those of them whose tab has closed, or lost its connection, and may yet come back."""
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.queue = Queue()
        """Who waits for a turn, as the watcher saw it last."""
        self._queue_at = 0.0
        self._recent_at = 0.0
        self._recent_due = True
        self._broken: dict[str, float] = {}
        """Runs that could not be read, and when: the watcher's own."""
        self._thread = threading.Thread(target=self._watch, name="store-watcher", daemon=True)
        self._thread.start()

    def live(self, run: str) -> Live:
        """The run in memory, read now if nobody looked at it before.

        Raises:
            UnknownRun: If the store has no such run.
        """
        with self._lock:
            found = self._lives.get(run)
        if found is None:
            found = Live(self.store, run)
            with self._lock:
                found = self._lives.setdefault(run, found)
        return found

    def attach(self, viewer: Viewer) -> None:
        """Tell a page from now on, and once what was missed while it was made."""
        with self._lock:
            self._viewers.add(viewer)
            self._gone.discard(viewer)
            self._recent_due = True
        if viewer.run is not None:
            self.tell_viewers(viewer.run)

    def leave(self, viewer: Viewer) -> None:
        """A page has no browser now: nobody counts it; :meth:`attach` brings it back."""
        self.requests.forget(viewer)
        with self._lock:
            if viewer not in self._viewers:
                return
            self._gone.add(viewer)
        if viewer.run is not None:
            self.tell_viewers(viewer.run)

    def detach(self, viewer: Viewer) -> None:
        """Forget a page; a run that nobody looks at leaves the memory."""
        self.requests.forget(viewer)
        with self._lock:
            self._viewers.discard(viewer)
            self._gone.discard(viewer)
            watched = {viewer.run for viewer in self._viewers}
            for run in [run for run in self._lives if run not in watched]:
                del self._lives[run]
        if viewer.run is not None and viewer.run in watched:
            self.tell_viewers(viewer.run)

    def viewers(self, run: str) -> list[Viewer]:
        """The pages that show a run, in a browser."""
        with self._lock:
            return [viewer for viewer in self._viewers - self._gone if viewer.run == run]

    def tell_viewers(self, run: str) -> None:
        """Draw its pages anew: somebody came, went, or said their name."""
        viewers = self.viewers(run)
        if not viewers:  # else it would come into the memory, and nobody would let it go
            return
        shown = self.live(run).shown
        for viewer in viewers:
            viewer.show(shown)

    def waiting_words(self, run: str) -> str:
        """What the page of a run says of the queue; empty where it has nothing to do with it."""
        if not self.queue.turns:
            return ""
        try:
            return waiting_words(self.queue, self.store.runs.get(run))
        except UnknownRun:  # removed; its page says so
            return ""

    def close(self) -> None:
        """End the thread, and the processes that look at something for a page."""
        self._stop.set()
        self._thread.join(timeout=5)
        self.explainer.close()
        self.checker.close()
        self.after.close()
        for one in self.inspections:
            one.cancel()

    def _watch(self) -> None:
        watch = self.store.watch()
        while not self._stop.wait(POLL_SECONDS):
            try:
                self._round(watch.changed())
            except Exception:  # the boundary of the thread: one bad round must not end all pages
                LOG.exception("The watcher could not read the store; it tries again.")
                self._stop.wait(1.0)
        watch.close()

    def _round(self, stirred: bool) -> None:
        with self._lock:
            viewers = list(self._viewers - self._gone)
            lives = dict(self._lives)
        self._broken = {run: at for run, at in self._broken.items() if run in lives}
        for run, live in lives.items():
            self._tell(viewers, run, live, stirred)
        if time.monotonic() - self._queue_at >= QUEUE_SECONDS:
            self._queue_at = time.monotonic()
            self._look_at_queue({viewer.run for viewer in viewers if viewer.run is not None})
        self._recent_due |= stirred
        idle = [viewer for viewer in viewers if viewer.run is None]
        if idle and self._recent_due and time.monotonic() - self._recent_at >= RECENT_SECONDS:
            self._recent_due, self._recent_at = False, time.monotonic()
            runs = recent_runs(self.store, self.quickstart.listing)
            for viewer in idle:
                viewer.show_recent(runs)

    def _look_at_queue(self, watched: Collection[str]) -> None:
        """Start whose turn has come, and tell the pages of runs that wait how it stands."""
        before = self.queue
        try:
            if not self.access.read_only:  # such a server starts nothing, whoever asked for it
                go_on(self.store, self.starter)
            lines = self.quickstart.listing.lines() if waiting(self.store.database) else ()
            self.queue = read_queue(self.store, lines) if lines else Queue()
        except WorkbenchError as error:
            LOG.warning("The queue cannot be looked at now: %s", error)
            return
        if self.queue.turns or before.turns:
            for run in watched:
                self.tell_viewers(run)

    def _tell(self, viewers: list[Viewer], run: str, live: Live, stirred: bool) -> None:
        """Show a run anew; one that cannot be read keeps neither others nor the queue waiting."""
        broken = self._broken.get(run)
        if broken is not None and time.monotonic() - broken < BROKEN_SECONDS:
            return
        try:
            shown = live.look(stirred=stirred or broken is not None)
        except Exception as error:  # whatever one run holds, the thread looks after all of them
            self._broken[run] = time.monotonic()
            told = not isinstance(error, WorkbenchError)  # else its own words say it all
            LOG.warning("Run %s cannot be read now: %s", run, error, exc_info=told)
            return
        self._broken.pop(run, None)
        if shown is not None:
            for viewer in viewers:
                if viewer.run == run:
                    viewer.show(shown)
