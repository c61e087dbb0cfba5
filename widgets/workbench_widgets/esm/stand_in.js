// ---- a canvas that stands in for Plotly while pictures follow each other -------------------------------------------
// Plotly makes axes, labels and every trace anew at each picture, four views of 20 to 30 ms each; what changes from one
// snapshot to the next is where traces lie and a few numbers. So those are painted here at once, over Plotly's frame, and
// Plotly follows when nothing new has come for a while, when a pointer comes near, or when its picture is asked for.
// It paints what our skeletons are made of; whatever else differs is left to Plotly, at once.

const FOLLOW_MS = 400; // without a picture for this long, Plotly draws
const MOVES = new Set(["x0", "x1", "y0", "y1"]); // of a shape: its outline is made anew
const RANK = ["heatmap", "bar", "scatter"]; // Plotly draws heat maps below bars below lines

class StandIn {
  constructor(view) {
    this.view = view;
    this.canvas = h("canvas", { class: "wb-stand-in", "aria-hidden": "true" });
    this.waits = null; // a picture that Plotly has not drawn yet
    view.middle.addEventListener("pointerenter", () => {
      this.near = true;
      this.settle().catch((error) => view.broken(error));
    });
    view.middle.addEventListener("pointerleave", () => (this.near = false));
  }

  // One picture: by the canvas where it can, by Plotly where it must.
  async show(data, layout) {
    const { drawn } = this;
    if (drawn && !this.waits && alike(data, drawn.data) && alike(layout, drawn.layout)) return null; // nothing new
    this.waits = { data, layout };
    clearTimeout(this.due);
    if (this.near || !this.paints(data, layout)) return this.settle();
    this.due = setTimeout(() => idle(() => this.settle().catch((error) => this.view.broken(error))), FOLLOW_MS);
  }

  // Plotly draws what only the canvas has shown.
  async settle() {
    clearTimeout(this.due);
    const { view, waits } = this;
    if (!waits || view.stopped) return;
    this.waits = null;
    const { data, layout } = waits;
    this.drawn = { data: data.map((trace) => ({ ...trace })), layout: structuredClone(layout) }; // Plotly writes into its own
    const drawing = globalThis.Plotly.react(view.plot, data, layout, CONFIG);
    this.told = new Map((layout.annotations ?? []).map(({ text }, k) => [k, text]));
    this.stands(false);
    await drawing;
  }

  stop() {
    clearTimeout(this.due);
    this.waits = null;
  }

  stands(yes) {
    this.canvas.hidden = !yes;
    this.view.plot.classList.toggle("wb-stood-in", yes);
  }

  paints(data, layout) {
    const { drawn, view } = this;
    if (!drawn || data.length !== drawn.data.length) return false;
    const changes = changesOf(layout, drawn.layout);
    if (!changes || !data.every((trace, k) => paintable(trace, drawn.data[k]))) return false;
    const paper = view.plot.querySelector(".main-svg");
    const full = view.plot._fullLayout;
    const outlines = changes.shapes.map((k) => [shapeNode(view.plot, k), outlineOf(layout.shapes[k], full)]);
    const words = [...this.told].filter(([k, text]) => layout.annotations[k].text !== text);
    const texts = words.map(([k]) => textChange(view.plot, k, this.told.get(k), layout.annotations[k]));
    if (outlines.some((pair) => !pair.every(Boolean)) || !texts.every(Boolean)) return false;
    for (const [node, path] of outlines) node.setAttribute("d", path);
    for (const change of texts) change();
    for (const [k] of words) this.told.set(k, layout.annotations[k].text);
    const brush = this.brush(paper, layout);
    const kinds = data.filter(({ visible }) => visible !== false);
    kinds.sort((one, other) => RANK.indexOf(one.type) - RANK.indexOf(other.type));
    for (const trace of kinds) painted(brush, trace, layout, full);
    this.stands(true);
    return true;
  }

  // A clear canvas above Plotly's traces, below its labels and the shapes that lie above.
  brush(paper, { width, height }) {
    const { canvas } = this;
    if (paper.nextSibling !== canvas) paper.after(canvas);
    const scale = devicePixelRatio || 1;
    for (const [name, size] of [["width", width], ["height", height]])
      if (canvas[name] !== Math.round(size * scale)) canvas[name] = Math.round(size * scale);
    canvas.setAttribute("style", `width:${width}px;height:${height}px`);
    const brush = canvas.getContext("2d");
    brush.setTransform(scale, 0, 0, scale, 0, 0);
    brush.clearRect(0, 0, width, height);
    brush.miterLimit = 2; // as Plotly's own style has it
    return brush;
  }
}

// When the browser has nothing else to do: a new picture goes first, and views follow one by one.
const idle = (act) => (globalThis.requestIdleCallback ? requestIdleCallback(act, { timeout: 1000 }) : setTimeout(act));

// ---- what may differ ------------------------------------------------------------------------------------------------

// Shapes that moved, where nothing else of the layout differs but annotations' texts; null where something does.
function changesOf(layout, before) {
  const shapes = [];
  for (const key of new Set([...Object.keys(layout), ...Object.keys(before)])) {
    const [now, then] = [layout[key], before[key]];
    if (key !== "shapes" && key !== "annotations") {
      if (!alike(now, then)) return null;
      continue;
    }
    if (now?.length !== then?.length) return null;
    for (let k = 0; k < (now?.length ?? 0); k++) {
      if (key === "annotations" && !alike({ ...now[k], text: "" }, { ...then[k], text: "" })) return null;
      if (key === "annotations" || alike(now[k], then[k])) continue;
      const names = Object.keys({ ...now[k], ...then[k] });
      if (names.some((name) => !MOVES.has(name) && !alike(now[k][name], then[k][name]))) return null;
      shapes.push(k);
    }
  }
  return { shapes };
}

// Arrays of numbers are the same where they are one: an array that did not change keeps its identity (see plotly.js).
function alike(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || !a || !b || ArrayBuffer.isView(a)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => alike(a[name], b[name]));
}

const plain = (colour) => typeof colour === "string" && (colour.startsWith("#") || colour.startsWith("rgb"));
const SYMBOLS = new Set(["circle", "square", "diamond", "circle-open", "square-open", "diamond-open"]);

// Whether the canvas knows all that this trace asks for, on the axes that Plotly has drawn it on.
function paintable(trace, before) {
  const same = ["type", "xaxis", "yaxis", "visible", "cliponaxis"].every((name) => trace[name] === before[name]);
  if (!same) return false;
  if (trace.type === "heatmap") return !trace.zsmooth && !trace.texttemplate;
  if (trace.type === "bar") return Boolean(trace.width) && plain(trace.marker?.color) && !trace.marker.pattern;
  if (trace.type !== "scatter" || (trace.fill && trace.fill !== "toself")) return false;
  const { mode = "", line = {}, marker = {} } = trace;
  if (mode.includes("text") && (trace.textposition || mode !== "text")) return false;
  if (mode.includes("lines") && trace.x.length && trace.x[0] !== null && !plain(line.color)) return false;
  if (!["linear", "hv", undefined].includes(line.shape)) return false;
  if (!mode.includes("markers")) return true;
  const [symbols, colours] = [[marker.symbol ?? "circle"].flat(), [marker.color].flat()];
  return symbols.every((symbol) => SYMBOLS.has(symbol)) && colours.every(plain);
}

// ---- Plotly's own nodes that are changed in place ----------------------------------------------------------------------

const shapeNode = (plot, k) => plot.querySelector(`.shapelayer path[data-index="${k}"]`);

// Pixels of a place on an axis, on a share of it, or on a share of the plot.
function placeOn(value, ref, letter, full) {
  const { l, t, w, h: high } = full._size;
  if (ref === "paper") return letter === "x" ? l + value * w : t + (1 - value) * high;
  const [name, domain] = ref.split(" ");
  const axis = full[axisName(name)];
  if (!domain) return axis._offset + axis.d2p(value);
  return axis._offset + (letter === "x" ? value : 1 - value) * axis._length;
}

function outlineOf(shape, full) {
  const place = (name) => placeOn(shape[name], shape[`${name[0]}ref`], name[0], full);
  const [x0, x1, y0, y1] = ["x0", "x1", "y0", "y1"].map(place);
  if (![x0, x1, y0, y1].every(Number.isFinite)) return null;
  if (shape.type === "rect") return `M${x0},${y0}H${x1}V${y1}H${x0}Z`;
  return shape.type === "line" ? `M${x0},${y0}L${x1},${y1}` : null;
}

const wordsOf = (text) => text.split(/<[^>]*>/).filter(Boolean);
const SHARES = { left: 0, start: 0, center: 0.5, middle: 0.5, right: 1, end: 1 };

// How to put new words into an annotation that Plotly has drawn: null where there are more or fewer of them.
function textChange(plot, index, before, annotation) {
  const node = plot.querySelector(`.annotation[data-index="${index}"] text`);
  if (!node || annotation.bgcolor || annotation.textangle) return null;
  const nodes = [];
  const walk = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) if (walk.currentNode.data) nodes.push(walk.currentNode); // Plotly leaves empty ones between
  const words = wordsOf(annotation.text).map(unescaped);
  const single = words.length === wordsOf(before).length && words.length === nodes.length;
  const lines = annotation.text.split("<br>").length;
  if (!single || lines !== before.split("<br>").length) return null;
  const anchor = SHARES[node.getAttribute("text-anchor") ?? "start"];
  const held = SHARES[annotation.xanchor] ?? 0.5;
  if (anchor !== held && words.some((word, k) => word.length !== nodes[k].data.length)) return null;
  return () => nodes.forEach((one, k) => (one.data === words[k] ? null : (one.data = words[k])));
}

const unescaped = (text) => text.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&amp;/g, "&");

