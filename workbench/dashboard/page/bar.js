// The places in the top bar, the logo as a menu of them on a run's page, and the keys in a dialog.

const BAR = `
.places .count { color: var(--wb-ink3); font-weight: 400; margin-left: 6px; }
.root .waits { display: inline-flex; align-items: center; height: 20px; padding: 0 9px; border: 1px solid var(--wb-line-strong);
  border-radius: 10px; text-decoration: none; white-space: nowrap; }
.root .waits:hover { border-color: var(--wb-ink3); }
.root a.neu { display: inline-flex; align-items: center; min-height: 26px; padding: 0 10px; border: 1px solid var(--wb-line-strong);
  border-radius: 5px; text-decoration: none; font-weight: 600; background: var(--wb-surface); }
.root a.neu:hover { border-color: var(--wb-ink3); }
.home { position: relative; display: inline-flex; }
.root .home > button { display: inline-flex; align-items: center; gap: 8px; padding: 0 6px; margin-left: -6px; font-size: 13px; font-weight: 600; }
.home .menu { left: -6px; right: auto; min-width: 190px; }
.home .menu a { display: flex; justify-content: space-between; gap: 16px; font-weight: 400; }
.home .menu a[aria-current] { font-weight: 600; }
.keys-dialog { width: min(620px, calc(100vw - 32px)); max-height: calc(100vh - 64px); padding: 16px 18px; border: 1px solid var(--wb-line-strong);
  border-radius: 6px; background: var(--wb-surface); color: var(--wb-ink); overflow: auto; }
.keys-dialog::backdrop { background: rgb(0 0 0 / 35%); }
.keys-dialog dl { display: grid; grid-template-columns: max-content 1fr; gap: 5px 16px; margin: 6px 0 14px; }
.keys-dialog dt { text-align: right; } .keys-dialog dd { margin: 0; color: var(--wb-ink2); }
.keys-dialog h3 { margin: 0; font-size: 12px; }
.keys-dialog kbd { padding: 1px 5px; border: 1px solid var(--wb-line-strong); border-radius: 3px; background: var(--wb-sunken);
  font: 11px/14px ui-monospace, Menlo, Consolas, "Liberation Mono", monospace; }
@media (max-width: 1099px) { .machine { display: none; } }
@media (max-width: 799px) { .root a.neu { display: none; } .places { min-width: 0; overflow-x: auto; } .root .places a { padding: 4px 6px; white-space: nowrap; } }
`;

const PLACES = [
  ["start", "Start", "./"],
  ["new", "New experiment", "?new="],
  ["runs", "Runs", "?runs="],
  ["compare", "Compare", "?compare="],
  ["models", "Models", "?models="],
];

// The places of the page; the one that is open says so.
const places = (state) =>
  h("nav", { class: "places", "aria-label": "Places" },
    PLACES.map(([place, text, href]) =>
      h("a", { href, "aria-current": place === (state.place ?? "start") ? "page" : null }, text, " ",
        place === "runs" && state.runs ? h("span", { class: "count" }, state.runs) : null)));

const waits = (state) =>
  state.waiting ? h("a", { class: "waits", href: "?runs=", "data-key": "waits", title: "Runs that wait for their turn" },
    icon("…"), state.waiting) : null;

// On a run's page the bar is full: there the logo opens the same places.
const home = (own) =>
  h("div", { class: "home", "data-key": "home" },
    h("button", { type: "button", class: "bare brand", "data-do": "home", "aria-expanded": String(Boolean(own.home)),
      "aria-haspopup": "true", "aria-label": "Workbench, places" }, logo(), h("b", {}, "Workbench"),
      h("span", { class: "icon ink3", "aria-hidden": "true", style: "margin:0" }, "▾")),
    own.home ? h("nav", { class: "menu", "aria-label": "Places" },
      PLACES.map(([, text, href]) => h("a", { href }, text))) : null);

const helpButton = () =>
  h("button", { type: "button", class: "bare", "data-do": "keys", "data-key": "keys", "aria-label": "Keys", title: "Keys (?)" }, "?");

const KEYS = [
  ["Everywhere", [[["?"], "These keys"], [["Tab"], "Next control"], [["Esc"], "Close, or clear the selection"]]],
  ["Start", [
    [["Enter"], "Start the quickstart, or open the recipe that has the focus"],
    [["Shift", "Enter"], "Start that recipe at once"],
    [["/"], "Filter"],
    [["←", "→", "↑", "↓"], "From card to card"],
  ]],
  ["Run", [
    [["←", "→"], "Snapshot before, after; with Shift: mark"],
    [["Home", "End"], "First, last snapshot"],
    [["Space"], "Play"],
    [["L"], "Follow live"],
    [["J", "K"], "Next, previous sample"],
    [["P"], "Pair the two layers of a cell"],
    [["M"], "Menu of a view: copy, save, full screen, data"],
  ]],
  ["Runs, Models", [[["↑", "↓"], "From row to row"], [["X"], "Choose the row"], [["Enter"], "Open it"], [["/"], "Filter"], [["M"], "Menu of the list: save it as CSV or LaTeX"]]],
];

// A dialog outside of what is drawn anew, so that it stays open and keeps the focus.
function showKeys(el) {
  let dialog = el.shadowRoot?.querySelector(".keys-dialog") ?? el.querySelector?.(".keys-dialog");
  if (!dialog) {
    const rows = (list) => list.map(([keys, text]) => [
      h("dt", {}, keys.map((key) => [h("kbd", {}, key), " "])), h("dd", {}, text)]);
    dialog = h("dialog", { class: "keys-dialog", "aria-labelledby": "keys-title" },
      h("div", { class: "row" }, h("h2", { class: "title", id: "keys-title" }, "Keys"),
        h("button", { type: "button", "data-close": "" }, "Close")),
      KEYS.map(([place, list]) => [h("h3", {}, place), h("dl", {}, rows(list))]));
    const root = h("div", { class: "root", style: "display:contents" }, dialog);
    dialog.addEventListener("keydown", (event) => event.stopPropagation()); // the run behind it hears no key meanwhile
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target.closest("[data-close]")) dialog.close();
    });
    el.append(root);
  }
  if (!dialog.open) dialog.showModal();
}

// Menus of the bar that Escape and a press elsewhere close: what says that one is open, its piece, what opens it.
const BAR_MENUS = [
  { flag: "home", key: "home", opens: "home" },
  { flag: "taking", key: "export", opens: "take" },
];

const writes = (node) => Boolean(node?.closest?.("input, textarea, select, [contenteditable]"));

// A button that gives way to another hands it the focus of the keyboard: else that would begin at the top of the page.
const SUCCESSORS = { pause: "resume", resume: "pause", ask: "keep", keep: "ask" };

function focused(el) {
  const at = el.getRootNode().activeElement;
  return at?.matches(":focus-visible") && el.contains(at) ? at : null;
}

function followFocus(el, own, at) {
  const lost = at && !at.isConnected ? at.dataset.do : deepest(document) === document.body ? own.lostFocus : null;
  own.lostFocus = null;
  if (!lost) return;
  const next = [lost, SUCCESSORS[lost]].map((what) => el.querySelector(`[data-do="${what}"]`)).find(Boolean);
  if (next) next.focus();
  else own.lostFocus = lost; // what takes its place comes with a later word of the run
}

function listenToBar(el, own, draw) {
  addEventListener("keydown", (event) => {
    if (event.key === "?" && !event.ctrlKey && !event.metaKey && !writes(event.composedPath()[0])) showKeys(el);
  });
  const open = () => BAR_MENUS.find(({ flag }) => own[flag]);
  const close = ({ flag }) => {
    own[flag] = false;
    draw();
  };
  // Before all others: the same Escape must not clear the selection, too.
  addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" ? open() : null;
    if (!menu) return;
    event.preventDefault();
    event.stopPropagation();
    close(menu);
    el.querySelector(`[data-do="${menu.opens}"]`)?.focus();
  }, true);
  addEventListener("pointerdown", (event) => {
    const menu = open();
    if (menu && !event.composedPath().some((node) => node.dataset?.key === menu.key)) close(menu);
  });
  el.addEventListener("click", (event) => {
    const what = event.target.closest?.("[data-do]")?.dataset.do;
    if (what === "keys") showKeys(el);
  });
}
