// Left and right of the views: the experiment with its journal, and the card of numbers.

const AROUND = `
.rail { position: relative; height: 100%; display: flex; flex-direction: column; padding: 0; overflow: hidden auto; }
.group { padding: 11px 12px; border-bottom: 1px solid var(--wb-line); }
.group:last-child { border-bottom: 0; }
.loss { margin: 6px 0 0; padding: 6px 8px; border-radius: 4px; background: var(--wb-sunken); overflow-wrap: anywhere; }
.watch { margin: 6px 0 0; } [data-key="watch"] > .watch { margin: 0; }
.model + .model { margin-top: 8px; }
.model .acc { font-weight: 600; }
dl { margin: 0; display: grid; grid-template-columns: auto 1fr; gap: 3px 10px; }
dt { color: var(--wb-ink3); } dd { margin: 0; text-align: right; overflow-wrap: anywhere; }
.activity .bar { margin-top: 6px; }
.rail > .group { flex: none; }
.rail > .journal { flex: 1 0 auto; }
.strip { display: none; }
.strip > .now { min-height: 0; display: flex; flex-direction: column; gap: 12px; overflow: hidden; }
.strip > .now > div { width: 46px; } .strip > .now > div > * { overflow: hidden; text-overflow: ellipsis; }
.strip b { display: block; } .strip hr { width: 100%; margin: 0; border: 0; border-top: 1px solid var(--wb-line); }
@media (max-width: 1199px) and (min-width: 900px) {
  .rail:not(.open) > .group { display: none; }
  .rail:not(.open) > .strip { display: flex; flex-direction: column; align-items: center; gap: 12px; padding: 12px 2px;
    height: 100%; text-align: center; }
  .rail.open > .strip { display: flex; justify-content: flex-end; padding: 4px 6px 0; }
  .rail.open > .strip > .now { display: none; }
  .strip button { margin-top: auto; }
}
.result { height: 100%; display: flex; flex-direction: column; overflow: auto; }
table { width: 100%; border-collapse: collapse; margin-top: 8px; }
th { font-weight: 400; text-align: right; padding: 4px 0; font-size: 11.5px; }
td { border-top: 1px solid var(--wb-line); padding: 5px 0; text-align: right; font-weight: 600; }
thead td { border-top: 0; }
td:first-child, th:first-child { text-align: left; font-weight: 400; color: var(--wb-ink2); }
.root table .of { font-size: 11px; color: var(--wb-ink3); } th.of { padding: 8px 0 4px; }
.note { margin: 10px 0 0; color: var(--wb-ink2); }
.foot { margin-top: auto; padding-top: 8px; color: var(--wb-ink3); font-size: 11px; line-height: 14px; }
`;

// The rail folded up: what stands now of what can be set, and who pulls hardest. Its buttons open it.
const STRIP_MOST = 6;
const stripValue = (name, text, colour, of = "") => h("div", { title: `${[name].flat().filter((one) => typeof one === "string").join(" ")} ${text}${of}` }, h("div", { class: "ink3 small" }, name), h("b", { class: colour || null }, text));
const stripName = (one) => one.path.endsWith(".lr") ? "LR" : one.path.endsWith(".temperature") ? "T" : one.of || one.name;

function stripKnobs(told, own) {
  const shown = (told?.knobs ?? []).filter(({ path, name, of }) => path.endsWith(".lr") || name === "weight" || (path.endsWith(".temperature") && !of));
  return shown.slice(0, STRIP_MOST).map((one) => stripValue(stripName(one), own.sent?.[one.path]?.text ?? one.text, one.colour));
}

function stripPull(told) {
  const most = (told?.bars ?? []).reduce((a, b) => (b.share > (a?.share ?? 0) ? b : a), null);
  return most ? [h("hr"), stripValue(["share", h("br"), most.name], most.text, most.colour)] : [];
}

function rail(state, own) {
  const open = document.documentElement.dataset.rail === "open";
  if (!state.models) return h("div", { class: "root card rail" });
  const models = state.models.map((model) =>
    h("div", { class: "model" },
      h("div", { class: "row" }, h("b", {}, marked(model.who, `${model.letter} ${model.name}`)),
        h("span", { class: `acc ${model.who}` }, model.accuracy)),
      h("div", { class: "small ink3 row" }, h("span", {}, model.weights || model.who), model.accuracy ? h("span", { title: "Accuracy" }, `${Number.isInteger(own.shown?.step) && model.who === "student" ? "newest, " : ""}${model.of}`) : "")));
  const facts = state.facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
  const doing = state.activity;
  const small = [...state.models.map((model) => stripValue(`${model.letter}, %`, model.accuracy ? model.accuracy.replace(/[^\d.]/g, "") : "–", model.who, model.of ? `: accuracy, ${model.of}` : "")),
    ...stripKnobs(state.controls, own), ...stripPull(own.shown?.pull ?? state.pull)];
  return h("div", { class: `root card rail${open ? " open" : ""}` },
    h("div", { class: "strip" }, h("div", { class: "now" }, small), h("button", { type: "button", class: "bare", "data-do": "rail",
      "aria-label": open ? "Close the experiment" : "Open the experiment" }, open ? "«" : "»")),
    controls(state, own),
    viewOnlyGroup(state, own),
    state.watch ? h("div", { class: "group", "data-key": "watch" }, h("p", { class: "read watch" }, state.watch)) : null,
    doing ? h("div", { class: "group activity", "data-key": "activity" }, h("b", {}, doing.text),
      doing.share === null || doing.share === undefined ? null
        : h("div", { class: "bar" }, h("div", { style: `width:${100 * doing.share}%` }))) : null,
    checks(state),
    pull(state, own),
    journalGroup(state, own),
    h("div", { class: "group", "data-key": "models" }, models),
    h("div", { class: "group", "data-key": "facts" }, h("dl", { class: "small" }, facts)));
}

// A cell is text, or a text with the reason why it is no number.
const resultCell = (told, who) => h("td", { class: who, title: told.why }, told.why
  ? [h("span", { "aria-hidden": "true" }, told.text), h("span", { class: "unseen" }, told.why)] : told);

function result(state, own) {
  if (!state.parts) return h("div", { class: "root card result" });
  const head = state.columns.map((name) =>
    h("th", { scope: "col" }, ["student", "teacher"].includes(name) ? marked(name, name) : name));
  const rows = ({ of, rows: lines }, place) => h("tbody", {},
    of && place ? h("tr", {}, h("th", { scope: "rowgroup", colspan: state.columns.length + 1, class: "of" }, of)) : null,
    lines.map(([name, ...values]) =>
      h("tr", {}, h("td", {}, name), values.map((value, k) => resultCell(value, ["student", "teacher", ""][k])))));
  return h("div", { class: "root card result" },
    h("div", { class: "row" }, figureTitle(own, "result", state.title, `run=${encodeURIComponent(state.run)}&name=result`), lowerTabs("result")), h("div", { class: "read" }, state.read),
    h("table", {}, h("thead", {}, h("tr", {}, h("td", { class: "of" }, state.parts[0].of), head)), state.parts.map(rows)),
    state.notes.map((note) => h("p", { class: "note" }, note)),
    after(state.after),
    h("div", { class: "foot" }, state.footer));
}
