"""What all pages of a server share: the store, the worker starter, the runs in memory, one watcher.

One daemon thread asks SQLite a few dozen times a second whether anything changed (``PRAGMA
data_version``, microseconds) and tells the sessions; it never touches a model of a page.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Protocol

from workbench.dashboard.access import Access
from workbench.dashboard.after import After
from workbench.dashboard.live import Live, Shown
from workbench.dashboard.start import Quickstart, recent_runs
from workbench.errors import WorkbenchError
from workbench.runs.draft.checker import Checker
from workbench.runs.explainer import Explainer
from workbench.runs.inspecting import Inspection
from workbench.runs.launch import Starter
from workbench.store import Store

POLL_SECONDS = 0.025
RECENT_SECONDS = 1.0
"""Between two updates of the list of runs."""

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
    """

    def __init__(self, store: Store, starter: Starter) -> None:
        self.store = store
        self.starter = starter
        self.quickstart = Quickstart(store)
        self.after = After(store, starter)
        self.explainer = Explainer(store)
        self.checker = Checker(store)
        self.inspections: list[Inspection] = []
        """Pairs that are looked at in processes of their own; touched in the pages' turns only."""
        self.access = Access()
        """Who may look and touch; of this machine everybody, until a server says otherwise."""
        self._lives: dict[str, Live] = {}
        self._viewers: set[Viewer] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._recent_at = 0.0
        self._recent_due = True
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
            self._recent_due = True
        if viewer.run is not None:
            self.tell_viewers(viewer.run)

    def detach(self, viewer: Viewer) -> None:
        """Forget a page; a run that nobody looks at leaves the memory."""
        with self._lock:
            self._viewers.discard(viewer)
            watched = {viewer.run for viewer in self._viewers}
            for run in [run for run in self._lives if run not in watched]:
                del self._lives[run]
        if viewer.run is not None and viewer.run in watched:
            self.tell_viewers(viewer.run)

    def viewers(self, run: str) -> list[Viewer]:
        """The pages that show a run."""
        with self._lock:
            return [viewer for viewer in self._viewers if viewer.run == run]

    def tell_viewers(self, run: str) -> None:
        """Draw its pages anew: somebody came, went, or said their name."""
        shown = self.live(run).shown
        for viewer in self.viewers(run):
            viewer.show(shown)

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join(timeout=5)
        self.explainer.close()
        self.checker.close()

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
            viewers = list(self._viewers)
            lives = dict(self._lives)
        for run, live in lives.items():
            self._tell(viewers, run, live, stirred)
        self._recent_due |= stirred
        idle = [viewer for viewer in viewers if viewer.run is None]
        if idle and self._recent_due and time.monotonic() - self._recent_at >= RECENT_SECONDS:
            self._recent_due, self._recent_at = False, time.monotonic()
            runs = recent_runs(self.store, self.quickstart.listing)
            for viewer in idle:
                viewer.show_recent(runs)

    @staticmethod
    def _tell(viewers: list[Viewer], run: str, live: Live, stirred: bool) -> None:
        try:
            shown = live.look(stirred=stirred)
        except WorkbenchError as error:
            LOG.warning("Run %s cannot be read now: %s", run, error)
            return
        if shown is not None:
            for viewer in viewers:
                if viewer.run == run:
                    viewer.show(shown)
