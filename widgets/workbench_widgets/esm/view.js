// ---- one view -------------------------------------------------------------------------------------------------

class View {
  constructor(model, el) {
    this.model = model;
    this.el = el;
    this.arrays = {};
    this.chosen = {}; // what a person set: the picked sample; toggles and cursor stand in the model, see toggles.js
    this.keeper = rangeKeeper();
    this.hovering = this.pressed = this.busy = this.dirty = this.stopped = false;
    this.gone = new Promise((resolve) => (this.leave = resolve));
    this.build();
    this.listen();
    this.schedule();
  }

  build() {
    this.title = h("button", { class: "wb-title", type: "button", "aria-haspopup": "menu" });
    this.title.onclick = () => this.menu.toggle();
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
    this.el.append(h("style", {}, CSS + MENU_CSS + SELECTION_CSS), this.root);
    this.menu = new CardMenu(this);
    this.drag = new LabelDrag(this);
    this.trail = new Trail(this);
    this.range = new StepRange(this);
    this.chooser = new Chooser(this);
    this.standIn = new StandIn(this);
  }

  listen() {
    const { model } = this;
    this.onData = () => this.schedule(model.get("by_hand") === true); // who scrubs does not wait for a pointer
    this.onMarker = () => this.turned();
    model.on("change:marker", this.onMarker);
    this.onOwn = () => this.schedule(true);
    for (const name of ["rev", "frame", "buffers"]) model.on(`change:${name}`, this.onData);
    for (const name of ["selected", "theme", "height", "toggles"]) model.on(`change:${name}`, this.onOwn);
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
    for (const name of ["selected", "theme", "height", "toggles"]) this.model.off?.(`change:${name}`, this.onOwn);
    this.model.off?.("change:marker", this.onMarker);
    this.sizes.disconnect();
    this.menu.stop();
    this.range.stop();
    this.standIn.stop();
    this.alive?.();
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
      this.broken(error);
    } finally {
      this.busy = false;
    }
  }

  broken(error) {
    this.root.dataset.error = error.message;
    this.waitFor(`This view could not be drawn: ${error.message}`);
    console.error(error);
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
    this.count = (this.count ?? this.model.get("event")?.count ?? 0) + 1; // the same event twice must still be a change
    this.model.set("event", { ...event, count: this.count });
    this.model.save_changes();
  }

  choose(change) {
    this.chosen = { ...this.chosen, ...change };
    toggle(this, change);
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
    this.chosenIds = (model.get("selected")?.byteLength ?? 0) / 4;
    this.dress(frame, theme, tokens);
    const around = this.around(frame, tokens);
    this.write(frame, around);
    if (frame.skeleton) {
      const drawn = await this.picture(frame, around);
      if (!drawn) return; // no size yet: the observer will call again
    }
    this.alive ??= hidePicture(this.el, model);
    delete root.dataset.error;
    root.dataset.step = frame.step;
    root.dataset.rev = rev;
  }

  around(frame, tokens) {
    const state = { ...frame.state, ...toggled(this, frame), ...this.chosen, pairing: this.model.get("pairing") === true };
    for (const { name, options, of } of frame.controls) {
      const known = options ? options.some(({ value }) => value === state[name]) : state[name] < frame.facts[of].length;
      if (!known && state[name] !== "range") state[name] = frame.state[name]; // what this snapshot has not
    }
    for (const { state: name, count } of frame.cursor ? [frame.cursor.x, frame.cursor.y] : [])
      state[name] = Math.min(Math.max(state[name], 0), count - 1);
    if (frame.ids) state.picked = pickedOf(this.selected, state.picked);
    const { w, h: high } = this.box ?? (this.measure(), this.box);
    const size = { w, h: high, W: w, H: high };
    const selected = this.selected?.length <= RINGS ? this.selected : null;
    const { hold } = this.keeper;
    const arrays = this.trail.arrays(this.arrays, frame, state.picked);
    return this.range.apply({ tokens, arrays, facts: frame.facts, state, size, selected, hold });
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

  // Who looks back sees the numbers of that step: a run that says where they are kept, and one that names the step.
  textAt({ text, at }) {
    const step = this.model.get("marker") ?? null;
    if (!at || step === null) return text;
    if (at === "step") return `${text}, step ${spaced(step)}`;
    const [steps, values] = at.map((name) => this.arrays[name].data);
    return `${(values[steps.findLastIndex((known) => known <= step)] ?? NaN).toFixed(1)}\u00a0%`.replace("NaN", "–");
  }

  turned() {
    this.point();
    if (this.written) this.write(...this.written);
  }

  write(frame, around) {
    this.written = [frame, around];
    const { tokens } = around;
    const tools = { tokens, emit: (event) => this.emit(event), pick: (...given) => this.chooser.pick(...given), textOf: (run) => this.textAt(run) };
    if (this.title.textContent !== frame.title) this.title.textContent = frame.title;
    morph(this.controls, h("div", { class: "wb-controls" }, this.chip(frame), this.toggles(frame, around)));
    morph(this.read, h("div", { class: "wb-read" }, runs(frame.read.filter(({ show }) => holds(show, around)), tokens)));
    const shown = [...this.range.note(around), ...frame.parts.filter((part) => holds(part.show, around))];
    const plot = shown.findIndex((part) => part.kind === "plot");
    const made = (list) => h("div", {}, list.map((part) => PARTS[part.kind](part.filled ? fill(part, around) : part, tools)));
    morph(this.above, made(shown.slice(0, plot < 0 ? shown.length : plot)));
    morph(this.below, made(plot < 0 ? [] : shown.slice(plot + 1)));
    const others = this.chosenIds && frame.step >= 0 && !frame.facts.selected ? "all samples · " : null;
    const told = frame.footer.filter(({ show }) => holds(show, around));
    const footer = h("div", { class: "wb-footer" }, others, runs(told, tokens));
    footer.title = footer.textContent;
    morph(this.footer, footer);
    this.waitFor(frame.waiting, frame.facts.selected);
  }

  waitFor(sentence, selected = null) {
    this.note.hidden = !sentence;
    this.middle.classList.toggle("wb-undefined", Boolean(sentence && selected));
    const all = () => h("button", { class: "wb-all", type: "button", onclick: () => this.select(null) }, `Use all ${spaced(selected.of)}`);
    morph(this.note, h("div", { class: "wb-waiting", hidden: !sentence }, sentence ?? "", sentence && selected ? all() : null));
  }

  chip(frame) {
    const number = this.chosenIds || frame.facts.selected?.n;
    if (!number) return null;
    const clear = () => this.select(null);
    const title = `${this.model.get("how") || "selected"}; Escape or a press clears`;
    return h("button", { class: "wb-chip", type: "button", title, onclick: clear },
      `n = ${spaced(number)} `, frame.facts.pending ? [h("span", { class: "wb-long" }, frame.facts.pending), "… "] : h("span", { class: "wb-word" }, "selected "), "✕");
  }

  toggles(frame, around) {
    return this.range.controls(frame).filter(({ show }) => holds(show, around)).map(({ name, options, of, word }) => {
      if (of) return this.listed(name, word, frame.facts[of], around.state[name]);
      const buttons = options.map(({ value, lead, label, title }) => {
        const pressed = value === "range" ? Boolean(around.ranged) : around.state[name] === value;
        const onclick = () => this.choose({ [name]: value });
        const spoken = lead ? { "aria-label": `${lead}${label}` } : {}; // the lead gives way where there is no room
        const words = [lead ? h("span", { class: "wb-lead" }, lead) : null, label];
        return h("button", { type: "button", title, ...spoken, "aria-pressed": String(pressed), onclick }, words);
      });
      return h("div", { class: "wb-toggle", role: "group", "aria-label": name }, buttons);
    });
  }

  // A control of many values: their names in a list.
  listed(name, word, names, chosen) {
    const onchange = ({ target }) => this.choose({ [name]: target.selectedIndex });
    const made = Array.from(names, (one, k) => h("option", { value: k, selected: k === chosen }, one));
    return h("select", { class: "wb-list", "aria-label": word, onchange }, made);
  }

  async picture(frame, around) {
    await plotly(this.model, this.gone);
    const { width, height } = this.box;
    if (this.stopped || width < 40 || height < 40) return false;
    const margin = fill(frame.skeleton.layout.margin, around);
    around.size.W = Math.max(width - margin.l - margin.r, 1);
    around.size.H = Math.max(height - margin.t - margin.b, 1);
    this.keeper.settle(!this.hovering);
    const { data, layout } = fill(frame.skeleton, around);
    this.traces = data;
    await this.standIn.show(data, { ...layout, width, height, selections: [] });
    if (!this.plotted) this.wire();
    this.point();
    this.chooser.told();
    return true;
  }

  // The step that the other views show, as a line through a plot over steps; null while they follow the run.
  point() {
    const step = this.model.get("marker") ?? null;
    const axes = this.plotted && this.traces.some(({ meta }) => meta?.selects?.steps) ? this.plot._fullLayout : null;
    this.range.draw(axes);
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
    this.plot.on("plotly_click", (event) => this.click(event.points[0], event.event?.shiftKey));
    this.plot.on("plotly_clickannotation", ({ annotation }) =>
      annotation.name === "pair" ? this.propose() : this.emit({ kind: "mark", step: annotation.x }),
    );
    this.plot.on("plotly_selected", (event) => event && this.brush(event));
  }

  click(point, add = false) {
    const meta = point?.data?.meta;
    if (meta?.click) {
      const change = Object.entries(meta.click).map(([name, axis]) => [name, Math.round(point[axis])]);
      this.choose(Object.fromEntries(change));
    } else if (meta?.picks && this.chooser.ids) this.chooser.pick(meta.picks, point.pointIndex, { ...meta.event, index: point.pointIndex }, add);
    else if (meta?.event) this.emit({ ...meta.event, index: point.pointIndex });
  }

  // A range of steps; samples are selected by selection.js.
  brush(event) {
    const steps = this.traces.some(({ meta }) => meta?.selects?.steps);
    if (!steps || !event.range?.x) return; // Plotly tells of its own clearing too
    this.range.choose([Math.min(...event.range.x), Math.max(...event.range.x)]);
    this.schedule(true);
  }

  // Sample ids, rising. An ArrayBuffer: Panel drops other views silently. `event` says how they were chosen.
  select(ids, event = { kind: "select", how: "" }) {
    this.count = (this.count ?? this.model.get("event")?.count ?? 0) + 1;
    this.model.set("event", { ...event, count: this.count });
    this.model.set("selected", ids?.length ? Int32Array.from(ids).sort().buffer : null);
    this.model.save_changes();
    this.schedule(true);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || !this.frame) return;
    if (event.target.nodeName === "SELECT" && event.key !== "Escape") return; // letters and arrows are the list's
    const { cursor } = this.frame;
    const move = { ArrowLeft: ["x", -1], ArrowRight: ["x", 1], ArrowUp: ["y", 1], ArrowDown: ["y", -1] }[event.key];
    const state = { ...this.frame.state, ...toggled(this, this.frame), ...this.chosen };
    if (event.key === "Escape" && !this.menu.open && this.chosenIds) this.select(null);
    else if (event.key === "Escape" && !this.menu.open && this.range.choose(null)) this.schedule(true);
    else if (event.key === "Escape") this.menu.close();
    else if (event.key === "m" || event.key === "M") this.menu.toggle();
    else if (cursor && move) {
      const { state: name, count } = cursor[move[0]];
      this.choose({ [name]: Math.min(Math.max(state[name] + move[1], 0), count - 1) });
    } else if (this.proposes() && event.key.toLowerCase() === "p")
      this.propose();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // What the view offers for the cell under its cursor; nothing where nobody would hear of it, as in a notebook.
  proposes() {
    return this.model.get("pairing") === true ? this.frame?.cursor?.proposes : null;
  }

  propose() {
    const { cursor, state: first } = this.frame;
    const state = { ...first, ...toggled(this, this.frame), ...this.chosen };
    if (this.proposes()) this.emit({ kind: cursor.proposes, x: state[cursor.x.state], y: state[cursor.y.state] });
  }

  fullScreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.();
  }
}

// In a shadow root nothing of the page's CSS arrives, Plotly's neither: what it needs is here too.
