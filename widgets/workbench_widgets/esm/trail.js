// ---- where a picked sample has stood --------------------------------------------------------------------------

// Asked for once a sample, where the page has an address for it; what comes live is appended.
class Trail {
  constructor(view) {
    Object.assign(this, { view, id: null, step: [], x: [], y: [] });
  }

  // Arrays of the frame, with the trail up to the step that is shown in place of the empty one.
  arrays(arrays, frame, picked) {
    if (!arrays.trail_x || !(picked >= 0) || !frame.ids) return arrays;
    const id = arrays[frame.ids].data[picked];
    if (id !== this.id) this.ask(id);
    if (frame.step > (this.step.at(-1) ?? Infinity))
      [["step", frame.step], ["x", arrays.x.data[picked]], ["y", arrays.y.data[picked]]].forEach(([name, value]) => this[name].push(value));
    const until = this.step.filter((step) => step <= frame.step).length;
    const cut = (name) => ({ type: "f4", shape: [until], data: Float32Array.from(this[name].slice(0, until)), cut: new Map() });
    return { ...arrays, trail_step: cut("step"), trail_x: cut("x"), trail_y: cut("y") };
  }

  async ask(id) {
    Object.assign(this, { id, step: [], x: [], y: [] });
    const url = this.view.model.get("trail_url");
    if (!url) return;
    try {
      const told = await (await fetch(`${url}&id=${id}`)).json();
      if (this.id !== id || this.view.stopped) return;
      Object.assign(this, told);
      this.view.schedule(true);
    } catch (error) {
      console.warn(`The trail of sample ${id} was not read: ${error.message}`); // the picked point is drawn all the same
    }
  }
}
