// Beside the form: the same experiment as text, the checks, and Start.

const BESIDE = `
.beside { display: flex; flex-direction: column; gap: 12px; min-height: 0; }
.text-card { display: flex; flex-direction: column; flex: 0 1 44%; min-height: 190px; }
.text-card > .row .valued { flex: none; }
.toggle { display: inline-flex; border: 1px solid var(--wb-line-strong); border-radius: 5px; overflow: hidden; }
.root .toggle button { min-height: 22px; border: 0; border-radius: 0; }
.root .toggle button[aria-pressed="true"] { background: var(--wb-ink); color: var(--wb-surface); }
.paper { position: relative; flex: 1; min-height: 0; margin: 8px 0 6px; overflow: auto; border-radius: 4px; background: var(--wb-sunken); }
.paper :is(pre, textarea) { box-sizing: border-box; margin: 0; padding: 8px 10px; border: 0; font: 11.5px/16px ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
  white-space: pre; tab-size: 2; }
.paper pre { min-width: max-content; pointer-events: none; color: var(--wb-ink); }
.paper pre div { min-height: 16px; margin: 0 -10px; padding: 0 10px; border-left: 3px solid transparent; }
.paper pre div.off { background: var(--wb-error-wash); border-left-color: var(--wb-error); }
.paper textarea { position: absolute; inset: 0; width: 100%; height: 100%; min-height: 100%; resize: none; background: none; color: transparent; caret-color: var(--wb-ink); overflow: hidden; }
.paper textarea:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: -2px; }
.check-card { display: flex; flex-direction: column; flex: 1 1 56%; min-height: 220px; padding: 0; }
.check-card > .row { padding: 10px 12px; }
.check-list { flex: 1; min-height: 0; overflow: auto; margin: 0; padding: 0; list-style: none; }
.check-list li { display: grid; grid-template-columns: 18px minmax(0, 1fr) auto; gap: 0 8px; padding: 7px 12px; border-top: 1px solid var(--wb-line); }
.check-list li.failed { background: var(--wb-error-wash); } .check-list li.warning { background: var(--wb-attention); }
.check-list .sign { grid-row: span 2; } .check-list li.failed .sign { color: var(--wb-error); }
.check-list .why { grid-column: 2 / -1; color: var(--wb-ink2); font-size: 11.5px; line-height: 15px; overflow-wrap: anywhere; }
.sweep { display: grid; grid-template-columns: auto minmax(0, 1fr) minmax(0, 1fr); gap: 4px 8px; align-items: center; padding: 8px 12px; border-top: 1px solid var(--wb-line); }
.sweep > span { grid-column: 2 / -1; } .sweep > span:empty { display: none; }
.begins { display: flex; flex-wrap: wrap; gap: 4px 14px; align-items: center; padding: 8px 12px; border-top: 1px solid var(--wb-line); }
.begins fieldset { display: contents; } .begins legend { float: left; padding: 0; color: var(--wb-ink2); } .begins label { display: flex; gap: 5px; align-items: center; cursor: pointer; }
.begins input { accent-color: var(--wb-ink); margin: 0; } .begins input:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.go { display: flex; align-items: center; gap: 12px; padding: 10px 12px; border-top: 1px solid var(--wb-line); }
.root .go button.primary { min-height: 32px; padding: 0 16px; }
.root .go button.primary:disabled { background: var(--wb-sunken); border-color: var(--wb-line-strong); color: var(--wb-ink3); }
`;

const SIGN = { failed: "✕", warning: "△", waiting: "…", passed: "✓" };

function textCard(state, own) {
  const kind = own.kind ?? "yaml";
  const text = own.paper?.kind === kind ? own.paper.text : state.text[kind];
  const off = new Set(kind === "yaml" ? state.text.lines : []);
  const error = state.text.kind === kind ? state.text.error : null;
  if (error?.line) off.add(error.line);
  const tab = (name, word) => h("button", { type: "button", "data-kind": name, "aria-pressed": String(kind === name) }, word);
  return h("section", { class: "card text-card", "data-key": "text" },
    h("div", { class: "row" }, h("h2", { class: "title" }, "Same experiment as text"), h("span", { class: "valued" },
      h("span", { class: "toggle", role: "group", "aria-label": "Text as" }, tab("yaml", "YAML"), tab("python", "Python")),
      h("button", { type: "button", "data-copy": "" }, own.copied ?? "Copy"))),
    h("div", { class: "paper", "data-key": `paper-${kind}` },
      h("pre", { "aria-hidden": "true" }, painted(kind, text, state).map((line, k) => h("div", { class: off.has(k + 1) ? "off" : "" }, line))),
      h("textarea", { "data-paper": kind, "aria-label": `The experiment as ${kind === "yaml" ? "YAML" : "Python"}`, spellcheck: "false", wrap: "off",
        "aria-invalid": error ? "true" : null, value: text }, text)),
    h("div", { class: error ? "bad" : "small ink3", role: error ? "alert" : null }, error ? error.message : "Edits here change the form. Saving and loading give back exactly this."));
}

// Several values of one field: as many runs, one after the other, which Compare shows beside each other.
function sweepLine(state) {
  const { sweep } = state;
  if (!sweep) return null;
  const short = (path) => path.replace(/^stages\.[^.]+\./, "").replace(/^terms\./, "");
  return h("div", { class: "sweep", "data-key": "sweep" },
    h("label", { for: "sweep-values" }, "Sweep"),
    h("select", { class: "in", "data-sweep-path": "", "aria-label": "Field of the sweep" }, h("option", { value: "", selected: !sweep.path }, "one field…"),
      sweep.paths.map((path) => h("option", { value: path, selected: path === sweep.path }, short(path)))),
    h("input", { class: "in", id: "sweep-values", "data-sweep": "", type: "text", placeholder: "values, for example 2, 4", value: sweep.text, disabled: !sweep.path,
      "aria-invalid": sweep.wrong ? "true" : null, "aria-describedby": "sweep-words", autocomplete: "off" }),
    h("span", { id: "sweep-words", class: sweep.wrong ? "bad" : "small ink2" }, sweep.wrong || sweep.words));
}

function checkCard(state, own) {
  const row = (check) =>
    h("li", { class: check.state, "data-key": `${check.title}-${check.path}` },
      h("span", { class: "sign" }, h("span", { "aria-hidden": "true" }, SIGN[check.state]), h("span", { class: "unseen" }, check.state)),
      h("b", {}, check.title), check.fix ? h("button", { type: "button", "data-fix": check.fix.path, "data-value": written(check.fix.value) }, check.fix.label) : h("b", {}, check.value),
      check.path || check.detail ? h("span", { class: "why" }, check.path ? h("span", { class: "code" }, check.path) : null, check.path && check.detail ? h("br") : null, check.detail) : null);
  const words = state.refused || (state.off ? `Off: ${state.off}` : state.awaited ? "Starts once the checks have passed. An edit calls it off."
    : state.running ? "The checks are running. Pressed now, it starts once they have passed." : "Ready.");
  return h("section", { class: "card check-card", "data-key": "checks" },
    h("div", { class: "row" }, h("h2", { class: "title" }, "Checks before step 0"), h("span", { class: "ink2", role: "status" }, state.counts)),
    h("ul", { class: "check-list", tabindex: 0, "aria-label": "Checks" }, state.checks.map(row)),
    state.fork ? forkLine(state.fork) : sweepLine(state),
    h("div", { class: "go" },
      h("button", { type: "button", class: "primary", "data-do": "begin", disabled: Boolean(state.off) || state.awaited, "aria-describedby": "go-why" }, icon("▶"), state.fork ? "Start fork" : "Start"),
      h("div", {}, h("div", { id: "go-why", class: state.refused ? "error" : "" }, words), h("div", { class: "small ink2" }, state.about || "time, memory and disk: measured by the checks",
        state.fork?.words ? h("div", {}, state.fork.words) : null))));
}
