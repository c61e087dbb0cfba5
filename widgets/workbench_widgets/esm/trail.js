// ---- where a picked sample has stood --------------------------------------------------------------------------

const TRAIL = "trail_"; // arrays of a frame that are its steps and its places, by each distance that is known

// Of the selected samples the one that was pressed, or the only one: a link that names one sample shows all of it.
const pickedOf = (selected, pressed) => (selected?.includes(pressed) ? pressed : selected?.length === 1 ? selected[0] : -1);

// Asked for once a sample, where the page has an address for it; what comes live is appended.
class Trail {
  constructor(view) {
    Object.assign(this, { view, id: null, told: { step: [] } });
  }

  // Arrays of the frame, with the trail up to the step that is shown in place of the empty one.
  arrays(arrays, frame, picked) {
    if (!arrays.trail_x || !(picked >= 0) || !frame.ids) return arrays;
    const id = arrays[frame.ids].data[picked];
    if (id !== this.id) this.ask(id);
    const names = Object.keys(arrays).filter((name) => name.startsWith(TRAIL)).map((name) => name.slice(TRAIL.length));
    const { told } = this;
    if (frame.step > (told.step.at(-1) ?? Infinity))
      for (const name of names) told[name]?.push(name === "step" ? frame.step : arrays[name].data[picked]);
    const until = told.step.filter((step) => step <= frame.step).length;
    const cut = (list) => ({ type: "f4", shape: [until], data: Float32Array.from({ length: until }, (_, k) => list?.[k] ?? NaN), cut: new Map() });
    return { ...arrays, ...Object.fromEntries(names.map((name) => [TRAIL + name, cut(told[name])])) };
  }

  async ask(id) {
    Object.assign(this, { id, told: { step: [] } });
    const url = this.view.model.get("trail_url");
    if (!url) return;
    try {
      const told = await (await fetch(`${url}&id=${id}`)).json();
      if (this.id !== id || this.view.stopped) return;
      this.told = told;
      this.view.schedule(true);
    } catch (error) {
      console.warn(`The trail of sample ${id} was not read: ${error.message}`); // the picked point is drawn all the same
    }
  }
}
