"""What carries a view, or a piece of the page around it, in Panel.

Unusual here: the modules are fetched from our own static route when first drawn, so that five views
share one cached file and the page's document stays small. In a notebook
``workbench_widgets.View`` carries the same ``view.js``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import param
from panel.custom import AnyWidgetComponent

from workbench.dashboard import assets
from workbench.dashboard.live import Sent

LOADS = """
const there = (name) => import(new URL(name, document.baseURI).href);
export default {{ async render(given) {{
  const loaded = await there("{url}");
  return loaded.default.render(given);
}} }};
"""


class PanelView(AnyWidgetComponent):
    """One of the five views on the page."""

    _esm = LOADS.format(url=assets.url("view.js"))

    frame = param.Dict(default={}, doc="A frame's JSON part.")
    buffers = param.List(default=[], doc="Its arrays, little-endian bytes; never b'' by default.")
    rev = param.Integer(default=0, doc="Counts frames; the view redraws when it changes.")
    selected = param.Parameter(default=None, doc="Bytes of int32 sample ids, or None.")
    theme = param.String(default="auto")
    event = param.Dict(default={}, doc="The last thing a person did in the view.")
    plotly_url = param.String(default=assets.url("plotly.js"))

    @classmethod
    def make(cls) -> PanelView:
        """A view that fills its place and shows nothing yet."""
        return cls(sizing_mode="stretch_both", margin=0)

    def push(self, sent: Sent) -> None:
        """Show a frame; all its parts change together."""
        self.param.update(frame=sent.content, buffers=sent.buffers, rev=self.rev + 1)


class Part(AnyWidgetComponent):
    """A piece of the page: top bar, notice, tabs, rail, result, start page.

    Not a JSComponent: Panel keeps one wrapper for all modules of a page, that of the kind drawn
    first.

    Args:
        kind: Which piece; a function of ``parts.js``.
        act: Called with what a person did, ``{"do": "pause"}`` and the like.
    """

    _esm = LOADS.format(url=assets.url("parts.js"))

    kind = param.String(default="")
    state = param.Dict(default={}, doc="Plain data that it draws.")
    asked = param.Dict(default={}, doc="The last thing a person did, counted.")

    def __init__(self, kind: str, act: Callable[[dict[str, Any]], None], **params: Any) -> None:
        super().__init__(kind=kind, **params)  # type: ignore[no-untyped-call]
        self.param.watch(lambda event: act(dict(event.new)), "asked")
