// Draws any frame. It knows no view: what is drawn stands in the frame's skeleton and parts (see fill.py).
// Carried by anywidget in notebooks and by Panel's AnyWidgetComponent on the page, so it uses only what both have:
// model.get / set / save_changes / on. Traits: frame, buffers, rev, selected, theme, height, plotly_url, event.
// All text reaches the page as text nodes or through Plotly's own sanitiser; nothing is parsed as HTML here.

const TABLES = __WB_TABLES__; // tokens and colour scales, from tokens.py
const CONFIG = { displayModeBar: false, responsive: false, doubleClick: false, showTips: false };
const HOVER_WAIT_MS = 2000; // a pointer in the plot delays new data this long, so that hover does not flicker
const SHRINK_AFTER = 20; // updates for which a held range must stay under half used before it shrinks

// ---- arrays ---------------------------------------------------------------------------------------------------

function bytesOf(buffer) {
  if (buffer instanceof ArrayBuffer) return new Uint8Array(buffer);
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

function sameBytes(a, b) {
  if (a.byteLength !== b.byteLength) return false;
  for (let k = 0; k < a.byteLength; k++) if (a[k] !== b[k]) return false;
  return true;
}

// Name -> {data, shape}; an array whose bytes did not change keeps its identity, so that Plotly skips it.
// Null when the buffers on hand do not belong to this frame (half of an update has arrived).
function decode(frame, buffers, before) {
  const listed = frame.arrays ?? [];
  if (listed.length !== buffers.length) return null;
  const arrays = {};
  for (let k = 0; k < listed.length; k++) {
    const { name, type, shape } = listed[k];
    const bytes = bytesOf(buffers[k]);
    if (bytes.byteLength !== 4 * shape.reduce((a, b) => a * b, 1)) return null;
    const old = before[name];
    if (old && old.type === type && String(old.shape) === String(shape) && sameBytes(old.bytes, bytes)) {
      arrays[name] = old;
      continue;
    }
    const own = bytes.slice(); // aligned, and ours
    const data = type === "f4" ? new Float32Array(own.buffer) : new Int32Array(own.buffer);
    arrays[name] = { type, shape, bytes: own, data, cut: new Map() };
  }
  return arrays;
}

// array[at]: null keeps an axis, a number picks from it. A number, a flat array, or nested rows.
function take({ data, shape }, at = []) {
  const strides = shape.map((_, k) => shape.slice(k + 1).reduce((a, b) => a * b, 1));
  const index = shape.map((size, k) => (at[k] == null ? null : at[k] < 0 ? size + at[k] : at[k]));
  const walk = (axis, offset) => {
    if (axis === shape.length) return data[offset];
    if (index[axis] !== null) return walk(axis + 1, offset + index[axis] * strides[axis]);
    if (index.slice(axis + 1).every((i) => i === null) && axis === shape.length - 1)
      return data.subarray(offset, offset + shape[axis]);
    return Array.from({ length: shape[axis] }, (_, k) => walk(axis + 1, offset + k * strides[axis]));
  };
  return walk(0, 0);
}

function taken(array, at) {
  const key = JSON.stringify(at ?? []);
  if (!array.cut) return take(array, at);
  if (!array.cut.has(key)) array.cut.set(key, take(array, at));
  return array.cut.get(key);
}

function stack(list) {
  const join = (parts) =>
    typeof parts[0] === "number" ? parts : Array.from(parts[0], (_, k) => join(parts.map((p) => p[k])));
  return join(list);
}

// ---- colours --------------------------------------------------------------------------------------------------

const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));

function luminance(colour) {
  const [r, g, b] = colour.map((c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function scaleColour(scale, position, tokens) {
  const stops = TABLES.scales[scale].map(([at, name]) => [at, rgb(tokens[name])]);
  const at = Math.min(Math.max(position, 0), 1);
  for (let k = 0; k + 1 < stops.length; k++) {
    const [[low, from], [high, to]] = [stops[k], stops[k + 1]];
    if (at <= high) return from.map((c, i) => c + ((to[i] - c) * (at - low)) / (high - low));
  }
  return stops.at(-1)[1];
}

function textOn(background) {
  const own = luminance(background);
  return (own + 0.05) / 0.05 >= 1.05 / (own + 0.05) ? "#000000" : "#FFFFFF";
}

const coloured = (text, tokens) => text.replace(/\$([a-z][a-z0-9_]*)/g, (all, name) => tokens[name] ?? all);

// ---- filling a skeleton: the same interpreter as fill.py -------------------------------------------------------

const OMIT = Symbol("omit");
const path = (keys, around) =>
  keys.map((key) => (typeof key === "string" && key.startsWith("$") ? around.state[key.slice(1)] : key));

function holds(test, around) {
  return Object.entries(test ?? {}).every(([key, wanted]) => {
    if (key.endsWith(">=")) return around.size[key.slice(0, -2)] >= wanted;
    if (key.endsWith("<")) return around.size[key.slice(0, -1)] < wanted;
    const actual = around.state[key];
    return Array.isArray(wanted) ? wanted.includes(actual) : actual === wanted;
  });
}

const HANDLERS = {
  $data(name, node, around) {
    const array = around.arrays[name];
    if (node.pick) return Array.from(around.selected ?? [], (k) => array.data[k]);
    return taken(array, node.at && path(node.at, around));
  },
  $stack(names, node, around) {
    const cut = (name, ...at) => taken(around.arrays[name], at.length ? path(at, around) : undefined);
    return stack(names.map((name) => cut(...[name].flat())));
  },
  $fact: (keys, node, around) => path(keys, around).reduce((value, key) => value[key], around.facts),
  $state: (name, node, around) => ("add" in node ? around.state[name] + node.add : around.state[name]),
  $if(test, node, around) {
    const branch = holds(test, around) ? "then" : "else";
    return branch in node ? fill(node[branch], around) : OMIT;
  },
  $join: (parts, node, around) =>
    parts.map((part) => fill(part, around)).filter((part) => part !== OMIT).join(""),
  $px(value, node, around) {
    const [part, pixels, axis] = value.map((item) => fill(item, around));
    return part + pixels / Math.max(around.size[axis === "x" ? "W" : "H"], 1);
  },
  $scale(name, node, around) {
    const low = node.floor ?? 0;
    const stops = TABLES.scales[name].map(([at, token]) => [(at - low) / (1 - low), around.tokens[token]]);
    return low === 0 ? stops : [[0, stops[0][1]], ...stops];
  },
  $fade: (name, node, around) => `rgba(${rgb(around.tokens[name]).join(",")},${node.alpha})`,
  $contrast(name, node, around) {
    const [low, high] = node.over;
    const at = (value) => ((Number.isFinite(value) ? value : 0) - low) / (high - low);
    const values = node.at ? [taken(around.arrays[name], path(node.at, around))].flat().map((row) => Array.from(row)).flat() : around.arrays[name].data;
    return Array.from(values, (v) => textOn(scaleColour(node.scale, at(v), around.tokens)));
  },
  $cells: (asked, node, around) => cellsOf(asked, around),
  $count: (asked, node, around) => spaced(numberOf(asked, around)),
  $hold(name, node, around) {
    const range = fill(node.range, around);
    const held = around.hold ? around.hold(name, range, node.shrinks ?? true) : range;
    return "part" in node ? held[node.part] : held;
  },
  $held(name, node, around) {
    const range = fill(node.range, around);
    const [low] = around.hold ? around.hold(name, range, null) : range;
    return fill(node.from.find(([floor]) => floor <= low)[1], around);
  },
};

function fill(node, around) {
  if (typeof node === "string") return node.includes("$") ? coloured(node, around.tokens) : node;
  if (Array.isArray(node)) return node.map((item) => fill(item, around)).filter((item) => item !== OMIT);
  if (node === null || typeof node !== "object") return node;
  for (const key of Object.keys(node)) if (key in HANDLERS) return HANDLERS[key](node[key], node, around);
  const filled = Object.entries(node).map(([key, value]) => [key, fill(value, around)]);
  return Object.fromEntries(filled.filter(([, value]) => value !== OMIT));
}

// Ranges that grow at once and shrink only when under half used for a while: axes never jump.
function rangeKeeper() {
  const kept = {};
  let settled = true; // whether the pointer is outside and a shrink may be shown
  return {
    settle: (outside) => (settled = outside),
    forget: () => Object.keys(kept).forEach((name) => delete kept[name]),
    hold(name, [low, high], shrinks) {
      const own = (kept[name] ??= { range: [low, high], unused: 0 });
      if (shrinks === null) return [...own.range]; // only looked at
      const grown = [Math.min(own.range[0], low), Math.max(own.range[1], high)];
      const wasted = high - low < 0.5 * (grown[1] - grown[0]);
      own.unused = wasted ? own.unused + 1 : 0;
      own.range = shrinks && settled && own.unused > SHRINK_AFTER ? [low, high] : grown;
      return [...own.range];
    },
  };
}

