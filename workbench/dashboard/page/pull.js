// How hard each term pulls on the student, and what the checks before step 0 found.

const PULL = `
.pulls { display: flex; height: 14px; margin: 8px 0 4px; gap: 1px; background: var(--wb-sunken); }
.pulls > div { height: 100%; min-width: 1px; background: currentColor; }
.pulls > .hatched, .swatch.hatched { background: repeating-linear-gradient(var(--turn, 135deg), currentColor 0 4px, var(--wb-surface) 4px 6px); }
.hatch2 { --turn: 45deg; } .hatch3 { --turn: 90deg; } .hatch4 { --turn: 180deg; }
.swatch { display: inline-block; width: 12px; height: 10px; margin-right: 4px; background: currentColor; }
.pulled { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 12px; font-weight: 600; }
.found { margin: 6px 0 0; overflow-wrap: anywhere; }
`;

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
    h("div", { class: "pulls", role: "img", "aria-label": words.join(", ") },
      told.bars.map((bar) => h("div", { class: look(bar), style: `width:${100 * bar.share}%` }))),
    h("div", { class: "pulled" }, told.bars.map((bar, k) => h("span", { class: bar.colour }, swatch(bar), words[k]))),
    told.words ? h("div", { class: "small ink2" }, told.words) : null,
    ratio,
    h("div", { class: "small ink3" }, told.footer));
}

function checks(state) {
  if (!state.checks?.length) return null;
  return h("div", { class: "group", "data-key": "checks" }, h("h2", { class: "title" }, "Checks"),
    state.checks.map((found) => h("p", { class: "small found" }, icon(found.severity === "stop" ? "✕" : "△"), found.text)));
}
