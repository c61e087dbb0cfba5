"""What live views need of the notebook that they stand in: its cells, and its saved file.

Unusual here: a notebook never tells Python that an output is gone. A cell that runs again has lost
what it showed, so views are let go by the cell's id; else each one would be followed, kept in
memory and sent to every page that opens the notebook until the kernel ends.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any

import traitlets

from workbench.errors import BadInput, RefusedCommand
from workbench.runs.looking import picture

if TYPE_CHECKING:
    from workbench_widgets import Frame

PICTURE = {"width": 560, "height": 460}
"""Of a view in the saved picture, in pixels: what a cell has on a small screen, so that none of
its letters is shrunk."""


class InCell:
    """Views that a cell displays: widgets, a picture of them, and an end when the cell runs again.

    Attributes:
        views: The widgets by name.
    """

    views: dict[str, Any]
    _placed = _gone = False
    _boxes: tuple[Any, ...] = ()

    @property
    def widget(self) -> Any:
        """All of it as one widget, to place into a layout of the reader's own."""
        self._placed = True
        return self._box()

    def close(self) -> None:
        """Follow no longer; what is drawn stays."""

    def let_go(self) -> None:
        """The cell that showed them has run again: end them, unless the reader placed them."""
        if self._placed:
            return
        self._gone = True
        self.close()
        for box in self._boxes:
            for part in (*box.children, *self.views.values(), box):
                part.layout.close()
                part.close()

    def _box(self) -> Any:
        raise NotImplementedError

    def _display(self, words: str, frames: Sequence[Frame]) -> Any:
        """Show the widgets, then the picture that a reader without a kernel sees instead.

        Args:
            words: What it is, for a reader without any widgets.
            frames: What the views show, in their order.

        Returns:
            The picture's handle, to draw it anew.

        Raises:
            RefusedCommand: If the cell that showed them has run again since.
        """
        from IPython.display import display

        if self._gone:
            raise RefusedCommand(
                "These views ended when their cell ran again. `show()` of the same run or pair "
                "makes new ones."
            )
        CELLS.show(self)
        self._boxes = (*self._boxes, self._box())
        show: Any = display
        next(iter(self.views.values())).kept = True  # whoever sees it alive need not see it twice
        told = dict(self._boxes[-1]._repr_mimebundle_())
        told["text/plain"] = words
        show(told, raw=True)
        content, about = kept_picture(frames)
        return show(content, metadata=about, raw=True, display_id=True)


class Cells:
    """Which cell of the notebook shows which views."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str, list[InCell]]] = {}

    def show(self, views: InCell) -> None:
        """Views stand in the cell that runs now; those of its last run, in no other, are let go."""
        cell, execution = running_cell()
        if cell is None:
            return
        before, shown = self._shown.get(cell, ("", []))
        kept = shown if before == execution else []
        self._shown[cell] = (execution, [*(one for one in kept if one is not views), views])
        held = [one for _, many in self._shown.values() for one in many]
        for old in shown:
            if not any(old is one for one in held):
                old.let_go()


CELLS = Cells()
"""Of this process: a kernel serves one notebook."""


def running_cell() -> tuple[str | None, str]:
    """Id of the cell that runs now and of this very run of it; None outside a notebook."""
    from IPython.core.getipython import get_ipython

    asked: dict[str, Any] = getattr(get_ipython(), "get_parent", dict)() or {}
    cell = asked.get("metadata", {}).get("cellId")
    return (cell if isinstance(cell, str) else None), str(asked.get("header", {}).get("msg_id"))


class BadSelection(BadInput, traitlets.TraitError):
    """What is no selection, or not of this run."""


class SampleIds(traitlets.TraitType[tuple[int, ...], Any]):
    """Ids of samples as a trait: set from any list, array, range or set; read as a rising tuple."""

    default_value = ()
    info_text = "sample ids, whole numbers"

    def validate(self, obj: Any, value: Any) -> tuple[int, ...]:
        """The ids, each once; None is none.

        Raises:
            BadSelection: If one is no whole number.
        """
        try:
            return tuple(sorted({index(sample) for sample in (() if value is None else value)}))
        except TypeError:
            raise BadSelection(
                f"`{self.name}` takes sample ids, a list or an array of whole numbers; "
                f"got {value!r}."
            ) from None


def kept_picture(frames: Sequence[Frame]) -> tuple[dict[str, str], dict[str, Any]]:
    """The views under each other as a PNG, as a display message takes it.

    Args:
        frames: Of the views, in order.

    Returns:
        The content by kind, with all that is drawn in words; and how wide it is to be shown.
    """
    png, width = picture([frame.figure("light", **PICTURE) for frame in frames], columns=1)
    spoken = " ".join(frame.summary for frame in frames)
    content = {"image/png": base64.b64encode(png).decode(), "text/plain": spoken}
    return content, {"image/png": {"width": width}}
