// ---- two layers paired on the map ----------------------------------------------------------------------------

const NEAR_PX = 8; // a press that moves less is a click on the map

// From the label of one network's layer to that of the other's, or to a cell of its row or column: "pair" is told.
class LabelDrag {
  constructor(view) {
    this.view = view;
    this.line = h("svg", { class: "wb-drag", "aria-hidden": "true" }, h("path", {}));
    this.line.style.display = "none";
    view.middle.append(this.line);
    view.plot.addEventListener("pointerdown", (event) => this.press(event));
    view.plot.addEventListener("pointermove", (event) => this.hint(event));
  }

  // Which layers lie under a point of the plot: `i` of the teacher, `j` of the student, and whether it is a label.
  under({ clientX, clientY }) {
    const { view } = this;
    if (view.proposes() !== "pair" || view.frame.step < 0 || !view.plotted) return null;
    const { left, top } = view.plot.getBoundingClientRect();
    const [x, y] = [clientX - left, clientY - top];
    const { xaxis, yaxis } = view.plot._fullLayout;
    const [across, down] = [x - xaxis._offset, y - yaxis._offset];
    const inside = { x: across >= 0 && across < xaxis._length, y: down >= 0 && down < yaxis._length };
    const j = inside.x ? Math.min(Math.max(Math.round(xaxis.p2l(across)), 0), view.frame.cursor.x.count - 1) : null;
    const i = inside.y ? Math.min(Math.max(Math.round(yaxis.p2l(down)), 0), view.frame.cursor.y.count - 1) : null;
    const below = down >= yaxis._length && down < yaxis._length + view.frame.facts.names_px[xaxis.tickangle ? 1 : 0];
    if (inside.y && across < 0) return { i, j: null, label: "i" };
    if (inside.x && below) return { i: null, j, label: "j" };
    return inside.x && inside.y ? { i, j, label: null } : null;
  }

  hint(event) {
    this.view.plot.classList.toggle("wb-grab", Boolean(this.under(event)?.label));
  }

  press(event) {
    const from = this.under(event);
    if (!from?.label || event.button !== 0) return;
    event.preventDefault();
    event.stopPropagation();
    const { view } = this;
    const { left, top } = view.plot.getBoundingClientRect();
    const begin = [event.clientX - left, event.clientY - top];
    view.plot.setPointerCapture(event.pointerId);
    const move = (at) => {
      const end = [at.clientX - left, at.clientY - top];
      if (Math.hypot(end[0] - begin[0], end[1] - begin[1]) < NEAR_PX) return;
      this.line.style.display = "";
      this.line.firstChild.setAttribute("d", `M${begin.join(" ")}L${end.join(" ")}`);
      this.line.firstChild.classList.toggle("ok", this.pair(from, this.under(at)) !== null);
    };
    const end = (at) => {
      view.plot.removeEventListener("pointermove", move);
      for (const name of ["pointerup", "pointercancel"]) view.plot.removeEventListener(name, end);
      const drawn = this.line.style.display !== "none";
      this.line.style.display = "none";
      const pair = drawn && at.type === "pointerup" ? this.pair(from, this.under(at)) : null;
      if (!pair) return;
      view.choose(pair);
      view.emit({ kind: "pair", x: pair.j, y: pair.i });
    };
    view.plot.addEventListener("pointermove", move);
    for (const name of ["pointerup", "pointercancel"]) view.plot.addEventListener(name, end);
  }

  // The pair that two points name; null where they name none.
  pair(from, to) {
    if (!to || to.label === from.label) return null;
    const [i, j] = from.label === "i" ? [from.i, to.j] : [to.i, from.j];
    return i === null || j === null ? null : { i, j };
  }
}
