"""Views of a distillation run: arrays in, a live widget or a static figure out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workbench_widgets import calibration, cka, curves, loyalty, trilateral
from workbench_widgets.frame import VIEWS, Frame, FrameError
from workbench_widgets.plotlyjs import plotly_js_path
from workbench_widgets.tokens import css_variables

if TYPE_CHECKING:
    from workbench_widgets.view import View, selected_ids, view_esm

__all__ = [
    "VIEWS",
    "Frame",
    "FrameError",
    "View",
    "calibration",
    "cka",
    "css_variables",
    "curves",
    "loyalty",
    "plotly_js_path",
    "selected_ids",
    "trilateral",
    "view_esm",
]


def __getattr__(name: str) -> Any:
    """Load the live widget at its first use: drawing alone needs no notebook packages."""
    if name in ("View", "selected_ids", "view_esm"):
        from workbench_widgets import view

        return getattr(view, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
