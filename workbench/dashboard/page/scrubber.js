// The bar under the views: looks back at any snapshot of the run. All of it happens in this browser; the server only
// sends what is not held yet. What is shown instead of the newest snapshot stands in `globalThis[SHOWN]`, and the event
// "workbench-shown" tells views, rail and notice; the address holds the step.

const SCRUBBER = `
.scrub { display: grid; grid-template-columns: 26px 118px minmax(0, 1fr) 118px; gap: 0 14px; align-items: center;
  height: 65px; padding: 0 12px; }
.root button.play { padding: 0; width: 26px; }
.play .icon { margin: 0; }
.where { white-space: nowrap; overflow: hidden; }
.line { position: relative; height: 65px; margin: 0 8px; }
.track { position: absolute; inset: 0 -8px; padding: 0 8px; cursor: pointer; touch-action: none; border-radius: 4px; }
.track:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: -2px; }
.room { position: relative; height: 100%; pointer-events: none; }
.room > * { position: absolute; }
.phase { top: 27px; height: 15px; padding: 0 4px; background: var(--wb-sunken); border-right: 2px solid var(--wb-surface);
  font-size: 11px; line-height: 15px; color: var(--wb-ink2); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.ticks { top: 42px; left: 0; width: 100%; height: 6px; overflow: visible; fill: none; stroke: var(--wb-ink); }
.ticks .to-come { stroke: var(--wb-line-strong); }
.number { top: 49px; font-size: 11px; line-height: 14px; color: var(--wb-ink3); transform: translateX(-50%); white-space: nowrap; }
.number.first { transform: translateX(-4px); }
.number.last { transform: translateX(calc(-100% + 4px)); }
.stem { top: 20px; width: 1px; height: 22px; margin-left: -.5px; background: var(--wb-ink); }
.head { top: 21px; width: 2px; height: 27px; margin-left: -1px; background: var(--wb-ink); }
.head::before { content: ""; position: absolute; left: -4px; top: -6px; width: 10px; height: 10px; border-radius: 50%;
  background: var(--wb-ink); box-sizing: border-box; }
.newest { top: 15px; width: 10px; height: 10px; margin-left: -5px; border-radius: 50%; box-sizing: border-box;
  border: 2px solid var(--wb-ink3); background: var(--wb-surface); }
.root button.flag { position: absolute; top: 4px; min-height: 16px; height: 16px; min-width: 16px; padding: 0 3px; border: 0;
  border-radius: 2px; transform: translateX(-50%); background: var(--wb-ink); color: var(--wb-surface); font-size: 11px;
  line-height: 16px; font-weight: 600; }
.root button.flag.many { transform: translateX(-8px); }
.root button.flag.blank { border: 1px solid var(--wb-ink3); line-height: 14px; background: var(--wb-surface); color: var(--wb-ink2); }
.state { text-align: right; }
.state .chip { display: inline-flex; align-items: center; height: 20px; padding: 0 9px; border: 1px solid var(--wb-ink);
  border-radius: 10px; font-weight: 600; white-space: nowrap; }
.root button.chip { min-height: 20px; }
@media (pointer: coarse) { .root button.chip { min-height: 32px; } }
@media (max-width: 1199px) { .scrub { grid-template-columns: 26px 104px minmax(0, 1fr) 116px; gap: 0 8px; } }
@media (max-width: 599px) { .scrub { grid-template-columns: 26px minmax(0, 1fr) 116px; } .where { display: none; } }
`;

const SHOWN = Symbol.for("workbench/shown");
const JUMP = "workbench-jump";
const NOTE_ROOM = 0.025; // share of the bar that a flag takes of a narrow page
const MARK_ROOM = 0.018; // and of a wide one
const BEAT_MS = 100; // between two snapshots that are played
const ADDRESS_MS = 500; // a browser ignores a page that rewrites its address more often than 200 times in 10 s
const AROUND_STEPS = 20; // read again together, once the page had to let go of them

const spaced = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u2009");
const nearestStep = (step, snapshots) => snapshots.findLast((known) => known <= step) ?? snapshots[0];

// What would lie on each other, as one flag at the first of them; a flag of several is `wide` times as wide.
function gathered(notes, room, wide = 1) {
  const groups = [];
  for (const note of [...notes].sort((a, b) => a.step - b.step)) {
    const taken = room * (groups.at(-1)?.length > 1 ? wide : 1);
    if (groups.length && note.step - groups.at(-1)[0].step < taken) groups.at(-1).push(note);
    else groups.push([note]);
  }
  return groups;
}

function scrubber(state, own) {
  if (!state.snapshots) return h("div", { class: "root" });
  const { snapshots, steps, active } = state;
  const newest = snapshots.at(-1);
  const shown = own.pin ?? newest ?? 0;
  const at = (step) => `left:${(100 * Math.min(step, steps)) / Math.max(steps, 1)}%`;
  const all = snapshots.length + state.to_come.length;
  const place = `${snapshots.indexOf(shown) + 1} of ${all}`;
  const where = own.trouble ?? (own.reading ? `reading ${own.reading.done} of ${own.reading.of}`
    : own.pin !== null ? `snapshot ${place}` : newest === undefined ? "no snapshot yet" : `= ${active ? "live" : "last"}, ${place}`);
  const spoken = newest === undefined ? "no snapshot yet"
    : `step ${spaced(shown)}, snapshot ${place}${own.pin === null && active ? ", live" : ""}`;
  const phases = state.phases.map(([name, from, to]) => h("span", { class: "phase",
    style: `${at(from)};width:${(100 * (to - from)) / Math.max(steps, 1)}%` }, name));
  const ticks = (list, which) => h("path", { class: which, "vector-effect": "non-scaling-stroke", "shape-rendering": "crispEdges",
    d: list.map((step) => `M${((1e4 * Math.min(step, steps)) / Math.max(steps, 1)).toFixed(1)} 0v6`).join("") });
  const numbers = state.ticks.map(([step, text], k) => h("span", { class: `number${k ? (step >= steps ? " last" : "") : " first"}`, style: at(step) },
    k ? text : `step ${text}`));
  const room = Math.max(steps, 1) * (globalThis.innerWidth < 1200 ? NOTE_ROOM : MARK_ROOM);
  const flags = gathered(state.marks, room, 2.4).map(([mark, ...more]) => h("button", { type: "button", class: `flag${more.length ? " many" : ""}`, tabindex: -1,
    style: at(mark.step), "data-do": "jump", "data-step": mark.step, title: [mark, ...more].map((one) => `${one.text}, at step ${spaced(one.step)}`).join("\n"),
    "aria-label": more.length ? `Marks ${mark.number} to ${more.at(-1).number}, the first: ${mark.text}` : `Mark ${mark.number}: ${mark.text}` },
    more.length ? `${mark.number}–${more.at(-1).number}` : mark.number));
  const notes = gathered(state.notes, Math.max(steps, 1) * NOTE_ROOM).map(([note, ...more]) => h("button", { type: "button", class: "flag blank", tabindex: -1,
    style: at(note.step), "data-do": "jump", "data-step": note.step, title: [note, ...more].map((one) => `“${one.text}”, at step ${spaced(one.step)}`).join("\n"),
    "aria-label": more.length ? `${more.length + 1} notes, the first: ${note.text}` : `Note: ${note.text}` }, "✎"));
  return h("div", { class: "root scrub", "data-snapshots": snapshots.length, "data-held": kept.bytes },
    h("button", { type: "button", class: "play", "data-do": "play", "aria-label": own.playing ? "Stop playing" : "Play the snapshots",
      title: "Play 10 snapshots a second (Space)", disabled: snapshots.length < 2 }, icon(own.playing ? "❚❚" : "▶")),
    h("div", { class: "where" }, h("div", {}, "shown: step ", h("b", {}, newest === undefined ? "–" : spaced(shown))),
      h("div", { class: "small ink2", title: own.trouble }, where)),
    h("div", { class: "line" },
      h("div", { class: "track", role: "slider", tabindex: 0, "aria-label": "Snapshot", "aria-valuemin": 0, "aria-valuemax": steps,
        "aria-valuenow": shown, "aria-valuetext": spoken, "aria-keyshortcuts": "L Space" },
        h("div", { class: "room" }, phases, h("svg", { class: "ticks", viewBox: "0 0 10000 6", preserveAspectRatio: "none" },
          ticks(state.to_come, "to-come"), ticks(snapshots, "taken")), numbers, state.marks.map((mark) => h("i", { class: "stem", style: at(mark.step) })),
          own.pin === null ? null : h("i", { class: "newest", style: at(newest) }),
          newest === undefined ? null : h("i", { class: "head", style: at(shown) }))),
      notes, flags),
    h("div", { class: "state" }, own.pin !== null ? h("button", { type: "button", class: "chip", "data-do": "live", title: "Key L" }, "Back to live")
      : h("span", { class: "chip" }, icon("✓"), active ? "Following live" : "Last snapshot")));
}

// The strip under the top bar while somebody looks back; `past` is what stands in SHOWN.
function lookingBack(past) {
  if (!past || (past.step === null && !past.words)) return null;
  const head = past.step === null ? "" : `You see step ${spaced(past.step)} of ${spaced(past.steps)}; ${past.goes}.`;
  const knobs = past.active && past.step !== null ? "Controls act on the live run." : "";
  return h("div", { class: "notice quiet past", role: "note" }, icon("◷"),
    h("div", {}, h("b", {}, head), " ", h("span", { class: "ink2" }, [past.words, knobs].filter(Boolean).join(" "))));
}

class Scrubber {
  constructor(el, own, draw) {
    Object.assign(this, { el, own, draw, filling: false, touched: false, from: null, wrote: 0, due: 0 });
    own.pin = null;
    own.words = "";
    this.asked = new Set(); // steps that were asked for among all others
    this.gone = new Set(); // steps whose files are not there any more
    el.addEventListener("pointerdown", (event) => this.press(event));
    el.addEventListener("keydown", (event) => this.key(event));
    el.addEventListener("keyup", () => !this.own.playing && this.commit());
    addEventListener(JUMP, ({ detail }) => this.jump(detail));
    addEventListener("popstate", () => this.follow());
    addEventListener(TURNED, () => this.reread());
    addEventListener("workbench-kept", () => this.show()); // a piece of what is held is another now
    addEventListener("keydown", (event) => {
      const typing = event.composedPath()[0].closest?.("input, textarea, select");
      if (event.key.toLowerCase() === "l" && !typing && !(event.ctrlKey || event.metaKey || event.altKey)) this.live();
    });
  }

  get snapshots() {
    return (this.own.state.snapshots ?? []).filter((step) => !this.gone.has(step));
  }

  get shown() {
    return this.own.pin ?? this.snapshots.at(-1);
  }

  // The server has told something new.
  told() {
    const { own } = this;
    const { state } = own;
    const { run, asked } = state;
    if (!run) return;
    state.snapshots = this.snapshots;
    if (kept.renew(state.beside)) this.reread();
    if (this.run !== run) {
      this.run = run;
      if (asked) {
        this.go(asked.step, { hold: state.active, words: asked.words });
        this.write(true);
      }
    } else if (own.pin !== null && !this.snapshots.includes(own.pin)) this.go(own.pin);
    else if (own.pin !== null && this.goes !== state.goes) this.show();
    this.goes = state.goes;
  }

  // To the snapshot at a step or the nearest below; the newest is live, unless it is to be held.
  go(step, { hold = false, words = "" } = {}) {
    const { own, snapshots } = this;
    const to = step === null || !snapshots.length ? null : nearestStep(step, snapshots);
    own.pin = to === snapshots.at(-1) && !hold ? null : to;
    own.words = words;
    this.write();
    this.show();
  }

  live() {
    if (this.own.pin === null && !this.own.words) return;
    this.own.playing = false;
    this.begin();
    this.go(null);
    this.commit();
  }

  jump(step) {
    this.own.playing = false;
    this.touch();
    this.begin();
    this.go(step);
    this.commit();
  }

  // Newest wins: any number of moves lead to one picture in the next frame.
  show() {
    this.due ||= requestAnimationFrame(() => {
      this.due = 0;
      this.announce();
      this.draw();
    });
  }

  announce() {
    const { own } = this;
    const { steps, goes, active } = own.state;
    const { pin, words } = own;
    if (pin !== null && !kept.has(pin)) return void this.fill(); // what is shown stays until it is here
    const one = pin === null ? null : kept.held.get(pin);
    globalThis[SHOWN] = { step: pin, steps, goes, active, words, pull: one?.pull ?? null, of: (view) => one?.views[view]?.() ?? null };
    dispatchEvent(new Event("workbench-shown"));
  }

  // ---- what is not held yet

  // Another selection: what was held is of other samples.
  reread() {
    this.asked.clear();
    this.show();
    if (this.touched) this.fill();
  }

  touch() {
    this.touched = true;
    this.fill();
  }

  missing() {
    const lacks = this.snapshots.filter((step) => !kept.has(step));
    const { pin } = this.own;
    if (pin !== null && lacks.includes(pin)) {
      if (!this.asked.has(pin)) return [pin]; // what is looked at comes first
      return lacks.sort((a, b) => Math.abs(a - pin) - Math.abs(b - pin)).slice(0, AROUND_STEPS).sort((a, b) => a - b);
    }
    return this.touched ? lacks.filter((step) => !this.asked.has(step)) : [];
  }

  async fill() {
    if (this.filling) return;
    this.filling = true;
    try {
      for (let steps = this.missing(); steps.length; steps = this.missing()) await this.read(steps);
      this.own.trouble = null;
    } catch (error) {
      this.own.trouble = `Not read: ${error.message}`;
    } finally {
      this.filling = false;
      this.own.reading = null;
      this.draw();
    }
  }

  async read(steps) {
    const { own } = this;
    const { of, age } = kept;
    own.reading = { done: 0, of: steps.length };
    steps.forEach((step) => this.asked.add(step));
    const came = new Set();
    await readSnapshots(this.run, steps, (step) => {
      came.add(step);
      own.reading.done += 1;
      kept.trim(this.shown);
      if (step === own.pin) this.show();
      else this.draw();
    });
    if (kept.of !== of || kept.age !== age) return;
    for (const step of steps) if (!came.has(step)) this.gone.add(step);
    if (own.pin !== null && this.gone.has(own.pin))
      this.go(own.pin, { words: `The snapshot of step ${spaced(own.pin)} is gone from the disk; this is the nearest.` });
  }

  // ---- the address: written over while something moves, one entry once it rests

  link() {
    const { pin } = this.own;
    const view = new URLSearchParams(location.search).get("view"); // of a view-only link: it stays one
    const run = `?run=${encodeURIComponent(this.run)}${view === null ? "" : `&view=${encodeURIComponent(view)}`}`;
    const query = withToggles(withSelection(`${run}${pin === null ? "" : `&step=${pin}`}`));
    return withOpened(query, this.own.state.active);
  }

  begin() {
    this.from ??= location.search;
  }

  write(now = false) {
    if (!now && (this.from === null || performance.now() - this.wrote < ADDRESS_MS)) return;
    this.wrote = performance.now();
    if (location.search !== this.link()) history.replaceState(null, "", this.link());
  }

  commit() {
    const { from } = this;
    this.from = null;
    if (from === null || from === this.link()) return void (from !== null && this.write(true));
    if (location.search !== from) history.replaceState(null, "", from);
    history.pushState(null, "", this.link());
  }

  // Back and Forward.
  follow() {
    const place = new URLSearchParams(location.search);
    if (place.get("run") !== this.run) return; // another page: parts.js loads it
    this.own.playing = false;
    this.from = null;
    const step = place.get("step");
    this.go(step === null ? null : Number(step), { hold: step !== null });
  }

  // ---- what a person does

  press(event) {
    const track = event.target.closest?.(".track");
    if (!track || event.button !== 0 || !this.snapshots.length) return;
    event.preventDefault();
    track.focus({ focusVisible: false });
    track.setPointerCapture(event.pointerId);
    this.own.playing = false;
    this.begin();
    this.touch();
    const { left, width } = track.querySelector(".room").getBoundingClientRect();
    const move = ({ clientX }) => {
      const step = ((clientX - left) / width) * this.own.state.steps;
      const near = this.snapshots.reduce((a, b) => (Math.abs(b - step) < Math.abs(a - step) ? b : a));
      if (near !== this.shown) this.go(near);
    };
    const up = () => {
      for (const name of ["pointerup", "pointercancel"]) track.removeEventListener(name, up);
      track.removeEventListener("pointermove", move);
      this.commit();
    };
    track.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) track.addEventListener(name, up);
    move(event);
  }

  key(event) {
    if (!event.target.closest?.(".track") || event.ctrlKey || event.metaKey || event.altKey || !this.snapshots.length) return;
    const way = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (event.key === " ") this.play();
    else if (way || event.key === "Home" || event.key === "End") {
      this.own.playing = false;
      this.begin();
      this.touch();
      const { snapshots } = this;
      if (event.key === "Home") this.go(snapshots[0]);
      else if (event.key === "End") this.go(null);
      else this.go(event.shiftKey ? this.mark(way) : snapshots[snapshots.indexOf(this.shown) + way] ?? this.shown);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // The snapshot of the next mark that way; where there is none, the one that is shown.
  mark(way) {
    const places = this.own.state.marks.map(({ step }) => nearestStep(step, this.snapshots));
    const beyond = places.filter((step) => way * (step - this.shown) > 0);
    return beyond.length ? (way > 0 ? Math.min(...beyond) : Math.max(...beyond)) : this.shown;
  }

  play() {
    const { own } = this;
    if (own.playing) return this.pause();
    this.begin();
    this.touch();
    own.playing = true;
    if (own.pin === null) this.go(this.snapshots[0]);
    let next = performance.now() + BEAT_MS;
    const beat = (now) => {
      if (!own.playing) return;
      const to = this.snapshots[this.snapshots.indexOf(this.shown) + 1];
      if (now >= next && (kept.has(to) || own.pin === null)) {
        next = Math.max(next + BEAT_MS, now); // late: one picture less, not two at once
        this.go(to ?? null);
        if (own.pin === null) return this.pause();
      }
      requestAnimationFrame(beat);
    };
    requestAnimationFrame(beat);
    return this.draw();
  }

  pause() {
    this.own.playing = false;
    this.commit();
    this.draw();
  }
}
