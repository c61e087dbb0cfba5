"""What carries a view, or a piece of the page around it, in Panel.

Unusual here: the modules are fetched from our own static route when first drawn, so that five views
share one cached file and the page's document stays small. In a notebook
``workbench_widgets.View`` carries the same module.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import param
from panel.custom import AnyWidgetComponent

from workbench.dashboard import assets
from workbench.dashboard.live import Sent

# One binary property for a whole frame: Bokeh walks through nested data at every change (25 ms a
# view, against 0.3 ms), and a frame that arrives in one piece is never half there.
CARRIES = """
const there = (name) => import(new URL(name, document.baseURI).href);

function unpack(view) {{
  const length = view.getUint32(0, true);
  const bytes = (start, size) => new Uint8Array(view.buffer, view.byteOffset + start, size);
  const frame = JSON.parse(new TextDecoder().decode(bytes(4, length)));
  const buffers = [];
  let start = 4 + length;
  for (const {{ shape }} of frame.arrays) {{
    const size = 4 * shape.reduce((a, b) => a * b, 1);
    buffers.push(bytes(start, size));
    start += size;
  }}
  return {{ frame, buffers }};
}}

// The traits of a notebook's model on top of Panel's. While somebody looks back (scrubber.js), the
// frame of that snapshot stands in for the newest, which is kept.
const SHOWN = Symbol.for("workbench/shown");

function traits(model) {{
  let live = {{ frame: {{}}, buffers: [] }};
  let past = null;
  let rev = 0;
  const take = () => {{
    const packed = model.get("packed");
    if (!packed) return;
    live = unpack(packed);
    const {{ view, step }} = live.frame;
    const detail = {{ view, step, bytes: packed.byteLength, open: () => unpack(packed) }};
    dispatchEvent(new CustomEvent("workbench-came", {{ detail }}));
  }};
  const look = () => (past = globalThis[SHOWN]?.of(live.frame.view) ?? null);
  take();
  look();
  const own = {{
    frame: () => (past ?? live).frame,
    buffers: () => (past ?? live).buffers,
    rev: () => rev,
    marker: () => globalThis[SHOWN]?.step ?? null,
    by_hand: () => past !== null,
  }};
  const listening = {{
    "change:rev"(act, on, off) {{
      const came = () => {{
        take();
        if (past === null) act(rev++);
      }};
      const turned = () => {{
        const before = past;
        if (look() !== before) act(rev++);
      }};
      model.on("change:packed", came);
      addEventListener("workbench-shown", turned);
      return () => {{
        model.off("change:packed", came);
        removeEventListener("workbench-shown", turned);
      }};
    }},
    "change:marker"(act) {{
      addEventListener("workbench-shown", act);
      return () => removeEventListener("workbench-shown", act);
    }},
    "change:frame": () => () => null,
    "change:buffers": () => () => null,
    "msg:custom": () => () => null,
  }};
  const waiting = new Map();
  return {{
    get: (name) => (name in own ? own[name]() : model.get(name)),
    set(name, value) {{
      if (name === "event" && value.kind === "mark")
        dispatchEvent(new CustomEvent("workbench-jump", {{ detail: value.step }}));
      model.set(name, value);
    }},
    save_changes: () => model.save_changes(),
    on(event, act) {{
      if (!(event in listening)) return model.on(event, act);
      waiting.set(event, listening[event](act));
    }},
    off: (event, act) => (event in listening ? waiting.get(event)?.() : model.off(event, act)),
  }};
}}

export default {{ async render({{ model, el }}) {{
  const loaded = await there("{url}");
  return loaded.default.render({{ model: traits(model), el }});
}} }};
"""

LOADS = """
const there = (name) => import(new URL(name, document.baseURI).href);
export default {{ async render(given) {{
  const loaded = await there("{url}");
  return loaded.default.render(given);
}} }};
"""


class PanelView(AnyWidgetComponent):
    """One of the five views on the page."""

    _esm = CARRIES.format(url=assets.url("view.js"))

    packed = param.Parameter(default=None, doc="A whole frame; never b'', which breaks the page.")
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
        self.packed = sent.packed


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
    state = param.String(default="{}", doc="Plain data that it draws, as JSON.")
    asked = param.List(default=[], doc="The last things a person did, oldest first, counted.")

    def __init__(self, kind: str, act: Callable[[dict[str, Any]], None], **params: Any) -> None:
        super().__init__(kind=kind, **params)  # type: ignore[no-untyped-call]
        self.told: dict[str, Any] = {}
        self._act, self._followed = act, 0
        self.param.watch(self._follow, "asked")

    def _follow(self, event: Any) -> None:
        """Do what is new: two presses in one turn arrive as one message."""
        for asked in event.new:
            if asked["count"] > self._followed:
                self._followed = asked["count"]
                self._act(dict(asked))

    def tell(self, state: dict[str, Any]) -> None:
        """Draw this; nothing is sent if it is what was drawn last."""
        self.told = state
        self.state = json.dumps(state, allow_nan=False)
