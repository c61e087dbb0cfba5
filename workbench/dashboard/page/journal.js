// The journal: its last lines and the field for a note in the rail, all of it in a drawer over the right column.
// A line that stands at a step of the student is a button: the scrubber jumps there.

const JOURNAL = `
.event { display: grid; grid-template-columns: 18px 40px minmax(0, 1fr); gap: 0 6px; padding: 5px 0; border-top: 1px solid var(--wb-line); }
.event > .mark { align-self: start; }
.event > b { font-weight: 400; } .event > .small { grid-column: 3; color: var(--wb-ink3); } .event .what { overflow-wrap: anywhere; }
.root button.event { width: 100%; min-height: 0; padding: 5px 0; border: 0; border-top: 1px solid var(--wb-line); border-radius: 0; background: none;
  text-align: left; white-space: normal; align-items: baseline; }
.root button.event:hover { background: var(--wb-sunken); }
.event .quote::before { content: "“"; } .event .quote::after { content: "”"; }
.root .write { display: block; width: 100%; height: 26px; margin-top: 8px; }
.write::placeholder { color: var(--wb-ink3); opacity: 1; }
.root button.open { min-height: 20px; padding: 0 4px; font-size: 11px; color: var(--wb-ink2); }
.drawer { position: relative; height: 100%; display: flex; flex-direction: column; }
.drawer .tools { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin-top: 8px; }
.drawer .tools input[type="search"] { flex: 1 1 140px; min-width: 0; }
.drawer .sorts { display: flex; border: 1px solid var(--wb-line-strong); border-radius: 4px; overflow: hidden; }
.root .sorts button { min-height: 22px; padding: 0 8px; border: 0; border-radius: 0; font-size: 11px; }
.sorts button + button { border-left: 1px solid var(--wb-line-strong) !important; }
.root .sorts button[aria-pressed="true"] { background: var(--wb-ink); color: var(--wb-surface); }
.root .sorts button:focus-visible { outline-offset: -2px; }
.drawer .listed { flex: 1 1 0; min-height: 0; margin-top: 8px; overflow: auto; }
.drawer .end { display: flex; gap: 8px; align-items: center; justify-content: space-between; padding-top: 8px; border-top: 1px solid var(--wb-line); }
.drawer input[type="search"] { height: 24px; padding: 0 6px; box-sizing: border-box; font: inherit; color: var(--wb-ink);
  background: var(--wb-surface); border: 1px solid var(--wb-line-strong); border-radius: 4px; }
.drawer select { height: 24px; max-width: 120px; font: inherit; color: var(--wb-ink); background: var(--wb-surface);
  border: 1px solid var(--wb-line-strong); border-radius: 4px; }
.drawer :is(input, select, .listed):focus-visible, .write:focus-visible { outline: 2px solid var(--wb-ink); outline-offset: 1px; }
`;

const SORTS = ["all", "changes", "notes", "run"];
let sorted = SORTS[0]; // what the drawer shows, and will show when it is opened again

function entry(line) {
  const there = Number.isInteger(line.at);
  const words = line.sort === "notes" ? h("span", { class: "quote" }, line.what) : line.what;
  return h(there ? "button" : "div", { class: "event", type: there ? "button" : null, "data-do": there ? "jump" : null,
    "data-step": line.at, title: there ? "Look at this step" : null },
    line.number ? h("span", { class: "mark" }, line.number) : h("span", { class: "ink3", "aria-hidden": "true" }, line.sort === "notes" ? "✎" : "·"),
    h("b", {}, line.step), h("span", { class: "what" }, words), h("span", { class: "small" }, line.when));
}

// In the rail.
function journalGroup(state, own) {
  const at = Number.isInteger(own.shown?.step) ? own.shown.step : state.at;
  const refused = (state.refused ?? {}).note;
  const words = `Add a note at step ${spaced(at)}…`;
  return h("div", { class: "group journal", "data-key": "journal" },
    h("div", { class: "row" }, h("h2", { class: "title" }, "Journal"), h("button", { type: "button", class: "bare open", "data-do": "journal",
      "aria-haspopup": "dialog", title: "All lines, with search" }, "open ↗")),
    state.journal.length ? state.journal.map(entry) : h("p", { class: "read" }, "Nothing yet."),
    state.older ? h("p", { class: "small ink3" }, `and ${state.older} earlier`) : null,
    looksOnly(state) ? null : h("input", { type: "text", class: "write", "data-note": at, maxlength: 500, autocomplete: "off", "aria-label": words, placeholder: words,
      value: own.wrote ?? "" }),
    refused ? h("div", { class: "small error", role: "alert" }, refused) : null);
}

function listenToNotes(el, own, send) {
  el.addEventListener("input", ({ target }) => {
    if ("note" in target.dataset) own.wrote = target.value;
  });
  el.addEventListener("keydown", (event) => {
    const { target } = event;
    if (!("note" in (target.dataset ?? {})) || event.isComposing) return;
    if (event.key === "Enter" && target.value.trim()) {
      send({ do: "note", text: target.value, at: Number(target.dataset.note) });
      own.wrote = target.value = "";
    } else if (event.key === "Escape") own.wrote = target.value = "";
  });
}

function journal(state, own) {
  if (!state.lines) return h("div", { class: "root card drawer" });
  const [who, sought] = [looked.author ?? "", looked.find ?? ""];
  const words = sought.trim().toLowerCase();
  const found = state.lines.filter((line) => (sorted === SORTS[0] || line.sort === sorted) && (!who || line.who === who) &&
    (!words || `${line.step.replaceAll("\u2009", "")} ${line.what} ${line.who}`.toLowerCase().includes(words)));
  const told = found.length === state.lines.length ? `${found.length} lines` : `${found.length} of ${state.lines.length} lines`;
  return h("div", { class: "root card drawer", role: "dialog", "aria-label": "Journal" },
    h("div", { class: "row" }, h("h2", { class: "title" }, "Journal"),
      h("button", { type: "button", class: "bare", "data-do": "journal", "aria-label": "Close the journal", title: "Close (Escape)" }, "✕ close")),
    h("p", { class: "read", style: "margin:0" }, "What happened at which step, newest first. Click a line to look there."),
    h("div", { class: "tools" },
      h("input", { type: "search", "data-sought": "", placeholder: "Search", "aria-label": "Search the journal", value: sought, maxlength: 60, autocomplete: "off" }),
      h("div", { class: "sorts", role: "group", "aria-label": "Show" }, SORTS.map((name) =>
        h("button", { type: "button", "data-do": "sort", "data-sort": name, "aria-pressed": String(name === sorted) }, name))),
      h("select", { "data-author": "", "aria-label": "Author" }, h("option", { value: "", selected: !who }, "everybody"),
        state.people.map((name) => h("option", { value: name, selected: name === who }, name)))),
    h("div", { class: "listed", tabindex: 0, "aria-label": "Lines" }, found.length ? found.map(entry) : h("p", { class: "read" }, "No line says that.")),
    h("div", { class: "end" }, h("span", { class: "small ink3", "aria-live": "polite" }, own.copied ?? (state.older ? `${told}; ${state.older} earlier ones: workbench journal ${state.run}` : told)),
      h("button", { type: "button", "data-do": "copy-journal", title: "The changes as Python that plans them for another run" }, "Copy as script")));
}

function listenToJournal(el, own, draw) {
  const filter = (change) => {
    lookedAt(change);
    draw();
  };
  el.addEventListener("input", ({ target }) => "sought" in target.dataset && filter({ find: target.value || null }));
  el.addEventListener("change", ({ target }) => "author" in target.dataset && filter({ author: target.value || null }));
  el.addEventListener("click", async ({ target }) => {
    const pressed = target.closest?.("[data-do]")?.dataset.do;
    if (pressed === "sort") filter({ journal: (sorted = target.dataset.sort) });
    if (pressed !== "copy-journal") return;
    try {
      await clipboard().writeText(own.state.script);
      own.copied = "Copied.";
    } catch (error) {
      own.copied = `Not copied: ${error.message}`; // a page without the right to the clipboard
    }
    draw();
  });
  // Where the focus was, it returns to.
  let before = null;
  addEventListener(OPENED, () => {
    own.copied = null;
    draw();
    if (html.dataset.journal === "open") {
      before = deepest(document);
      el.querySelector("[data-sought]")?.focus();
    } else before?.focus();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || html.dataset.journal !== "open" || event.composedPath()[0].closest?.("dialog")) return;
    event.preventDefault(); // a selection stays
    toggleJournal();
  }, true);
}

const OPENED = "workbench-journal";

// Opens it on these lines, or closes it: null.
function openJournal(sort) {
  if (sort === looked.journal) return;
  looked.journal = sort;
  sorted = sort ?? sorted;
  html.dataset.journal = sort ? "open" : "";
  dispatchEvent(new Event(OPENED));
}

const toggleJournal = () => openJournal(looked.journal ? null : sorted);

function deepest(root) {
  const active = root.activeElement;
  return active?.shadowRoot?.activeElement ? deepest(active.shadowRoot) : active;
}
