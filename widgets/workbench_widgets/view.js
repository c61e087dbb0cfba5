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
  return join(list.map((array) => taken(array)));
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
  $stack: (names, node, around) => stack(names.map((name) => around.arrays[name])),
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
    return Array.from(around.arrays[name].data, (v) => textOn(scaleColour(node.scale, at(v), around.tokens)));
  },
  $hold(name, node, around) {
    const range = fill(node.range, around);
    const held = around.hold ? around.hold(name, range, node.shrinks ?? true) : range;
    return "part" in node ? held[node.part] : held;
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
      const grown = [Math.min(own.range[0], low), Math.max(own.range[1], high)];
      const wasted = high - low < 0.5 * (grown[1] - grown[0]);
      own.unused = wasted ? own.unused + 1 : 0;
      own.range = shrinks && settled && own.unused > SHRINK_AFTER ? [low, high] : grown;
      return [...own.range];
    },
  };
}

// ---- plotly.js: once a page, from a URL (Panel) or over the widget's own channel (Jupyter) --------------------

const PAGE = Symbol.for("workbench-widgets/plotly");

function script(url) {
  return new Promise((resolve, reject) => {
    const tag = document.createElement("script");
    tag.src = url;
    tag.onload = () => resolve(globalThis.Plotly);
    tag.onerror = () => reject(new Error(`plotly.js did not load from ${url}`));
    document.head.append(tag);
  });
}

async function unpacked(buffer) {
  const packed = new Blob([bytesOf(buffer)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const url = URL.createObjectURL(new Blob([await new Response(packed).blob()], { type: "text/javascript" }));
  try {
    return await script(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

function overChannel(model) {
  return new Promise((resolve) => {
    const receive = (message, buffers) => {
      if (message?.kind !== "plotlyjs") return;
      model.off("msg:custom", receive);
      resolve(buffers[0]);
    };
    model.on("msg:custom", receive);
    model.send({ kind: "want-plotlyjs" });
  }).then(unpacked);
}

function plotly(model, gone) {
  const page = (globalThis[PAGE] ??= {});
  if (!page.carried) page.carried = new Promise((resolve) => (page.carry = resolve));
  const url = model.get("plotly_url");
  const canSend = typeof model.send === "function"; // Panel's model cannot
  const bytes = canSend && !globalThis.Plotly ? model.get("plotly_gz") : null;
  if (bytes?.byteLength && !page.unpacking) {
    // A kernel that is busy cannot answer a request; what came with a view's state needs no answer.
    page.unpacking = true;
    unpacked(bytes).then(page.carry, () => (page.unpacking = false));
  }
  if (page.loading) return page.loading;
  if (!url && !canSend) return Promise.reject(new Error("No plotly_url, and this page has no channel to Python."));
  const asked = url ? script(url) : page.unpacking ? page.carried : Promise.race([overChannel(model), page.carried]);
  const loading = asked.catch((error) => {
    page.loading = null; // the next draw may try again
    throw error;
  });
  page.loading = loading;
  // If the view that asked goes away first, its answer never comes: let the next view ask for itself.
  if (!url) gone.then(() => !globalThis.Plotly && page.loading === loading && (page.loading = null));
  return loading;
}

// ---- the page's theme -----------------------------------------------------------------------------------------

function themeOf(model, el) {
  const wanted = model.get("theme");
  if (wanted === "light" || wanted === "dark") return wanted;
  const { documentElement: html, body } = document;
  if (html.classList.contains("dark") || html.dataset.theme === "dark") return "dark";
  if (html.dataset.theme === "light") return "light";
  if (body?.dataset.jpThemeLight) return body.dataset.jpThemeLight === "false" ? "dark" : "light";
  const host = el.getRootNode() instanceof ShadowRoot ? el.getRootNode().host : el;
  const channels = getComputedStyle(host.parentElement ?? html).color.match(/[\d.]+/g);
  if (channels) return luminance(channels.slice(0, 3).map(Number)) > 0.4 ? "dark" : "light";
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function watchTheme(changed) {
  const watcher = new MutationObserver(changed);
  const options = { attributes: true, attributeFilter: ["class", "style", "data-theme", "data-jp-theme-light"] };
  for (const node of [document.documentElement, document.body]) if (node) watcher.observe(node, options);
  const preference = matchMedia("(prefers-color-scheme: dark)");
  preference.addEventListener("change", changed);
  return () => {
    watcher.disconnect();
    preference.removeEventListener("change", changed);
  };
}

// ---- small HTML -----------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function h(tag, attributes = {}, ...children) {
  const vector = tag === "svg" || tag === "path" || tag === "circle";
  const node = vector ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// Changes `old` into `made`, keeping nodes (and so focus and hover) where the structure is the same.
function morph(old, made) {
  if (old.nodeType !== made.nodeType || old.nodeName !== made.nodeName) return old.replaceWith(made);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== made.data) old.data = made.data;
    return undefined;
  }
  for (const { name } of [...old.attributes]) if (!made.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of made.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const name of ["onclick", "onkeydown"]) old[name] = made[name];
  const [before, after] = [[...old.childNodes], [...made.childNodes]];
  after.forEach((node, k) => (before[k] ? morph(before[k], node) : old.append(node)));
  before.slice(after.length).forEach((node) => node.remove());
  return undefined;
}

function runs(list, tokens) {
  return list.map((run) => {
    if (typeof run === "string") return document.createTextNode(coloured(run, tokens));
    if ("mark" in run) return h("span", { class: "wb-mark" }, String(run.mark));
    const style = run.colour ? `color:${coloured(run.colour, tokens)}` : null;
    return h(run.strong ? "b" : "span", { style }, coloured(run.text, tokens));
  });
}

// One function per kind of part; each gets (part, {tokens, emit}).
const PARTS = {
  note: (part, { tokens }) => h("div", { class: "wb-note" }, runs(part.text, tokens)),
  stats(part, { tokens }) {
    const rows = part.rows.map(([name, value]) =>
      h("div", {}, h("span", {}, runs([name].flat(), tokens)), h("span", { class: "wb-value" }, value)),
    );
    const style = `grid-template-columns:repeat(${part.columns},minmax(0,1fr))`;
    return h("div", { class: `wb-stats${part.rules ? " wb-rules" : ""}`, style }, rows);
  },
  quadrants(part, { tokens, emit }) {
    const table = h("div", { class: "wb-quadrants" }, h("span"));
    table.append(...part.columns.map((heading) => h("div", { class: "wb-head" }, runs(heading, tokens))));
    part.cells.forEach((cell, k) => {
      if (k % 2 === 0) table.append(h("div", { class: "wb-side" }, runs(part.rows[k / 2], tokens)));
      const event = { kind: "quadrant", student: cell.student, teacher: cell.teacher };
      const count = h("span", { class: "wb-count" }, cell.count);
      const meaning = h("span", { class: "wb-meaning" }, runs(cell.meaning, tokens));
      const top = h("span", { class: "wb-top" }, count, cell.trend ? trend(cell.trend) : null);
      table.append(h("button", { class: "wb-cell", type: "button", onclick: () => emit(event) }, top, meaning));
    });
    return table;
  },
  grid(part, { tokens }) {
    const head = h("tr", {}, h("th", {}, part.heading), part.columns.map((name) => h("th", { title: name }, name)));
    const rows = part.rows.map((row) => {
      const cells = row.values.map((value) => {
        const shade = scaleColour("measure", (0.62 * value) / part.top, tokens);
        const style = `background:rgb(${shade.map(Math.round).join(",")});color:${textOn(shade)}`;
        return h("td", { style }, String(value));
      });
      return h("tr", {}, h("th", { scope: "row" }, row.label), cells);
    });
    return h("table", { class: "wb-grid" }, h("tbody", {}, head, rows));
  },
};

function trend(values) {
  const at = values.map((v, k) => [2 + (54 * k) / Math.max(values.length - 1, 1), 2 + 14 * (1 - v)]);
  const [x, y] = at.at(-1);
  const line = h("path", { d: `M${at.map((p) => p.map((c) => c.toFixed(1)).join(",")).join("L")}` });
  const box = { class: "wb-trend", viewBox: "0 0 60 18", "aria-hidden": "true" };
  return h("svg", box, line, h("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 2 }));
}

// ---- data as text ---------------------------------------------------------------------------------------------

function csv(frame, arrays) {
  const lines = [`# ${frame.title}, step ${frame.step}`];
  for (const [name, { data, shape }] of Object.entries(arrays)) {
    const wide = shape.length > 1 ? shape.at(-1) : 1;
    lines.push("", `# ${name} (${shape.join(" x ")})`);
    for (let k = 0; k < data.length; k += wide) lines.push(Array.from(data.subarray(k, k + wide)).join(","));
  }
  return lines.join("\n") + "\n";
}

function download(name, blob) {
  const url = URL.createObjectURL(blob);
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

// ---- selection ------------------------------------------------------------------------------------------------

function inside(x, y, xs, ys) {
  let within = false;
  for (let k = 0, l = xs.length - 1; k < xs.length; l = k++)
    if (ys[k] > y !== ys[l] > y && x < ((xs[l] - xs[k]) * (y - ys[k])) / (ys[l] - ys[k]) + xs[k]) within = !within;
  return within;
}

function positionsIn(event, x, y) {
  const { range, lassoPoints } = event;
  const found = [];
  for (let k = 0; k < x.length; k++) {
    const hit = range
      ? x[k] >= Math.min(...range.x) && x[k] <= Math.max(...range.x) &&
        y[k] >= Math.min(...range.y) && y[k] <= Math.max(...range.y)
      : inside(x[k], y[k], lassoPoints.x, lassoPoints.y);
    if (hit) found.push(k);
  }
  return found;
}

function positionsOf(selected, ids) {
  if (!selected || selected.byteLength === 0 || !ids) return null;
  const bytes = bytesOf(selected).slice();
  const chosen = new Set(new Int32Array(bytes.buffer));
  return Array.from(ids.keys()).filter((k) => chosen.has(ids[k]));
}

// ---- one view -------------------------------------------------------------------------------------------------

class View {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.arrays = {};
    this.chosen = {}; // what a person set: toggles, cursor, picked sample
    this.keeper = rangeKeeper();
    this.hovering = this.pressed = this.busy = this.dirty = this.stopped = false;
    this.gone = new Promise((resolve) => (this.leave = resolve));
    this.build();
    this.listen();
    this.schedule();
  }

  build() {
    this.title = h("button", { class: "wb-title", type: "button", "aria-haspopup": "menu" });
    this.title.onclick = () => this.menu();
    this.title.ondblclick = () => this.fullScreen();
    this.controls = h("div", { class: "wb-controls" });
    this.read = h("div", { class: "wb-read" });
    this.above = h("div");
    this.plot = h("div", { class: "wb-plot" });
    this.note = h("div", { class: "wb-waiting", hidden: true });
    this.here = h("div", { class: "wb-here", hidden: true });
    this.middle = h("div", { class: "wb-middle" }, this.plot, this.here, this.note);
    this.below = h("div");
    this.footer = h("div", { class: "wb-footer" });
    const head = h("div", { class: "wb-header" }, this.title, this.controls);
    const body = [head, this.read, this.above, this.middle, this.below, this.footer];
    this.root = h("div", { class: "wb-view", role: "figure", tabindex: "0", "data-step": "-1" }, ...body);
    this.el.style.height ||= "100%";
    this.el.append(h("style", {}, CSS), this.root);
  }

  listen() {
    const { model } = this;
    this.onData = () => this.schedule(model.get("by_hand") === true); // who scrubs does not wait for a pointer
    this.onMarker = () => this.point();
    model.on("change:marker", this.onMarker);
    this.onOwn = () => this.schedule(true);
    for (const name of ["rev", "frame", "buffers"]) model.on(`change:${name}`, this.onData);
    for (const name of ["selected", "theme", "height"]) model.on(`change:${name}`, this.onOwn);
    this.sizes = new ResizeObserver(() => this.measure() && this.schedule(true));
    this.sizes.observe(this.root);
    this.sizes.observe(this.middle); // words above or below the plot may take another line
    this.unwatch = watchTheme(this.onOwn);
    this.onVisible = () => !document.hidden && this.schedule();
    document.addEventListener("visibilitychange", this.onVisible);
    this.onUp = () => this.rest("pressed");
    this.plot.addEventListener("pointerdown", () => (this.pressed = true), true);
    addEventListener("pointerup", this.onUp, true);
    this.middle.addEventListener("pointerleave", () => this.rest("hovering"));
    this.root.addEventListener("keydown", (event) => this.key(event));
  }

  stop() {
    this.stopped = true;
    this.leave();
    for (const name of ["rev", "frame", "buffers"]) this.model.off?.(`change:${name}`, this.onData);
    for (const name of ["selected", "theme", "height"]) this.model.off?.(`change:${name}`, this.onOwn);
    this.model.off?.("change:marker", this.onMarker);
    this.sizes.disconnect();
    this.unwatch();
    document.removeEventListener("visibilitychange", this.onVisible);
    removeEventListener("pointerup", this.onUp, true);
    this.calm?.();
    if (this.plotted) globalThis.Plotly.purge(this.plot);
  }

  // Newest wins, nothing queues: any number of calls while drawing lead to one more draw.
  schedule(own = false) {
    this.dirty = true;
    if (own) this.calm?.();
    if (!this.busy) this.run();
  }

  async run() {
    this.busy = true;
    try {
      while (this.dirty && !this.stopped) {
        await this.quiet();
        this.dirty = false;
        if (!this.stopped && !document.hidden) await this.draw();
      }
    } catch (error) {
      this.root.dataset.error = error.message;
      this.waitFor(`This view could not be drawn: ${error.message}`);
      console.error(error);
    } finally {
      this.busy = false;
    }
  }

  // Resolves at once, or when the pointer lets go of the plot (a hover waits HOVER_WAIT_MS at most).
  quiet() {
    if (!this.pressed && !this.hovering) return Promise.resolve();
    return new Promise((resolve) => {
      const limit = this.pressed ? null : setTimeout(resolve, HOVER_WAIT_MS);
      this.calm = () => {
        clearTimeout(limit);
        this.calm = null;
        resolve();
      };
    });
  }

  rest(what) {
    this[what] = false;
    if (!this.pressed && !this.hovering) this.calm?.();
  }

  emit(event) {
    this.count = (this.count ?? 0) + 1; // the same event twice must still be a change
    this.model.set("event", { ...event, count: this.count });
    this.model.save_changes();
  }

  choose(change) {
    this.chosen = { ...this.chosen, ...change };
    this.schedule(true);
  }

  async draw() {
    const { model, root } = this;
    const frame = model.get("frame");
    if (!frame?.view) return;
    const arrays = decode(frame, model.get("buffers") ?? [], this.arrays);
    if (!arrays) return; // the rest of this update is on its way
    const rev = model.get("rev") ?? 0;
    this.arrays = arrays;
    if (this.frame && (frame.view !== this.frame.view || (frame.step < 0 && this.frame.step >= 0)))
      this.keeper.forget();
    this.frame = frame;
    const theme = themeOf(model, this.el);
    const tokens = TABLES.tokens[theme];
    this.selected = positionsOf(model.get("selected"), frame.ids ? arrays[frame.ids].data : null);
    this.dress(frame, theme, tokens);
    const around = this.around(frame, tokens);
    this.write(frame, around);
    if (frame.skeleton) {
      const drawn = await this.picture(frame, around);
      if (!drawn) return; // no size yet: the observer will call again
    }
    delete root.dataset.error;
    root.dataset.step = frame.step;
    root.dataset.rev = rev;
  }

  around(frame, tokens) {
    const state = { ...frame.state, ...this.chosen };
    for (const { state: name, count } of frame.cursor ? [frame.cursor.x, frame.cursor.y] : [])
      state[name] = Math.min(Math.max(state[name], 0), count - 1);
    if (frame.ids && state.picked >= this.arrays[frame.ids].data.length) state.picked = -1;
    const { w, h: high } = this.box ?? (this.measure(), this.box);
    const size = { w, h: high, W: w, H: high };
    const { hold } = this.keeper;
    return { tokens, arrays: this.arrays, facts: frame.facts, state, size, selected: this.selected, hold };
  }

  // Asked when a size changes, not at every picture: to ask is to make the browser lay out the whole page.
  measure() {
    const [before, { root, plot }] = [this.box, this];
    this.box = { w: root.clientWidth, h: root.clientHeight, width: plot.clientWidth, height: plot.clientHeight };
    return Object.keys(this.box).some((name) => this.box[name] !== before?.[name]);
  }

  dress(frame, theme, tokens) {
    const { root, model } = this;
    root.dataset.view = frame.view;
    root.dataset.theme = theme;
    root.style.height = model.get("height") ? `${model.get("height")}px` : "100%";
    if (this.dressed !== theme)
      for (const [name, value] of Object.entries(tokens))
        if (value.startsWith("#")) root.style.setProperty(`--wb-${name.replaceAll("_", "-")}`, value);
    this.dressed = theme;
    const read = frame.read.map((run) => run.text ?? run).join("");
    root.setAttribute("aria-label", `${frame.title}. ${coloured(read, tokens)} ${frame.waiting ?? frame.summary}`);
  }

  write(frame, around) {
    const { tokens } = around;
    const tools = { tokens, emit: (event) => this.emit(event) };
    if (this.title.textContent !== frame.title) this.title.textContent = frame.title;
    morph(this.controls, h("div", { class: "wb-controls" }, this.chip(frame), this.toggles(frame, around)));
    morph(this.read, h("div", { class: "wb-read" }, runs(frame.read, tokens)));
    const shown = frame.parts.filter((part) => holds(part.show, around));
    const plot = shown.findIndex((part) => part.kind === "plot");
    const made = (list) => h("div", {}, list.map((part) => PARTS[part.kind](part, tools)));
    morph(this.above, made(shown.slice(0, plot < 0 ? shown.length : plot)));
    morph(this.below, made(plot < 0 ? [] : shown.slice(plot + 1)));
    const footer = h("div", { class: "wb-footer" }, runs(frame.footer, tokens));
    footer.title = footer.textContent;
    morph(this.footer, footer);
    this.waitFor(frame.waiting);
  }

  waitFor(sentence) {
    this.note.hidden = !sentence;
    this.note.textContent = sentence ?? "";
  }

  chip(frame) {
    const number = this.selected ? this.selected.length : frame.facts.selected;
    if (number === undefined || number === null) return null;
    const clear = () => this.select(null);
    return h("button", { class: "wb-chip", type: "button", onclick: clear }, `n = ${number} selected ✕`);
  }

  toggles(frame, around) {
    return frame.controls.map(({ name, options }) => {
      const buttons = options.map(({ value, label }) => {
        const pressed = around.state[name] === value;
        const onclick = () => this.choose({ [name]: value });
        return h("button", { type: "button", "aria-pressed": String(pressed), onclick }, label);
      });
      return h("div", { class: "wb-toggle", role: "group", "aria-label": name }, buttons);
    });
  }

  async picture(frame, around) {
    const Plotly = await plotly(this.model, this.gone);
    const { width, height } = this.box;
    if (this.stopped || width < 40 || height < 40) return false;
    const margin = fill(frame.skeleton.layout.margin, around);
    around.size.W = Math.max(width - margin.l - margin.r, 1);
    around.size.H = Math.max(height - margin.t - margin.b, 1);
    this.keeper.settle(!this.hovering);
    const { data, layout } = fill(frame.skeleton, around);
    await Plotly.react(this.plot, data, { ...layout, width, height, selections: [] }, CONFIG);
    if (!this.plotted) this.wire();
    this.point();
    return true;
  }

  // The step that the other views show, as a line through a plot over steps; null while they follow the run.
  point() {
    const step = this.model.get("marker") ?? null;
    const axes = this.plotted && this.plot.data.some(({ meta }) => meta?.selects?.steps) ? this.plot._fullLayout : null;
    this.here.hidden = step === null || !axes;
    if (this.here.hidden) return;
    const { t, h: high } = axes._size;
    const left = axes.xaxis._offset + axes.xaxis.l2p(step);
    this.here.setAttribute("style", `left:${left.toFixed(1)}px;top:${t}px;height:${high}px`);
    this.here.dataset.at = step;
  }

  wire() {
    this.plotted = true;
    this.plot.on("plotly_hover", () => (this.hovering = true));
    this.plot.on("plotly_unhover", () => this.rest("hovering"));
    this.plot.on("plotly_click", (event) => this.click(event.points[0]));
    this.plot.on("plotly_clickannotation", ({ annotation }) => this.emit({ kind: "mark", step: annotation.x }));
    this.plot.on("plotly_selected", (event) => event && this.brush(event));
    this.plot.on("plotly_deselect", () => this.selected && this.select(null));
  }

  click(point) {
    const meta = point?.data?.meta;
    if (meta?.click) {
      const change = Object.entries(meta.click).map(([name, axis]) => [name, Math.round(point[axis])]);
      this.choose(Object.fromEntries(change));
    } else if (meta?.nearest) this.nearest(meta.nearest, point);
    else if (meta?.event) this.emit({ ...meta.event, index: point.pointIndex });
  }

  nearest({ state, x, y }, point) {
    const [xs, ys] = [this.arrays[x].data, this.arrays[y].data];
    let best = -1;
    let least = Infinity;
    for (let k = 0; k < xs.length; k++) {
      const distance = (xs[k] - point.x) ** 2 + (ys[k] - point.y) ** 2;
      if (distance < least) [best, least] = [k, distance];
    }
    this.choose({ [state]: best });
    if (this.frame.ids) this.emit({ kind: "sample", id: this.arrays[this.frame.ids].data[best] });
  }

  brush(event) {
    const meta = this.plot.data.map((trace) => trace.meta?.selects).find(Boolean);
    if (!meta || !(event.range ?? event.lassoPoints)) return; // Plotly tells of its own clearing too
    if (meta.steps) {
      if (event.range?.x) this.emit({ kind: "range", from: event.range.x[0], to: event.range.x[1] });
      this.schedule(true);
      return;
    }
    const ids = this.arrays[this.frame.ids].data;
    this.select(positionsIn(event, this.arrays[meta.x].data, this.arrays[meta.y].data).map((k) => ids[k]));
  }

  // Sample ids, so that a brush survives updates. An ArrayBuffer: Panel drops other views silently.
  select(ids) {
    this.model.set("selected", ids?.length ? Int32Array.from(ids).buffer : null);
    this.model.save_changes();
    this.schedule(true);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.frame) return;
    const { cursor } = this.frame;
    const move = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", 1], ArrowDown: ["y", -1] }[event.key];
    const state = { ...this.frame.state, ...this.chosen };
    if (event.key === "Escape") this.closeMenu();
    else if (event.key === "m" || event.key === "M") this.menu();
    else if (cursor && move) {
      const { state: name, count } = cursor[move[0]];
      this.choose({ [name]: Math.min(Math.max(state[name] + move[1], 0), count - 1) });
    } else if (cursor?.proposes && event.key.toLowerCase() === "p")
      this.emit({ kind: cursor.proposes, x: state[cursor.x.state], y: state[cursor.y.state] });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  menu() {
    if (this.open) return this.closeMenu();
    const file = `${this.frame.view}-step-${this.frame.step}`;
    const entries = [
      ["Save data as CSV", () => download(`${file}.csv`, new Blob([csv(this.frame, this.arrays)], { type: "text/csv" }))],
      ...(this.plotted ? [["Save figure as PNG", () => this.savePicture(file)]] : []),
      ["Full screen", () => this.fullScreen()],
      ["Definition", () => this.define()],
    ];
    const buttons = entries.map(([name, act]) => {
      const onclick = () => {
        this.closeMenu();
        act();
      };
      return h("button", { type: "button", role: "menuitem", onclick }, name);
    });
    this.open = h("div", { class: "wb-menu", role: "menu" }, buttons);
    this.root.append(this.open);
    buttons[0].focus();
    return undefined;
  }

  closeMenu() {
    const had = this.open?.contains(this.el.getRootNode().activeElement);
    this.open?.remove();
    this.open = null;
    if (had) this.title.focus();
  }

  define() {
    const close = h("button", { type: "button", onclick: () => this.closeMenu() }, "Close");
    this.open = h("div", { class: "wb-menu wb-text", role: "note" }, h("p", {}, this.frame.definition), close);
    this.root.append(this.open);
    close.focus();
  }

  async savePicture(file) {
    const { clientWidth: width, clientHeight: height } = this.plot;
    const url = await globalThis.Plotly.toImage(this.plot, { format: "png", width, height, scale: 2 });
    download(`${file}.png`, await (await fetch(url)).blob());
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.();
  }
}

// In a shadow root nothing of the page's CSS arrives, Plotly's neither: what it needs is here too.
const CSS = `
.wb-view { box-sizing: border-box; position: relative; display: flex; flex-direction: column; width: 100%;
  min-height: 240px; container-type: size; padding: 11px 12px 8px; overflow: hidden; border: 1px solid var(--wb-line); border-radius: 6px;
  background: var(--wb-surface); color: var(--wb-ink); font: 12px/16px ${TABLES.font};
  font-variant-numeric: tabular-nums; text-align: left; }
.wb-view * { box-sizing: border-box; font-family: inherit; }
.wb-view:focus-visible, .wb-view button:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.wb-view:focus-visible { outline-offset: -2px; }
.wb-view button { color: inherit; background: none; border: 0; margin: 0; padding: 0; font: inherit; cursor: pointer; }
.wb-header { display: flex; align-items: center; gap: 8px; min-height: 20px; }
.wb-view .wb-title { flex: 1 1 auto; min-width: 0; font-size: 13px; line-height: 18px; font-weight: 600;
  text-align: left; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; border-radius: 3px; }
.wb-controls { display: flex; gap: 6px; flex: none; }
.wb-toggle { display: flex; border: 1px solid var(--wb-line-strong); border-radius: 4px; overflow: hidden; }
.wb-view .wb-toggle button { padding: 0 7px; height: 18px; font-size: 11px; line-height: 18px; color: var(--wb-ink2); }
.wb-toggle button + button { border-left: 1px solid var(--wb-line-strong); }
.wb-view .wb-toggle button[aria-pressed="true"] { background: var(--wb-ink); color: var(--wb-surface); }
.wb-view .wb-chip { padding: 0 8px; height: 20px; font-size: 11px; border: 1px solid var(--wb-ink);
  border-radius: 10px; white-space: nowrap; }
.wb-read { margin-top: 1px; font-size: 11.5px; line-height: 15px; color: var(--wb-ink2); }
.wb-middle { position: relative; flex: 1 1 0; min-height: 0; margin-top: 3px; overflow: hidden; }
.wb-plot { position: absolute; inset: 0; overflow: hidden; }
.wb-waiting { position: absolute; left: 48%; top: 46%; transform: translate(-50%, -50%); width: max-content;
  max-width: 56%; padding: 5px 9px; text-align: center; background: var(--wb-surface); color: var(--wb-ink2);
  border: 1px solid var(--wb-line); border-radius: 4px; pointer-events: none; }
.wb-waiting[hidden] { display: none; }
.wb-here { position: absolute; width: 2px; margin-left: -1px; background: var(--wb-ink); opacity: .8; pointer-events: none; }
.wb-here[hidden] { display: none; }
.wb-footer { flex: none; margin-top: 5px; font-size: 11px; line-height: 14px; color: var(--wb-ink3);
  white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.wb-note { margin-top: 3px; font-size: 11px; line-height: 15px; color: var(--wb-ink2); }
.wb-mark { display: inline-block; min-width: 14px; padding: 0 3px; border-radius: 2px; text-align: center;
  font-size: 10.5px; line-height: 14px; font-weight: 600; background: var(--wb-ink); color: var(--wb-surface); }
.wb-stats { display: grid; column-gap: 16px; margin: 4px 0 0; }
.wb-stats > div { display: flex; justify-content: space-between; gap: 8px; min-width: 0; padding: 1px 0;
  white-space: nowrap; }
.wb-rules > div { padding: 2px 0; border-top: 1px solid var(--wb-line); }
.wb-stats span { min-width: 0; overflow: hidden; text-overflow: ellipsis; color: var(--wb-ink2);
  font-size: 11.5px; }
.wb-stats .wb-mark { color: var(--wb-surface); }
.wb-view .wb-stats .wb-value { flex: none; font-size: 12px; font-weight: 600; color: var(--wb-ink); }
.wb-quadrants { display: grid; grid-template-columns: minmax(52px, max-content) 1fr 1fr; gap: 4px 5px;
  align-items: center; margin-top: 6px; }
.wb-head { text-align: center; font-size: 11.5px; }
.wb-side { max-width: 66px; font-size: 11.5px; line-height: 15px; }
.wb-view .wb-cell { display: flex; flex-direction: column; justify-content: space-between; min-width: 0;
  height: clamp(44px, 15cqh, 58px); padding: 3px 8px 4px; border: 1px solid var(--wb-line); border-radius: 4px;
  text-align: left; }
.wb-view .wb-cell:hover { border-color: var(--wb-line-strong); }
.wb-top { display: flex; justify-content: space-between; gap: 6px; width: 100%; }
.wb-count { font-size: 17px; line-height: 20px; font-weight: 600; }
.wb-meaning { width: 100%; font-size: 11px; line-height: 14px; color: var(--wb-ink2); white-space: nowrap;
  overflow: hidden; text-overflow: ellipsis; }
.wb-trend { width: 60px; height: 18px; flex: none; }
.wb-trend path { fill: none; stroke: var(--wb-ink2); stroke-width: 1.3; }
.wb-trend circle { fill: var(--wb-ink2); }
.wb-grid { width: 100%; margin-top: 6px; border-collapse: separate; border-spacing: 2px; table-layout: fixed;
  font-size: 11px; line-height: 14px; }
.wb-view .wb-grid th { padding: 0; border: 0; background: none; font-weight: 400; color: var(--wb-ink2);
  text-align: center; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.wb-view .wb-grid th:first-child { width: 84px; text-align: left; }
.wb-view .wb-grid td { padding: 0; border: 0; text-align: center; }
.wb-menu { position: absolute; z-index: 5; top: 32px; left: 10px; display: flex; flex-direction: column; max-width: 340px;
  padding: 4px; border: 1px solid var(--wb-line-strong); border-radius: 5px; background: var(--wb-surface); }
.wb-view .wb-menu button { min-height: 26px; padding: 0 10px; text-align: left; border-radius: 3px; }
.wb-view .wb-menu button:hover { background: var(--wb-sunken); }
.wb-text p { margin: 6px 10px; }
.wb-plot .plotly, .wb-plot .svg-container { position: relative; }
.wb-plot .main-svg { position: absolute; top: 0; left: 0; pointer-events: none; overflow: hidden; }
.wb-plot .main-svg .draglayer { pointer-events: all; }
.wb-plot .cursor-pointer { cursor: pointer; }
.wb-plot .cursor-crosshair { cursor: crosshair; }
`;

function render({ model, el }) {
  const view = new View(model, el);
  return () => view.stop();
}

export default { render, fill, decode, rangeKeeper };
