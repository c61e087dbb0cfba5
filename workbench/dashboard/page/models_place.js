// The place Models: what the store keeps, and a pair of it to look at without training.

const MODELS_STYLE = `
.pick { display: flex; gap: 8px 16px; align-items: center; flex-wrap: wrap; }
.pick .who { min-width: 0; }
.sheet td.model { min-width: 168px; }
.root .sheet .small-buttons { display: flex; gap: 4px; justify-content: flex-end; flex-wrap: wrap; }
.root .small-buttons :is(button, a) { min-height: 22px; padding: 2px 7px; border: 1px solid var(--wb-line-strong); border-radius: 4px;
  background: var(--wb-surface); text-decoration: none; white-space: nowrap; font: inherit; }
.root .small-buttons button[aria-pressed="true"] { background: var(--wb-ink); border-color: var(--wb-ink); color: var(--wb-surface); }
`;

function modelRow(model) {
  const pick = (role) =>
    h("button", { type: "button", ...say(role, model.id), "aria-pressed": String(model[`is_${role}`]),
      "aria-label": `${model.name}, ${model.where}: ${role} of the pair`, title: `As the ${role} of a pair` }, role[0].toUpperCase());
  const users = model.users.map((run, k) => [k ? ", " : "", h("a", { href: `?run=${encodeURIComponent(run)}` }, run)]);
  return h("tr", { "data-row": model.id, "data-key": model.id },
    h("td", {}, marked(model.role, ""), h("span", { class: "unseen" }, model.role)),
    h("td", { class: "model" }, h("b", { "data-first": "", tabindex: -1 }, model.name),
      h("div", { class: "small ink3" }, [model.role, model.step, model.data].filter(Boolean).join(" · "))),
    h("td", {}, model.run ? h("a", { href: `?run=${encodeURIComponent(model.run)}` }, model.run) : h("span", { class: "ink3" }, "its run is gone"),
      h("div", { class: "small ink3" }, model.used ? [`${model.used}: `, users] : model.when)),
    h("td", { class: "num" }, model.weights || h("span", { class: "ink3" }, "–")),
    h("td", { class: "num" }, model.bytes),
    h("td", { class: "num" }, h("b", { class: model.role }, model.accuracy || "–"), h("div", { class: "small ink3" }, model.of)),
    h("td", { class: "num" }, model.ece || h("span", { class: "ink3" }, "–")),
    h("td", { class: "late" }, h("span", { class: "code", title: model.hash_of }, model.hash || "–"), h("div", { class: "small ink3" }, model.hash_of)),
    h("td", {}, h("div", { class: "small-buttons" }, pick("teacher"), pick("student"),
      h("a", { href: model.as_teacher }, "Use as teacher"), h("a", { href: model.as_start }, "Use as start"))));
}

function modelsPlace(state, own) {
  if (!state.address) return h("div", { class: "root" });
  if (!state.total)
    return h("div", { class: "root place" }, h("h1", {}, "Models"), said(state),
      h("section", { class: "card empty" }, nothingYet("No models yet",
        "Every teacher that a run trains is kept here, and the student of every run. The quickstart makes one of each.", own, state)));
  const name = (role) => h("span", { class: "who" }, marked(role, role), " ",
    state.pair[role] ? h("b", {}, state.pair[role]) : h("span", { class: "ink3" }, `press ${role[0].toUpperCase()} in a row`));
  const heads = [["", "Kind"], ["", "Model"], ["", "From run"], ["num", "Weights"], ["num", "On disk"], ["num", "Accuracy"], ["num", "ECE"],
    ["late", "Hash"], ["num", "Use"]];
  return h("div", { class: "root place" },
    h("div", { class: "head" }, listTitle(own, "models", "Models", state.address.slice(2)), h("span", { class: "ink2", role: "status" }, `${state.count}, ${state.bytes} on disk`),
      h("span", { class: "ink3" }, "On the command line: ", h("span", { class: "code" }, "workbench models --kept"))),
    said(state),
    h("section", { class: "card pick", "data-key": "pick", "aria-label": "Inspect a pair" },
      h("h2", { class: "title" }, "Inspect a pair"), name("teacher"), name("student"),
      state.inspect ? h("a", { class: "button", href: state.inspect }, "Inspect without training")
        : h("span", { class: "read" }, "The four views of two models on the same samples, without training.")),
    h("section", { class: "card sheet", "data-key": "sheet" },
      h("div", { class: "tools" }, findField(state, "Filter models"), facet("role", "Role", state.roles, state.role)),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "All models" },
        h("table", {}, h("thead", {}, h("tr", {}, heads.map(([kind, text]) => h("th", { scope: "col", class: kind || null }, text)))),
          h("tbody", {}, state.rows.map(modelRow)))),
      state.rows.length ? null : h("p", { class: "empty" }, "No model has all that. Take a filter away."),
      h("div", { class: "foot small" }, state.more ? `${state.more} more; filter to find them. ` : "",
        "Accuracy and ECE as they were measured when the run ended, on the rows that stand below them. A student's best step is chosen on those very rows, so its number is optimistic.")));
}
