// Fields of a form, whatever the form is of: bounds, unit and help come with the field.

const FIELDS = `
.fields { display: grid; grid-template-columns: minmax(84px, max-content) minmax(0, 1fr); gap: 6px 10px; align-items: center; }
.fields > label { color: var(--wb-ink2); overflow-wrap: anywhere; align-self: start; padding-top: 5px; }
.fields > label.changed::after { content: " ●"; color: var(--wb-ink); font-size: 8px; vertical-align: 2px; }
.fields > .wide { grid-column: 1 / -1; }
.root :is(input.in, select.in, textarea.in) { box-sizing: border-box; width: 100%; min-width: 0; min-height: 26px; padding: 0 8px; font: inherit;
  font-variant-numeric: tabular-nums; color: var(--wb-ink); background: var(--wb-surface); border: 1px solid var(--wb-line-strong); border-radius: 4px; }
.root :is(input.in, select.in, textarea.in):focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
.root .in[aria-invalid="true"] { border: 1px solid var(--wb-error); background: var(--wb-error-wash); }
.root .in.number { width: 82px; text-align: right; }
.valued { display: flex; align-items: center; gap: 8px; min-width: 0; }
.valued input[type="range"] { flex: 1 1 60px; min-width: 40px; max-width: 160px; accent-color: var(--wb-ink); height: 20px; margin: 0; }
.fixed { display: block; min-height: 26px; padding: 5px 0; overflow-wrap: anywhere; color: var(--wb-ink); }
.bad { color: var(--wb-error); font-size: 11px; line-height: 14px; }
.bad button { margin: 2px 0 0 6px; color: var(--wb-ink); }
.fields details { grid-column: 1 / -1; border-top: 1px solid var(--wb-line); padding-top: 4px; }
.fields summary { cursor: pointer; color: var(--wb-ink2); }
.fields details > .fields { margin: 6px 0 4px 12px; }
`;

const written = (value) =>
  value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value);
// What cannot change stands as text, with the reason on its card: a control that refuses every press says nothing.
const standing = (id, value, why) => h("output", { id, class: "fixed", title: why }, written(value) || "none");

// Why a field is wrong, and the press that mends it.
const mending = (id, bad) => bad
  ? h("div", { class: "bad", id: `${id}-bad` }, bad.words, bad.fix ? h("button", { type: "button", "data-fix": bad.fix.path, "data-value": written(bad.fix.value) }, bad.fix.label) : null) : null;
const idOf = (path) => `f-${path.replace(/[^\w-]/g, "_")}`;

// A slider over the useful part of a range that may be very long.
function reach(field) {
  const { min, max, value, default: usual } = field;
  if (!Number.isFinite(value)) return null;
  const low = min ?? 0;
  const top = Math.max(5 * Math.abs(usual || value || 1), value, low);
  return { low, high: Number.isFinite(max) ? Math.min(max, top) : top };
}

function control(field, wrong, options) {
  const id = idOf(field.path);
  const bad = wrong[field.path];
  if (field.off) return standing(id, field.value, field.off);
  const common = { id, class: "in", "data-edit": field.path, title: field.help, "aria-invalid": bad ? "true" : null,
    "aria-describedby": bad ? `${id}-bad` : null };
  if (field.sort === "flag")
    return h("input", { id, type: "checkbox", "data-edit": field.path, checked: field.value === true, title: field.help });
  if (field.sort === "choice")
    return h("select", common, field.choices.map((word) => h("option", { value: word, selected: written(word) === written(field.value) }, word)));
  const numeric = field.sort === "number" || field.sort === "integer";
  const box = h("input", { ...common, class: `in${numeric ? " number" : ""}`, type: "text", inputmode: numeric ? "decimal" : null,
    value: written(field.value), placeholder: field.default === null && !field.required ? "none" : null, spellcheck: "false", autocomplete: "off" });
  const span = options.slide && field.sort === "number" ? reach(field) : null;
  if (!span) return box;
  return h("div", { class: "valued" },
    h("input", { type: "range", "data-slide": field.path, min: span.low, max: span.high, step: (span.high - span.low) / 200, value: field.value,
      "aria-label": field.label }), box);
}

function fieldRows(list, wrong, options = {}) {
  return list.flatMap((field) => {
    if (field.sort === "group" || field.sort === "kind") return [nested(field, wrong, options)];
    return [
      h("label", { for: idOf(field.path), class: field.changed ? "changed" : "", title: field.help }, field.label),
      h("div", {}, control(field, wrong, options), mending(idOf(field.path), wrong[field.path])),
    ];
  });
}

// Whether one of these fields, or a field within one, is wrong.
const wrongIn = (fields, wrong) =>
  Object.keys(wrong).some((path) => fields.some((field) => path === field.path || path.startsWith(`${field.path}.`)));

// A kind within a kind, or a group of fields: folded, open where something is wrong or changed.
function nested(field, wrong, options) {
  const off = wrongIn([field], wrong);
  const picks = field.use ? [h("label", { for: idOf(field.use.path) }, "use"), h("div", {}, picker(field.use, wrong, field.optional))] : [];
  const summary = field.use ? `${field.label}: ${field.use.value ?? "none"}` : field.label;
  return h("details", { "data-key": field.path, open: off || field.changed || (options.open ?? []).includes(field.label) },
    h("summary", { title: field.help }, summary),
    h("div", { class: "fields" }, picks, fieldRows(field.fields, wrong, options)));
}

// The name of a kind: a list where all names are known, typed where a name has a free part.
function picker(use, wrong, optional = false, free = false) {
  const bad = wrong[use.path] ?? wrong[use.path.replace(/\.use$/, "")];
  const id = idOf(use.path);
  const common = { id, class: "in", "data-edit": use.path, "aria-invalid": bad ? "true" : null, "aria-describedby": bad ? `${id}-bad` : null };
  const help = use.choices.find(({ name }) => name === use.value)?.summary ?? "";
  const said = mending(id, bad);
  if (use.off) return [standing(id, use.value, use.off), said];
  if (free)
    return [h("input", { ...common, list: `${id}-all`, value: use.value ?? "", title: help, spellcheck: "false", autocomplete: "off" }),
      h("datalist", { id: `${id}-all` }, use.choices.map(({ name, summary }) => h("option", { value: name }, summary))), said];
  const known = use.choices.some(({ name }) => name === use.value);
  return [h("select", { ...common, title: help },
    optional || !known ? h("option", { value: "", selected: use.value === null }, use.value ?? "none") : null,
    use.choices.map(({ name }) => h("option", { value: name, selected: name === use.value }, name))), said];
}
