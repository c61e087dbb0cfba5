// ---- selecting samples: by box or lasso, a cell, a bin, a class, a point --------------------------------------------
// What is selected is sample ids, so it survives updates. While a box is drawn only this view reacts, on a canvas over
// the plot; on release the ids go to the model, and whoever made the frames sends those of the selection.

const RINGS = 24; // more rings than that are a blot; the grey of the others then says it
const VEIL = 0.78; // how much of what is not selected is taken back, while the frame does not say it itself
const DRAG_PX = 4; // less is a click
const LASSO_PX = 3; // between two corners of a lasso
const DOT_PX = 3;
const AIM_PX = 12; // beside the floor, as near as this a press still means a sample

class Chooser {
  constructor(view) {
    this.view = view;
    this.way = "box";
    this.canvas = h("canvas", { class: "wb-veil", "aria-hidden": "true" });
    this.ways = h("div", { class: "wb-toggle wb-ways", role: "group", "aria-label": "select by", hidden: true });
    this.keys = h("select", { class: "wb-keys", hidden: true });
    view.middle.append(this.canvas, this.ways, this.keys);
    view.plot.addEventListener("pointerdown", (event) => this.press(event), true);
    this.keys.onchange = () => {
      const { picks, index } = this.listed[this.keys.selectedIndex - 1] ?? {};
      if (picks) this.pick(picks, index, { kind: "select" });
    };
    this.listed = [];
  }

  // Arrays of the frame in which samples lie side by side.
  get ids() {
    const { frame, arrays } = this.view;
    return frame?.ids ? arrays[frame.ids].data : null;
  }

  // Whether the frame itself shows the selection: its numbers are theirs, the others are grey.
  get followed() {
    const { frame, arrays, selected } = this.view;
    if (!selected || !frame.facts.selected) return false;
    if (frame.facts.selected.n !== selected.length) return false;
    const { chosen } = arrays;
    return !chosen || selected.every((k) => chosen.data[k]);
  }

  // ---- what is selected, by what was pressed

  where(tests, index = 0) {
    const wanted = tests.map(([name, value]) => [this.view.arrays[name].data, value === "$index" ? index : value]);
    const found = [];
    for (let k = 0; k < this.ids.length; k++) if (wanted.every(([data, value]) => data[k] === value)) found.push(k);
    return found;
  }

  pick(picks, index, event, add = false) {
    const how = Array.isArray(picks.words) ? picks.words[index] : picks.words;
    const found = this.where(picks.where, index);
    if (found.length) this.choose(found, { ...event, how }, add);
    else this.view.menu.tell(`No sample: ${how}.`);
  }

  choose(positions, event, add = false) {
    const { ids } = this;
    const chosen = new Set(add ? idsOf(this.view.model.get("selected")) : []);
    for (const k of positions) chosen.add(ids[k]);
    const how = add && chosen.size > positions.length ? "several" : event.how;
    this.view.select([...chosen], { ...event, how });
  }

  // ---- a box or a lasso

  // The wedges of the plot: their axes, and which samples lie in each.
  grounds() {
    const layout = this.view.plotted && this.ids ? this.view.plot._fullLayout : null;
    if (!layout) return [];
    return this.view.traces.filter(({ meta }) => meta?.selects?.x).map(({ meta, xaxis, yaxis }) => {
      const [x, y] = [layout[axisName(xaxis ?? "x")], layout[axisName(yaxis ?? "y")]];
      return { x, y, selects: meta.selects, picks: meta.picks, nearest: meta.nearest };
    });
  }

  press(event) {
    if (event.button !== 0) return;
    const { left, top } = this.view.plot.getBoundingClientRect();
    const at = ({ clientX, clientY }) => [clientX - left, clientY - top];
    const start = at(event);
    const ground = this.grounds().find(({ x, y }) => within(start, x, y));
    if (!ground) return;
    this.view.middle.classList.add("wb-drawing");
    // What was aimed at is settled now, as an id: pictures may be drawn anew before the pointer lets go.
    const aim = ground.nearest ? this.aimed(ground, start) : null;
    const path = [start];
    const move = (moved) => {
      const next = at(moved);
      this.drawing ||= distance(next, start) > DRAG_PX ? { ground, path } : null;
      if (!this.drawing) return;
      if (this.way === "box") path[1] = next;
      else if (distance(next, path.at(-1)) > LASSO_PX) path.push(next);
      this.soon();
    };
    const end = (last) => {
      for (const [name, act] of heard) removeEventListener(name, act, true);
      this.view.middle.classList.remove("wb-drawing");
      const drawn = this.drawing;
      this.drawing = null;
      if (last.type !== "pointerup") last.stopPropagation();
      else if (drawn) this.release(drawn, last.shiftKey);
      else if (ground.picks) this.pick(ground.picks, 0, { kind: "select" }, last.shiftKey);
      else if (aim !== null) this.point(ground.nearest, aim, last.shiftKey);
      this.paint();
    };
    const giveUp = (pressed) => pressed.key === "Escape" && end(pressed);
    const heard = [["pointermove", move], ["pointerup", end], ["pointercancel", end], ["keydown", giveUp]];
    for (const [name, act] of heard) addEventListener(name, act, true);
  }

  // Id of the sample that is nearest to a place on the floor; null where nothing is meant.
  aimed({ x, y, selects }, [across, down]) {
    const [xs, ys] = [this.view.arrays[selects.x].data, this.view.arrays[selects.y].data];
    const [left, low] = [x.p2l(across - x._offset), y.p2l(down - y._offset)];
    let best = -1;
    let least = Infinity;
    for (let k = 0; k < xs.length; k++) {
      const apart = (xs[k] - left) ** 2 + (ys[k] - low) ** 2;
      if (apart < least) [best, least] = [k, apart];
    }
    if (best < 0) return null;
    const { radius, degrees, band } = selects.sector;
    const inSector = Math.hypot(left, low) <= radius && Math.atan2(low, left) <= (degrees * Math.PI) / 180;
    const onFloor = low >= 0 && (band ? low <= band && left >= 0 && left <= radius : inSector);
    const pixels = Math.sqrt(least) * Math.abs(x.l2p(1) - x.l2p(0));
    return onFloor || pixels <= AIM_PX ? this.ids[best] : null;
  }

  point({ state }, id, add) {
    const position = this.ids?.indexOf(id) ?? -1;
    if (position < 0) return;
    this.view.choose({ [state]: position });
    this.choose([position], { kind: "sample", id, how: `sample ${id}` }, add);
  }

  release(drawn, add) {
    const found = this.caught(drawn);
    if (found.length) this.choose(found, { kind: "select", how: this.way }, add);
    else if (!add) this.view.select(null);
  }

  // Positions of the samples inside what has been drawn.
  caught({ ground: { x, y, selects }, path }) {
    const { arrays } = this.view;
    const corner = (px, axis) => axis.p2l(px - axis._offset);
    const [xs, ys] = [path.map(([px]) => corner(px, x)), path.map(([, py]) => corner(py, y))];
    const event = this.way === "box" ? { range: { x: xs, y: ys } } : { lassoPoints: { x: xs, y: ys } };
    const found = positionsIn(event, arrays[selects.x].data, arrays[selects.y].data);
    if (!selects.where) return found;
    const own = new Set(this.where(selects.where));
    return found.filter((k) => own.has(k));
  }

  // Newest wins: any number of moves lead to one picture in the next frame.
  soon() {
    this.due ||= requestAnimationFrame(() => {
      this.due = 0;
      this.paint();
    });
  }

  // ---- what stands over the plot

  paint() {
    const { canvas, view, drawing } = this;
    const { width, height } = view.box ?? { width: 0, height: 0 };
    const chosen = drawing ? this.caught(drawing) : this.followed ? null : view.selected;
    const grounds = chosen ? this.grounds() : [];
    canvas.hidden = !grounds.length;
    canvas.dataset.shown = chosen?.length ?? "";
    if (canvas.hidden) return;
    const scale = devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    canvas.setAttribute("style", `width:${width}px;height:${height}px`);
    const brush = canvas.getContext("2d");
    const tokens = TABLES.tokens[view.dressed];
    brush.setTransform(scale, 0, 0, scale, 0, 0);
    brush.clearRect(0, 0, width, height);
    for (const ground of grounds) this.dots(brush, ground, chosen, tokens);
    if (drawing) outline(brush, drawing.path, this.way, tokens.ink);
  }

  dots(brush, { x, y, selects }, chosen, tokens) {
    brush.globalAlpha = VEIL;
    brush.fillStyle = tokens.sunken;
    brush.fill(sector(x, y, selects.sector));
    brush.globalAlpha = 1;
    brush.fillStyle = tokens.ink;
    const { arrays } = this.view;
    const [xs, ys] = [arrays[selects.x].data, arrays[selects.y].data];
    const own = (selects.where ?? []).map(([name, value]) => [arrays[name].data, value]);
    const [slope, level] = [x.l2p(1) - x.l2p(0), x._offset + x.l2p(0)]; // linear axes: two numbers say all
    const [slant, floor] = [y.l2p(1) - y.l2p(0), y._offset + y.l2p(0)];
    const half = DOT_PX / 2;
    for (const k of chosen)
      if (own.every(([data, value]) => data[k] === value))
        brush.fillRect(level + slope * xs[k] - half, floor + slant * ys[k] - half, DOT_PX, DOT_PX);
  }

  // After each picture: the way to draw, the list for those without a pointer, and the canvas.
  told() {
    const canDraw = this.grounds().length > 0;
    this.ways.hidden = !canDraw;
    const ways = ["box", "lasso"].map((way) => {
      const onclick = () => {
        this.way = way;
        this.told();
      };
      return h("button", { type: "button", "aria-pressed": String(this.way === way), onclick, title: `Drag to select by ${way}; Shift adds` }, way);
    });
    const corner = canDraw && this.grounds()[0].selects.sector.degrees === 90 ? " wb-right" : ""; // where the floor leaves one
    const made = h("div", { class: `wb-toggle wb-ways${corner}`, role: "group", "aria-label": "select by", hidden: !canDraw }, ways);
    morph(this.ways, made);
    this.list();
    this.paint();
  }

  // Bins are drawn by Plotly, which no key reaches: the same choice as a list that shows when it has the focus.
  list() {
    const { traces, plotted } = this.view;
    const listed = [];
    for (const { meta, type, y } of plotted && this.ids ? traces : [])
      if (type === "bar" && meta?.picks)
        Array.from(y).forEach((n, index) => n > 0 && listed.push({ picks: meta.picks, index, words: `${meta.picks.words[index]}, n = ${n}` }));
    this.keys.hidden = !listed.length;
    if (String(listed.map(({ words }) => words)) === String(this.listed.map(({ words }) => words))) return;
    this.listed = listed;
    this.keys.setAttribute("aria-label", "Select the samples of a bin");
    this.keys.replaceChildren(h("option", {}, "Select a bin…"), ...listed.map(({ words }) => h("option", {}, words)));
  }
}

// The floor on which samples lie: the sector of a circle around the origin, or a strip; axes are equal.
function sector(x, y, { radius, degrees, band }) {
  const [left, low] = [x._offset + x.l2p(0), y._offset + y.l2p(0)];
  const floor = new Path2D();
  if (band) {
    const high = y._offset + y.l2p(band);
    floor.rect(left, high, x.l2p(radius) - x.l2p(0), low - high);
    return floor;
  }
  floor.moveTo(left, low);
  floor.arc(left, low, x.l2p(radius) - x.l2p(0), 0, (-degrees * Math.PI) / 180, true);
  floor.closePath();
  return floor;
}

const axisName = (id) => `${id[0]}axis${id.slice(1)}`;
const distance = ([x, y], [u, v]) => Math.hypot(x - u, y - v);
const within = ([px, py], x, y) =>
  px >= x._offset && px <= x._offset + x._length && py >= y._offset && py <= y._offset + y._length;

function outline(brush, path, way, colour) {
  brush.strokeStyle = colour;
  brush.setLineDash([2, 2]);
  brush.beginPath();
  const [[x, y], [u, v]] = [path[0], path.at(-1)];
  if (way === "box") brush.rect(Math.min(x, u) + 0.5, Math.min(y, v) + 0.5, Math.abs(u - x), Math.abs(v - y));
  else path.forEach(([px, py], k) => (k ? brush.lineTo(px, py) : brush.moveTo(px, py)));
  if (way !== "box") brush.closePath();
  brush.stroke();
  brush.setLineDash([]);
}

function inside(x, y, xs, ys) {
  let within_ = false;
  for (let k = 0, l = xs.length - 1; k < xs.length; l = k++)
    if (ys[k] > y !== ys[l] > y && x < ((xs[l] - xs[k]) * (y - ys[k])) / (ys[l] - ys[k]) + xs[k]) within_ = !within_;
  return within_;
}

function positionsIn({ range, lassoPoints }, x, y) {
  const { x: xs, y: ys } = range ?? lassoPoints;
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const found = [];
  for (let k = 0; k < x.length; k++) {
    const hit = x[k] >= left && x[k] <= right && y[k] >= low && y[k] <= high;
    if (hit && (range || inside(x[k], y[k], xs, ys))) found.push(k);
  }
  return found;
}

function idsOf(selected) {
  return selected?.byteLength ? new Int32Array(bytesOf(selected).slice().buffer) : new Int32Array(0);
}

function positionsOf(selected, ids) {
  if (!selected?.byteLength || !ids) return null;
  const chosen = new Set(idsOf(selected));
  const found = [];
  for (let k = 0; k < ids.length; k++) if (chosen.has(ids[k])) found.push(k);
  return found;
}

const SELECTION_CSS = `
.wb-veil { position: absolute; left: 0; top: 0; pointer-events: none; }
.wb-veil[hidden], .wb-ways[hidden], .wb-keys[hidden] { display: none; }
.wb-ways { position: absolute; left: 0; top: 58px; background: var(--wb-surface); }
.wb-right { left: auto; right: 41.5%; top: 38px; }
.wb-drawing { cursor: crosshair; user-select: none; }
.wb-keys { position: absolute; left: 8px; bottom: 0; font: inherit; font-size: 11px; color: var(--wb-ink); background: var(--wb-surface);
  border: 1px solid var(--wb-line-strong); border-radius: 4px; opacity: 0; pointer-events: none; }
.wb-keys:focus { opacity: 1; pointer-events: auto; outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.wb-view .wb-all { display: block; margin: 6px auto 2px; padding: 0 10px; min-height: 24px; border: 1px solid var(--wb-line-strong);
  border-radius: 4px; pointer-events: auto; }
.wb-undefined { background: repeating-linear-gradient(135deg, var(--wb-line) 0 1px, transparent 1px 6px); }
.wb-view .wb-grid th button, .wb-view .wb-grid td button { width: 100%; height: 100%; overflow: hidden; text-overflow: ellipsis; }
.wb-view .wb-cell[data-empty], .wb-view .wb-grid button[data-empty] { cursor: default; }
`;
