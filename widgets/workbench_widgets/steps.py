"""The bar of a notebook cell that says which snapshot its views show, and asks for another.

Unusual here: what Python tells and what a person asks for are two traits. A slider with one value
for both answers what it is told, and an answer that arrives late turns the views back by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import anywidget
import traitlets

from workbench_widgets.view import joined

SCRIPTS = ("fill.js", "plotly.js", "parts.js", "steps.js")


class StepBar(anywidget.AnyWidget):
    """A slider over the steps of a run with its snapshots on it, and the way back to the newest.

    Attributes:
        steps: Steps of the snapshots, rising.
        shown: The snapshot on screen; 0 while there is none.
        total: Steps that are planned; the slider's end, so that it does not move as the run grows.
        live: Whether the views follow the run.
        words: Said beside it, while it does not wait for a kernel that is busy.
        theme: ``auto`` (follow the page), ``light`` or ``dark``.
        asked: The last thing a person asked for: ``{"step": int | None, "count": int}``; None is
            the newest. Only the browser sets it.
        answered: ``count`` of the last one that was acted on; until then the bar waits.

    Example:
        >>> from workbench_widgets.steps import StepBar
        >>> bar = StepBar()
        >>> bar.told([0, 40], shown=40, total=450, live=True, words="follows the run")
        >>> bar.shown, bar.asked
        (40, {})
    """

    _esm = joined(SCRIPTS)

    steps = traitlets.List(trait=traitlets.Int()).tag(sync=True)
    shown = traitlets.Int(0).tag(sync=True)
    total = traitlets.Int(1).tag(sync=True)
    live = traitlets.Bool(True).tag(sync=True)
    words = traitlets.Unicode("").tag(sync=True)
    theme = traitlets.Enum(["auto", "light", "dark"], default_value="auto").tag(sync=True)
    asked = traitlets.Dict().tag(sync=True)
    answered = traitlets.Int(0).tag(sync=True)

    def told(self, steps: Sequence[int], *, shown: int, total: int, live: bool, words: str) -> None:
        """Show what can be looked at, and what is, in one message."""
        with self.hold_sync():
            self.steps, self.shown, self.total = list(steps), shown, total
            self.live, self.words = live, words

    def on_ask(self, act: Callable[[int | None], None]) -> None:
        """Call ``act(step)`` whenever a person asks for a snapshot; None is the newest."""

        def heard(change: Any) -> None:
            step, count = change["new"].get("step"), change["new"].get("count")
            try:
                act(step if isinstance(step, int) else None)
            finally:
                self.answered = count if isinstance(count, int) else 0

        self.observe(heard, names="asked")
