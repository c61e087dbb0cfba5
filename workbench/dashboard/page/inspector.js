// What the sample inspector holds and does. Answers come once a snapshot and pixels once a run, over plain HTTP: sorting
// and stepping need no server. Maps are asked for by a press, then follow the sample.

const SELECTED = "workbench-selected"; // {ids, how}: the page's one selection
const LOWER = "workbench-lower"; // which card stands at the lower right
const REST_MS = 300; // a sample is looked at for so long before its maps are asked for
const ORDER_MS = 2000; // between two orders of the thumbnails while the run goes on
const AGAIN_MS = 5000; // between two maps of one sample while the run goes on
const FIRST_CELL = ["neither", "teacher", "student", "both"]; // the first that holds a sample is shown
const ANSWERS_KEPT = 3; // snapshots whose answers are kept
const FIRST_QUESTION = { method: "integrated_gradients", target: "label" }; // by what, and for which class, maps are asked for

async function readPacked(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(answer.status === 404 ? "it is gone from the disk" : `the server answers ${answer.status}`);
  const whole = await answer.arrayBuffer();
  const start = 4 + new DataView(whole).getUint32(0, true);
  return { head: JSON.parse(new TextDecoder().decode(new Uint8Array(whole, 4, start - 4))), whole, start };
}

// The answers at one snapshot: {step, n, names, ids, labels, student_class, ..., at: id -> row}.
async function readAnswers(run, step) {
  const { head, whole, start } = await readPacked(`answers?run=${encodeURIComponent(run)}&step=${step}`);
  const found = { step, missing: head.missing, names: head.names, ratioNames: head.ratios ?? [] };
  let from = start;
  for (const [name, type, shape] of head.arrays) {
    const size = shape.reduce((a, b) => a * b, 1);
    found[name] = new (type === "f" ? Float32Array : Int32Array)(whole, from, size);
    from += 4 * size;
  }
  if (found.missing) return found;
  found.n = found.ids.length;
  found.width = found.student.length / Math.max(found.n, 1);
  found.at = new Map(Array.from(found.ids, (id, row) => [id, row]));
  return found;
}

async function readSheet(run, ids = []) {
  const { head, whole, start } = await readPacked(`pictures?run=${encodeURIComponent(run)}${ids.length ? `&samples=${ids}` : ""}`);
  if (head.state !== "done") return { trouble: head.words ?? "Nobody waits for the pictures any more." };
  const values = head.kind === "row" ? new Float32Array(whole, start) : new Uint8Array(whole, start);
  const each = head.shape.slice(1).reduce((a, b) => a * b, 1);
  const dark = values.reduce((sum, value) => sum + (value < 26), 0) / Math.max(values.length, 1);
  // Strokes on an empty ground are drawn as ink on paper, whatever the theme; a photograph as it is.
  const strokes = head.kind === "image" && head.shape[1] === 1 && dark > 0.4;
  return { ...head, values, each, strokes, at: new Map(head.ids.map((id, row) => [id, row])), drawn: new Map() };
}

// Ids of a cell or of the selection, the student surest of its answer first.
function surestFirst(answers, cell, selected) {
  const chosen = cell === "selected" ? new Set(selected.ids) : null;
  const fits = chosen ? (row) => chosen.has(answers.ids[row])
    : (row) => CELLS[cell][2](answers.student_class[row] === answers.labels[row], answers.teacher_class[row] === answers.labels[row]);
  const sure = (row) => Math.max(...answers.student.subarray(row * answers.width, (row + 1) * answers.width)) || 0;
  return Array.from(answers.ids, (_, row) => row).filter(fits).map((row) => [sure(row), answers.ids[row]])
    .sort((a, b) => b[0] - a[0] || a[1] - b[1]).map(([, id]) => id);
}

class Looking {
  constructor(el, own, tell, draw) {
    Object.assign(this, { el, own, tell, draw, reading: false, timer: 0, ended: null, free: true }); // free: nobody has chosen a cell
    own.look = { cell: "neither", selected: null, sample: null, answers: null, sheet: null, order: null, ...FIRST_QUESTION, following: false };
    this.held = new Map();
    el.addEventListener("click", (event) => this.press(event));
    el.addEventListener("change", (event) => this.choose(event));
    el.addEventListener("keydown", (event) => this.arrow(event));
    addEventListener("keydown", (event) => this.letter(event));
    addEventListener("workbench-shown", () => this.look());
    addEventListener(SELECTED, ({ detail }) => this.select(detail));
    addEventListener(LOWER, () => this.look());
    addEventListener(OPEN, () => {
      this.begin();
      this.settle();
    });
    this.begin();
    new MutationObserver(() => {
      this.own.look.sheet?.drawn?.clear();
      this.draw();
    }).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  get step() {
    return globalThis[SHOWN]?.step ?? this.own.state.newest;
  }

  // The server has told something new.
  told() {
    const { state, look } = this.own;
    if (!state.run) return;
    const ends = this.ended === false && !state.active && !look.selected;
    if (ends) looked.lower = null;
    if (ends || (this.ended === null && !state.active)) showLower(looked.lower ?? "result");
    this.ended = !state.active;
    const said = JSON.stringify(state.selection ?? null);
    if (this.said !== said && (this.said !== undefined || state.selection)) this.select(state.selection ?? { ids: [], how: "" });
    this.said = said;
    this.look();
  }

  // Reads what is not here yet; one thing at a time, and only while somebody can see it.
  async look() {
    const { state, look } = this.own;
    if (this.reading || !state.run || state.waits || document.documentElement.dataset.lower !== "samples") return;
    this.reading = true;
    try {
      while (this.step !== null && look.answers?.step !== this.step) await this.take(this.step);
      look.trouble = null;
      if (!look.sheet) {
        this.settle();
        look.sheet = await readSheet(state.run);
      }
    } catch (error) {
      look.trouble = error.message;
    } finally {
      this.reading = false;
    }
    this.settle();
  }

  async take(step) {
    const { state, look } = this.own;
    const found = this.held.get(step) ?? (await readAnswers(state.run, step));
    this.held.delete(step);
    this.held.set(step, found);
    if (this.held.size > ANSWERS_KEPT) this.held.delete(this.held.keys().next().value);
    look.answers = found;
  }

  // Order, sample and maps follow what is held.
  settle() {
    const { look } = this.own;
    const { answers } = look;
    if (answers && !answers.missing) {
      if (this.free) look.cell = FIRST_CELL.find((cell) => surestFirst(answers, cell).length) ?? FIRST_CELL[0];
      const key = `${look.cell} ${globalThis[SHOWN]?.step ?? "live"} ${look.cell === "selected" ? look.selected.ids : ""}`;
      if (key !== this.key || performance.now() - this.orderedAt > ORDER_MS) {
        look.order = surestFirst(answers, look.cell, look.selected);
        [this.key, this.orderedAt] = [key, performance.now()];
      }
      this.free &&= !look.order.length;
      look.sample ??= look.order[0] ?? null; // a sample that was looked at stays, wherever it belongs now
    }
    this.draw();
    this.follow();
  }

  go(sample) {
    const { look } = this.own;
    look.sample = sample;
    lookedAt({ cell: look.cell === "selected" ? null : look.cell, sample });
    this.settle();
  }

  // Cell, sample and question that a person or an address named, else the page's own choice.
  begin() {
    const { look } = this.own;
    for (const [name, first] of Object.entries(FIRST_QUESTION)) look[name] = looked[name] ?? first;
    look.cell = looked.cell ?? (look.selected ? "selected" : "neither");
    look.sample = looked.sample;
    this.free = !look.selected && !looked.cell;
  }

  step_by(way) {
    const { order, sample } = this.own.look;
    if (!order?.length) return;
    const place = order.indexOf(sample);
    this.go(order[place < 0 ? 0 : Math.min(Math.max(place + way, 0), order.length - 1)]);
  }

  select({ ids, how }) {
    const { look } = this.own;
    const list = [...(ids ?? [])];
    if (String(list) === String(look.selected?.ids ?? [])) return; // browser and server tell the same
    look.selected = list.length ? { ids: list, how: String(how ?? "") } : null;
    this.begin();
    if (look.selected) showLower(looked.lower ?? "samples");
    this.settle();
  }

  // ---- maps

  follow() {
    const { look, state } = this.own;
    if (!look.following || look.sample === null || look.trouble || this.step === null) return;
    const about = `${look.sample} ${look.method} ${look.target}`;
    const same = this.about === about;
    const busy = ["waits", "working"].includes(state.maps?.state);
    if (same && (this.askedStep === this.step || busy || (state.active && performance.now() - this.askedAt < AGAIN_MS))) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.explain(), REST_MS);
  }

  explain() {
    const { sample, method, target } = this.own.look;
    Object.assign(this, { about: `${sample} ${method} ${target}`, askedStep: this.step, askedAt: performance.now() });
    this.own.look.following = true;
    this.tell({ do: "explain", sample, step: this.step, method, target });
  }

  // ---- what a person does

  press(event) {
    const pressed = event.target.closest?.("button[data-pick]");
    if (!pressed) return;
    const { pick, cell, id } = pressed.dataset;
    const { look } = this.own;
    if (pick === "sample") this.go(Number(id));
    else if (pick === "explain") this.explain();
    else if (pick === "reread") {
      look.sheet = null;
      this.look();
    }
    else if (pick === "unexplain") {
      look.following = false;
      this.tell({ do: "unexplain" });
    } else if (pick === "cell") {
      look.cell = cell;
      look.sample = null;
      this.free = false;
      lookedAt({ cell: cell === "selected" ? null : cell, sample: null });
      this.settle();
    }
  }

  choose(event) {
    const { pick } = event.target.dataset ?? {};
    if (pick !== "target" && pick !== "method") return;
    const { value } = event.target;
    this.own.look[pick] = value;
    lookedAt({ [pick]: value === FIRST_QUESTION[pick] ? null : value });
    this.settle();
  }

  arrow(event) {
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!way || !event.target.closest?.(".strip-of")) return;
    event.preventDefault();
    event.stopPropagation();
    this.step_by(way);
    this.el.querySelector('.strip-of [aria-current="true"]')?.focus();
  }

  letter(event) {
    const way = { j: 1, k: -1 }[event.key.toLowerCase()];
    const typing = event.composedPath()[0].closest?.("input, textarea, select");
    if (!way || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.documentElement.dataset.mode === "run" && document.documentElement.dataset.lower === "samples") this.step_by(way);
  }
}

// Which of the two cards stands at the lower right; of a tab that was pressed the focus goes along.
function showLower(name, focus = false) {
  const page = document.documentElement;
  if (page.dataset.lower === name) return;
  page.dataset.lower = name;
  dispatchEvent(new CustomEvent(LOWER, { detail: { name, focus } }));
}

function followLower(el, kind) {
  addEventListener(LOWER, ({ detail: { name, focus } }) => {
    if (focus && name === kind) el.querySelector('[data-do="lower"][aria-selected="true"]')?.focus();
  });
}
