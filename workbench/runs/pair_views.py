"""The views of two models in a notebook: there is nothing to follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from workbench.runs.in_cell import InCell
from workbench.runs.live import side_by_side, widgets_of

if TYPE_CHECKING:
    from workbench_widgets import Frame


class PairViews(InCell):
    """What a cell draws of an inspected pair; a selection in one view is a selection in all.

    Args:
        frames: Of the views to show, by name.
        words: Said below them, a line each.
    """

    def __init__(self, frames: Mapping[str, Frame], words: Sequence[str]) -> None:
        self._frames, self._words = dict(frames), tuple(words)
        self.views = widgets_of(frames)

    def __repr__(self) -> str:
        return f"PairViews({', '.join(self.views)}: {self._words[-1]})"

    def _box(self) -> Any:
        import ipywidgets

        words = ipywidgets.HTML("<br>".join(map(escape, self._words)))
        return ipywidgets.VBox([side_by_side(self.views), words])

    def _ipython_display_(self) -> None:
        words = f"Views of two models ({self._words[-1]}); without a kernel, a picture:"
        self._display(words, list(self._frames.values()))
