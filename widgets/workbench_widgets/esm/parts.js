// ---- small HTML -----------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

function h(tag, attributes = {}, ...children) {
  const vector = tag === "svg" || tag === "path" || tag === "circle";
  const node = vector ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// Changes `old` into `made`, keeping nodes (and so focus and hover) where the structure is the same.
function morph(old, made) {
  if (old.nodeType !== made.nodeType || old.nodeName !== made.nodeName) return old.replaceWith(made);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== made.data) old.data = made.data;
    return undefined;
  }
  for (const { name } of [...old.attributes]) if (!made.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of made.attributes)
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const name of ["onclick", "onkeydown", "onchange"]) old[name] = made[name];
  const [before, after] = [[...old.childNodes], [...made.childNodes]];
  after.forEach((node, k) => (before[k] ? morph(before[k], node) : old.append(node)));
  before.slice(after.length).forEach((node) => node.remove());
  return undefined;
}

// `textOf` gives a run's text; of the step that is looked at, where a view knows one.
function runs(list, tokens, textOf = (run) => run.text) {
  return list.map((run) => {
    if (typeof run === "string") return document.createTextNode(coloured(run, tokens));
    if ("mark" in run) return h("span", { class: "wb-mark" }, String(run.mark));
    const style = run.colour ? `color:${coloured(run.colour, tokens)}` : null;
    return h(run.strong ? "b" : "span", { style }, coloured(textOf(run), tokens));
  });
}

const spaced = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u2009");

// One function per kind of part; each gets (part, {tokens, emit, pick}).
const PARTS = {
  note: (part, { tokens, textOf }) => h("div", { class: "wb-note" }, runs(part.text, tokens, textOf)),
  stats(part, { tokens }) {
    const rows = part.rows.map(([name, value]) =>
      h("div", {}, h("span", {}, runs([name].flat(), tokens)), h("span", { class: "wb-value" }, value)),
    );
    const style = `grid-template-columns:repeat(${part.columns},minmax(0,1fr))`;
    return h("div", { class: `wb-stats${part.rules ? " wb-rules" : ""}`, style }, rows);
  },
  quadrants(part, { tokens, emit, pick }) {
    const table = h("div", { class: "wb-quadrants" }, h("span"));
    table.append(...part.columns.map((heading) => h("div", { class: "wb-head" }, runs(heading, tokens))));
    part.cells.forEach((cell, k) => {
      if (k % 2 === 0) table.append(h("div", { class: "wb-side" }, runs(part.rows[k / 2], tokens)));
      const event = { kind: "quadrant", student: cell.student, teacher: cell.teacher };
      const count = h("span", { class: "wb-count" }, cell.count);
      const meaning = h("span", { class: "wb-meaning" }, runs(cell.meaning, tokens));
      const top = h("span", { class: "wb-top" }, count, cell.trend ? trend(cell.trend) : null);
      const onclick = ({ shiftKey }) => (cell.picks ? pick(cell.picks, 0, event, shiftKey) : emit(event));
      const title = cell.picks ? "Select these samples; Shift adds" : cell.why;
      const off = cell.why ? { "aria-disabled": "true", "data-empty": "" } : {};
      table.append(h("button", { class: "wb-cell", type: "button", title, ...off, onclick }, top, meaning));
    });
    return table;
  },
  grid(part, { tokens, pick }) {
    const picker = (picks, text, which) => {
      const onclick = ({ shiftKey }) => pick(picks, 0, { kind: "select" }, shiftKey);
      return picks ? h("button", { type: "button", title: `Select ${which}: ${picks.words}; Shift adds`, "aria-label": `${picks.words}: ${text}`, onclick }, text) : text;
    };
    const names = part.columns.map((name, k) => h("th", { title: part.picks ? null : name }, picker(part.picks?.[k], name, "the whole class")));
    const head = h("tr", {}, h("th", { title: part.heading }, part.heading), names);
    const rows = part.rows.map((row) => {
      const cells = row.values.map((value, k) => {
        const shade = scaleColour("measure", (0.62 * value) / part.top, tokens);
        const style = `background:rgb(${shade.map(Math.round).join(",")});color:${textOn(shade)}`;
        return h("td", { style }, picker(row.picks?.[k], String(value), "these only"));
      });
      return h("tr", {}, h("th", { scope: "row" }, row.label), cells);
    });
    return h("table", { class: "wb-grid" }, h("tbody", {}, head, rows));
  },
};

function trend(values) {
  const at = values.map((v, k) => [2 + (54 * k) / Math.max(values.length - 1, 1), 2 + 14 * (1 - v)]);
  const [x, y] = at.at(-1);
  const line = h("path", { d: `M${at.map((p) => p.map((c) => c.toFixed(1)).join(",")).join("L")}` });
  const box = { class: "wb-trend", viewBox: "0 0 60 18", "aria-hidden": "true" };
  return h("svg", box, line, h("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 2 }));
}

