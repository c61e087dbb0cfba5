"""The live views of a run in a notebook: the same frames as on the page, pushed while it trains."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from workbench.errors import UnknownName
from workbench.runs.follow import describe
from workbench.runs.frames import Frames
from workbench.runs.history import History
from workbench.training.card import caption

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from workbench_widgets import Frame

    from workbench.runs.run import Run
    from workbench.store.runs import RunRow

POLL_SECONDS = 0.05
PUSH_SECONDS = 0.25
"""Between two pushes: a page draws at most four a second."""


class LiveViews:
    """Shows a run in a cell and follows it until it ends.

    Args:
        run: Which.
        view: ``cka``, ``trilateral``, ``calibration``, ``loyalty`` or ``curves``; None for all.

    Raises:
        UnknownName: For another view.
    """

    def __init__(self, run: Run, view: str | None = None) -> None:
        from workbench_widgets.frame import VIEWS

        if view is not None and view not in VIEWS:
            raise UnknownName("view", view, VIEWS)
        self._run = run
        self._history = History.load(run.store, run.id)
        self._frames = Frames(self._history)
        frames = self._made()
        self.views = widgets_of({name: frames[name] for name in VIEWS if view in (None, name)})
        self._thread = threading.Thread(target=self._follow, name=f"views of {run.id}", daemon=True)
        self._stop = threading.Event()
        self._thread.start()

    def close(self) -> None:
        """Follow no longer; what is drawn stays."""
        self._stop.set()
        self._thread.join(timeout=5)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return side_by_side(self.views)._repr_mimebundle_(**options)

    def _made(self) -> dict[str, Frame]:
        waits_for = waiting_words(self._history)
        return {**self._frames.of_snapshot(waits_for), "curves": self._frames.curves(waits_for)}

    def _follow(self) -> None:
        watch = self._run.store.watch()
        try:
            while not self._stop.is_set():
                if watch.changed():
                    self._history.refresh(self._run.store)
                    for name, frame in self._made().items():
                        if name in self.views:
                            self.views[name].push(frame)
                    time.sleep(PUSH_SECONDS)
                if not self._history.row.active:
                    return
                time.sleep(POLL_SECONDS)
        finally:
            watch.close()


def widgets_of(frames: Mapping[str, Frame]) -> dict[str, Any]:
    """A live view for each frame, by the same names."""
    from workbench_widgets.plotlyjs import plotly_js_gz
    from workbench_widgets.view import View

    views: dict[str, Any] = {name: View(frame) for name, frame in frames.items()}
    # the next cell may keep the kernel busy, so plotly.js travels with one view's state
    plotted = next((shown for name, shown in views.items() if name != "loyalty"), None)
    if plotted is not None:
        plotted.plotly_gz = plotly_js_gz()
    return views


def side_by_side(views: Mapping[str, Any]) -> Any:
    """One widget of these views: a grid, or the only one."""
    import ipywidgets

    children = list(views.values())
    if len(children) == 1:
        return children[0]
    layout = ipywidgets.Layout(
        grid_template_columns="repeat(auto-fit, minmax(380px, 1fr))", grid_gap="8px"
    )
    return ipywidgets.GridBox(children, layout=layout)


def waiting_words(history: History) -> str | None:
    """What a view without data waits for."""
    row = history.row
    if not row.active:
        return f"This run is {row.status}; it holds no snapshot."
    return f"Waits for the first snapshot. Now: {describe(row)[0].lower()}."


def figure(run: Run, view: str, **options: Any) -> go.Figure:
    """One view of a run's newest snapshot as a static figure, for a saved notebook or a script.

    Raises:
        UnknownName: For a view that does not exist.
    """
    from workbench_widgets.frame import VIEWS

    if view not in VIEWS:
        raise UnknownName("view", view, VIEWS)
    history = History.load(run.store, run.id)
    frames = Frames(history)
    words = waiting_words(history)
    frame = frames.curves(words) if view == "curves" else frames.of_snapshot(words)[view]
    return captioned(frame, history.row).figure(**options)


def captioned(frame: Frame, row: RunRow) -> Frame:
    """The frame with the run's protocol in a line under its figure."""
    protocol = {"seed": row.experiment.get("seed", 0), **(row.protocol or {})}
    step = frame.step if frame.step >= 0 else None
    return replace(frame, caption=caption(protocol, split="probe", step=step))
