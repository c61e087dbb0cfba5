// ---- the bar over the views of a cell: which snapshot they show, and the way back to the newest ----------------
// Only what a person does is sent. A slider that answers what it is told too (ipywidgets' does when its options change)
// would turn a run that is followed back to a step of long ago.

const STEPS_CSS = `
.wb-steps { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 12px; min-height: 36px; padding: 3px 2px 0; color: var(--wb-ink);
  font: 12px/16px ${TABLES.font}; font-variant-numeric: tabular-nums; }
.wb-steps label { white-space: nowrap; }
.wb-steps b { display: inline-block; box-sizing: content-box; padding: 0 1px; text-align: right; }
.wb-steps[data-waits] b { outline: 1px dashed var(--wb-ink2); border-radius: 2px; }
.wb-steps .wb-track { position: relative; flex: 1 1 160px; max-width: 420px; min-width: 160px; height: 28px; }
.wb-steps input { position: absolute; inset: 0 -7px auto; width: calc(100% + 14px); height: 20px; margin: 0;
  accent-color: var(--wb-ink); cursor: pointer; }
.wb-steps input:disabled { cursor: default; }
.wb-steps svg { position: absolute; left: 0; bottom: 0; width: 100%; height: 6px; overflow: visible; fill: none;
  stroke: var(--wb-ink3); pointer-events: none; }
.wb-steps button { height: 26px; padding: 0 10px; border: 1px solid var(--wb-line-strong); border-radius: 4px;
  background: var(--wb-surface); color: inherit; font: inherit; cursor: pointer; }
.wb-steps button:disabled { color: var(--wb-ink3); border-color: var(--wb-line); cursor: default; }
.wb-steps :is(input, button):focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.wb-steps .wb-goes { min-width: 18ch; color: var(--wb-ink2); }
`;
const ANSWER_MS = 1000; // without an answer for this long, the bar says what it waits for
const STEP_TRAITS = ["steps", "shown", "total", "live", "words", "theme", "answered"];
const WAITS = "waits for the kernel";
const WHY = "The kernel runs a cell, or has ended. It turns to the step as soon as it can.";
const ENDED = "its kernel has ended";
const ANEW = "Run the cell again for live views. A run that trains goes on by itself.";

class StepBar {
  constructor(model, el) {
    Object.assign(this, { model, el, held: false, wanted: null, ended: false });
    this.input = h("input", { type: "range", min: 0, step: "any", "aria-label": "Snapshot" });
    this.number = h("b");
    this.end = h("span");
    this.ticks = h("svg", { viewBox: "0 0 10000 6", preserveAspectRatio: "none", "aria-hidden": "true" }, h("path", { "vector-effect": "non-scaling-stroke" }));
    this.newest = h("button", { type: "button", title: "Show the newest snapshot and follow the run" }, "Newest");
    this.words = h("span", { class: "wb-goes" });
    const line = h("div", { class: "wb-track" }, this.input, this.ticks);
    this.root = h("div", { class: "wb-steps" }, h("label", {}, "Step ", this.number, " ", this.end), line, this.newest, this.words);
    el.append(h("style", {}, STEPS_CSS), this.root);
    this.draw = () => this.told();
    for (const name of STEP_TRAITS) model.on(`change:${name}`, this.draw);
    this.onEnd = () => {
      this.ended = true; // a notebook's model says it once its kernel has gone
      this.told();
    };
    model.on("comm_live_update", this.onEnd);
    this.unwatch = watchTheme(this.draw);
    this.input.addEventListener("pointerdown", () => (this.held = true));
    this.release = () => {
      this.held = false;
      this.told();
    };
    for (const name of ["pointerup", "pointercancel"]) addEventListener(name, this.release);
    this.input.addEventListener("input", () => this.ask(this.near(Number(this.input.value))));
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.newest.onclick = () => this.ask(null);
    this.told();
  }

  stop() {
    for (const name of STEP_TRAITS) this.model.off?.(`change:${name}`, this.draw);
    this.model.off?.("comm_live_update", this.onEnd);
    for (const name of ["pointerup", "pointercancel"]) removeEventListener(name, this.release);
    clearTimeout(this.patience);
    this.unwatch();
  }

  near(step) {
    return this.model.get("steps").reduce((a, b) => (Math.abs(b - step) < Math.abs(a - step) ? b : a));
  }

  // The newest is asked for as null: from there on the run is followed again.
  ask(step) {
    this.count = (this.model.get("asked")?.count ?? 0) + 1; // goes on where a page that was closed has stopped
    const steps = this.model.get("steps");
    this.wanted = step ?? steps.at(-1);
    this.write(this.wanted);
    clearTimeout(this.patience);
    this.patience = setTimeout(() => this.told(), ANSWER_MS);
    this.since = performance.now();
    this.model.set("asked", { step: step === steps.at(-1) ? null : step, count: this.count });
    this.model.save_changes();
  }

  // A key goes to the next snapshot, not to the next step.
  key(event) {
    const steps = this.model.get("steps");
    const at = steps.indexOf(this.wanted ?? this.model.get("shown"));
    const way = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: steps.length - 1 }[event.key];
    if (way === undefined || !steps.length || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab moves between cells with the same keys
    this.ask(steps[Math.min(Math.max(way, 0), steps.length - 1)]);
  }

  write(step) {
    const steps = this.model.get("steps");
    if (!this.held) this.input.value = step;
    this.number.textContent = steps.length ? spaced(step) : "–";
    const place = `step ${step}, snapshot ${steps.indexOf(step) + 1} of ${steps.length}`;
    this.input.setAttribute("aria-valuetext", steps.length ? place : "no snapshot yet");
  }

  told() {
    const [steps, shown, total, live] = ["steps", "shown", "total", "live"].map((name) => this.model.get(name));
    const tokens = TABLES.tokens[themeOf(this.model, this.el)];
    for (const name of ["ink", "ink2", "ink3", "line", "line_strong", "surface"])
      this.root.style.setProperty(`--wb-${name.replaceAll("_", "-")}`, tokens[name]);
    this.root.style.colorScheme = tokens.much === "Dark" ? "light" : "dark";
    this.input.max = Math.max(total, 1);
    this.input.disabled = steps.length < 2 || this.ended;
    const at = (step) => ((1e4 * Math.min(step, total)) / Math.max(total, 1)).toFixed(0);
    this.ticks.firstChild.setAttribute("d", steps.map((step) => `M${at(step)} 0v6`).join(""));
    if (this.wanted === shown || this.ended || this.count === this.model.get("answered")) this.wanted = null;
    this.newest.disabled = this.ended || (live && this.wanted === null); // what was asked for can be taken back before it is answered
    const waits = this.wanted !== null && performance.now() - this.since >= ANSWER_MS - 1;
    this.words.textContent = this.ended ? ENDED : waits ? WAITS : this.model.get("words");
    this.words.title = this.ended ? ANEW : waits ? WHY : "";
    this.end.textContent = total ? `of ${spaced(total)}` : ""; // not known before a run has prepared
    this.number.style.minWidth = `${spaced(total).length}ch`; // the bar keeps still as the number grows
    this.root.toggleAttribute("data-waits", waits);
    Object.assign(this.root.dataset, { shown, live });
    this.write(this.wanted ?? shown);
  }
}

export default {
  render({ model, el }) {
    const bar = new StepBar(model, el);
    return () => bar.stop();
  },
};
