// What all pieces of the page share: making nodes, changing them in place, the common style.
// Text reaches the page as text nodes only; nothing is parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

function h(tag, attributes, ...children) {
  const vector = ["svg", "g", "path", "circle", "rect", "text"].includes(tag);
  const node = vector ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {}))
    if (value !== undefined && value !== null && value !== false)
      node.setAttribute(name, value === true ? "" : value);
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

// Changes `old` into `made` and keeps nodes where the structure is the same: a button that is
// being pressed stays the button that was pressed, whatever arrives meanwhile.
function morph(old, made) {
  if (old.nodeType !== made.nodeType || old.nodeName !== made.nodeName || old.dataset?.key !== made.dataset?.key)
    return old.replaceWith(made);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== made.data) old.data = made.data;
    return undefined;
  }
  const kept = readersFold(old, made);
  for (const { name } of [...old.attributes]) if (!made.hasAttribute(name) && name !== kept) old.removeAttribute(name);
  for (const { name, value } of made.attributes)
    if (old.getAttribute(name) !== value && name !== kept) old.setAttribute(name, value);
  if ("value" in old && old.nodeName !== "BUTTON" && old.getRootNode().activeElement !== old) {
    if (old.type === "checkbox") old.checked = made.hasAttribute("checked");
    else if (["INPUT", "TEXTAREA"].includes(old.nodeName) && made.hasAttribute("value")) old.value = made.getAttribute("value");
  }
  const [before, after] = [[...old.childNodes], [...made.childNodes]];
  after.forEach((node, k) => (before[k] ? morph(before[k], node) : old.append(node)));
  before.slice(after.length).forEach((node) => node.remove());
  if (old.nodeName === "SELECT" && old.getRootNode().activeElement !== old)
    old.value = [...old.options].find((option) => option.hasAttribute("selected"))?.value ?? old.value;
  return undefined;
}

// A fold stays as a reader left it until what we ask of it is another: a field in it is wrong, say.
function readersFold(old, made) {
  if (old.nodeName !== "DETAILS") return null;
  const asked = made.hasAttribute("open");
  const same = old.asked === undefined ? !asked : old.asked === asked;
  old.asked = asked;
  return same ? "open" : null;
}

const button = (text, what, more = {}) =>
  h("button", { type: "button", "data-do": what, ...more }, ...[text].flat());

// As much of a name as some pixels hold at 11 px, cut in its middle: both ends tell names apart.
function fitted(name, room) {
  const most = Math.floor(room / 6.2);
  if (name.length <= most) return name;
  const head = Math.floor((most - 1) / 2);
  return most < 3 ? "" : `${name.slice(0, head)}…${name.slice(name.length - (most - 1 - head))}`;
}

const icon = (text) => h("span", { class: "icon", "aria-hidden": "true" }, text);

// Coloured pieces of a loss: [{text, colour}] with a token's name as colour.
const pieces = (list) => list.map(({ text, colour }) => (colour ? h("span", { class: colour }, text) : text));

const MARK = { student: "●", teacher: "■", truth: "◆" };
const marked = (who, text) => h("span", { class: who }, h("span", { "aria-hidden": "true" }, MARK[who]), ` ${text}`);

const logo = () =>
  h("svg", { class: "logo", viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true" },
    h("path", { class: "line", d: "M10 4 4 15.5 16 15.5Z" }),
    h("circle", { class: "s", cx: 10, cy: 4, r: 2.6 }),
    h("rect", { class: "t", x: 13.4, y: 13, width: 5, height: 5 }),
    h("path", { class: "g", d: "M4 12.4 7.1 15.5 4 18.6.9 15.5Z" }));

const BASE = `
:host { display: block; }
.root, .root * { box-sizing: border-box; }
.root { color: var(--wb-ink); font: 12px/16px -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  "Liberation Sans", sans-serif; font-variant-numeric: tabular-nums; }
.root a { color: inherit; }
.root input { accent-color: var(--wb-ink); }
.root button { min-height: 26px; padding: 0 10px; border: 1px solid var(--wb-line-strong); border-radius: 5px;
  background: var(--wb-surface); color: var(--wb-ink); font: inherit; white-space: nowrap; cursor: pointer; }
.root button:hover { border-color: var(--wb-ink3); }
.root button:disabled { color: var(--wb-ink3); cursor: default; }
.root button.primary { background: var(--wb-ink); border-color: var(--wb-ink); color: var(--wb-surface);
  font-weight: 600; }
.root button.bare { border-color: transparent; background: none; }
.root :is(button, a, summary):focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.icon { margin-right: 6px; font-size: 11px; }
.student { color: var(--wb-student); } .teacher { color: var(--wb-teacher); } .truth { color: var(--wb-truth); }
.ink2 { color: var(--wb-ink2); } .ink3 { color: var(--wb-ink3); } .error { color: var(--wb-error); }
.small { font-size: 11px; line-height: 14px; }
.read { font-size: 11.5px; line-height: 15px; color: var(--wb-ink2); }
.card { background: var(--wb-surface); border: 1px var(--wb-edge, solid) var(--wb-edge-colour, var(--wb-line)); border-radius: 6px; padding: 11px 12px; }
.title { font-size: 13px; line-height: 18px; font-weight: 600; margin: 0; }
.code { font: 11.5px/16px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
.logo .line { fill: none; stroke: var(--wb-line-strong); stroke-width: 1.4; }
.logo .s { fill: var(--wb-student); } .logo .t { fill: var(--wb-teacher); } .logo .g { fill: var(--wb-truth); }
.row { display: flex; align-items: baseline; justify-content: space-between; gap: 8px; }
.bar { height: 4px; border-radius: 2px; background: var(--wb-line); overflow: hidden; }
.bar > div { height: 100%; background: var(--wb-ink); }
.unseen { position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
@media (pointer: coarse) { .root button { min-height: 32px; } }
/* Colours forced by the reader's system: what says something by its background says it in that system's colours. */
@media (forced-colors: active) {
  .root :is([aria-pressed="true"], [aria-selected="true"], [aria-current="page"], [aria-current="true"]) { forced-color-adjust: none;
    background: Highlight !important; border-color: Highlight !important; color: HighlightText !important; }
  .root button.primary:not(:disabled) { forced-color-adjust: none; background: ButtonText; border-color: ButtonText; color: ButtonFace; }
  .bar { outline: 1px solid CanvasText; }
  .bar > div, .slide :is(.line, .moved, .tick), .room :is(.stem, .head), .room .head::before { forced-color-adjust: none; background: CanvasText; }
  .phase { border: 1px solid CanvasText; line-height: 13px; }
  .mark, .flag { outline: 1px solid CanvasText; }
  .pulls, .pulls > div, .swatch, .cols .col > div, .fill, .square { forced-color-adjust: none; }
}
`;
