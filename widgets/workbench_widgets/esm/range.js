// ---- a range of steps, dragged over the curves ----------------------------------------------------------------

// The map shows its change over it; the curves shade it. Where the page holds no range there is none.
class StepRange {
  constructor(view) {
    this.view = view;
    this.band = h("div", { class: "wb-range", hidden: true });
    view.middle.append(this.band);
    this.told = () => this.turn();
    view.model.on("change:range", this.told);
  }

  stop() {
    this.view.model.off?.("change:range", this.told);
  }

  get ends() {
    return this.view.model.get("range") ?? null;
  }

  // A new range turns the map to its change; one that is gone leaves it at the change since the start. Of one that
  // stood in an address the toggles stand there too.
  turn() {
    const { ends, view } = this;
    if (ends && !ends.opened && view.arrays.change) view.choose({ mode: "change", since: "range" });
    else if (!ends && view.model.get("toggles")?.since === "range") view.choose({ since: view.frame.state.since });
    else view.schedule(true);
  }

  // One base more: the last snapshot that is not beyond the range's beginning.
  apply(around) {
    const { arrays, facts, state } = around;
    if (state.since !== "range") return around;
    if (!this.ends || !arrays.change) return { ...around, state: { ...state, since: 0 } };
    const [bases, rows, columns] = arrays.change.shape;
    const steps = arrays.steps.data;
    const reached = steps.findLastIndex((step) => step <= this.ends.from);
    const place = Math.min(Math.max(reached, 0), steps.length - 2);
    const [size, now] = [rows * columns, arrays.unbiased.data];
    const before = arrays.history.data.subarray(place * size, (place + 1) * size);
    const change = Float32Array.from(now, (value, k) => value - before[k]);
    const more = (array, values) => {
      const data = new Float32Array(array.data.length + size);
      data.set(array.data);
      data.set(values, array.data.length);
      return { type: "f4", shape: [bases + 1, rows, columns], data, cut: new Map() };
    };
    return {
      ...around,
      arrays: { ...arrays, change: more(arrays.change, change), change_size: more(arrays.change_size, change.map(Math.abs)) },
      facts: { ...facts, cells_change: [...facts.cells_change, Array.from(change, changeCell)] },
      state: { ...state, since: bases },
      ranged: [steps[place], steps.at(-1)],
    };
  }

  // The toggle of bases with one more, where there is a range.
  controls(frame) {
    if (!this.ends || !this.view.arrays.change) return frame.controls;
    const range = { value: "range", label: "range", title: "over the range that was dragged on the curves; Escape clears it" };
    const own = frame.controls.some(({ name }) => name === "since");
    const controls = own ? frame.controls : [{ name: "since", show: { mode: "change" }, options: [{ value: 0, name: "start", label: "start" }] }, ...frame.controls];
    return controls.map((one) => (one.name === "since" ? { ...one, options: [...one.options, range] } : one));
  }

  note({ ranged }) {
    const text = ranged && [`Δ from step ${spaced(ranged[0])} to ${spaced(ranged[1])}; $much: a large change.`];
    return text ? [{ kind: "note", text }] : [];
  }

  // The shade over a plot of steps.
  draw(axes) {
    const { ends, band } = this;
    band.hidden = !ends || !axes;
    if (band.hidden) return;
    const [left, right] = [ends.from, ends.to].map((step) => axes.xaxis._offset + axes.xaxis.l2p(step));
    const { t, h: high } = axes._size;
    band.setAttribute("style", `left:${left.toFixed(1)}px;width:${(right - left).toFixed(1)}px;top:${t}px;height:${high}px`);
  }

  choose(range) {
    const [from, to] = range ? range.map((step) => Math.max(Math.round(step), 0)) : [null, null];
    if (range === null && !this.ends) return false;
    this.view.emit({ kind: "range", from, to });
    return true;
  }
}

// As similarity_map.py writes it.
function changeCell(value) {
  if (!Number.isFinite(value)) return "";
  if (Math.abs(value) < 0.005) return "0";
  return (value > 0 ? "+" : "−") + Math.abs(value).toFixed(2).replace(/^0/, "");
}
