// The snapshots that this page holds, so that it looks back without the server: as bytes, parsed when they are drawn.
// What comes while the page is open is kept as it came; older ones are asked for once, see scrubber.py.

const KEPT_BYTES = 64 * 2 ** 20; // beyond it those farthest from what is shown are let go
const MOST_ASIDES = 60; // maps of selected samples, some kilobytes each
const PAST_VIEWS = ["cka", "trilateral", "calibration", "loyalty"];

// Step -> {views: {view: () => ({frame, buffers})}, pull, bytes}.
const kept = {
  of: "", // the selection that they are of, as text: see selection.js
  held: new Map(),
  asides: new Map(), // step -> () => ({frame, buffers}) of the map of selected samples, which no snapshot has
  bytes: 0,
  beside: null, // snapshots of the control that they were made with
  age: 0,
  has(step) {
    const one = this.held.get(step);
    return Boolean(one?.pull) && PAST_VIEWS.every((view) => one.views[view]);
  },
  put(step, views, pull, bytes) {
    const one = this.held.get(step) ?? { views: {}, pull: null, bytes: 0 };
    Object.assign(one.views, views, this.asides.has(step) && { cka: this.asides.get(step) });
    one.pull = pull ?? one.pull;
    one.bytes += bytes;
    this.bytes += bytes;
    this.held.set(step, one);
  },
  turn(of) {
    if (this.of === of) return;
    Object.assign(this, { of, bytes: 0 });
    this.held.clear();
    this.asides.clear();
  },
  // The control has come since; whether anything was let go.
  renew(beside) {
    const stale = this.beside !== null && this.beside !== beside;
    this.beside = beside;
    if (!stale) return false;
    Object.assign(this, { bytes: 0, age: this.age + 1 });
    this.held.clear();
    return true;
  },
  trim(around) {
    while (this.bytes > KEPT_BYTES && this.held.size > 1) {
      const steps = [...this.held.keys()];
      const far = steps.reduce((a, b) => (Math.abs(b - around) > Math.abs(a - around) ? b : a));
      this.bytes -= this.held.get(far).bytes;
      this.held.delete(far);
    }
  },
};

addEventListener("workbench-came", ({ detail: { view, step, selection, bytes, open } }) => {
  if (step < 0 || (selection ?? "") !== kept.of || !PAST_VIEWS.includes(view) || kept.held.get(step)?.views[view]) return;
  kept.put(step, { [view]: open }, null, bytes);
});

// The map of the selected samples for the step that is shown: asked for when a reader rests there, see layers.js.
addEventListener("workbench-aside", ({ detail: { view, step, selection, open } }) => {
  if ((selection ?? "") !== kept.of || !kept.of) return;
  kept.asides.set(step, open);
  if (kept.asides.size > MOST_ASIDES) kept.asides.delete(kept.asides.keys().next().value);
  const one = kept.held.get(step);
  if (!one?.views[view]) return;
  one.views[view] = open;
  dispatchEvent(new Event("workbench-kept"));
});

const parsed = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

// Asks for snapshots; `each(step)` is called when one is held.
async function readSnapshots(run, steps, each) {
  const { of, age } = kept;
  const answer = await fetch(withSelection(`snapshots?run=${encodeURIComponent(run)}&steps=${steps.join(",")}`));
  if (!answer.ok) throw new Error(`the server answers ${answer.status}`);
  const lines = new Map();
  const reader = answer.body.getReader();
  let rest = new Uint8Array(0);
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (kept.of !== of || kept.age !== age) return void reader.cancel(); // of other samples, or older: asked anew
    rest = joined(rest, part.value);
    for (let size = sizeOf(rest); rest.length >= 4 + size; size = sizeOf(rest)) {
      each(keep(lines, rest.slice(4, 4 + size)));
      rest = rest.subarray(4 + size);
    }
  }
  return undefined;
}

const sizeOf = (bytes) =>
  bytes.length < 4 ? Infinity : new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);

function joined(first, second) {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

// One message of `messages` in scrubber.py; the step that it holds.
function keep(lines, message) {
  let start = 4 + sizeOf(message);
  const { step, pieces } = parsed(message.subarray(4, start));
  const found = {};
  for (const [name, before, sent] of pieces) {
    found[name] = grown(lines, name, before, message.subarray(start, start + sent));
    start += sent;
  }
  const views = {};
  for (const view of PAST_VIEWS) {
    const piece = (name) => found[`${view}/${name}`];
    views[view] = () => {
      const frame = { ...parsed(piece("frame")), skeleton: parsed(piece("skeleton")) };
      return { frame, buffers: frame.arrays.map(({ name }) => piece(name)) };
    };
  }
  kept.put(step, views, parsed(found.pull), message.length);
  return step;
}

// What a piece is now that `fresh` follows the first `before` bytes of what it was. Histories only grow: all their
// lengths lie in one room.
function grown(lines, name, before, fresh) {
  if (!before) {
    lines.set(name, { room: fresh });
    return fresh;
  }
  const line = lines.get(name);
  const total = before + fresh.length;
  if (total > line.room.length) {
    const room = new Uint8Array(2 * total);
    room.set(line.room.subarray(0, before));
    line.room = room;
  }
  if (fresh.length) line.room.set(fresh, before);
  return line.room.subarray(0, total);
}
