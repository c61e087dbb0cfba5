"""What carries a view, or a piece of the page around it, in Panel.

Unusual here: the modules are fetched from our own static route when first drawn, so that five views
share one cached file and the page's document stays small. In a notebook
``workbench_widgets.View`` carries the same module.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import param
from panel.custom import AnyWidgetComponent

from workbench.dashboard import assets
from workbench.dashboard.live import Sent
from workbench.dashboard.people import may, visit_here

LOG = logging.getLogger(__name__)

MOST_SENT = 400_000
"""Bytes of one thing that a person did: an opened file is the largest."""
MOST_SELECTED = 4_000_000
"""Likewise of a selection, which may name a million samples."""
MOST_TOLD = 40
"""Letters of an unknown command that the log repeats."""

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

// The page's one selection, see selection.js: a view asks for it, and hears of it whoever asked.
const CHOSEN = Symbol.for("workbench/selected");
const bytesOf = (chosen) => (chosen?.ids.length ? chosen.ids.slice().buffer : null);

// Every logged point of the run on this page: what is drawn is thinned.
function points() {{
  const run = new URLSearchParams(location.search).get("run");
  const query = new URLSearchParams({{ run, name: "points", to: "csv" }});
  const select = globalThis[CHOSEN]?.text;
  if (select) query.set("select", select);
  return run && new URL(`tables?${{query}}`, document.baseURI).href;
}}

// The range of steps that was dragged over the curves; all views of the page know it.
const RANGE = Symbol.for("workbench/range");

// What a person toggled in the views of the page, see toggles.js.
const TOGGLED = Symbol.for("workbench/toggled");

// Where one sample of the run on this page has stood.
function trailed() {{
  const run = new URLSearchParams(location.search).get("run");
  return run && new URL(`trail?${{new URLSearchParams({{ run }})}}`, document.baseURI).href;
}}

function traits(model) {{
  let live = {{ frame: {{}}, buffers: [] }};
  let past = null;
  let rev = 0;
  const take = () => {{
    const packed = model.get("packed");
    if (!packed) return;
    live = unpack(packed);
    const {{ view, step, selection }} = live.frame;
    const open = () => unpack(packed);
    const detail = {{ view, step, selection, bytes: packed.byteLength, open }};
    dispatchEvent(new CustomEvent("workbench-came", {{ detail }}));
  }};
  const look = () => (past = globalThis[SHOWN]?.of(live.frame.view) ?? null);
  // What was made for an earlier step goes to the snapshots that the page holds, see kept.js.
  const beside = () => {{
    const packed = model.get("aside");
    if (!packed) return;
    const {{ view, step, selection }} = unpack(packed).frame;
    const detail = {{ view, step, selection, open: () => unpack(packed) }};
    dispatchEvent(new CustomEvent("workbench-aside", {{ detail }}));
  }};
  take();
  beside();
  look();
  const own = {{
    frame: () => (past ?? live).frame,
    buffers: () => (past ?? live).buffers,
    rev: () => rev,
    marker: () => globalThis[SHOWN]?.step ?? null,
    by_hand: () => past !== null,
    selected: () => bytesOf(globalThis[CHOSEN]),
    how: () => globalThis[CHOSEN]?.how ?? "",
    points_url: () => points(),
    trail_url: () => trailed(),
    pairing: () => true,
    range: () => globalThis[RANGE] ?? null,
    toggles: () => globalThis[TOGGLED]?.[live.frame.view] ?? {{}},
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
      model.on("change:aside", beside);
      addEventListener("workbench-shown", turned);
      return () => {{
        model.off("change:packed", came);
        model.off("change:aside", beside);
        removeEventListener("workbench-shown", turned);
      }};
    }},
    "change:range"(act) {{
      addEventListener("workbench-range", act);
      return () => removeEventListener("workbench-range", act);
    }},
    "change:toggles"(act) {{
      addEventListener("workbench-toggled", act);
      return () => removeEventListener("workbench-toggled", act);
    }},
    "change:marker"(act) {{
      addEventListener("workbench-shown", act);
      return () => removeEventListener("workbench-shown", act);
    }},
    "change:selected"(act) {{
      addEventListener("workbench-selected", act);
      return () => removeEventListener("workbench-selected", act);
    }},
    "change:frame": () => () => null,
    "change:buffers": () => () => null,
    "msg:custom": () => () => null,
  }};
  const waiting = new Map();
  let how = "";
  return {{
    get: (name) => (name in own ? own[name]() : model.get(name)),
    set(name, value) {{
      if (name === "event" && value.kind === "mark")
        dispatchEvent(new CustomEvent("workbench-jump", {{ detail: value.step }}));
      if (name === "event" && value.kind === "range") {{
        globalThis[RANGE] = value.from === null ? null : {{ from: value.from, to: value.to }};
        dispatchEvent(new Event("workbench-range"));
        const jump = {{ detail: value.to }};
        if (value.to !== null) dispatchEvent(new CustomEvent("workbench-jump", jump));
      }}
      if (name === "event") how = value.how ?? "";
      if (name === "toggles") {{
        const detail = {{ view: live.frame.view, toggles: value }};
        return void dispatchEvent(new CustomEvent("workbench-toggle", {{ detail }}));
      }}
      if (name !== "selected") return void model.set(name, value);
      const ids = value ? Array.from(new Int32Array(value)) : [];
      dispatchEvent(new CustomEvent("workbench-select", {{ detail: {{ ids, how }} }}));
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
    aside = param.Parameter(default=None, doc="The same of an earlier step that this page shows.")
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

    def put_aside(self, sent: Sent) -> None:
        """Give the page a frame of an earlier step, for as long as it shows that."""
        self.aside = sent.packed


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
        self._act, self._followed, self._visit = act, 0, visit_here()
        self.param.watch(self._follow, "asked")

    def _follow(self, event: Any) -> None:
        """Do what is new: two presses in one turn arrive as one message."""
        for asked in event.new:
            if not _well_made(asked):
                LOG.warning("A page sent what no page of ours makes; nothing is done.")
            elif asked["count"] > self._followed:
                self._followed = asked["count"]
                if may(self._visit, str(asked.get("do", ""))):
                    self._act(dict(asked))
                else:
                    told = str(asked.get("do"))[:MOST_TOLD]
                    LOG.warning("A view-only page asked for %r; refused.", told)

    def tell(self, state: dict[str, Any]) -> None:
        """Draw this; nothing is sent if it is what was drawn last."""
        self.told = state
        self.state = json.dumps(state, allow_nan=False)


def _well_made(asked: Any) -> bool:
    """Whether a message is one of ours: counted, of a size, in letters that a file can hold."""
    if not isinstance(asked, dict) or type(asked.get("count")) is not int:
        return False
    most = MOST_SELECTED if asked.get("do") == "select" else MOST_SENT
    try:
        return len(json.dumps(asked, ensure_ascii=False).encode()) <= most
    except (TypeError, ValueError, RecursionError):  # half a surrogate pair, bytes, an array
        return False
