// The loss as one line of text and as cards: two views of one value.

const LOSS = `
.loss-line { position: relative; margin: 8px 0 0; border: 1px solid var(--wb-line-strong); border-radius: 5px; background: var(--wb-surface); }
.loss-line.wrong { border-color: var(--wb-error); }
.loss-line :is(textarea, .under) { box-sizing: border-box; display: block; width: 100%; margin: 0; padding: 8px 70px 8px 10px; border: 0; background: none; resize: none;
  font: 14px/20px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; overflow: hidden; }
.loss-line textarea { position: absolute; inset: 0; height: 100%; color: transparent; caret-color: var(--wb-ink); }
.loss-line textarea:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; border-radius: 4px; }
.loss-line .under { min-height: 36px; pointer-events: none; }
.loss-line .number { position: absolute; right: 10px; top: 10px; color: var(--wb-ink3); font-size: 11px; pointer-events: none; }
.squiggle { text-decoration: underline wavy var(--wb-error); text-underline-offset: 3px; color: var(--wb-error); }
.mend { display: flex; gap: 8px; align-items: center; flex-wrap: wrap; margin: 6px 0 0; color: var(--wb-error); }
.term-cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(232px, 1fr)); gap: 8px; margin: 8px 0 0; align-items: start; }
.term-card { padding: 8px 10px; border: 1px solid var(--wb-line); border-left: 3px solid var(--wb-line-strong); border-radius: 5px; background: var(--wb-surface); }
.term-card.teacher { border-left-color: var(--wb-teacher); } .term-card.truth { border-left-color: var(--wb-truth); }
.term-card.wrong { border-color: var(--wb-error); }
.term-card { color: var(--wb-ink); }
.term-card > .row { margin-bottom: 6px; }
.term-card h3 { margin: 0; font-size: 12px; line-height: 16px; }
.term-card.wide { grid-column: span 2; } .term-card.wide .halves { display: grid; grid-template-columns: minmax(0, 1fr) 190px; gap: 12px; }
.term-card .say { margin: 8px 0 0; font-size: 11px; line-height: 14px; color: var(--wb-ink2); }
.root button.shut { min-height: 20px; padding: 0 6px; border-color: transparent; background: none; }
.adding { position: relative; margin: 8px 0 0; }
.adding .menu { position: static; }
.adding .pick { display: grid; gap: 0; max-height: 232px; overflow: auto; margin-top: 6px; border: 1px solid var(--wb-line-strong); border-radius: 5px; }
.root .adding .pick button { display: grid; grid-template-columns: 120px minmax(0, 1fr); gap: 10px; min-height: 28px; padding: 5px 10px; text-align: left; border: 0;
  border-radius: 0; border-bottom: 1px solid var(--wb-line); white-space: normal; }
.root .adding .pick button:hover, .root .adding .pick button:focus-visible { background: var(--wb-sunken); }
.targets rect.soft { fill: var(--wb-teacher); } .targets rect.hard { fill: var(--wb-teacher-wash); stroke: var(--wb-teacher); }
.targets text { font-size: 11px; fill: var(--wb-ink3); }
.targets img { image-rendering: pixelated; width: 20px; height: 20px; border: 1px solid var(--wb-line); vertical-align: -5px; margin-right: 6px; }
@media (max-width: 1199px) { .term-card.wide { grid-column: auto; } .term-card.wide .halves { grid-template-columns: minmax(0, 1fr); } }
`;

const softened = (logits, heat) => {
  const top = Math.max(...logits);
  const raised = logits.map((logit) => Math.exp((logit - top) / heat));
  const sum = raised.reduce((a, b) => a + b, 0);
  return raised.map((one) => one / sum);
};

// What the student is shown of one real sample: the teacher's probabilities, as they are and softened.
function targets(told, heat) {
  if (!told.logits) return h("div", { class: "targets" }, h("p", { class: "say" }, told.waits));
  const [width, height, base] = [186, 78, 62];
  const [hard, soft] = [softened(told.logits, 1), softened(told.logits, heat)];
  const step = width / hard.length;
  const bar = (share, k, cls, part) => h("rect", { class: cls, x: (k + (1 - part) / 2) * step, y: base - share * base, width: part * step, height: Math.max(share * base, 0.5) });
  const named = hard.length <= 12;
  return h("div", { class: "targets" },
    h("div", { class: "say", style: "margin:0 0 4px" }, told.picture ? h("img", { src: told.picture, alt: "A training image" }) : null,
      `what the student is shown; wide T = 1, narrow T = ${heat}`),
    h("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", role: "img",
      "aria-label": `Soft targets at T = 1: largest ${hard.reduce((a, b) => Math.max(a, b)).toFixed(2)}; at T = ${heat}: ${soft.reduce((a, b) => Math.max(a, b)).toFixed(2)}.` },
      hard.map((share, k) => bar(share, k, "hard", 0.86)), soft.map((share, k) => bar(share, k, "soft", 0.44)),
      named ? hard.map((_, k) => h("text", { x: (k + 0.5) * step, y: height - 3, "text-anchor": "middle" }, String(told.classes[k] ?? k).slice(0, 4))) : null));
}

function lossLine(state, own) {
  const text = own.lossText ?? state.loss.text;
  const same = text === state.loss.text;
  const { error } = state.loss;
  let under;
  if (same && error) under = [text.slice(0, error.start), h("span", { class: "squiggle" }, text.slice(error.start, Math.max(error.end, error.start + 1)) || "\u00a0"), text.slice(Math.max(error.end, error.start + 1))];
  else if (same) under = state.loss.pieces.flatMap((piece, k) => [k ? " + " : "", h("span", { class: piece.colour }, piece.text)]);
  else under = [text];
  const fix = same && error?.nearest;
  return [
    h("div", { class: `loss-line${same && error ? " wrong" : ""}`, "data-key": "loss-line" },
      h("div", { class: "under", "aria-hidden": "true" }, under, "\u200b"),
      h("textarea", { "data-loss": "", readonly: Boolean(state.fixed.loss), "aria-label": "Loss, for example 0.9 * KD(T=4) + 0.1 * CE", spellcheck: "false", autocomplete: "off", rows: 1,
        "aria-invalid": same && error ? "true" : null, "aria-describedby": same && error ? "loss-bad" : null, value: text }, text),
      h("span", { class: "number" }, `${state.loss.terms} ${state.loss.terms === 1 ? "term" : "terms"}`)),
    same && error ? h("div", { class: "mend", id: "loss-bad", role: "alert", "data-key": "mend" }, icon("✕"), error.message,
      fix ? h("button", { type: "button", "data-mend": fix }, `Use ${fix}`) : null) : null,
  ];
}

function termCard(term, state, own) {
  const { told } = term;
  const heat = state.target?.key === term.key ? (own.heat ?? state.target.temperature) : null;
  const rows = h("div", { class: "fields" }, fieldRows(term.fields, state.wrong, { slide: true }));
  const says = [told.summary, told.needs?.length ? `Needs ${told.needs.join(", ")}.` : "", told.paper].filter(Boolean);
  const about = h("p", { class: "say" }, says.map((line, k) => [k ? h("br") : null, line]));
  return h("div", { class: `term-card ${term.colour}${term.wrong ? " wrong" : ""}${heat === null ? "" : " wide"}`, "data-key": `term-${term.key}` },
    h("div", { class: "row" }, h("h3", { class: term.colour }, term.key === term.use?.value ? term.key.toUpperCase() : `${term.key}: ${term.use?.value ?? "?"}`),
      h("span", { class: "small ink3" }, term.towards),
      state.fixed.loss ? null : h("button", { type: "button", class: "shut", "data-remove": term.key, "aria-label": `Remove ${term.key}`, title: "Remove" }, "✕")),
    heat === null ? [rows, about] : h("div", { class: "halves" }, h("div", {}, rows, about), targets(state.target, heat)));
}

// A searchable menu of every registered term.
function addTerm(state, own) {
  if (state.fixed.loss) return null;
  if (!own.adding)
    return h("div", { class: "adding", "data-key": "adding" }, h("button", { type: "button", "data-adding": "", "aria-expanded": "false" }, "+ Add a term"));
  const words = (own.sought ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const found = state.menu.filter(({ name, summary, paper }) => words.every((word) => `${name} ${summary} ${paper ?? ""}`.toLowerCase().includes(word)));
  return h("div", { class: "adding", "data-key": "adding-open" },
    h("div", { class: "valued" },
      h("input", { class: "in", type: "search", "data-sought": "", placeholder: "Name, idea, paper or author", "aria-label": "Search a term", value: own.sought ?? "", autocomplete: "off" }),
      h("button", { type: "button", "data-adding": "", "aria-expanded": "true" }, "Close")),
    h("div", { class: "pick" }, found.length ? found.map((one) => h("button", { type: "button", "data-add": one.name, "data-key": one.name },
      h("b", { class: { teacher: "teacher", labels: "truth" }[one.pull] ?? "" }, one.name), h("span", {}, one.summary, one.paper ? h("span", { class: "ink3" }, ` · ${one.paper}`) : null)))
      : h("p", { class: "say", style: "padding:0 10px 8px" }, "No term has these words.")));
}
