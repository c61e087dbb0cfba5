"""The views of a run in a notebook: the same frames as on the page, pushed while it trains.

Unusual here: all views of one ``show()`` have one selection and one step, both traits that the
reader's own code may observe or set; and a picture of what is shown stays in the saved notebook
for whoever opens it without a kernel.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets

from workbench.errors import BadInput, StoreLocked, UnknownName, WorkbenchError
from workbench.runs.history import History
from workbench.runs.in_cell import BadSelection, InCell, SampleIds, kept_picture
from workbench.runs.looking import check_view, frames_at
from workbench.runs.selected import ids_of
from workbench.runs.selected_layers import Known, SelectedLayers, borrow, comparable, give_back
from workbench.runs.tables import points_sheet

if TYPE_CHECKING:
    from workbench_widgets import Frame

    from workbench.runs.shown import Shown
    from workbench.store.store import Store

POLL_SECONDS = 0.05
LOOK_SECONDS = 1.0
"""Between two looks whether the worker of a run in which nothing moves still lives."""
PUSH_SECONDS = 0.25
"""Between two pushes: a page draws at most four a second."""
KEEP_SECONDS = 1.0
"""After the last change, before the picture for the saved notebook is drawn anew."""
RENEW_SECONDS = 60.0
"""Between two pictures while the run goes on: a notebook saved meanwhile is this old at most. One
takes a second of the kernel's time."""
ROOM = 404
"""Height of a view in a cell, pixels."""
THEMES = ("auto", "light", "dark")
ALONE = 720
"""Width that a view alone takes at most; a wide cell would only pull its parts apart."""


class LiveViews(InCell, traitlets.HasTraits):
    """Shows a run in a cell and follows it until it ends.

    Args:
        run: Which.
        view: ``cka``, ``trilateral``, ``calibration``, ``loyalty`` or ``curves``; None for all.
        step: Look back at the snapshot at or before it; None follows the run.
        theme: ``auto`` (as the notebook), ``light`` or ``dark``.
        height: Of a view, pixels.

    Attributes:
        selection: Ids of the selected samples, rising, shared by all views; empty: none. Observe
            it (``shown.observe(act, names="selection")``) or set it, to a list, an array or a set.
            All numbers are theirs then; their layer similarity follows as soon as a process on
            the side has computed it.
        step: The snapshot asked for; None while it follows the run. Observe it or set it.
        views: The widgets by name.

    Raises:
        UnknownName: For another view or theme.
        BadInput: For a step or a height that is no whole number.
        RefusedCommand: If a step is asked for and the run has no snapshot.
    """

    selection = SampleIds()
    step = traitlets.Int(None, allow_none=True)

    def __init__(
        self,
        run: Shown,
        view: str | None = None,
        *,
        step: int | None = None,
        theme: str = "auto",
        height: int = ROOM,
    ) -> None:
        from workbench_widgets.frame import VIEWS

        check_options(view, step, theme, height)
        super().__init__()
        self._run = run
        self._lock = threading.RLock()
        self._history = History.load(run.store, run.id)
        self._layers: SelectedLayers | None = None
        self.step = step
        frames = self._made()
        self.views = widgets_of({name: frames[name] for name in VIEWS if view in (None, name)})
        for each in self.views.values():
            each.theme, each.height = theme, height
            each.marker = frames["cka"].step if step is not None else None
            each.observe(self._selected, names="selected")
            each.observe(self._told, names="event")
        if "curves" in self.views:
            self.views["curves"].points = self._points
        self._bar = _Bar(self, theme)
        self._handle: Any = None
        self._timer: threading.Timer | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name=f"views of {run.id}", daemon=True)
        self._thread.start()

    def _box(self) -> Any:
        import ipywidgets

        return ipywidgets.VBox([self._bar.widget, side_by_side(self.views)])

    def __repr__(self) -> str:
        at = "follows it" if self.step is None else f"at step {self.step}"
        return f"LiveViews({', '.join(self.views)} of run {self._run.id}: {at})"

    def close(self) -> None:
        """Follow no longer; what is drawn stays."""
        self._stop.set()
        self._thread.join(timeout=5)
        if self._timer is not None:
            self._timer.cancel()
        if self._layers is not None:
            self._layers.close()
            give_back(self._run.store, self)

    def _ipython_display_(self) -> None:
        words = f"Live views of run {self._run.id}; without a kernel, a picture:"
        self._handle = self._display(words, self._on_screen())

    def _on_screen(self) -> list[Frame]:
        """What is shown now, in the order of the views."""
        with self._lock:
            frames = self._made()
        return [frames[name] for name in self.views]

    def _keep(self) -> None:
        """Draw the picture anew, once nothing has changed for a moment."""
        if self._handle is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(KEEP_SECONDS, self._kept)
        self._timer.daemon = True
        self._timer.start()

    def _kept(self) -> None:
        content, about = kept_picture(self._on_screen())
        self._handle.update(content, metadata=about, raw=True)

    def _points(self) -> str:
        return points_sheet(self._run.store, self._run.id, self.selection).csv()

    # ---- what is shown

    def _made(self) -> dict[str, Frame]:
        known = self._compared()
        return frames_at(self._run.store, self._history, self.step, self.selection, known)

    def _compared(self) -> Known | None:
        """What is known of the selected samples' layers; asks for what is shown and not known."""
        if self._layers is None:
            if not self.selection or "cka" not in self.views or self._stop.is_set():
                return None
            explainer = borrow(self._run.store, self)
            self._layers = SelectedLayers(explainer, self._run.id, self._heard)
        if not self._stop.is_set():
            ids, step, follows = comparable(self._history, self.selection, self.step)
            self._layers.want(ids, step, follows=follows)
        return self._layers.known

    def _heard(self) -> None:
        """More is known of the layers; called by the thread that waits for the process."""
        self._push()
        self._keep()

    def _push(self) -> None:
        with self._lock:
            frames = self._made()
            for name, view in self.views.items():
                view.marker = frames["cka"].step if self.step is not None else None
                view.push(frames[name])
            self._bar.told(self._history, self.step)

    def _follow(self) -> None:
        store = self._run.store
        watch, drawn, looked = store.watch(), time.monotonic(), time.monotonic()
        due = False
        try:
            while not self._stop.is_set():
                try:
                    due = watch.changed() or due
                    if not due and time.monotonic() - looked >= LOOK_SECONDS:
                        looked = time.monotonic()
                        due = store.runs.get(self._run.id).status != self._history.row.status
                    if due:
                        self._renew(store)
                        due = False
                        if time.monotonic() - drawn >= RENEW_SECONDS:
                            drawn = time.monotonic()
                            self._keep()
                        time.sleep(PUSH_SECONDS)
                except StoreLocked:  # whoever holds it lets go; what is drawn stays until then
                    time.sleep(PUSH_SECONDS)
                if not self._history.row.active:
                    self._keep()
                    return
                time.sleep(POLL_SECONDS)
        finally:
            watch.close()

    def _renew(self, store: Store) -> None:
        with self._lock:
            self._history.refresh(store)
        self._push()

    @traitlets.observe("step")
    def _turned(self, change: Any) -> None:
        """Look at another snapshot; all views in one go."""
        if not hasattr(self, "views"):  # the first frames are made with it
            return
        try:
            self._push()
        except WorkbenchError:
            self.step = change["old"]
            raise
        self._keep()

    # ---- one selection

    def _selected(self, change: Any) -> None:
        from workbench_widgets.view import selected_ids

        self.selection = tuple(sorted(selected_ids(change["new"]).tolist()))

    @traitlets.validate("selection")
    def _known(self, proposal: Any) -> Any:
        """Only samples that the run looks at: of others no view could tell anything."""
        latest = self._history.latest
        known = None if latest is None else ids_of(latest.arrays)
        asked = np.asarray(proposal["value"], dtype=np.int64)
        strange = asked[:0] if known is None else asked[~np.isin(asked, known)]
        if len(strange):
            raise BadSelection(
                f"`selection`: {len(strange)} of {len(asked)} ids are not in the probe split of "
                f"run {self._run.id}, such as {strange[0]}. Allowed: those that its snapshots "
                'hold, for instance `run.arrays("trilateral")[-1][1]["ids"]`.'
            )
        return proposal["value"]

    @traitlets.observe("selection")
    def _shared(self, change: Any) -> None:
        next(iter(self.views.values())).selected = (
            np.asarray(change["new"], dtype="<i4").tobytes() or None
        )
        self._push()  # the numbers of these samples, in every view
        self._keep()

    def _told(self, change: Any) -> None:
        """A press on a journal mark in one view turns all of them to its step."""
        event = change["new"]
        if event.get("kind") == "mark" and isinstance(event.get("step"), (int, float)):
            self.step = int(event["step"])


class _Bar:
    """The scrubber of a cell: what the bar over the views shows, and what is asked of it."""

    def __init__(self, shown: LiveViews, theme: str) -> None:
        from workbench_widgets.steps import StepBar

        self._shown = shown
        self.widget = StepBar(theme=theme)
        self.widget.on_ask(self._asked)
        self.told(shown._history, shown.step)

    def told(self, history: History, step: int | None) -> None:
        """Show what can be looked at, and what is."""
        steps, row = history.steps, history.row
        at = steps[-1] if steps else 0
        if step is not None and steps:
            at = max((known for known in steps if known <= step), default=steps[0])
        state = "follows the run" if row.active else f"run {row.status}"
        words = state if step is None else "looking back"
        self.widget.told(steps, shown=at, total=row.steps, live=step is None, words=words)

    def _asked(self, step: int | None) -> None:
        with self._shown._lock:  # not while the thread that follows shows something else
            self._shown.step = step


def check_options(view: str | None, step: object, theme: str, height: object) -> None:
    """Refuse what a view cannot be shown with.

    Raises:
        UnknownName: For a view or a theme that does not exist.
        BadInput: For a step or a height that is no whole number.
    """
    if view is not None:
        check_view(view)
    if theme not in THEMES:
        raise UnknownName("theme", str(theme), THEMES)
    for name, value, otherwise in (
        ("step", step, "a step of the run, or None to follow it"),
        ("height", height, f"pixels of a view, {ROOM} unless told"),
    ):
        if not (isinstance(value, int | np.integer) or (name == "step" and value is None)):
            raise BadInput(f"`{name}` is {value!r}. Allowed: a whole number, {otherwise}.")


def widgets_of(frames: Mapping[str, Frame]) -> dict[str, Any]:
    """A live view for each frame, by the same names; a selection in one is a selection in all."""
    from workbench_widgets.plotlyjs import plotly_js_gz
    from workbench_widgets.view import View

    views: dict[str, Any] = {name: View(frame) for name, frame in frames.items()}
    # the next cell may keep the kernel busy, so plotly.js travels with one view's state
    plotted = next((shown for name, shown in views.items() if name != "loyalty"), None)
    if plotted is not None:
        plotted.plotly_gz = plotly_js_gz()

    def share(change: Any) -> None:
        for view in views.values():
            if bytes(view.selected or b"") != bytes(change["new"] or b""):
                view.selected = change["new"]

    for view in views.values():
        view.observe(share, names="selected")
    return views


def side_by_side(views: Mapping[str, Any]) -> Any:
    """One widget of these views: two columns, an odd one fills its row; or the only one."""
    import ipywidgets

    children = list(views.values())
    if len(children) == 1:
        children[0].layout.max_width = f"{ALONE}px"
        return children[0]
    if len(children) % 2:
        # not grid_column: ipywidgets clears it with the empty grid_area, which comes after
        children[-1].layout.grid_area = "auto / 1 / auto / -1"
    layout = ipywidgets.Layout(
        grid_template_columns="repeat(auto-fit, minmax(max(380px, 34%), 1fr))", grid_gap="8px"
    )
    return ipywidgets.GridBox(children, layout=layout)
