// A run that broke: a report to copy, and the samples that its failure names, whatever their split.

const NAMED = "workbench-named"; // {samples, term}: show these in the sample inspector

const EVIDENCE = `
.notice .evidence { flex: none; margin: 0; padding: 0 4px 0 16px; border-left: 1px solid var(--wb-line-strong); display: grid;
  grid-template-columns: auto auto; gap: 1px 14px; align-self: start; }
.evidence dt { color: var(--wb-ink2); } .evidence dd { margin: 0; text-align: right; font-weight: 600; } .evidence dd.code { font-weight: 400; }
.notice .views { margin: 2px 0 0; font-size: 11px; line-height: 14px; color: var(--wb-ink2); }
@media (max-width: 1199px) {
  .notice:has(.evidence) { flex-wrap: wrap; gap: 4px 10px; padding-block: 6px; } .notice:has(.evidence) .words { flex-basis: calc(100% - 40px); }
  .notice .evidence { flex: 1 1 0; display: flex; flex-wrap: wrap; gap: 0 6px; padding: 0 0 0 18px; border: 0; align-self: center; }
  .evidence dd { margin-right: 10px; text-align: left; }
  .notice .views { display: inline; font: inherit; }
}
`;

// What the store knows of it: last good checkpoint, steps lost, a code and a name to search for.
const evidence = (state) =>
  state.evidence?.length ? h("dl", { class: "evidence" }, state.evidence.map(([name, value]) =>
    [h("dt", {}, name), h("dd", { class: name === "error" ? "code" : null }, value)])) : null;

// Which step the views stand at; who looks back is told by the strip below.
const stillShown = (state, own) =>
  state.views && !Number.isInteger(own.shown?.step) ? h("p", { class: "views" }, state.views) : null;

const failedActs = (state, own) =>
  state.report ? [
    state.samples.length ? button(state.samples.length > 1 ? "Show samples" : "Show sample", "show-samples",
      { "data-key": "named", title: "Opens the sample inspector on what the failure names" }) : null,
    button(own.report === "copied" ? "✓ Report copied" : "Copy report", "copy-report",
      { "data-key": "report", title: "Cause, step, term, versions and the command that reproduces it, as text" }),
    h("span", { class: "unseen", role: "status", "data-key": "copied" }, own.report === "copied" ? "Report copied" : "")] : null;

const reportBox = (state) =>
  h("div", { class: "notice", role: "region", "aria-label": "Report of the failure", "data-key": "box" },
    h("label", { style: "flex:1" }, h("span", { class: "ink2" }, "The report; Ctrl C copies what is selected."),
      h("textarea", { readonly: "", "data-report": "", rows: 8, class: "code", style: "display:block;width:100%;margin-top:4px;color:inherit;background:var(--wb-surface);border:1px solid var(--wb-line-strong);border-radius:5px" }, state.report)));

async function copyReport(el, own, draw) {
  // Without TLS a browser gives no clipboard; then the report stands there, selected.
  const copied = await (navigator.clipboard?.writeText(own.state.report).then(() => true, () => false) ?? false);
  own.report = copied ? "copied" : "open";
  draw();
  el.querySelector("[data-report]")?.select();
}

function followNamed(el, own, draw) {
  const read = async (asked) => {
    const named = { ...asked, sheet: null, trouble: "" };
    own.named = named;
    draw();
    try {
      named.sheet = await readSheet(own.state.run, named.samples);
      named.trouble = named.sheet.trouble ?? "";
    } catch (error) {
      named.trouble = `${error.message}.`;
    }
    if (own.named === named) draw();
  };
  const leave = () => {
    own.named = null;
    draw();
  };
  addEventListener(NAMED, ({ detail: { samples, term } }) => {
    showLower("samples");
    read({ samples, term });
    el.querySelector("[data-pick=unname]")?.focus();
  });
  addEventListener(SELECTED, () => own.named && leave());
  el.addEventListener("click", (event) => {
    const pick = event.target.closest?.("button[data-pick]")?.dataset.pick;
    if (pick === "unname") leave();
    if (pick === "rename") read(own.named);
  });
}

function namedSamples({ samples, term, sheet, trouble }) {
  const back = h("div", {}, h("button", { type: "button", "data-pick": "unname" }, "Back to the probe samples"));
  const list = samples.join(", ");
  const words = `The failure names ${samples.length > 1 ? "samples" : "sample"} ${list}${term ? `, first in the term ${term}` : ""}. Training samples: no answers of theirs are kept.`;
  const head = [h("p", { class: "read", role: "status" }, words), back];
  if (trouble) return [head, h("p", { class: "small ink2" }, `The samples are not here: ${trouble}`), h("div", {}, h("button", { type: "button", "data-pick": "rename" }, "Try again"))];
  if (!sheet) return [head, h("p", { class: "small ink3" }, "Reads the samples.")];
  const label = (row) => marked("truth", `label ${sheet.names[sheet.labels[row]] ?? "none"}`);
  const one = (id, row) => sheet.kind === "row"
    ? h("div", { "data-named": id }, h("div", { class: "small" }, `no. ${id} `, label(row)), featureTable(sheet, { id }, null))
    : h("div", { "data-named": id }, h("div", { class: "square" }, h("img", { src: pictureOf(sheet, id), alt: `Sample ${id}, ${sheet.full.join(" by ")} pixels` })),
      h("div", { class: "small cut" }, h("span", { class: "ink3" }, `no. ${id} `), label(row)));
  return [head, h("div", { class: sheet.kind === "row" ? null : "squares" }, sheet.ids.map(one)),
    h("div", { class: "foot" }, `n = ${spaced(sheet.ids.length)} named by the failure`)];
}
