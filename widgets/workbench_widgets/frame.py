"""A frame: everything one view shows at one step, as plain data.

The same frame becomes a live view (``payload``: JSON and little-endian buffers) and a static Plotly
figure (``figure``). A frame holds no colour and no pixel; see ``fill`` for what its skeleton may
refer to.
"""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from workbench_widgets.tokens import Theme

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from workbench_widgets.sheets import Sheet

ViewName = Literal["cka", "trilateral", "calibration", "loyalty", "curves"]
VIEWS: Final[tuple[ViewName, ...]] = ("cka", "trilateral", "calibration", "loyalty", "curves")

OURS: Final = ("workbench", "workbench_widgets")
"""Packages whose lines tell a reader nothing about an error that its message explains."""
INSTALLED: Final = ("site-packages", "<frozen ")
CELL: Final = "ipykernel_"
"""In the name that a kernel gives to the source of a cell."""

Arrays = Mapping[str, NDArray[Any]]
Facts = Mapping[str, Any]
Run = str | dict[str, Any]
"""A piece of a sentence: text, or ``{"text", "colour", "strong", "mark", "show"}``."""


class FrameError(ValueError):
    """Arrays or facts that a view cannot show; says which, what was got and what is allowed."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook prints: the reader's own lines on the way here, then the message.

        As ``workbench.errors`` does, which stands above this package. IPython looks for this name.
        """
        told = []
        for frame, line in traceback.walk_tb(self.__traceback__):
            name, file = str(frame.f_globals.get("__name__", "")), frame.f_code.co_filename
            if name.split(".")[0] not in OURS and not any(part in file for part in INSTALLED):
                where = "line" if CELL in file else f"{file}, line"
                told.append(f"{where} {line}: {linecache.getline(file, line).strip()}")
        return [*told, "", f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Frame:
    """One view at one step.

    Attributes:
        view: Which of the five views.
        step: The step that the numbers belong to; -1 before the first.
        title: The view's name.
        read: The one read line, as runs; one with a ``show`` as in the footer, one that says
            ``"live": True`` asks for a press, so a static figure goes without it.
        footer: n, estimator and options, as runs; one with a ``show`` stands there while that
            test holds (see ``fill``), and in no table.
        summary: The current numbers in one sentence, for those who do not see the picture.
        definition: What is shown, with its paper, in two or three sentences.
        arrays: All numbers, by name.
        facts: Scalars and names that the skeleton refers to; JSON-able.
        controls: Toggles: ``{"name", "options": [{"value", "label"}]}``, an option whose value is a
            place in this frame only with a ``name`` for links; or, of many values, a list:
            ``{"name", "word", "of"}``, whose names are the fact ``of``.
        state: The toggles' and the cursor's first values.
        parts: What lies between read line and footer, top to bottom; at most one is ``{"kind":
            "plot"}``. One that says ``"filled": True`` may hold references, as a skeleton does.
        skeleton: ``{"data", "layout"}`` of that plot, with references; None for a view without one.
        cursor: ``{"x", "y"}``: state names that arrow keys move, each with its count.
        ids: Name of the array of sample ids if samples can be selected here.
        waiting: What the view waits for, or None once it shows data.
        caption: Conditions under which the numbers were made, in every exported figure and table.
        tables: What is shown as tables over ``arrays``; see ``sheets.declared``.
    """

    view: ViewName
    step: int
    title: str
    read: tuple[Run, ...]
    footer: tuple[Run, ...]
    summary: str
    definition: str
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    controls: tuple[dict[str, Any], ...] = ()
    state: dict[str, Any] = field(default_factory=dict)
    parts: tuple[dict[str, Any], ...] = ()
    skeleton: dict[str, Any] | None = None
    cursor: dict[str, Any] | None = None
    ids: str | None = None
    waiting: str | None = None
    caption: str = ""
    tables: Sequence[dict[str, Any]] = ()

    @property
    def read_line(self) -> str:
        """The read line as plain text."""
        return plain(self.read)

    def payload(self) -> tuple[dict[str, Any], list[bytes]]:
        """The frame for a browser.

        Returns:
            A JSON-able dict whose ``arrays`` lists name, type (``f4`` or ``i4``) and shape; and one
            little-endian, row-major buffer for each, in the same order.
        """
        listed: list[dict[str, Any]] = []
        buffers: list[bytes] = []
        for name, values in self.arrays.items():
            kind = "f4" if values.dtype.kind == "f" else "i4"
            listed.append({"name": name, "type": kind, "shape": list(values.shape)})
            buffers.append(np.ascontiguousarray(values, dtype=f"<{kind}").tobytes())
        content = {
            "view": self.view,
            "step": self.step,
            "title": self.title,
            "read": list(self.read),
            "footer": list(self.footer),
            "summary": self.summary,
            "definition": self.definition,
            "arrays": listed,
            "facts": self.facts,
            "controls": list(self.controls),
            "state": self.state,
            "parts": list(self.parts),
            "skeleton": self.skeleton,
            "cursor": self.cursor,
            "ids": self.ids,
            "waiting": self.waiting,
            "caption": self.caption,
            "tables": list(self.tables),
        }
        return content, buffers

    def figure(
        self, theme: Theme = "light", *, width: int = 560, height: int = 460, **state: Any
    ) -> go.Figure:
        """The frame as a static Plotly figure with title, read line and footer.

        Args:
            theme: ``light`` or ``dark``.
            width: Pixels, > 0.
            height: Pixels, > 0.
            **state: Toggles other than the first ones, such as ``mode="delta"``.

        Raises:
            FrameError: If ``state`` names something this frame does not have.
        """
        from workbench_widgets.static import draw

        return draw(self, theme, width=width, height=height, state=state)

    def sheets(self) -> list[Sheet]:
        """What the frame shows as tables, each with its conditions; none while it waits."""
        from workbench_widgets.sheets import sheets_of

        return sheets_of(self)


def plain(runs: Sequence[Run]) -> str:
    """The text of runs, without colour; without those that stand there under a test only."""
    return "".join(
        run if isinstance(run, str) else str(run.get("text", run.get("mark", "")))
        for run in runs
        if isinstance(run, str) or "show" not in run
    )


def need(arrays: Arrays, view: str, shapes: Mapping[str, tuple[int | str, ...]]) -> dict[str, int]:
    """Check that arrays are there and agree in shape.

    Args:
        arrays: The arrays given to a view.
        view: The view's name, for the message.
        shapes: Name to shape; a letter stands for one size throughout.

    Returns:
        The size that each letter turned out to be.

    Raises:
        FrameError: If an array is missing or its shape disagrees.
    """
    missing = [name for name in shapes if name not in arrays]
    if missing:
        have = ", ".join(sorted(arrays)) or "none"
        raise FrameError(
            f"{view}: no array {', '.join(map(repr, missing))}; got {have}. "
            f"A frame needs {', '.join(shapes)} (or no array at all, while it waits)."
        )
    sizes: dict[str, int] = {}
    for name, shape in shapes.items():
        got = arrays[name].shape
        expected = tuple(sizes.get(s, s) if isinstance(s, str) else s for s in shape)
        fits = len(got) == len(shape) and all(
            isinstance(e, str) or e == g for e, g in zip(expected, got, strict=True)
        )
        if not fits:
            raise FrameError(
                f"{view}: {name!r} has shape {got}, expected "
                f"({', '.join(map(str, expected))}). All arrays of a frame belong to one snapshot."
            )
        sizes |= {s: g for s, g in zip(shape, got, strict=True) if isinstance(s, str)}
    return sizes


def fact(facts: Facts, view: str, name: str) -> Any:
    """A fact that a view cannot do without.

    Raises:
        FrameError: If it is missing.
    """
    if name not in facts:
        raise FrameError(f"{view}: no fact {name!r}; got {', '.join(sorted(facts)) or 'none'}.")
    return facts[name]
