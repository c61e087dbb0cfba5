"""What a run in Python shows: live views, figures and tables, and files of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.store.store import Store

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from workbench.runs.live import LiveViews


class Shown:
    """The part of :class:`workbench.Run` that people look at."""

    id: str
    store: Store

    def show(self, view: str | None = None, **options: Any) -> LiveViews:
        """The live views for a notebook: all five, or one of them by name.

        Args:
            view: ``cka``, ``trilateral``, ``calibration``, ``loyalty`` or ``curves``; None for all.
            options: ``step`` (look back at the snapshot at or before it), ``theme`` (``auto``,
                ``light``, ``dark``), ``height`` of a view in pixels.

        Returns:
            What a cell draws. Its ``selection`` and ``step`` are traits, to observe and to set.

        Raises:
            UnknownName: For another view or theme.
            BadInput: For a step or a height that is no whole number.
            RefusedCommand: If a step is asked for and the run has no snapshot.
        """
        from workbench.runs.live import LiveViews

        return LiveViews(self, view, **options)

    @property
    def views(self) -> RunViews:
        """Each view alone: ``run.views.cka()`` is ``run.show("cka")``."""
        return RunViews(self)

    def figure(self, view: str, *, step: int | None = None, **options: Any) -> go.Figure:
        """One view as a static figure with its protocol in a line under it.

        Args:
            view: As :meth:`show` takes it.
            step: The snapshot at or before it; None is the newest.
            options: ``theme``, ``width``, ``height`` in pixels, toggles such as ``mode="delta"``.

        Raises:
            UnknownName: For a view that does not exist.
            RefusedCommand: If a step is asked for and the run has no snapshot.
        """
        from workbench.runs.looking import frame_of

        return frame_of(self.store, self.id, view, step).figure(**options)

    def save_figure(
        self,
        view: str,
        path: str | Path,
        *,
        step: int | None = None,
        scale: float = 2.0,
        force: bool = False,
        **options: Any,
    ) -> Path:
        """Write a view as .svg, .png, .pdf (no browser is needed) or .html; light unless told.

        Args:
            view: As :meth:`show` takes it.
            path: File to write; its ending says the kind.
            step: As above.
            scale: Dots of a PNG per pixel, > 0.
            force: Replace a file that is there.
            options: As :meth:`figure` takes them.

        Raises:
            UnknownName: For a view that does not exist.
            BadFile: For another ending, or if nothing may be written there.
        """
        from workbench.runs.looking import save_figure

        drawn = self.figure(view, step=step, **options)
        return save_figure(drawn, path, scale=scale, force=force)

    def tables(self, name: str, *, step: int | None = None) -> dict[str, pd.DataFrame]:
        """What is behind a view, every logged point, or the result, as data frames by title.

        Args:
            name: A view, ``points`` or ``result``.
            step: Of a view: the snapshot at or before it.

        Raises:
            UnknownName: For another table.
        """
        import pandas as pd

        from workbench.runs.tables import sheets_of_run

        return {
            sheet.title: pd.DataFrame(list(sheet.rows), columns=list(sheet.columns))
            for sheet in sheets_of_run(self.store, self.id, name, step)
        }

    def save_table(
        self, name: str, path: str | Path, *, step: int | None = None, force: bool = False
    ) -> Path:
        """Write the same as .csv (all digits) or .tex (booktabs), the protocol first.

        Raises:
            UnknownName: For another table.
            BadFile: For another ending, or if nothing may be written there.
        """
        from workbench.runs.tables import save_sheets, sheets_of_run

        return save_sheets(sheets_of_run(self.store, self.id, name, step), path, force=force)


class RunViews:
    """Each view of a run alone: ``run.views.cka()``.

    Args:
        run: Which.
    """

    def __init__(self, run: Shown) -> None:
        self._run = run

    def __repr__(self) -> str:
        each = "cka(), trilateral(), calibration(), loyalty(), curves()"
        return f"RunViews(of run {self._run.id}: {each})"

    def cka(self, **options: Any) -> LiveViews:
        """Which layers of student and teacher find the same samples alike."""
        return self._run.show("cka", **options)

    def trilateral(self, **options: Any) -> LiveViews:
        """Where each sample lies between student, teacher and truth."""
        return self._run.show("trilateral", **options)

    def calibration(self, **options: Any) -> LiveViews:
        """Whether confidence is accuracy, of both."""
        return self._run.show("calibration", **options)

    def loyalty(self, **options: Any) -> LiveViews:
        """Where the student follows the teacher, and where it should not have."""
        return self._run.show("loyalty", **options)

    def curves(self, **options: Any) -> LiveViews:
        """How right both are, and what each term still costs."""
        return self._run.show("curves", **options)
