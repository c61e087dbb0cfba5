"""The views of a run at any of its snapshots, as frames, figures and files.

Unusual here: to look back costs one snapshot. What the views tell of the time before (histories,
what was gained and lost) is cut from what is already known, not read again.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from workbench_widgets.frame import VIEWS

from workbench.errors import BadFile, RefusedCommand, UnknownName
from workbench.runs.follow import describe
from workbench.runs.frames import Frames
from workbench.runs.history import History
from workbench.runs.selected_layers import Known
from workbench.runs.tables import write_new
from workbench.store.store import Store

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from workbench_widgets import Frame
    from workbench_widgets.canvas import Format

PICTURES: Final = (".svg", ".png", ".pdf", ".html")
DOTS: Final = 2.0
"""Dots of a PNG per pixel."""
GAP: Final = 8
"""Between two figures of one picture, in pixels."""


def frames_of(store: Store, run: str, step: int | None = None) -> dict[str, Frame]:
    """All views of a run.

    Args:
        store: Where it lies.
        run: Its id.
        step: The snapshot at or before it; None is the newest. Curves always show all steps.

    Raises:
        UnknownRun: If the store has no such run.
        RefusedCommand: If a step is asked for and the run has no snapshot.
    """
    history = History.load(store, run)
    return frames_at(store, history, step)


def frames_at(
    store: Store,
    history: History,
    step: int | None,
    ids: Sequence[int] = (),
    layers: Known | None = None,
) -> dict[str, Frame]:
    """The same of a history that has been read; ``ids``: of these samples only, where it can be.

    Their layer similarity is what ``layers`` knows of it.
    """
    words = waiting_words(history)
    past = history if step is None else at_step(store, history, step)
    return {
        **Frames(past).of_snapshot(words, ids, layers),
        "curves": Frames(history).curves(words, ids),
    }


def frame_of(store: Store, run: str, view: str, step: int | None = None) -> Frame:
    """One view of a run.

    Raises:
        UnknownName: For a view that does not exist.
    """
    check_view(view)
    return frames_of(store, run, step)[view]


def check_view(view: str) -> None:
    """Raise UnknownName for a view that does not exist."""
    if view not in VIEWS:
        raise UnknownName("view", view, VIEWS)


def at_step(store: Store, history: History, step: int) -> History:
    """The run as it stood at the last snapshot that is not beyond a step, or at its first.

    Raises:
        RefusedCommand: If it has no snapshot.
    """
    if not history.steps:
        raise RefusedCommand(f"Run {history.row.id} has no snapshot to show; {_ways(history)}.")
    place = max(sum(known <= step for known in history.steps) - 1, 0)
    shown = history.steps[place]
    found = store.snapshots(history.row.id, after=shown - 1, upto=shown)
    if not found:
        raise BadFile(
            f"The snapshot of run {history.row.id} at step {shown} is gone from the disk."
        )
    return replace(
        history,
        events=[event for event in history.events if event.step < shown],
        steps=history.steps[: place + 1],
        latest=found[-1],
        similarity=_upto(history.similarity, len(history.steps), place, found[-1].arrays),
        tables=history.tables[: place + 1],
        rights=history.rights[: place + 1],
        answered=[one for one in history.answered if one.step <= shown],
        learned=[one for one in history.learned if one.step <= shown],
    )


def _upto(maps: Sequence[Any], snapshots: int, place: int, arrays: Mapping[str, Any]) -> list[Any]:
    """The similarity maps up to a place; its own alone where another teacher came later."""
    kept = place + 1 - (snapshots - len(maps))
    if kept > 0:
        return list(maps[:kept])
    return [arrays["cka.unbiased"]] if "cka.unbiased" in arrays else []


def waiting_words(history: History) -> str | None:
    """What a view without data waits for."""
    row = history.row
    if not row.active:
        return f"This run is {row.status}; it holds no snapshot."
    return f"Waits for the first snapshot. Now: {describe(row)[0].lower()}."


def _ways(history: History) -> str:
    return "it still waits for its first" if history.row.active else f"it is {history.row.status}"


def save_figure(
    figure: go.Figure, path: str | Path, *, scale: float = DOTS, force: bool = False
) -> Path:
    """Write a figure; the kind of file follows from its ending.

    Args:
        figure: Of a view.
        path: Ends in .svg, .png, .pdf (all drawn without a browser) or .html (alive, offline).
        scale: Dots of a PNG per pixel, > 0.
        force: Replace a file that is there.

    Raises:
        BadFile: For another ending, or if nothing may be written there.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in PICTURES:
        raise BadFile(
            f"{str(path)!r}: a figure ends in {', '.join(PICTURES[:-1])} or {PICTURES[-1]}."
        )
    if not 0 < scale <= 16:
        raise BadFile(f"`scale` must be > 0 and at most 16 dots a pixel, got {scale!r}.")
    if suffix == ".html":
        page = figure.to_html(include_plotlyjs=True, full_html=True, config={"displaylogo": False})
        return write_new(path, page.encode(), force=force)
    from workbench_widgets.printing import printed

    kind = cast("Format", suffix.removeprefix("."))
    return write_new(path, printed(figure, kind, scale=scale), force=force)


def picture(figures: Sequence[go.Figure], *, columns: int = 2) -> tuple[bytes, int]:
    """Several figures side by side as one PNG, for a notebook that is read without running it.

    Args:
        figures: Of one size; the last may fill its row.
        columns: At most this many beside each other.

    Returns:
        The PNG, and how wide it is to be shown, in pixels.
    """
    from PIL import Image
    from workbench_widgets.printing import printed

    drawn = [Image.open(io.BytesIO(printed(each, "png", scale=1.5))) for each in figures]
    wide, high = drawn[0].size
    columns = min(columns, len(drawn))
    rows = -(-len(drawn) // columns)
    gap = round(1.5 * GAP)
    size = (columns * (wide + gap) - gap, rows * (high + gap) - gap)
    sheet = Image.new("RGB", size, str(figures[0].layout.paper_bgcolor))
    for number, each in enumerate(drawn):
        row, column = divmod(number, columns)
        sheet.paste(each, (column * (wide + gap), row * (high + gap)))
    kept = io.BytesIO()
    sheet.save(kept, "PNG", optimize=True)
    return kept.getvalue(), round(size[0] / 1.5)
