// Left of the four views of two kept models: which two, on which samples, and their numbers.

const PAIR_STYLE = `
.pair-card { height: 100%; overflow: auto; display: flex; flex-direction: column; gap: 8px; }
.pair-card label { display: flex; flex-direction: column; gap: 3px; font-size: 11px; }
.root .pair-card select { width: 100%; }
.pair-card table { width: 100%; border-collapse: collapse; margin-top: 4px; }
.pair-card th { font-weight: 400; text-align: right; padding: 4px 0; } .pair-card td { border-top: 1px solid var(--wb-line); padding: 5px 0; text-align: right; font-weight: 600; }
.pair-card thead td { border-top: 0; }
.pair-card :is(td, th):not(:first-child) { white-space: nowrap; padding-left: 8px; }
.pair-card td:first-child, .pair-card th:first-child { text-align: left; font-weight: 400; color: var(--wb-ink2); }
.pair-card p { margin: 0; }
.pair-card .lines { margin: 0; padding: 0; list-style: none; color: var(--wb-ink3); overflow-wrap: anywhere; }
.pair-card .lines li + li { margin-top: 4px; }
`;

function pairPlace(state) {
  if (!state.address) return h("div", { class: "root" });
  const pick = (name, text, options, value, first) =>
    h("label", {}, text, h("select", { "data-say": name, "aria-label": typeof text === "string" ? text : name },
      first && !value ? h("option", { value: "", selected: true }, first) : null,
      options.map(([id, words]) => h("option", { value: id, selected: id === value }, words))));
  const busy = state.state === "working";
  const waits = !state.picks.teacher.value || !state.picks.student.value;
  const status = busy
    ? h("div", { class: "row", role: "status", "data-key": "status" }, h("span", {}, icon("…"), `${state.words[0].toUpperCase()}${state.words.slice(1)}`),
        h("button", { type: "button", ...say("cancel") }, "Cancel"))
    : ["refused", "cancelled"].includes(state.state)
      ? h("div", { class: "said", role: "alert", "data-key": "status" }, state.words, " ",
          h("button", { type: "button", ...say("again") }, "Try again"))
      : waits
        ? h("p", { class: "read", role: "status", "data-key": "status" }, state.kept
            ? "Pick two models: their four views appear, nothing is trained."
            : "The store keeps no model yet. A run keeps its teacher and its student.")
        : h("p", { class: "read", role: "status", "data-key": "status" }, `Both were asked about the same ${state.n} samples. Nothing was trained.`);
  return h("div", { class: "root card pair-card", "data-pair": state.state || "waits" },
    h("div", { class: "row" }, h("h1", { class: "title" }, "A pair, inspected"), h("a", { href: "?models=", class: "small" }, "All models")),
    pick("teacher", marked("teacher", "teacher"), state.picks.teacher.options, state.picks.teacher.value, "pick a model…"),
    pick("student", marked("student", "student"), state.picks.student.options, state.picks.student.value, "pick a model…"),
    pick("data", "Data", state.data.options, state.data.value, "pick a student first…"),
    h("div", { class: "chips", role: "group", "aria-label": "Split" }, h("span", { class: "ink2" }, "Split"),
      state.splits.map((split) => h("button", { type: "button", ...say("split", split), "aria-pressed": String(split === state.split) }, split))),
    status,
    state.warnings.map((words) => h("p", { class: "said" }, icon("△"), words)),
    state.rows.length
      ? h("table", {}, h("thead", {}, h("tr", {}, h("td"), h("th", { scope: "col" }, marked("student", "student")), h("th", { scope: "col" }, marked("teacher", "teacher")))),
          h("tbody", {}, state.rows.map(([name, student, teacher]) =>
            h("tr", {}, h("td", {}, name), h("td", { class: "student" }, student), h("td", { class: "teacher" }, teacher)))))
      : null,
    state.lines.length ? h("ul", { class: "lines small" }, state.lines.map((line) => h("li", {}, line))) : null);
}
