"""Following a run: a progress bar where people look, plain lines where they do not."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from workbench.runs.estimate import before_words
from workbench.store.runs import RunRow

LINE_SECONDS = 5.0
"""Between two lines of a log."""


class Progress:
    """Shows a run on the standard error: what it does, step, rate, time left.

    Args:
        enabled: False says nothing at all.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._enabled = enabled
        self._last_said = 0.0
        self._last_line = ""
        self._last_text = ""
        self._said: set[str] = set()

    def __enter__(self) -> Progress:
        if self._enabled and (sys.stderr.isatty() or _in_notebook()):
            from rich.console import Console
            from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[detail]}"),
                TimeElapsedColumn(),
                console=Console(file=None if _in_notebook() else sys.stderr),
                transient=False,
            )
            self._task = self._bar.add_task("Starting", total=1.0, detail="")
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def told(self, row: RunRow) -> None:
        """Show a row."""
        if not self._enabled:
            return
        text, share, detail = describe(row)
        for line in before_words(row.protocol or {}):
            if line not in self._said:
                self._said.add(line)
                self._say(line)
        if self._bar is not None:
            self._bar.update(self._task, description=text, completed=share, detail=detail)
            return
        now, line = time.monotonic(), f"{row.id}: {text} {detail}".rstrip()
        due = text != self._last_text or now - self._last_said >= LINE_SECONDS
        if due and line != self._last_line:  # a log says what is new only
            self._say(line)
            self._last_text, self._last_line, self._last_said = text, line, now

    def _say(self, line: str) -> None:
        """A line that stays, above the bar if there is one."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)


def describe(row: RunRow) -> tuple[str, float, str]:
    """What a run does in words, the share done in [0, 1], and numbers beside it."""
    if row.activity:
        share = row.progress or 0.0
        return row.activity, share, f"{share:.0%}" if row.progress is not None else ""
    share = row.step / row.steps if row.steps else 0.0
    alone = row.cohort in (None, row.id) and row.turn is None
    waits = "Waiting for its worker" if alone else "Waiting for its turn"
    words = {"queued": waits, "training": "Training the student"}
    detail = f"step {row.step} of {row.steps}" if row.steps else ""
    if row.status == "training" and row.rate:
        left = (row.steps - row.step) / row.rate
        detail += f", {row.rate:.0f} steps/s, {time_left(left)}"
    return words.get(row.status, row.status.capitalize()), share, detail


def time_left(seconds: float) -> str:
    """``11 s left``, ``4 min left``, then ``about 2 h left``."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s left"
    if seconds < 5400:
        return f"{round(seconds / 60)} min left"
    return f"about {round(seconds / 3600)} h left"


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    current = getattr(shell, "get_ipython", lambda: None)() if shell else None
    return current is not None and type(current).__name__ == "ZMQInteractiveShell"
