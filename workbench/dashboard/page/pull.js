// How hard each term pulls on the student, and what the checks before step 0 found.

const PULL = `
.pulls { display: flex; height: 14px; margin: 8px 0 4px; gap: 1px; background: var(--wb-sunken); }
.pulls > div { height: 100%; min-width: 1px; background: currentColor; }
.pulls > .hatched, .swatch.hatched { background: repeating-linear-gradient(var(--turn, 135deg), currentColor 0 4px, var(--wb-surface) 4px 6px); }
.hatch2 { --turn: 45deg; } .hatch3 { --turn: 90deg; } .hatch4 { --turn: 180deg; }
.swatch { display: inline-block; width: 12px; height: 10px; margin-right: 4px; background: currentColor; }
.pulled { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 12px; font-weight: 600; }
.pulled-over { display: none; position: absolute; left: 8px; right: 8px; z-index: 6; padding: 8px 10px; background: var(--wb-surface);
  border: 1px solid var(--wb-line-strong); border-radius: 5px; }
.pulls:is(:hover, :focus-visible) ~ .pulled-over { display: block; }
.pulls:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.pulled-over svg { display: block; width: 100%; height: 58px; overflow: visible; } .pulled-over path { fill: none; stroke: currentColor; stroke-width: 1.6; vector-effect: non-scaling-stroke; }
.pulled-over .zero { stroke: var(--wb-line-strong); stroke-width: 1; } .pulled-over .ends { display: flex; justify-content: space-between; }
.found { margin: 6px 0 0; overflow-wrap: anywhere; }
`;

// Norms and cosines over training, while the bar is pointed at or has the focus.
const PULL_DASHES = ["", "6 3", "2 2", "8 3 2 3", "1 3"];

function pulledOver(told) {
  if (!told) return null;
  const { steps, norms, cosines } = told;
  const last = Math.max(steps.at(-1), 1);
  const line = (values, low, high, attributes) => {
    let pen = "M";
    const d = values.map((value, k) => {
      if (value === null) { pen = "M"; return ""; }
      const at = `${pen}${((200 * steps[k]) / last).toFixed(1)} ${(50 - (48 * (value - low)) / (high - low)).toFixed(1)}`;
      pen = "L";
      return at;
    }).join("");
    return h("path", { d, ...attributes });
  };
  const top = Math.max(...norms.flatMap(({ values }) => values), 1e-9);
  const now = (values) => values.at(-1) === null ? "–" : Number(values.at(-1).toPrecision(3)).toString().replace("-", "−");
  const chart = (lines) => h("svg", { viewBox: "0 0 200 52", preserveAspectRatio: "none", "aria-hidden": "true" }, lines);
  const ends = h("div", { class: "small ink3 ends" }, h("span", {}, "step 0"), h("span", {}, spaced(last)));
  return h("div", { class: "pulled-over", role: "note" },
    h("b", { class: "small" }, `Norm of each gradient, 0 to ${Number(top.toPrecision(2))}`),
    chart([h("path", { class: "zero", d: "M0 50H200" }), norms.map((one) => line(one.values, 0, top, { class: one.colour, "stroke-dasharray": PULL_DASHES[one.hatch] }))]), ends,
    h("div", { class: "small pulled" }, norms.map((one) => h("span", { class: one.colour }, `${one.name} ${now(one.values)}`))),
    cosines.length ? [h("b", { class: "small" }, "Cosine of their directions, −1 to 1"),
      chart([h("path", { class: "zero", d: "M0 26H200" }), cosines.map((one, k) => line(one.values, -1, 1, { "stroke-dasharray": PULL_DASHES[k] }))]), ends.cloneNode(true),
      h("div", { class: "small ink2" }, cosines.map((one) => `${one.name} ${now(one.values)}`).join("; "))] : null);
}

function pull(state, own) {
  const told = own.shown?.pull ?? state.pull;
  if (!told) return null;
  const head = [h("h2", { class: "title" }, "Pull on the student"), h("div", { class: "read" }, "Share of the gradient's norm.")];
  const ratio = told.ratio ? h("div", { class: "small ink2" }, told.ratio) : null;
  if (told.waits) return h("div", { class: "group", "data-key": "pull" }, head, h("p", { class: "small ink3 found" }, told.waits), ratio);
  const look = (bar) => `${bar.colour}${bar.hatched ? ` hatched hatch${bar.hatch}` : ""}`;
  const swatch = (bar) => told.bars.length > 2 ? h("i", { class: `swatch ${look(bar)}`, "aria-hidden": "true" }) : null;
  const words = told.bars.map((bar) => `${bar.name} ${bar.text}`);
  return h("div", { class: "group", "data-key": "pull" }, head,
    h("div", { class: "pulls", role: "img", tabindex: 0, "aria-label": words.join(", ") },
      told.bars.map((bar) => h("div", { class: look(bar), style: `width:${100 * bar.share}%` }))),
    h("div", { class: "pulled" }, told.bars.map((bar, k) => h("span", { class: bar.colour }, swatch(bar), words[k]))),
    pulledOver(state.pulls),
    told.words ? h("div", { class: "small ink2" }, told.words) : null,
    ratio,
    h("div", { class: "small ink3" }, told.footer));
}

function checks(state) {
  if (!state.checks?.length) return null;
  return h("div", { class: "group", "data-key": "checks" }, h("h2", { class: "title" }, "Checks"),
    state.checks.map((found) => h("p", { class: "small found" }, icon(found.severity === "stop" ? "✕" : "△"), found.text)));
}
